"""The numbers of each micro-batch, taken while it runs anyway, and where they go.

`measures` is the list of them; `arrivals` are its latencies; `measured` is what the
batch writer notes; `row` makes one row of both; `reporter` has a thread of its own for that, and a `worker` for each
outlet: `metrics_table`, `json_lines`, `cloudwatch`, and the `endpoint`, which answers with Prometheus' text
(`exposition`) and `health`. `outlets` opens those that the configuration asks for. docs/metrics.md has names and units.
"""
