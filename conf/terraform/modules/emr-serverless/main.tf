resource "aws_cloudwatch_log_group" "job" {
  #checkov:skip=CKV_AWS_338:Logs hold lifecycle lines of the job, no records; how long is a choice (log_days).
  name              = var.log_group
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

# The application is only a place with bounds: scripts/submit-emr-serverless starts the job in it.
resource "aws_emrserverless_application" "this" {
  name          = var.name
  type          = "spark"
  release_label = var.release_label
  architecture  = var.architecture

  maximum_capacity {
    cpu    = "${var.maximum_vcpus} vCPU"
    memory = "${var.maximum_memory_gb} GB"
  }

  auto_start_configuration {
    enabled = true
  }

  # A streaming run keeps it up; without one it costs nothing after this.
  auto_stop_configuration {
    enabled              = true
    idle_timeout_minutes = 15
  }

  monitoring_configuration {
    cloudwatch_logging_configuration {
      enabled        = true
      log_group_name = aws_cloudwatch_log_group.job.name
      log_types {
        name   = "SPARK_DRIVER"
        values = ["STDOUT", "STDERR"]
      }
    }
  }

  dynamic "network_configuration" {
    for_each = length(var.subnet_ids) == 0 ? [] : [1]
    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }
}
