"""The audit: whether the tables hold what the stream holds, answered by code that does not trust the pipeline.

A record's way through the files: `stream` reads the range anew, and `judgement` (with `unpacking`) says whether it is a
good event; `tables` reads what the lake says of it, row by row; `accounts` joins both and names what became of each,
`copies` says what a record that is not stored is a copy of; `findings` explains what is wrong, `report` counts,
`repair` sets right what can be. `audit` does it in this order.

With the pipeline it shares `schema` (the columns), `config`, `errors`, `session`, `storage` and, of `source`, the
options of kinesis-exact, with which both read. What is good and what is a duplicate it finds out by itself.
"""

from event_lake.audit.audit import Asked, Audit, Found
from event_lake.audit.repair import Repaired
from event_lake.audit.report import Report

__all__ = ["Asked", "Audit", "Found", "Repaired", "Report"]
