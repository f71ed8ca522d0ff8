variable "name" {
  description = "Name of the Auto Scaling group, and start of all other names."
  type        = string
  default     = "linkproof"
}

variable "vpc_id" {
  description = "The VPC, with enableDnsSupport and enableDnsHostnames."
  type        = string
}

variable "subnet_ids" {
  description = "The private subnets, one for each zone."
  type        = list(string)
}

variable "route_table_ids" {
  description = "The route tables of the subnets, for the gateway endpoint of S3."
  type        = list(string)
}

variable "bucket" {
  description = "The bucket with the packages, in the same region."
  type        = string
}

variable "packages" {
  description = "The keys of the packages in the bucket: .rpm for Amazon Linux and RHEL, .deb for Debian and Ubuntu."
  type        = object({ x86_64 = string, arm64 = string })
  default = {
    x86_64 = "linkproof-0.1.0-1.x86_64.rpm"
    arm64  = "linkproof-0.1.0-1.aarch64.rpm"
  }
}

variable "image_id" {
  description = "An image with cloud-init and the AWS CLI, such as Amazon Linux 2023."
  type        = string
}

variable "instance_type" {
  description = "Any will do: linkproof takes some ten MiB of memory."
  type        = string
  default     = "t4g.nano"
}

variable "instances" {
  description = "How many instances."
  type        = number
  default     = 1
}
