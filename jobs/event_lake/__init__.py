"""Events from a Kinesis stream to a clean table: nothing lost, nothing twice.

An event's path, by file: `source` reads raw records; `parse` gives each a verdict, as `verdict` judges it;
`deduplicate` lets one record for each event_uuid pass; `batch` runs, counts (`metrics`) and checks each micro-batch;
`sink` writes it to the events and quarantine tables (`delta_table`, `file_table`). `pipeline` puts this together and
`supervise` watches it run, until `stop` is asked for. `schema` has every table's columns, `config` every key, `errors`
what can go wrong; `checkpoint`, `storage` and `session` are Spark's log, small files and settings.
"""
