# One job on EMR Serverless, with the encryption that AWS manages: to try it, and for streams that nobody is paged for.
locals {
  lake_path = "s3://${module.bucket.name}/lake/events"
  log_group = "/event-lake/${var.name}"
}

module "stream" {
  source              = "../../modules/stream"
  name                = "${var.name}-events"
  shard_level_metrics = var.shard_level_metrics
}

module "bucket" {
  source   = "../../modules/bucket"
  name     = var.bucket_name
  log_days = var.log_days
}

module "job_role" {
  source     = "../../modules/job-role"
  name       = "${var.name}-job"
  platform   = "emr-serverless"
  stream_arn = module.stream.arn
  bucket_arn = module.bucket.arn
  log_groups = [local.log_group]
}

module "emr_serverless" {
  source            = "../../modules/emr-serverless"
  name              = var.name
  architecture      = var.architecture
  maximum_vcpus     = var.maximum_vcpus
  maximum_memory_gb = var.maximum_memory_gb
  log_group         = local.log_group
  log_days          = var.log_days

  subnet_ids         = var.subnet_ids
  security_group_ids = var.security_group_ids
}
