output "application_id" {
  description = "ID of the application: --application of scripts/submit-emr-serverless."
  value       = aws_emrserverless_application.this.id
}
