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

variable "subnet_ids" {
  description = "Private subnets with an interface endpoint for Kinesis, or NAT, and routes to the other services that the job calls."
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups in those subnets."
  type        = list(string)
}

variable "shard_level_metrics" {
  description = "CloudWatch metrics of each shard (modules/stream); [] costs nothing."
  type        = set(string)
  default     = ["IteratorAgeMilliseconds", "WriteProvisionedThroughputExceeded"]
}

variable "architecture" {
  description = "X86_64 or ARM64, as the environment was packed."
  type        = string
  default     = "X86_64"
}

variable "maximum_vcpus" {
  description = "Most vCPUs of all runs together."
  type        = number
  default     = 8
}

variable "maximum_memory_gb" {
  description = "Most memory of all runs together, in GB."
  type        = number
  default     = 32
}

variable "log_days" {
  description = "How many days logs are kept, in CloudWatch and under logs/."
  type        = number
  default     = 14
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 180, 365, 731], var.log_days)
    error_message = "CloudWatch knows 1, 3, 5, 7, 14, 30, 60, 90, 180, 365, 731 (and some between)."
  }
}
