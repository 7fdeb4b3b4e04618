output "arn" {
  description = "ARN of the key. It is there once the key's policy is."
  value       = aws_kms_key.this.arn
}
