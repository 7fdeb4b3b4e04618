"""How Delta lists the log of a table on S3: from where it has read to, in place of all that is kept.

Delta's log store for S3 lists the whole folder whenever it looks for newer commits: two files a commit, a request for
each thousand. With `delta.enableFastS3AListFrom` it lets S3 begin behind what it knows. But Delta's own VACUUM, with
that setting, takes the log for files that nothing refers to, and deletes it (seen, Delta 4.2.0): that listing goes into
subfolders, too (S3LogStoreUtil has no delimiter; delta-io/delta#7451, not in 4.4.0). So the setting is off in every
session here (session.FIXED), and on only while the log store of one table is made, which keeps what it was made with.
VACUUM makes stores of its own.
"""

from __future__ import annotations

import logging
import re
from functools import cache, lru_cache
from typing import Any

from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.sql import SparkSession

from event_lake.errors import in_one_line
from event_lake.storage import is_on_s3

log = logging.getLogger(__name__)

SETTING = "delta.enableFastS3AListFrom"
FIRST = "0"  # what a log consists of begins with digits; all else in the folder comes behind
FILE = re.compile(r"path=([^;]+); isDirectory=false")


def open_log(spark: SparkSession, path: str) -> Any:
    """Delta's own DeltaLog of a table, which need not be there; there is one in a JVM, however often it is opened."""
    delta_log = _delta_log(spark._jvm)
    if not is_on_s3(path) or not _fast_is_exact(spark.sparkContext, path):
        return delta_log.forTable(spark._jsparkSession, path)
    settings = _settings(spark.sparkContext)
    settings.set(SETTING, "true")
    try:
        opened = delta_log.forTable(spark._jsparkSession, path)
        opened.store()  # made when it is first asked for
        return opened
    finally:
        settings.set(SETTING, "false")


@cache
def _fast_is_exact(context: SparkContext, path: str) -> bool:
    """Whether the faster listing is there and tells of the same files: no copy of the log lies within or beside it."""
    jvm: Any = context._jvm
    folder, first = (jvm.org.apache.hadoop.fs.Path(f"{path}/_delta_log{name}") for name in ("", f"/{FIRST}"))
    try:
        files = folder.getFileSystem(_settings(context))
        fast = _names(jvm, jvm.io.delta.storage.internal.S3LogStoreUtil.s3ListFromArray(files, first, folder))
        whole = _names(jvm, files.listStatus(folder)) if files.exists(folder) else set()
    except (Py4JError, TypeError) as error:  # TypeError: a Delta that has no such class
        log.info("log_listing table=%s whole: %s", path, in_one_line(error))
        return False
    if fast != whole:
        log.warning("log_listing table=%s whole: %s lie within or beside its log", path, sorted(fast ^ whole)[:3])
    return fast == whole


def _names(jvm: Any, statuses: Any) -> set[str]:
    # As one text: to ask for them one by one would take seconds.
    paths = FILE.findall(jvm.scala.runtime.ScalaRunTime.stringOf(statuses))
    return {path for path in paths if path.rpartition("/")[2] >= FIRST}


def _settings(context: SparkContext) -> Any:
    java: Any = context._jsc
    return java.hadoopConfiguration()


@lru_cache(maxsize=1)
def _delta_log(jvm: Any) -> Any:
    """Delta's own org.apache.spark.sql.delta.DeltaLog; looked up once, see storage.Storage."""
    return jvm.org.apache.spark.sql.delta.DeltaLog
