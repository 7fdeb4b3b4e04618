# What the job may do: docs/security.md, line by line, and what its platform does with the same role.
data "aws_iam_policy_document" "trust" {
  # No condition on the caller: a role can be passed to a service by its own account only (iam:PassRole).
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["${var.platform}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "job" {
  name               = var.name
  description        = "The event-lake job ${var.name} on ${var.platform}"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "job" {
  name   = "job"
  role   = aws_iam_role.job.id
  policy = data.aws_iam_policy_document.job.json
}

resource "aws_iam_role_policy" "platform" {
  name   = var.platform
  role   = aws_iam_role.job.id
  policy = data.aws_iam_policy_document.platform.json
}

data "aws_iam_policy_document" "job" {
  dynamic "statement" {
    for_each = var.reader_role_arn == null ? [var.stream_arn] : []
    content {
      sid       = "ReadTheStream"
      actions   = ["kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:GetShardIterator", "kinesis:GetRecords"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = var.reader_role_arn == null ? [] : [var.reader_role_arn]
    content {
      sid       = "ReadTheStreamByAnotherRole"
      actions   = ["sts:AssumeRole"]
      resources = [statement.value]
    }
  }

  statement {
    sid       = "ListTheBucket"
    actions   = ["s3:ListBucket"]
    resources = [var.bucket_arn]
  }

  statement {
    sid       = "TablesLeaseAndCheckpoint"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${var.bucket_arn}/lake/*"]
  }

  statement {
    sid       = "ReleaseAndConfiguration"
    actions   = ["s3:GetObject"]
    resources = ["${var.bucket_arn}/releases/*", "${var.bucket_arn}/conf/*"]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]
    content {
      sid       = "KeyOfStreamAndBucket"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = var.metrics_namespace == null ? [] : [var.metrics_namespace]
    content {
      sid       = "MetricsByApi"
      actions   = ["cloudwatch:PutMetricData"]
      resources = ["*"] # the action knows no resources
      condition {
        test     = "StringEquals"
        variable = "cloudwatch:namespace"
        values   = [statement.value]
      }
    }
  }
}

data "aws_iam_policy_document" "platform" {
  statement {
    sid       = "SparkLogs"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"] # event logs are renamed
    resources = ["${var.bucket_arn}/logs/*"]
  }

  statement {
    sid       = "LogGroups"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = [for name in var.log_groups : "${local.log_group}:${name}:*"]
  }

  dynamic "statement" {
    for_each = var.platform == "emr-serverless" ? [1] : []
    content {
      sid       = "FindLogGroups"
      actions   = ["logs:DescribeLogGroups"]
      resources = ["${local.log_group}:*"]
    }
  }

  dynamic "statement" {
    for_each = var.platform == "glue" ? [1] : []
    content {
      sid       = "GlueJobMetrics" # --enable-metrics
      actions   = ["cloudwatch:PutMetricData"]
      resources = ["*"]
      condition {
        test     = "StringEquals"
        variable = "cloudwatch:namespace"
        values   = ["Glue"]
      }
    }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  log_group = join(":", [
    "arn", data.aws_partition.current.partition, "logs",
    data.aws_region.current.region, data.aws_caller_identity.current.account_id, "log-group",
  ])
}
