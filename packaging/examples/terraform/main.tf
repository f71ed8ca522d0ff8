# The endpoints of a private subnet, and an Auto Scaling group whose instances enter service only
# after linkproof has verified the subnet from inside. If it fails, `terraform apply` fails.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

# The newest Amazon Linux 2023 for the architecture of the instance type. Terraform reads the
# parameter; the instances do not.
data "aws_ec2_instance_type" "instance" {
  instance_type = var.instance_type
}

data "aws_ssm_parameter" "image" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${local.architecture}"
}

locals {
  name         = var.name
  hook         = "linkproof"
  region       = data.aws_region.current.id
  s3           = "arn:${data.aws_partition.current.partition}:s3:::"
  group        = "arn:${data.aws_partition.current.partition}:autoscaling:${local.region}:${data.aws_caller_identity.current.account_id}:autoScalingGroup:*:autoScalingGroupName/${local.name}"
  architecture = contains(data.aws_ec2_instance_type.instance.supported_architectures, "arm64") ? "arm64" : "x86_64"

  # Each interface endpoint with the actions that the instances use through it.
  actions = {
    autoscaling = { action = "autoscaling:CompleteLifecycleAction", resource = local.group }
    monitoring  = { action = "cloudwatch:ListMetrics", resource = "*" }
  }

  packages = [for file in values(var.packages) : "${local.s3}${var.bucket}/${file}"]
  evidence = var.evidence_bucket == null ? [] : ["${local.s3}${var.evidence_bucket}/*"]

  # Amazon Linux keeps its repositories in buckets of the region: 2023, and 2.
  repositories = [
    "${local.s3}al2023-repos-${local.region}-de612dc2/*",
    "${local.s3}amazonlinux-2-repos-${local.region}/*",
  ]

  user_data = replace(replace(replace(replace(replace(replace(replace(
    file("${path.module}/../cloud-init.yaml"),
    "LINKPROOF_X86_64", var.packages.x86_64),
    "LINKPROOF_ARM64", var.packages.arm64),
    "EVIDENCE", coalesce(var.evidence_bucket, "''")),
    "BUCKET", var.bucket),
    "REGION", local.region),
    "GROUP", local.name),
  "HOOK", local.hook)
}

resource "aws_security_group" "instance" {
  name_prefix = "${local.name}-instance-"
  description = "Instances that can reach only endpoints"
  vpc_id      = var.vpc_id
}

resource "aws_security_group" "endpoints" {
  name_prefix = "${local.name}-endpoints-"
  description = "HTTPS from the instances"
  vpc_id      = var.vpc_id
}

resource "aws_security_group_rule" "instance_to_endpoints" {
  type                     = "egress"
  description              = "HTTPS to the endpoints"
  security_group_id        = aws_security_group.instance.id
  source_security_group_id = aws_security_group.endpoints.id
  protocol                 = "tcp"
  from_port                = 443
  to_port                  = 443
}

resource "aws_security_group_rule" "instance_to_s3" {
  type              = "egress"
  description       = "HTTPS to S3 through the gateway endpoint"
  security_group_id = aws_security_group.instance.id
  prefix_list_ids   = [aws_vpc_endpoint.s3.prefix_list_id]
  protocol          = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_security_group_rule" "endpoints_from_instance" {
  type                     = "ingress"
  description              = "HTTPS from the instances"
  security_group_id        = aws_security_group.endpoints.id
  source_security_group_id = aws_security_group.instance.id
  protocol                 = "tcp"
  from_port                = 443
  to_port                  = 443
}

resource "aws_security_group_rule" "instance_from_prometheus" {
  count                    = var.prometheus_security_group_id == null ? 0 : 1
  type                     = "ingress"
  description              = "Metrics and the status page of linkproof"
  security_group_id        = aws_security_group.instance.id
  source_security_group_id = var.prometheus_security_group_id
  protocol                 = "tcp"
  from_port                = 10042
  to_port                  = 10042
}

# The VPC needs enableDnsSupport and enableDnsHostnames for private DNS to work.
resource "aws_vpc_endpoint" "interface" {
  for_each            = local.actions
  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = var.subnet_ids
  security_group_ids  = [aws_security_group.endpoints.id]

  # Only the action that is used, and only for principals of this account: keys of other accounts do
  # not work through this endpoint.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = "*"
      Action    = each.value.action
      Resource  = each.value.resource
      Condition = { StringEquals = { "aws:PrincipalAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })

  tags = { Name = "${local.name}-${each.key}" }
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "Packages"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:GetObject"
        Resource  = concat(local.packages, local.repositories)
      }],
      [for objects in local.evidence : {
        Sid       = "Evidence"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = [objects]
        Condition = { StringEquals = { "aws:PrincipalAccount" = data.aws_caller_identity.current.account_id } }
      }],
    )
  })

  tags = { Name = "${local.name}-s3" }
}

resource "aws_iam_role" "instance" {
  name_prefix = "${local.name}-"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "instance" {
  name = "linkproof"
  role = aws_iam_role.instance.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        # Allows the call only through this endpoint, so a successful call proves the path.
        Sid       = "ListMetricsThroughTheEndpointOnly"
        Effect    = "Allow"
        Action    = "cloudwatch:ListMetrics"
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceVpce" = aws_vpc_endpoint.interface["monitoring"].id } }
      },
      {
        Sid      = "FetchPackage"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = local.packages
      },
      {
        Sid      = "CompleteLaunchHook"
        Effect   = "Allow"
        Action   = "autoscaling:CompleteLifecycleAction"
        Resource = local.group
      },
      ], [for objects in local.evidence : {
        Sid      = "KeepEvidence"
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = objects
    }])
  })
}

resource "aws_iam_instance_profile" "instance" {
  name_prefix = "${local.name}-"
  role        = aws_iam_role.instance.name
}

resource "aws_launch_template" "instance" {
  name_prefix            = "${local.name}-"
  image_id               = coalesce(var.image_id, nonsensitive(data.aws_ssm_parameter.image.value))
  instance_type          = var.instance_type
  user_data              = base64encode(local.user_data)
  update_default_version = true

  iam_instance_profile {
    arn = aws_iam_instance_profile.instance.arn
  }

  network_interfaces {
    associate_public_ip_address = false
    security_groups             = [aws_security_group.instance.id]
  }

  metadata_options {
    http_tokens   = "required"
    http_endpoint = "enabled"
  }
}

resource "aws_autoscaling_group" "instance" {
  name                = local.name
  min_size            = var.instances
  max_size            = var.instances
  vpc_zone_identifier = var.subnet_ids
  # Terraform waits until the instances are in service, which means that linkproof passed on them.
  wait_for_capacity_timeout = "15m"

  launch_template {
    id      = aws_launch_template.instance.id
    version = aws_launch_template.instance.latest_version
  }

  initial_lifecycle_hook {
    name                 = local.hook
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    default_result       = "ABANDON"
    # Verification takes up to 6 minutes. If it fails, the instance waits until this time is over.
    heartbeat_timeout = var.hold_seconds
  }

  tag {
    key                 = "Name"
    value               = local.name
    propagate_at_launch = true
  }

  # The scrape configurations select the instances by this tag.
  tag {
    key                 = "linkproof"
    value               = "true"
    propagate_at_launch = true
  }

  # linkproof needs all of these while it verifies the subnet, so instances start after them and are
  # destroyed before them.
  depends_on = [
    aws_iam_role_policy.instance,
    aws_security_group_rule.endpoints_from_instance,
    aws_security_group_rule.instance_to_endpoints,
    aws_security_group_rule.instance_to_s3,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
  ]
}
