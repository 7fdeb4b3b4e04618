output "configuration" {
  description = "The job's configuration: terraform output -raw configuration > my.toml"
  value = templatefile("../../configuration.toml.tftpl", {
    stream_arn = module.stream.arn
    region     = var.region
    bucket     = module.bucket.name
    lake       = local.lake_path
    namespace  = null
  })
}

output "submit" {
  description = "How the job is started, once release and configuration are in the bucket."
  value = join(" ", [
    "scripts/submit-emr-serverless --application ${module.emr_serverless.application_id} --role ${module.job_role.arn}",
    "--release s3://${module.bucket.name}/releases/RELEASE --config s3://${module.bucket.name}/conf/my.toml",
    "--logs s3://${module.bucket.name}/logs/",
  ])
}
