"""The contracts in force, as they go to the workers, and what of an event breaks them.

A job without contracts must not pay for them, not even with an import: workers see this module only where there are
some. Each worker process makes code of a contract once, when the first event of its name comes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import fastjsonschema

from event_lake.contracts.language import FORMATS, told


@dataclass(frozen=True)
class ContractSet:
    """False where there are none. Pickles to the workers as text."""

    texts: Mapping[str, str]  # JSON Schema by event_name
    only_count: bool = False  # an event that breaks its contract stays a good one, and is counted

    def __bool__(self) -> bool:
        return bool(self.texts)

    def to_text(self) -> str:
        """As a file; the same text for the same contracts."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> ContractSet:
        return cls(**json.loads(text))

    def broken(self, event_name: str, event: Any) -> str | None:
        """JSON path and reason of the first thing that the event's contract does not allow; None where there is none,
        and where the event has no contract. Never raises."""
        text = self.texts.get(event_name)
        if text is None:
            return None
        try:
            compiled(text)(event)
        except fastjsonschema.JsonSchemaValueException as error:
            return told(error)
        except Exception as error:  # noqa: BLE001 - no record may stop the job, whatever made-up code makes of it
            return f"$ cannot be judged: {type(error).__name__}: {error}"
        return None


@cache
def compiled(text: str) -> Callable[[Any], Any]:
    """A contract as Python code. Raises JsonSchemaDefinitionException, and whatever else a wrong one brings about."""
    validate: Callable[[Any], Any] = fastjsonschema.compile(json.loads(text), formats=FORMATS, use_default=False)
    return validate
