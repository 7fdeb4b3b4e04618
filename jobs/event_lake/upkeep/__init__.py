"""Keeping the Delta tables quick to read after a year of micro-batches.

`settings` are the table properties that suit a stream. `partitions` reads from the log what each partition holds,
`compaction` puts small files together, `vacuum` deletes what no version needs any more; `keeper` does both while the
job runs, `stopped` while it is stopped; `advice` says where the partitioning does not fit the volume, and `repartition`
changes it. `catalog` makes the tables known by name, in any format.
"""
