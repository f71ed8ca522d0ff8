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

variable "evidence_bucket" {
  description = "A bucket in the same region that receives the report of an instance on which linkproof failed. Without one, the report goes only to the console log."
  type        = string
  default     = null
}

variable "hold_seconds" {
  description = "How long an instance on which linkproof failed waits before it is terminated, so that you can look at it. At least 420."
  type        = number
  default     = 1800

  validation {
    condition     = var.hold_seconds >= 420 && var.hold_seconds <= 7200
    error_message = "hold_seconds must be between 420 and 7200."
  }
}

variable "prometheus_security_group_id" {
  description = "The security group of Prometheus, which may then reach TCP 10042 on the instances."
  type        = string
  default     = null
}

variable "image_id" {
  description = "An image with cloud-init and the AWS CLI, for the architecture of instance_type. Default: the newest Amazon Linux 2023."
  type        = string
  default     = null
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
