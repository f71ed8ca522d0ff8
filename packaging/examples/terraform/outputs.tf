output "endpoints" {
  description = "IDs of the interface endpoints, by service."
  value       = { for service, endpoint in aws_vpc_endpoint.interface : service => endpoint.id }
}

output "instance_security_group_id" {
  description = "Security group of the instances."
  value       = aws_security_group.instance.id
}

output "role_arn" {
  description = "Role of the instances."
  value       = aws_iam_role.instance.arn
}
