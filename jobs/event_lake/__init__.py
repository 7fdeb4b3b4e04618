"""Events from a Kinesis stream to a clean table: nothing lost, nothing twice.

An event's path, by file: `source` reads raw records, from Kinesis through `parsed_source`, or from `archives` (cut into
`documents`); there `parse` gives each a verdict, as `verdict` judges it (`good_events` the common ones, by column;
`compressed` unpacks it; `contracts` say what an event of its name must look like), and its `key`.
`batch` runs, counts (`metrics`) and checks each micro-batch, in which `deduplicate` tells first copies from duplicates
and `event_types` bounds how many types a day adds; `sink` writes it, as `table_rows` that have their `placement`, to
the events, duplicates, quarantine and gaps tables (`delta_table`, `file_table`), which `upkeep` keeps quick to read.
`pipeline` puts this together and `supervise` watches it run, until `stop` is asked for; `lease` (in a `lease_store`)
keeps every other driver out, `belonging` looks whether checkpoint and tables (by their `delta_log`) belong together,
`recovery` makes a checkpoint from the tables.
`beside` the job go backfills, and the `replay` of quarantine; `other_queries` is what each must know of the others.
`schema` has every table's columns (`events_layout`: as configured), `config` every key (`config_file` reads them,
`config_check` refuses what cannot be), `errors` what can go wrong; `mark` names a micro-batch; `hash_join` joins it;
`checkpoint`, `storage`, `s3_client` and `session` are Spark's log, small files and settings; `executors` tells which
were lost; `spark_api` is what Spark 3.5 does in its own way.
`telemetry` measures each micro-batch on the way (its percentiles by `quantiles`), and tells whoever is to know;
`report` makes a page of it.
`job` is what surrounds each job's work. `audit` is another one: it holds the stream against the tables; `deletion`
takes a person out of them, in plain files by `swap`.
"""
