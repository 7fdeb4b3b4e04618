resource "aws_kinesis_stream" "this" {
  name                      = var.name
  retention_period          = var.retention_hours
  encryption_type           = "KMS"
  kms_key_id                = coalesce(var.kms_key_arn, "alias/aws/kinesis")
  shard_level_metrics       = var.shard_level_metrics
  enforce_consumer_deletion = false

  stream_mode_details {
    stream_mode = "ON_DEMAND"
  }

  lifecycle {
    # A stream that is made again has lost its records, and the job refuses it (docs/operations.md).
    prevent_destroy = true
  }
}
