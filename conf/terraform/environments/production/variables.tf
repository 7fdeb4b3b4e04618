variable "name" {
  description = "Name of the deployment; all other names begin with it, but for the bucket's."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "2 to 31 lower-case letters, digits or hyphens, a letter first."
  }
}

variable "region" {
  description = "AWS region of everything."
  type        = string
  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "As eu-central-1."
  }
}

variable "bucket_name" {
  description = "Name of the bucket, unique in all of AWS."
  type        = string
}

variable "platform" {
  description = "What runs the job: emr-serverless or glue."
  type        = string
  default     = "emr-serverless"
  validation {
    condition     = contains(["emr-serverless", "glue"], var.platform)
    error_message = "emr-serverless or glue."
  }
}

variable "glue_request_file" {
  description = "On Glue: what scripts/submit-glue --dry-run printed. Null until there is a release to name in it."
  type        = string
  default     = null
  validation {
    condition     = var.glue_request_file == null || var.platform == "glue"
    error_message = "Only with platform = \"glue\"."
  }
}

variable "alarm_topic_arn" {
  description = "The SNS topic that alarms tell. In another account or encrypted, it must let CloudWatch publish."
  type        = string
}

variable "retention_hours" {
  description = "How long the stream keeps records: the longest outage that loses nothing."
  type        = number
  default     = 48
}

variable "versioning" {
  description = "Keep versions of what is overwritten or deleted, at a cost (modules/bucket)."
  type        = bool
  default     = false
}

variable "noncurrent_days" {
  description = "For how many days."
  type        = number
  default     = 7
}

variable "architecture" {
  description = "On EMR Serverless: X86_64 or ARM64, as the environment was packed."
  type        = string
  default     = "X86_64"
}

variable "maximum_vcpus" {
  description = "On EMR Serverless: most vCPUs of all runs together. Twice what a run has, so that a new one can start before the old one has gone."
  type        = number
  default     = 32
}

variable "maximum_memory_gb" {
  description = "On EMR Serverless: most memory of all runs together, in GB."
  type        = number
  default     = 128
}

variable "subnet_ids" {
  description = "On EMR Serverless: private subnets with an interface endpoint for Kinesis, or NAT, and routes to the other services. Empty, as for Glue: no VPC."
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups in those subnets."
  type        = list(string)
  default     = []
}

variable "log_days" {
  description = "How many days logs are kept, in CloudWatch and under logs/."
  type        = number
  default     = 90
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 180, 365, 731], var.log_days)
    error_message = "CloudWatch knows 1, 3, 5, 7, 14, 30, 60, 90, 180, 365, 731 (and some between)."
  }
}
