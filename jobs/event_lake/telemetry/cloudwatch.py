"""CloudWatch, in either way: lines of the embedded metric format in the driver's log, or PutMetricData.

Facts: a PutMetricData call takes 1,000 metrics and 1 MB; an embedded line lists at most 100 (AWS, CloudWatch API
Reference and "Specification: Embedded metric format"). By event type nothing is sent: each would be a metric to pay
for.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from event_lake.telemetry.json_lines import line
from event_lake.telemetry.measures import numbers
from event_lake.telemetry.row import Row

UNITS = {"seconds": "Seconds", "bytes": "Bytes", "share": "None"}  # all else is a count
MOST_AT_ONCE = 500  # of at most 1,000; leaves the request small
ATTEMPTS = 5


class EmbeddedMetrics:
    """Lines that become metrics once they are in CloudWatch Logs."""

    def __init__(self, namespace: str, lake: str) -> None:
        self._namespace = namespace
        self._lake = lake

    def __call__(self, rows: Sequence[Row]) -> None:
        sys.stdout.write("".join(f"{line(self.document(row))}\n" for row in rows))
        sys.stdout.flush()

    def document(self, row: Row) -> dict[str, Any]:
        values = {measure.name: row[measure.name] for measure in numbers() if row.get(measure.name) is not None}
        units = {measure.name: UNITS.get(measure.unit, "Count") for measure in numbers()}
        directive = {
            "Namespace": self._namespace,
            "Dimensions": [["Lake"]],
            "Metrics": [{"Name": name, "Unit": units[name]} for name in values],
        }
        about = {"Timestamp": int(_moment(row) * 1000), "CloudWatchMetrics": [directive]}
        problems = {"quarantined_by_problem": row.get("quarantined_by_problem") or None, "batch_id": row["batch_id"]}
        return {"_aws": about, "Lake": self._lake, **problems, **values}


class PutMetrics:
    """boto3 tries a call again up to five times, longer apart each time; then its metrics are dropped."""

    def __init__(self, namespace: str, lake: str, region: str, endpoint_url: str) -> None:
        self._namespace = namespace
        self._lake = lake
        self._where: dict[str, Any] = {"region_name": region or None, "endpoint_url": endpoint_url or None}
        self._client: Any = None

    def __call__(self, rows: Sequence[Row]) -> None:
        if self._client is None:
            self._client = self._made()
        data = [datum for row in rows for datum in self._data(row)]
        for first in range(0, len(data), MOST_AT_ONCE):
            self._client.put_metric_data(Namespace=self._namespace, MetricData=data[first : first + MOST_AT_ONCE])

    def _made(self) -> Any:
        import boto3  # noqa: PLC0415 - as in s3_client
        from botocore.config import Config  # noqa: PLC0415

        service: Any = "cloudwatch"
        retries: Any = {"mode": "standard", "max_attempts": ATTEMPTS}
        config = Config(retries=retries, connect_timeout=5, read_timeout=20)
        return boto3.session.Session().client(service, config=config, **self._where)

    def _data(self, row: Row) -> Iterator[dict[str, Any]]:
        lake = {"Name": "Lake", "Value": self._lake}
        for measure in numbers():
            if row.get(measure.name) is not None:
                unit = UNITS.get(measure.unit, "Count")
                yield self._datum(row, measure.name, row[measure.name], unit, [lake])
        for problem, records in (row.get("quarantined_by_problem") or {}).items():
            dimensions = [lake, {"Name": "Problem", "Value": problem}]
            yield self._datum(row, "quarantined", records, "Count", dimensions)

    @staticmethod
    def _datum(row: Row, name: str, value: float, unit: str, dimensions: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "MetricName": name,
            "Value": float(value),
            "Unit": unit,
            "Dimensions": dimensions,
            "Timestamp": _moment(row),
        }


def _moment(row: Row) -> float:
    """Unix seconds. A replay tells when its micro-batch was stored first."""
    stored_at = row.get("stored_at")
    return stored_at.timestamp() if stored_at else time.time()
