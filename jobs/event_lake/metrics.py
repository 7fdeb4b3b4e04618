"""Counting what became of every record, each number on its own: none is worked out from the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from event_lake.errors import AccountingError

STEP_ROWS = "pythonNumRowsReceived"  # Spark's metric of the rows that came out of a step in Python


@dataclass(frozen=True)
class Counts:
    """Records of a micro-batch, or of a run."""

    received: int = 0  # records that the source yielded
    stored: int = 0  # rows bound for the events table
    duplicates: int = 0  # rows that the deduplication dropped
    quarantined: int = 0  # rows bound for the quarantine table
    late_dropped: int = 0  # rows that the watermark dropped; anything but 0 is a bug
    gaps: int = 0  # rows that the source yielded in place of lost records
    contract_broken: int = 0  # of the stored: events that break a contract which is only counted

    @property
    def accounted(self) -> int:
        """What `received` must be."""
        return self.stored + self.duplicates + self.quarantined

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(one + two for one, two in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    def __str__(self) -> str:
        rare = ("gaps", "contract_broken")
        return " ".join(f"{name}={count}" for name, count in asdict(self).items() if count or name not in rare)


@dataclass(frozen=True)
class PlanMetrics:
    """What the operators of a micro-batch's physical plan counted while it ran, once."""

    scanned: int
    duplicates: int
    late: int


def read_plan_metrics(query: Any, operator: bool = True) -> PlanMetrics:
    """Reads the running micro-batch's metrics from Spark's own plan, after an action has run it.

    `operator`: whether Spark's own deduplication is in the plan. Spark publishes the same numbers in its progress
    event, but after the commit log: too late to refuse a batch.
    """
    nodes = list(_nodes(query._jsq.streamingQuery().lastExecution().executedPlan()))
    scans = [node for node in nodes if node.children().isEmpty()]
    steps = [node for node in nodes if not node.children().isEmpty() and node.metrics().contains(STEP_ROWS)]
    return PlanMetrics(
        # The last step in Python is parsing. A source that has one of its own, which makes records of what Spark has
        # read (several of a line that holds several), is counted behind that.
        scanned=_sum(steps[-1:], STEP_ROWS) if len(steps) > 1 else _sum(scans, "numOutputRows"),
        duplicates=_sum(nodes, "numDroppedDuplicateRows") if operator else 0,
        late=_sum(nodes, "numRowsDroppedByWatermark") if operator else 0,
    )


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    children = node.children()
    for number in range(children.size()):
        yield from _nodes(children.apply(number))


def _sum(nodes: Iterable[Any], name: str) -> int:
    found = [metric.get().value() for node in nodes if (metric := node.metrics().get(name)).isDefined()]
    if not found:
        raise AccountingError(f"Spark's plan has no metric {name}; this Spark version cannot be accounted for")
    return int(sum(found))


def check_accounting(batch_id: int, counts: Counts) -> None:
    """Raises AccountingError where a record has no verdict, or more than one; to be called before the first write."""
    if counts.late_dropped or counts.received != counts.accounted:
        raise AccountingError(
            f"micro-batch {batch_id} does not add up: {counts}; received must equal stored + duplicates + quarantined "
            f"({counts.accounted}) and nothing may be late. Nothing of it was written. Starting again replays it; a "
            "repeated failure is a bug, please report it with these numbers."
        )
