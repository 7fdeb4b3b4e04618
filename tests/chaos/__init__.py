"""The real job under faults: killed, stopped, starved and lied to, and every record held against what was put.

`__main__` reads the command line of `scripts/chaos`. A `campaign` goes through a `plan`, which a seed fixes: the lives
of the job, one after the other on one checkpoint, each with its weather and its end. A `life` is one spark-submit,
under `watch`, in a `world`: the faithful Kinesis server with `producers` that never stop, an S3 server behind a
`proxy` that lays an `ambush` at one of the `moments`, and, where the machine allows them, a `clock` that jumps, a
`disk` that is full, and a `cluster` whose executors are killed. `truth` then says whether the tables hold each record
exactly once, and `tally` what was done.
"""
