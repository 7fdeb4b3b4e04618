variable "request_file" {
  description = "What `scripts/submit-glue --dry-run ...` printed: the job's definition."
  type        = string
  validation {
    condition     = can([for call in jsondecode(file(var.request_file)) : call if call.operation == "CreateJob"][0].request.Command)
    error_message = "Not there, or not what scripts/submit-glue --dry-run prints (without --update)."
  }
}

variable "role_arn" {
  description = "The job's role; the one in the request does not count."
  type        = string
}

variable "log_group_prefix" {
  description = "The log groups PREFIX/output and PREFIX/error are made for the job."
  type        = string
}

variable "log_days" {
  description = "How many days the log groups keep; a value that CloudWatch knows, such as 14, 30, 90, 365."
  type        = number
}

variable "kms_key_arn" {
  description = "Key of the log groups. Null: CloudWatch's own."
  type        = string
  default     = null
}
