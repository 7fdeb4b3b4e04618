"""By which contracts a checkpoint's micro-batches are judged: the configured ones, once what was begun is finished.

Contracts are read anew at each start, and by then a micro-batch may be in one table and not yet in the next. Judged by
other contracts, an event of it that is in quarantine could be stored as well; and one that belongs in quarantine now
would be in neither, since that table has its part of the micro-batch. So `contracts.json` under the checkpoint has the
contracts that are in force, and a start finishes such a micro-batch by these before it takes up others. A micro-batch
that no table has a part of is judged by the newest contracts, whoever planned it.
"""

from __future__ import annotations

import logging

from event_lake.checkpoint import CheckpointLog
from event_lake.config import Config
from event_lake.contracts.contract_set import ContractSet
from event_lake.contracts.evolution import adopt
from event_lake.contracts.files import read_contracts
from event_lake.mark import BatchMark
from event_lake.sink import EventSink
from event_lake.storage import Storage

log = logging.getLogger(__name__)

FILE = "contracts.json"
NONE = ContractSet({})


def contracts_in_force(
    storage: Storage, checkpoint: CheckpointLog, config: Config, sink: EventSink
) -> tuple[ContractSet, int | None]:
    """By which contracts to start the query; and the micro-batch after which to start it anew by the newest ones,
    where one has to be finished first. Called by the driver that has the lease.

    Raises ConfigError where a contract cannot be used, or has changed in a way that readers cannot follow.
    """
    newest = read_contracts(storage, config.contracts) or NONE
    adopt(storage, config.lake, newest)
    path = f"{checkpoint.path}/{FILE}"
    former = ContractSet.from_text(storage.read_text(path)) if storage.exists(path) else NONE
    if former == newest:
        return newest, None
    begun = _begun(checkpoint, sink)
    if begun is not None:
        log.info("contracts=former until_batch=%d", begun)
        return former, begun
    storage.write_whole(path, newest.to_text())
    return newest, None


def _begun(checkpoint: CheckpointLog, sink: EventSink) -> int | None:
    """The micro-batch that is planned and not committed, where a table has its part of it."""
    planned, query_id = checkpoint.last_planned(), checkpoint.query_id()
    if planned is None or query_id is None or planned.batch_id == checkpoint.newest_committed():
        return None
    mark = BatchMark(query_id, planned.batch_id, planned.end_offset, None)
    return planned.batch_id if sink.is_begun(mark) else None
