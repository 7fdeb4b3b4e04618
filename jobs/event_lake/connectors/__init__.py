"""AWS's own connectors for Kinesis, where this project's source cannot run: EMR's `aws-kinesis`, Glue's `kinesis`.

`keys` are those of the configuration that each can honour, `options` what it is asked for with them, `records` what
becomes of its rows; `limits` says at a start what it does not guarantee (docs/kinesis-source.md). Their offsets are
theirs: the job knows of them the stream's name (`belonging`), not how far arrivals have been read.
"""
