variable "name" {
  description = "Name of the Auto Scaling group, and prefix of all other names."
  type        = string
  default     = "linkproof"
}

variable "vpc_id" {
  description = "The VPC. It needs enableDnsSupport and enableDnsHostnames."
  type        = string
}

variable "subnet_ids" {
  description = "The private subnets, one per zone."
  type        = list(string)
}

variable "route_table_ids" {
  description = "The subnets' route tables, for the S3 gateway endpoint."
  type        = list(string)
}

variable "bucket" {
  description = "The bucket with the packages. It must be in the same region."
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
  description = "Any type works: linkproof uses about 10 MiB of memory."
  type        = string
  default     = "t4g.nano"
}

variable "instances" {
  description = "Number of instances."
  type        = number
  default     = 1
}
