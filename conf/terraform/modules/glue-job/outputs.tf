output "job_name" {
  description = "Name of the job: aws glue start-job-run --job-name."
  value       = aws_glue_job.this.name
}
