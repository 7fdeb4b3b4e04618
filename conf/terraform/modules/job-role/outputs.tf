output "arn" {
  description = "ARN of the role: --role of scripts/submit-*. It can be used once its policies are there."
  value       = aws_iam_role.job.arn
  depends_on  = [aws_iam_role_policy.job, aws_iam_role_policy.platform]
}
