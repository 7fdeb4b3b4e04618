"""Parsed records -> verdicts: of all records with one event_uuid the first is stored, the others are duplicates.

Two engines, chosen by `dedup.engine`:

index     every duplicate is a row, with the arrival of its first copy; a micro-batch costs the same whatever the
          window; works inside the batch writer (`index` keeps it, in a `manifest` a micro-batch; `judged` is one
          micro-batch; `recognise` and `merge` run in the workers, on a `segment` at a time from a `folder`; `arrived`
          is what they say of arrival times; `seed` makes the index from a table)
spark     (`operator`) Spark's own dropDuplicatesWithinWatermark: duplicates are counted, and gone; works in the stream

Bad records pass both untouched, each of them. Nothing is ever late.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from pyspark.sql import DataFrame, SparkSession

from event_lake.checkpoint import CheckpointLog
from event_lake.config import Config
from event_lake.deduplicate.arrived import Arrived
from event_lake.deduplicate.index import IndexEngine
from event_lake.deduplicate.manifest import IndexSize
from event_lake.deduplicate.operator import OperatorEngine
from event_lake.mark import BatchMark
from event_lake.metrics import PlanMetrics
from event_lake.storage import Storage


class Judged(Protocol):
    """A micro-batch with its verdicts."""

    rows: DataFrame  # schema.JUDGED_RECORD; its first action runs the micro-batch, and only that

    def counted(self) -> PlanMetrics:
        """What the plan counted; to be asked after the first action."""

    def arrived(self, stored: int) -> Arrived:
        """When its records arrived, where the engine was made to measure that; `stored`: how many are to be stored."""

    def check(self, stored: int) -> None:
        """Raises AccountingError where the engine's own books have not as many first copies as there are rows."""

    def remember(self) -> None:
        """Makes the new keys known to the next micro-batch; called once the tables hold this one."""

    def withdraw(self) -> None:
        """Undoes what judging has left behind, as far as the engine can: the micro-batch will be judged anew."""

    def release(self) -> None:
        """Frees what was kept for the micro-batch; called whatever happened."""


class Engine(Protocol):
    """What an engine must be able to do."""

    def open(self) -> None:
        """Called once before the first micro-batch. Raises where the checkpoint is another engine's, or incomplete."""

    def learn(self, stored: DataFrame, deleted: DataFrame) -> None:
        """Makes the keys of stored events (schema.EVENTS) and deleted ones (schema.DELETIONS) known to the next
        micro-batch; called after `open`, where other queries have written. Raises ConfigError where it cannot."""

    def on_stream(self, parsed: DataFrame) -> DataFrame:
        """The engine's part of the streaming plan; schema.PARSED_RECORD in and out."""

    def judge(self, batch: DataFrame, mark: BatchMark, clock: datetime) -> Judged:
        """Verdicts for one micro-batch; the same ones again when Spark replays it."""

    def size(self) -> IndexSize | None:
        """How much is remembered after the last micro-batch, where the engine itself can tell."""


def engine_for(
    spark: SparkSession, storage: Storage, checkpoint: CheckpointLog, config: Config, beside: bool = False
) -> Engine:
    """The engine that the configuration chooses; `beside`: for a query that fills in what the lake's job lacks."""
    if config.dedup.engine == "spark":
        return OperatorEngine(spark, checkpoint, config.dedup)
    measures = config.metrics.is_wanted
    return IndexEngine(spark, storage, checkpoint, config.dedup, beside=beside, measures=measures)
