variable "name" {
  description = "Name of the bucket, unique in all of AWS."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "3 to 63 lower-case letters, digits or hyphens; dots would break TLS."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the objects. Null: S3's own keys (AES256)."
  type        = string
  default     = null
}

variable "versioning" {
  description = <<-TEXT
    Keep what is overwritten or deleted for noncurrent_days. It protects from a mistaken delete and from nothing else: an
    older checkpoint is refused. It costs storage: compaction rewrites each event about twice (docs/tables.md), so
    noncurrent_days of arrivals are kept about twice more, and the lease and checkpoint leave thousands of small
    versions a day. And a person who is deleted (docs/deletion.md) stays readable for noncurrent_days.
  TEXT
  type        = bool
  default     = false
}

variable "noncurrent_days" {
  description = "After how many days versions that were overwritten or deleted go for good."
  type        = number
  default     = 7
  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "At least 1 whole day."
  }
}

variable "log_days" {
  description = "After how many days objects under logs/ are deleted."
  type        = number
  default     = 30
  validation {
    condition     = var.log_days >= 1 && floor(var.log_days) == var.log_days
    error_message = "At least 1 whole day."
  }
}
