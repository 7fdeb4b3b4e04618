"""What a connector does not guarantee: said at each start, and in docs/kinesis-source.md."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from event_lake.connectors.keys import CONNECTORS
from event_lake.errors import ConfigError

if TYPE_CHECKING:
    from event_lake.config import Source

log = logging.getLogger(__name__)

LIMITS = {
    "aws-kinesis": (
        "where a micro-batch ends stands in side files that executors write; a shard that closes with a backlog is "
        "taken for read; a record without bytes stalls its shard; nothing tells the lag, nor which records were lost"
    ),
    "glue-kinesis": (
        "the connector is closed: what a replay reads, what becomes of closed shards and of expired records, and "
        "whether failOnDataLoss is heeded, is not documented; lag is told in CloudWatch alone"
    ),
}


def check_limits(source: Source, until_caught_up: bool) -> None:
    """Says what the source cannot guarantee. Raises ConfigError where it is asked for what it cannot do."""
    if source.kind not in CONNECTORS:
        return
    if until_caught_up:
        raise ConfigError(
            f'--until-caught-up needs source.kind = "kinesis": "{source.kind}" cannot tell where the stream ends now '
            "(it has no Trigger.AvailableNow). Run it without, and stop it with a stop marker (docs/operations.md)."
        )
    log.warning('source=%s cannot guarantee what source.kind = "kinesis" does: %s', source.kind, LIMITS[source.kind])
