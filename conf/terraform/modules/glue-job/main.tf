# The definition is the one of scripts/submit-glue (scripts/lib/deploy/glue.py), as its dry run prints it: Spark's
# settings and the packages' arguments stand in one place. Only role and log groups are this module's.
locals {
  request = one([for call in jsondecode(file(var.request_file)) : call.request if call.operation == "CreateJob"])
}

resource "aws_cloudwatch_log_group" "job" {
  #checkov:skip=CKV_AWS_338:Logs hold lifecycle lines of the job, no records; how long is a choice (log_days).
  for_each          = toset(["output", "error"]) # what Glue 5 and later append to the prefix
  name              = "${var.log_group_prefix}/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_glue_job" "this" {
  #checkov:skip=CKV_AWS_195:The bucket encrypts what it is given, the log groups have their own key, and no bookmarks are used.
  name              = local.request.Name
  role_arn          = var.role_arn
  glue_version      = local.request.GlueVersion
  worker_type       = local.request.WorkerType
  number_of_workers = local.request.NumberOfWorkers
  max_retries       = local.request.MaxRetries
  # No timeout, as in the request: with one under seven days Glue would end the job and leave it ended.
  maintenance_window = local.request.MaintenanceWindow

  command {
    name            = local.request.Command.Name # gluestreaming
    script_location = local.request.Command.ScriptLocation
    python_version  = local.request.Command.PythonVersion
  }

  execution_property {
    max_concurrent_runs = local.request.ExecutionProperty.MaxConcurrentRuns
  }

  default_arguments = merge(local.request.DefaultArguments, {
    "--custom-logGroup-prefix" = var.log_group_prefix
  })

  depends_on = [aws_cloudwatch_log_group.job] # else Glue makes them, without retention
}
