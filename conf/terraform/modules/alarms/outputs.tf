output "stack_id" {
  description = "ID of the stack of alarms."
  value       = aws_cloudformation_stack.alarms.id
}
