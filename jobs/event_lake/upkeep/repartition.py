"""Writing a Delta table anew by other partition columns, or with other forms of the payload, in one commit.

Delta fixes a table's partition columns when it is made; an overwrite with another schema may change them, and leaves
what else the log says: properties, and the numbers of the micro-batches that are in (seen on 4.2). Readers go from one
version to the next; whoever is killed leaves the former one, and files for the next vacuum.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from event_lake.delta_log import newest_snapshot
from event_lake.errors import EventLakeError
from event_lake.events_layout import SHREDDED, SHREDDING, EventsLayout, variant_in
from event_lake.schema import HOUR
from event_lake.upkeep.compaction import last_mark


@dataclass(frozen=True)
class Repartitioned:
    """What the one commit did."""

    columns: tuple[str, ...]
    rows: int
    files: int
    seconds: float

    def __str__(self) -> str:
        columns = ",".join(self.columns)
        return f"partition_by={columns} rows={self.rows} files={self.files} seconds={self.seconds:.1f}"


def repartition(
    session: SparkSession, path: str, layout: EventsLayout, target: int, may_write: Callable[[], None]
) -> Repartitioned | None:
    """Gives an events table this layout; None where it has that. `target`: the size in bytes that files should have.
    The session should keep settings of its own."""
    began = time.monotonic()
    columns = layout.partitions
    before = newest_snapshot(session, path)
    variant = variant_in(before.metadata())
    if (tuple(before.metadata().partitionSchema().fieldNames()), variant) == (columns, layout.variant):
        return None
    rows = session.read.format("delta").load(path).withColumn(HOUR, F.hour("created_datetime"))
    rows = layout.completed(rows).select(layout.schema.fieldNames())
    expected = rows.count()
    # Rows of a partition come together, and large partitions are cut.
    session.conf.set("spark.databricks.delta.optimizeWrite.binSize", f"{target // 1024**2}m")
    writer = rows.write.format("delta").mode("overwrite").partitionBy(*columns)
    writer = writer.option("overwriteSchema", "true").option("optimizeWrite", "true")
    if mark := last_mark(session, path):
        writer = writer.option("userMetadata", mark)
    may_write()
    if SHREDDED in (variant, layout.variant) and variant != layout.variant:
        shreds = str(layout.variant == SHREDDED).lower()
        session.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('{SHREDDING}' = '{shreds}')")
    writer.save(path)
    after = newest_snapshot(session, path)
    found = session.read.format("delta").load(path).count()
    if found != expected:
        raise EventLakeError(
            f"{path} had {expected} rows in version {before.version()} and has {found} in version {after.version()}: "
            f"somebody else is writing. RESTORE TABLE delta.`{path}` TO VERSION AS OF {before.version()} goes back."
        )
    return Repartitioned(columns, found, int(after.numOfFiles()), time.monotonic() - began)
