"""Appending micro-batches to a Delta table, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, MapType, StructType

from event_lake.delta_log import Commit, DeltaLog
from event_lake.events_layout import PAYLOAD_VARIANT, variant_in
from event_lake.mark import BatchMark, LastBatch, older_than_table

# Whole records, and what producers choose: as file statistics their prefixes would stand in the table's log. And what
# differs in every row, or takes all of its values in every file: the least and the greatest tell nothing there.
WITHOUT_STATISTICS = (
    *("payload", PAYLOAD_VARIANT, "data", "detail", "event_uuid", "event_subtype", "partition_key"),
    *("shard_id", "sequence_number", "sub_sequence_number"),
)
# Delta keeps no least and greatest of these, and refuses to be asked for them.
UNORDERED = (BooleanType, MapType)
# Of a bad record the name may be anything that was sent.
UNCHECKED = {"quarantine": ("event_name",), "replayed": ("event_name",)}

NO_PROPERTIES: Mapping[str, str] = MappingProxyType({})

# From here on a transaction's number says that its identifier is out of use, and what its last micro-batch was.
RETIRED = 2**62


class DeltaTableWriter:
    """One Delta table. Idempotence rests on Delta's own transaction identifiers (txnAppId, txnVersion)."""

    def __init__(
        self,
        spark: SparkSession,
        log: DeltaLog,
        role: str,
        schema: StructType,
        partitions: Sequence[str],
        *,
        properties: Mapping[str, str] = NO_PROPERTIES,
        statistics: Sequence[str] | None = None,
    ) -> None:
        """`statistics`: the columns to keep least and greatest of; by default all of which they tell something."""
        self._spark = spark
        self._path = log.path
        self._log = log
        self._role = role
        self._schema = schema
        self._partitions = partitions
        self._properties = properties
        self._statistics = statistics

    @property
    def path(self) -> str:
        return self._path

    def create(self) -> None:
        if self._log.exists():
            return  # Delta would find that out too, by way of a plan
        self._log.clear_unborn()
        measured = self._statistics or self._worth_measuring()
        table = (
            DeltaTable.createIfNotExists(self._spark)
            .location(self._path)
            .addColumns(self._schema)
            .partitionedBy(*self._partitions)
            .property("delta.dataSkippingStatsColumns", ",".join(measured))
        )
        for key, value in self._properties.items():
            table = table.property(key, value)
        table.execute()

    def _worth_measuring(self) -> list[str]:
        left_out = (*WITHOUT_STATISTICS, *UNCHECKED.get(self._role, ()), *self._partitions)
        return [f.name for f in self._schema if f.name not in left_out and not isinstance(f.dataType, UNORDERED)]

    def is_untouched(self) -> bool:
        return self._log.is_untouched(self._app_id(""))

    def last_batch(self, query_id: str) -> LastBatch | None:
        number = self._log.last_version(self._app_id(query_id))
        if number is None:
            return None
        batch_id, mark = self.last_number(query_id), self.last_mark(query_id)
        known = mark.offset_hash if mark and mark.batch_id == batch_id else None
        return LastBatch(batch_id, known, retired=number >= RETIRED)

    def last_numbers(self) -> dict[str, int]:
        """The number of the last micro-batch of each query that may still write here, by the query."""
        numbers = self._log.last_versions(self._app_id(""))
        return {query_id: number for query_id, number in numbers.items() if number < RETIRED}

    def newest_mark(self, of_shards: bool = False) -> BatchMark | None:
        return next((mark for mark in self._log.marks() if mark.is_of_shards or not of_shards), None)

    def is_written(self, mark: BatchMark) -> bool:
        number = self._log.last_version(self._app_id(mark.query_id))
        if number is None or number < mark.batch_id:
            return False
        if self.last_batch(mark.query_id) != LastBatch(mark.batch_id, mark.offset_hash):
            raise older_than_table(self._path, mark)
        return True

    def partitioned_by(self) -> tuple[str, ...] | None:
        return self._log.partition_columns()

    def payload_variant(self) -> str | None:
        metadata = self._log.metadata()
        return None if metadata is None else variant_in(metadata)

    def values(self, column: str) -> set[str]:
        return self._log.partition_values(column)

    def commit(self, mark: BatchMark) -> Commit | None:
        return self._log.commit(mark)

    def append(self, rows: DataFrame, mark: BatchMark, may_write: Callable[[], None]) -> None:
        may_write()
        (
            rows.select(self._schema.fieldNames())
            .write.format("delta")
            .mode("append")
            .option("txnAppId", self._app_id(mark.query_id))
            .option("txnVersion", mark.batch_id)
            .option("userMetadata", mark.to_json())
            .save(self._path)
        )

    # For recovery, and for queries beside others

    def last_number(self, query_id: str) -> int:
        """The number of the last micro-batch of a query, retired or not; -1 where there is none."""
        number = self._log.last_version(self._app_id(query_id))
        if number is None:
            return -1
        return number - RETIRED - 1 if number >= RETIRED else number

    def marks(self) -> Iterator[BatchMark]:
        """The marks of all queries, the newest first, as far back as the log is kept."""
        return self._log.marks()

    def retire(self, query_id: str) -> None:
        """Lets Delta refuse whatever that query may yet commit here: the commit of a driver that stood still in it
        fails, and one that begins later is left out. Does nothing where there is no table."""
        if not self._log.exists():
            return
        known = self.last_number(query_id)
        self._retire(query_id, known)
        mark = self.last_mark(query_id)
        if mark is not None and mark.batch_id > known:  # committed between the two
            self._retire(query_id, mark.batch_id)

    def _retire(self, query_id: str, batch_id: int) -> None:
        nothing = self._spark.createDataFrame([], self._schema)
        writer = nothing.write.format("delta").mode("append").option("txnAppId", self._app_id(query_id))
        writer.option("txnVersion", RETIRED + 1 + batch_id).save(self._path)

    def take_back(self, mark: BatchMark) -> None:
        """Deletes the rows of one micro-batch, in one transaction."""
        stored_at = F.lit(mark.stored_at).cast("timestamp")
        DeltaTable.forPath(self._spark, self._path).delete(F.col("stored_at") == stored_at)

    def rows(self) -> DataFrame:
        return self._spark.read.format("delta").load(self._path)

    def last_mark(self, query_id: str) -> BatchMark | None:
        """The last mark of a query, where its commit is still kept."""
        return next((mark for mark in self._log.marks() if mark.query_id == query_id), None)

    def _app_id(self, query_id: str) -> str:
        # Never a fixed name: to Delta a fresh checkpoint's first batches would be old ones, and ignored in silence.
        return f"event-lake-{self._role}-{query_id}"
