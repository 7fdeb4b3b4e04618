"""Taking rows out of a table: of Delta in one commit, of plain files by files that take their place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import unquote

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F

from event_lake.deletion.lake import FILE, Table, same_place
from event_lake.delta_log import newest_snapshot
from event_lake.errors import EventLakeError
from event_lake.file_table import OPTIONS
from event_lake.schema import PLACE
from event_lake.storage import Storage
from event_lake.swap import Swap
from event_lake.upkeep.compaction import USER_METADATA, last_mark
from event_lake.upkeep.vacuum import deletable, vacuum

AT_ONCE = timedelta(0)
TRIES = 3  # to delete what no version needs: a file may be younger than this machine's clock, for a moment


@dataclass(frozen=True)
class Removed:
    """What became of one table; `version` is of Delta tables only."""

    rows: int = 0
    files: int = 0  # that held such rows; what else was in them has been written anew
    version: int | None = None


class DeltaRows:
    """Takes rows out of Delta tables; with a session of its own, since the stream's commits need other settings."""

    def __init__(self, spark: SparkSession, may_write: Callable[[], None]) -> None:
        self._spark = spark.newSession()
        self._may_write = may_write
        # Rows are to be gone from the files, not only marked in a vector beside them.
        self._spark.conf.set("spark.databricks.delta.merge.deletionVectors.persistent", "false")

    def version(self, table: Table) -> int | None:
        return int(newest_snapshot(self._spark, table.path).version())

    def remove(self, table: Table, chosen: DataFrame, expected: int) -> Removed:
        """By where a row came from, and in a merge: the condition of a DELETE stands in the table's log, and a person's
        value would with it. The commit carries the table's last mark, as compaction's do."""
        if not expected:
            return Removed(version=self.version(table))
        days = sorted(row["day"] for row in chosen.select("day").distinct().collect() if row["day"])
        within = F.col("t.date").isin([F.lit(day).cast("date") for day in days])
        places = chosen.select(*PLACE).distinct().alias("s")
        self._may_write()
        if mark := last_mark(self._spark, table.path):
            self._spark.conf.set(USER_METADATA, mark)
        else:
            self._spark.conf.unset(USER_METADATA)
        delta = DeltaTable.forPath(self._spark, table.path)
        delta.alias("t").merge(places, within & same_place("t", "s")).whenMatchedDelete().execute()
        (commit,) = delta.history(1).select("version", "operationMetrics").collect()
        metrics = commit["operationMetrics"]
        removed = Removed(
            int(metrics["numTargetRowsDeleted"]), int(metrics["numTargetFilesRemoved"]), int(commit["version"])
        )
        return _checked(table, removed, expected)

    def purge(self, table: Table) -> int:
        """Deletes every file that the newest version does not need; says how many there were. Who still reads an older
        version, or travels in time, finds files gone."""
        self._may_write()
        before = deletable(self._spark, table.path, AT_ONCE)
        left = before
        for _ in range(TRIES):
            if left:
                vacuum(self._spark, table.path, gentle=False, keep=AT_ONCE)
                left = deletable(self._spark, table.path, AT_ONCE)
        if left:
            raise EventLakeError(
                f"{left} files of {table.path} that no version needs are still there, and may hold what was deleted. "
                "Is the driver's clock behind the storage's? Run the same deletion again."
            )
        return before


class FileRows:
    """Takes rows out of folders of plain files."""

    def __init__(self, spark: SparkSession, storage: Storage, file_format: str, may_write: Callable[[], None]) -> None:
        self._spark, self._storage, self._format, self._may_write = spark, storage, file_format, may_write

    def version(self, table: Table) -> int | None:
        return None

    def purge(self, table: Table) -> int:
        """Nothing to do: the files are gone with their rows."""
        return 0

    def remove(self, table: Table, chosen: DataFrame, expected: int) -> Removed:
        swap = Swap(self._storage, table.path)
        self._may_write()
        swap.begin()
        files = [row[FILE] for row in chosen.select(FILE).distinct().collect()]
        if not files:
            return Removed()
        left, taken = self._write_rest(table, chosen, files, swap.staging)
        removed = _checked(table, Removed(taken, len(files)), expected)
        self._may_write()
        swap.decide({self._storage.qualified(unquote(file)): left.get(n) for n, file in enumerate(files)})
        swap.finish()
        return removed

    def _write_rest(
        self, table: Table, chosen: DataFrame, files: list[str], staging: str
    ) -> tuple[dict[int, str], int]:
        """Writes what stays of each file, one new file each; by number where there is one, and how many rows went."""
        columns = [name for name in table.schema.fieldNames() if name not in table.partitions]
        rows = self._reader(table).option("basePath", table.path).load([unquote(file) for file in files])
        numbers = self._spark.createDataFrame(list(enumerate(files)), f"_number int, {FILE} string")
        held = rows.select(*columns, F.col("_metadata.file_path").alias(FILE)).join(F.broadcast(numbers), FILE)
        stay = held.alias("t").join(chosen.alias("s"), same_place("t", "s") & same_file("t", "s"), "left_anti")
        writer = stay.select(*columns, "_number").repartition("_number").write.format(self._format)
        writer.options(**OPTIONS[self._format]).partitionBy("_number").save(staging)
        found = [file for file in self._storage.files_below(staging) if "/_number=" in file]
        data = [file for file in found if not file.rpartition("/")[2].startswith(("_", "."))]
        written = {int(file.rpartition("/_number=")[2].partition("/")[0]): file for file in data}
        kept = self._reader(table).load(staging).count() if data else 0
        return written, held.count() - kept

    def _reader(self, table: Table) -> DataFrameReader:
        return self._spark.read.schema(table.schema).format(self._format).options(**OPTIONS[self._format])


def same_file(left: str, right: str) -> Column:
    return F.col(f"{left}.{FILE}") == F.col(f"{right}.{FILE}")


def _checked(table: Table, removed: Removed, expected: int) -> Removed:
    if removed.rows != expected:
        raise EventLakeError(
            f"{removed.rows} rows of {table.path} were to go, but {expected} had been found: somebody else is writing. "
            "Stop them, and run the same deletion again."
        )
    return removed
