"""The outlets that the configuration asks for."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import SparkSession

from event_lake.config import Config, Metrics
from event_lake.sink import EventSink
from event_lake.storage import Storage
from event_lake.telemetry.cloudwatch import EmbeddedMetrics, PutMetrics
from event_lake.telemetry.health import Bounds, Health
from event_lake.telemetry.json_lines import JsonLines
from event_lake.telemetry.metrics_table import MetricsTable
from event_lake.telemetry.reporter import Reporter


def reporter_of(
    spark: SparkSession, storage: Storage, config: Config, sink: EventSink, may_write: Callable[[], None]
) -> Reporter | None:
    """None where the configuration names no outlet. Raises ConfigError where the endpoint's port is taken."""
    metrics = config.metrics
    if not metrics.is_wanted:
        return None
    health = Health(Bounds(metrics.health_intervals * config.trigger.interval, metrics.health_lag))
    reporter = Reporter(sink.tables, metrics.top_types, health)
    if metrics.prometheus_port:
        _listen(reporter, health, metrics)
    if metrics.json_lines:
        reporter.add("json_lines", JsonLines(metrics.json_lines))
    if metrics.cloudwatch == "log":
        reporter.add("cloudwatch", EmbeddedMetrics(metrics.cloudwatch_namespace, config.lake.path))
    if metrics.cloudwatch == "api":
        region, endpoint_url = metrics.cloudwatch_region, metrics.cloudwatch_endpoint_url
        put = PutMetrics(metrics.cloudwatch_namespace, config.lake.path, region, endpoint_url)
        reporter.add("cloudwatch", put)
    if metrics.table_path:
        table = MetricsTable(spark, storage, metrics.table_path, config.maintenance, may_write)
        reporter.add("table", table, every=metrics.table_every.total_seconds())
    return reporter


def _listen(reporter: Reporter, health: Health, metrics: Metrics) -> None:
    # Only who has an endpoint needs prometheus-client.
    from event_lake.telemetry.endpoint import Endpoint  # noqa: PLC0415
    from event_lake.telemetry.exposition import Exposition  # noqa: PLC0415

    exposition = Exposition(lambda: not health.reasons(), reporter.outlets)
    reporter.listen(Endpoint(metrics.prometheus_address, metrics.prometheus_port, exposition, health))
    reporter.add("prometheus", exposition)
