variable "name" {
  description = "Name of the dashboard; the stack of alarms is NAME-alarms."
  type        = string
  validation {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9-]{0,119}$", var.name))
    error_message = "A letter, then letters, digits or hyphens."
  }
}

variable "namespace" {
  description = "metrics.cloudwatch_namespace."
  type        = string
}

variable "lake_path" {
  description = "lake.path, letter by letter as the configuration has it: it is the metrics' dimension."
  type        = string
}

variable "topic_arn" {
  description = "The SNS topic that is told."
  type        = string
  validation {
    condition     = can(regex("^arn:[^:]+:sns:[^:]+:[^:]+:.+$", var.topic_arn))
    error_message = "The ARN of an SNS topic."
  }
}

variable "stream_name" {
  description = "The stream whose own metrics the dashboard shows."
  type        = string
}
