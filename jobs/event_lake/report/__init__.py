"""The quality of a lake as one page: figures from the metrics table and the tables, as HTML that needs no network.

`figures` are what the page tells, as plain values; `gather` asks for them: over time from `measured` micro-batches or
from the tables' own `rows`, `broken` records from quarantine, `storage_state` from the tables' logs, `audited` from an
audit's report. `concerns` says in words what stands out. `charts` draws what goes over time, `bars` what does not;
`wording` writes numbers for people and makes any text safe to show; `page` puts it together with `style`.
"""
