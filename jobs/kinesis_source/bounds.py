"""What a batch query may be given as its start and its end.

``trim_horizon`` (start), ``latest`` (end), an ISO 8601 time, or a JSON offset as it stands in Spark's offset log.

A time T bounds each shard before the first record, in the shard's own order, that arrived at T or later. One shard has
one such place for a T, so reading [a, b) and then [b, c) gives each record once, also where arrival times go backwards:
a record that arrived before b but stands behind one that did not belongs to [b, c).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from kinesis_source.errors import OptionError
from kinesis_source.options import Options
from kinesis_source.position import StreamOffset, format_time, parse_time

Bound = str | float | StreamOffset
"""The word that stands for an end of the stream, Unix seconds, or positions."""


@dataclass(frozen=True)
class Bounds:
    """From where to where a batch reads: text as given, times as Unix seconds, offsets as positions."""

    start: Bound = "trim_horizon"
    end: Bound = "latest"

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> tuple[Bounds, Options]:
        """Reads a batch reader's option map; the other options are those of a stream. Raises OptionError."""
        texts = {key.lower(): value for key, value in given.items()}
        start = _bound("startingPosition", texts.pop("startingposition", "trim_horizon"), "trim_horizon")
        end = _bound("endingPosition", texts.pop("endingposition", "latest"), "latest")
        options = Options.parse(texts)
        for name, bound in (("startingPosition", start), ("endingPosition", end)):
            if isinstance(bound, StreamOffset) and bound.stream != options.stream_name:
                raise OptionError(f"{name} is an offset of stream {bound.stream}, not of {options.stream_name}")
        if isinstance(start, float) and isinstance(end, float) and start > end:
            raise OptionError(f"startingPosition {format_time(start)} lies behind endingPosition {format_time(end)}")
        return cls(start, end), options


def _bound(name: str, text: str, word: str) -> Bound:
    if text.lower() == word:
        return word
    if text.lstrip().startswith("{"):
        try:
            return StreamOffset.from_json(json.loads(text))
        except json.JSONDecodeError as error:
            raise OptionError(f"{name} is no JSON offset: {error}") from error
    try:
        # Arrival times have milliseconds: the first one at this time or later is the first at the next whole one.
        return math.ceil(round(parse_time(text) * 1e6) / 1000) / 1000
    except OptionError as error:
        raise OptionError(f"{name} of a batch is {word}, an ISO 8601 time or a JSON offset; {error}") from error
