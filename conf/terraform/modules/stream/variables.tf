variable "name" {
  description = "Name of the stream. Another name makes another stream; the job's checkpoint belongs to one."
  type        = string
  validation {
    condition     = can(regex("^[a-zA-Z0-9_.-]{1,128}$", var.name))
    error_message = "1 to 128 letters, digits, or _ . -"
  }
}

variable "retention_hours" {
  description = "How long records stay: the longest outage that loses nothing. Over 24 is paid for by the GB."
  type        = number
  default     = 48
  validation {
    condition     = var.retention_hours >= 24 && var.retention_hours <= 8760 && floor(var.retention_hours) == var.retention_hours
    error_message = "24 to 8760 whole hours."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the records. Null: the one that AWS manages for Kinesis, alias/aws/kinesis."
  type        = string
  default     = null
}

variable "shard_level_metrics" {
  description = "CloudWatch metrics of each shard, each paid for by shard and month. They show the one hot shard that the stream's sums hide."
  type        = set(string)
  default     = ["IncomingBytes", "IncomingRecords", "IteratorAgeMilliseconds", "ReadProvisionedThroughputExceeded", "WriteProvisionedThroughputExceeded"]
  validation {
    condition = length(setsubtract(var.shard_level_metrics, [
      "IncomingBytes", "IncomingRecords", "IteratorAgeMilliseconds", "OutgoingBytes", "OutgoingRecords",
      "ReadProvisionedThroughputExceeded", "WriteProvisionedThroughputExceeded",
    ])) == 0
    error_message = "Not a shard-level metric of Kinesis."
  }
}
