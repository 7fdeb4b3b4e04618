variable "name" {
  description = "Name of the application."
  type        = string
}

variable "release_label" {
  description = "EMR's release. emr-spark-8.1.0 has Spark 4.1.1 and Delta 4.2.0, with which the job is tested."
  type        = string
  default     = "emr-spark-8.1.0"
}

variable "architecture" {
  description = "X86_64 or ARM64: the one that scripts/build packed the environment for (ARM64: --architecture aarch64)."
  type        = string
  default     = "X86_64"
  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "X86_64 or ARM64."
  }
}

variable "maximum_vcpus" {
  description = "Most vCPUs that all runs together may have: the bound on what it can cost."
  type        = number
  validation {
    condition     = var.maximum_vcpus >= 2
    error_message = "At least 2: a driver and an executor of one each."
  }
}

variable "maximum_memory_gb" {
  description = "Most memory that all runs together may have, in GB."
  type        = number
  validation {
    condition     = var.maximum_memory_gb >= 4
    error_message = "At least 4."
  }
}

variable "log_group" {
  description = "Name of the log group that is made for the driver's output."
  type        = string
}

variable "log_days" {
  description = "How many days the log group keeps; a value that CloudWatch knows, such as 14, 30, 90, 365."
  type        = number
}

variable "kms_key_arn" {
  description = "Key of the log group. Null: CloudWatch's own."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Subnets with routes to Kinesis, S3, STS, CloudWatch and KMS (NAT or endpoints). Empty: no VPC, from where Kinesis is not reached."
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups of the workers in those subnets."
  type        = list(string)
  default     = []
  validation {
    condition     = (length(var.security_group_ids) == 0) == (length(var.subnet_ids) == 0)
    error_message = "Subnets and security groups go together."
  }
}
