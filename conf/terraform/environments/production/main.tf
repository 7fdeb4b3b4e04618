# One job, on EMR Serverless or on Glue, with a key of its own for everything at rest, alarms and a dashboard.
locals {
  lake_path        = "s3://${module.bucket.name}/lake/events"
  namespace        = "event-lake"
  on_glue          = var.platform == "glue"
  log_group        = "/event-lake/${var.name}"
  glue_log_groups  = ["${local.log_group}/output", "${local.log_group}/error"]
  shard_statistics = ["IncomingBytes", "IncomingRecords", "IteratorAgeMilliseconds", "ReadProvisionedThroughputExceeded", "WriteProvisionedThroughputExceeded"]
}

module "key" {
  source = "../../modules/key"
  name   = var.name
}

module "stream" {
  source              = "../../modules/stream"
  name                = "${var.name}-events"
  retention_hours     = var.retention_hours
  kms_key_arn         = module.key.arn
  shard_level_metrics = local.shard_statistics
}

module "bucket" {
  source          = "../../modules/bucket"
  name            = var.bucket_name
  kms_key_arn     = module.key.arn
  versioning      = var.versioning
  noncurrent_days = var.noncurrent_days
  log_days        = var.log_days
}

module "job_role" {
  source            = "../../modules/job-role"
  name              = "${var.name}-job"
  platform          = var.platform
  stream_arn        = module.stream.arn
  bucket_arn        = module.bucket.arn
  kms_key_arn       = module.key.arn
  metrics_namespace = local.namespace
  log_groups        = local.on_glue ? local.glue_log_groups : [local.log_group]
}

module "emr_serverless" {
  source             = "../../modules/emr-serverless"
  count              = local.on_glue ? 0 : 1
  name               = var.name
  architecture       = var.architecture
  maximum_vcpus      = var.maximum_vcpus
  maximum_memory_gb  = var.maximum_memory_gb
  log_group          = local.log_group
  log_days           = var.log_days
  kms_key_arn        = module.key.arn
  subnet_ids         = var.subnet_ids
  security_group_ids = var.security_group_ids
}

# In two steps: the release goes into the bucket, and its dry run into the file, before the job can be defined.
module "glue_job" {
  source           = "../../modules/glue-job"
  count            = local.on_glue && var.glue_request_file != null ? 1 : 0
  request_file     = var.glue_request_file
  role_arn         = module.job_role.arn
  log_group_prefix = local.log_group
  log_days         = var.log_days
  kms_key_arn      = module.key.arn
}

module "alarms" {
  source      = "../../modules/alarms"
  name        = var.name
  namespace   = local.namespace
  lake_path   = local.lake_path
  topic_arn   = var.alarm_topic_arn
  stream_name = module.stream.name
}
