output "endpoints" {
  description = "The interface endpoints, by service."
  value       = { for service, endpoint in aws_vpc_endpoint.interface : service => endpoint.id }
}

output "instance_security_group_id" {
  description = "The security group of the instances. Prometheus needs port 10042 in it."
  value       = aws_security_group.instance.id
}

output "role_arn" {
  description = "The role of the instances."
  value       = aws_iam_role.instance.arn
}
