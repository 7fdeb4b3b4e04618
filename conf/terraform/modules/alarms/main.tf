# The alarms are those of conf/alarms/cloudwatch.json, which the tests check against the job's metrics: one source for
# those who use Terraform and those who do not.
resource "aws_cloudformation_stack" "alarms" {
  #checkov:skip=CKV_AWS_124:The stack's own events are seen by whoever applies; the alarms in it have their topic.
  name          = "${var.name}-alarms"
  template_body = file("${path.module}/../../../alarms/cloudwatch.json")

  parameters = {
    Namespace = var.namespace
    Lake      = var.lake_path
    Topic     = var.topic_arn
  }
}

locals {
  # Title, statistic and metrics of each panel, in the order of docs/metrics.md.
  panels = [
    ["Records", "Sum", ["received", "stored", "duplicates", "quarantined"]],
    ["Never: late, lost", "Sum", ["late_dropped", "gaps"]],
    ["Behind the tip (s)", "Maximum", ["lag_seconds", "complete_through_age_seconds"]],
    ["From arrival to the table (s)", "Maximum", ["stored_latency_p50_seconds", "stored_latency_p95_seconds", "stored_latency_p99_seconds"]],
    ["A micro-batch (s)", "Average", ["seconds", "judging_seconds", "write_events_seconds", "index_seconds", "maintenance_seconds"]],
    ["Files written", "Sum", ["files_written"]],
  ]

  job_widgets = [for panel in local.panels : {
    title   = panel[0], stat = panel[1]
    metrics = [for metric in panel[2] : [var.namespace, metric, "Lake", var.lake_path]]
  }]

  stream_widgets = [
    {
      title = "The stream takes", stat = "Sum"
      metrics = [for metric in ["IncomingRecords", "WriteProvisionedThroughputExceeded"] :
      ["AWS/Kinesis", metric, "StreamName", var.stream_name]]
    },
    {
      title   = "Oldest record that was read (ms)", stat = "Maximum"
      metrics = [["AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds", "StreamName", var.stream_name]]
    },
  ]
}

data "aws_region" "current" {}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for i, widget in concat(local.job_widgets, local.stream_widgets) : {
      type   = "metric"
      x      = 12 * (i % 2)
      y      = 6 * floor(i / 2)
      width  = 12
      height = 6
      properties = merge(widget, {
        region = data.aws_region.current.region
        period = 300
        view   = "timeSeries"
      })
    }]
  })
}
