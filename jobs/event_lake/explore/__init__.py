"""A lake opened for people who look at it, in a notebook or a Python shell; never writes.

`opened` has its tables under their names for SQL, and the stream's records; `micro_batches` are what each micro-batch
did, from the metrics table or from the tables' own rows; `shown` is how records, bytes and charts look.
"""

from event_lake.explore.opened import OpenLake, open_lake

__all__ = ["OpenLake", "open_lake"]
