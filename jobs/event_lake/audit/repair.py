"""Setting right what an audit has found and can set right: duplicates that are not listed, and events stored twice.

A later copy is first written to the duplicates table and then removed from the events table, one commit each. After a
crash between the two it is in both, never in none; the next repair finds it still stored twice, writes nothing anew,
and removes it. The job must not run meanwhile: on S3 a table has one writer, and `may_write` is where a lease says so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.audit.accounts import COUNTED, MISSING
from event_lake.audit.tables import DUPLICATES_TABLE, EVENTS_TABLE, LakeTables, moment
from event_lake.errors import ConfigError, EventLakeError
from event_lake.schema import DUPLICATES, PLACE

log = logging.getLogger(__name__)
USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"


@dataclass(frozen=True)
class Repaired:
    """Rows written to the duplicates table, and removed from the events table."""

    listed: int
    removed: int


class Repair:
    """Repairs one lake as one audit has read it."""

    def __init__(self, spark: SparkSession, tables: LakeTables, payloads: bool, may_write: Callable[[], None]) -> None:
        """`payloads`: whether the duplicates table keeps them. `may_write` is called right before each commit, and
        raises where this driver must not write. Raises ConfigError where there is nothing that could be repaired."""
        if None in (tables.versions[EVENTS_TABLE], tables.versions[DUPLICATES_TABLE]):
            raise ConfigError(
                "--repair needs events and duplicates tables of Delta: without transactions a crash would lose or "
                'double events. lake.format must be "delta", and the job must have run once.'
            )
        self._spark, self._tables, self._payloads, self._may_write = spark, tables, payloads, may_write

    def run(self, copies: DataFrame, stored_twice: DataFrame, since: datetime, until: datetime) -> Repaired:
        """Of frames of `event_lake.audit.copies`, whose records arrived from `since` to `until`."""
        # Missing and its event stored: in no table.
        unlisted = copies.where(F.col("copies").isNotNull() & F.col("became").isin(COUNTED, MISSING))
        with_payload = self._with_payload(stored_twice, since, until)
        rows = self._rows([unlisted.withColumn("payload", F.lit(None).cast("string")), with_payload])
        listed, removed = rows.count(), stored_twice.count()
        if not listed:
            return Repaired(0, 0)
        self._commit(
            DUPLICATES_TABLE,
            lambda table: table.merge(rows.alias("s"), _same_place(since, until)).whenNotMatchedInsertAll().execute(),
        )
        if removed:
            later = stored_twice.select(*PLACE)
            self._commit(
                EVENTS_TABLE,
                lambda table: table.merge(later.alias("s"), _same_place(since, until)).whenMatchedDelete().execute(),
            )
        log.info("repaired listed=%d removed=%d", listed, removed)
        return Repaired(listed, removed)

    def _with_payload(self, stored_twice: DataFrame, since: datetime, until: datetime) -> DataFrame:
        if not self._payloads:
            return stored_twice.withColumn("payload", F.lit(None).cast("string"))
        return stored_twice.join(self._tables.payloads(since, until), list(PLACE), "left")

    def _rows(self, parts: list[DataFrame]) -> DataFrame:
        """Rows of the duplicates table (schema.DUPLICATES)."""
        columns: dict[str, Column] = {
            "event_type": F.split_part("event_name", F.lit(":"), F.lit(1)),
            "first_arrived_at": F.col("stored_arrived_at"),
            "same_payload": F.col("is_identical"),
            "stored_at": moment(datetime.now(UTC)),
            "date": F.to_date("arrived_at"),
        }
        return reduce(
            DataFrame.unionByName, [part.withColumns(columns).select(DUPLICATES.fieldNames()) for part in parts]
        )

    def _commit(self, name: str, write: Callable[[DeltaTable], object]) -> None:
        table = DeltaTable.forPath(self._spark, self._tables.paths[name]).alias("t")
        self._may_write()
        newest = self._tables.newest_version(name)
        if newest != self._tables.versions[name]:
            raise EventLakeError(
                f"the {name} table is at version {newest}, and was at {self._tables.versions[name]} when it was read: "
                "another writer is at work. Stop the job (docs/audit.md) and repair again; what was written until now "
                "stays right."
            )
        self._spark.conf.set(USER_METADATA, json.dumps({"repair": name}))
        write(table)
        self._spark.conf.unset(USER_METADATA)


def _same_place(since: datetime, until: datetime) -> Column:
    """Where target row `t` and source row `s` are one record; with bounds by which Delta leaves files out."""
    same = [F.col(f"t.{name}") == F.col(f"s.{name}") for name in PLACE]
    return reduce(Column.__and__, same) & F.col("t.arrived_at").between(moment(since), moment(until))
