variable "name" {
  description = "Name of the role."
  type        = string
  validation {
    condition     = can(regex("^[\\w+=,.@-]{1,64}$", var.name))
    error_message = "1 to 64 letters, digits, or + = , . @ _ -"
  }
}

variable "platform" {
  description = "The service that runs the job and assumes the role: emr-serverless or glue."
  type        = string
  validation {
    condition     = contains(["emr-serverless", "glue"], var.platform)
    error_message = "emr-serverless or glue."
  }
}

variable "stream_arn" {
  description = "The stream that is read."
  type        = string
}

variable "reader_role_arn" {
  description = "source.role_arn: the role that reads the stream in the job's place, as for another account's. Null: the job's own."
  type        = string
  default     = null
}

variable "bucket_arn" {
  description = "The bucket of the module bucket, with its folders lake/, conf/, releases/ and logs/."
  type        = string
}

variable "kms_key_arn" {
  description = "The key that stream and bucket are encrypted with. Null: those of AWS, which need no permission."
  type        = string
  default     = null
}

variable "metrics_namespace" {
  description = "metrics.cloudwatch_namespace, with metrics.cloudwatch = \"api\". Null: the job may not put metrics."
  type        = string
  default     = null
}

variable "log_groups" {
  description = "Names of the log groups that the platform writes to with this role."
  type        = list(string)
  validation {
    condition     = length(var.log_groups) > 0
    error_message = "At least one: a policy's statement needs a resource."
  }
}
