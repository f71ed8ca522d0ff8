use super::*;

#[test]
fn every_line_is_a_row() {
    for line in lines() {
        if let Err(error) = Row::parse(line) {
            panic!("{error}: {line}");
        }
    }
    assert_eq!(lines().count(), rows().count());
}

#[test]
fn services_stand_once_and_in_order() {
    let services: Vec<&str> = rows().map(|row| row.service).collect();
    assert!(services.is_sorted(), "the file is sorted by service");
    let mut all: Vec<&str> = entries().map(|entry| entry.service()).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
    for entry in entries() {
        assert_eq!(lookup(entry.service()), Some(entry));
        assert!(entry.row.also_called().all(|called| lookup(called).is_none()), "{}", entry.service());
    }
}

#[test]
fn every_class_has_its_services() {
    let count = |private_dns| rows().filter(|row| row.private_dns == private_dns).count();
    assert_eq!([PrivateDns::Documented, PrivateDns::Inferred, PrivateDns::None].map(count), [40, 266, 14]);
    let fips = entries().filter(|entry| entry.is_fips).count();
    assert_eq!(fips, 112);
    let gateways: Vec<&str> = entries().filter(Entry::has_gateway).map(|entry| entry.service()).collect();
    assert_eq!(gateways, ["dynamodb", "s3", "s3express"]);
    let other: Vec<&str> =
        rows().filter(|row| row.protocol != EndpointProtocol::Https).map(|row| row.service).collect();
    assert_eq!(
        other,
        [
            "appmesh-envoy-management",
            "cassandra",
            "email-smtp",
            "iot.credentials",
            "iot.data",
            "transfer.server"
        ]
    );
}

/// Retired services, and those whose names are not documented.
#[test]
fn unestablished_names_are_no_defaults() {
    for service in ["evidently-dataplane", "qldb.session", "console", "signin", "eks-proxy", "ecr-public.api"]
    {
        assert_eq!(lookup(service), None, "{service}");
    }
}

#[test]
fn every_partition_has_its_own_suffixes() {
    for (region, monitoring, eks_auth) in [
        ("us-east-1", "monitoring.us-east-1.amazonaws.com", "eks-auth.us-east-1.api.aws"),
        ("mx-central-1", "monitoring.mx-central-1.amazonaws.com", "eks-auth.mx-central-1.api.aws"),
        ("us-gov-west-1", "monitoring.us-gov-west-1.amazonaws.com", "eks-auth.us-gov-west-1.api.aws"),
        (
            "cn-north-1",
            "monitoring.cn-north-1.amazonaws.com.cn",
            "eks-auth.cn-north-1.api.amazonwebservices.com.cn",
        ),
        (
            "eusc-de-east-1",
            "monitoring.eusc-de-east-1.amazonaws.eu",
            "eks-auth.eusc-de-east-1.api.amazonwebservices.eu",
        ),
        ("us-iso-east-1", "monitoring.us-iso-east-1.c2s.ic.gov", "eks-auth.us-iso-east-1.api.aws.ic.gov"),
    ] {
        assert_eq!(host_of("monitoring", region).as_deref(), Some(monitoring));
        assert_eq!(host_of("eks-auth", region).as_deref(), Some(eks_auth));
    }
}

#[test]
fn names_that_differ_from_their_service_are_known() {
    for (service, host) in [
        ("appstream.api", "appstream2.eu-west-1.amazonaws.com"),
        ("codeartifact.api", "codeartifact.eu-west-1.amazonaws.com"),
        ("detective", "api.detective.eu-west-1.amazonaws.com"),
        ("ecr.api", "api.ecr.eu-west-1.amazonaws.com"),
        ("ecs-agent", "ecs-a.eu-west-1.amazonaws.com"),
        ("ecs-telemetry", "ecs-t.eu-west-1.amazonaws.com"),
        ("kinesis-firehose", "firehose.eu-west-1.amazonaws.com"),
        ("kinesis-streams", "kinesis.eu-west-1.amazonaws.com"),
        ("pinpoint-sms-voice-v2", "sms-voice.eu-west-1.amazonaws.com"),
        ("rum-dataplane", "dataplane.rum.eu-west-1.amazonaws.com"),
        ("sagemaker.api", "api.sagemaker.eu-west-1.amazonaws.com"),
        ("sagemaker.runtime", "runtime.sagemaker.eu-west-1.amazonaws.com"),
        ("kms-fips", "kms-fips.eu-west-1.amazonaws.com"),
        ("sagemaker.api-fips", "api-fips.sagemaker.eu-west-1.amazonaws.com"),
        ("memorydb-fips", "memory-db-fips.eu-west-1.amazonaws.com"),
        ("deviceadvisor.iot", "deviceadvisor.iot.eu-west-1.amazonaws.com"),
        // In one region for all, or in none.
        ("organizations", "organizations.us-east-1.amazonaws.com"),
        ("networkmanager", "networkmanager.us-west-2.amazonaws.com"),
        ("iam", "iam.amazonaws.com"),
        ("route53globalresolver", "route53globalresolver.us-east-2.api.aws"),
    ] {
        assert_eq!(host_of(service, "eu-west-1").as_deref(), Some(host));
    }
    for (service, region, host) in [
        ("iam", "cn-northwest-1", "iam.cn-north-1.amazonaws.com.cn"),
        ("iam", "us-gov-east-1", "iam.us-gov.amazonaws.com"),
        ("organizations", "us-gov-east-1", "organizations.us-gov-west-1.amazonaws.com"),
        ("transcribe", "cn-north-1", "cn.transcribe.cn-north-1.amazonaws.com.cn"),
    ] {
        assert_eq!(host_of(service, region).as_deref(), Some(host), "{region}");
    }
}

#[test]
fn only_names_that_can_be_private_or_behind_a_gateway_are_defaults() {
    for service in ["dynamodb", "s3", "s3express"] {
        assert!(host_of(service, "us-east-1").is_some(), "{service}");
    }
    for service in [
        "ecr.dkr",
        "execute-api",
        "geo.maps",
        "dynamodb-streams",
        "dynamodb-fips",
        "iot.data",
        "ecr",
        "",
        "-",
    ] {
        assert_eq!(host_of(service, "us-east-1"), None, "{service}");
    }
    for service in ["dynamodb", "dynamodb-streams", "geo.maps", "neptune-graph", "s3express", "dynamodb-fips"]
    {
        assert!(!lookup(service).unwrap().has_private_dns(), "{service}");
    }
    assert!(lookup("s3").unwrap().has_private_dns());
}

#[test]
fn fips_names_are_those_that_the_sdks_ask() {
    assert_eq!(host_of("ssm-fips", "us-west-2").as_deref(), Some("ssm-fips.us-west-2.amazonaws.com"));
    // In GovCloud the plain names of many services are the FIPS names.
    assert_eq!(host_of("ssm-fips", "us-gov-west-1").as_deref(), Some("ssm.us-gov-west-1.amazonaws.com"));
    let unknown = entries().filter(|entry| entry.host("us-west-2") == Host::Unknown);
    let unknown: Vec<&str> = unknown.map(|entry| entry.service()).collect();
    assert_eq!(unknown, ["git-codecommit-fips", "guardduty-data-fips", "transcribestreaming-fips"]);
}

/// The configuration is checked before the region is known.
#[test]
fn a_service_with_a_name_has_one_in_every_partition() {
    for entry in entries().filter(|entry| matches!(entry.host("us-east-1"), Host::Name(_))) {
        for partition in partition::PARTITIONS {
            let host = entry.host(partition.global_region);
            assert!(matches!(host, Host::Name(_)), "{} in {}: {host:?}", entry.service(), partition.id);
        }
    }
}

#[test]
fn a_name_says_which_endpoint_covers_it() {
    let coverage = |service, host: &str| {
        let names = lookup(service).unwrap().names("us-east-1");
        names.into_iter().find(|name| name.to_string() == host).map(|name| (name.kind, name.coverage))
    };
    for (service, host, kind, covered) in [
        ("monitoring", "monitoring.us-east-1.amazonaws.com", Kind::Regional, Coverage::Endpoint),
        ("monitoring", "monitoring.us-east-1.api.aws", Kind::DualStack, Coverage::Endpoint),
        ("monitoring", "monitoring-fips.us-east-1.amazonaws.com", Kind::Fips, Coverage::Endpoint),
        ("logs", "streaming-logs.us-east-1.api.aws", Kind::DualStack, Coverage::Endpoint),
        ("kms", "kms.us-east-1.api.aws", Kind::DualStack, Coverage::Unknown),
        ("kms", "kms-fips.us-east-1.amazonaws.com", Kind::Fips, Coverage::FipsEndpoint),
        ("kms-fips", "kms-fips.us-east-1.amazonaws.com", Kind::Fips, Coverage::Endpoint),
        ("ecr.dkr", "*.dkr-ecr.us-east-1.on.aws", Kind::DualStack, Coverage::Endpoint),
        ("kinesis-streams", "*.data-kinesis.us-east-1.amazonaws.com", Kind::Regional, Coverage::Unknown),
        ("s3", "*.s3-control.us-east-1.amazonaws.com", Kind::Regional, Coverage::Endpoint),
        ("dynamodb", "*.ddb.us-east-1.amazonaws.com", Kind::Regional, Coverage::Public),
    ] {
        assert_eq!(coverage(service, host), Some((kind, covered)), "{host}");
    }
    assert_eq!(coverage("ec2messages", "ec2messages.us-east-1.api.aws"), None);
}

#[test]
fn endpoint_services_are_known_by_their_full_names() {
    for (name, service) in [
        ("com.amazonaws.eu-west-1.ecr.api", Some("ecr.api")),
        ("com.amazonaws.us-east-1.kms-fips", Some("kms-fips")),
        ("com.amazonaws.us-gov-west-1.s3", Some("s3")),
        ("cn.com.amazonaws.cn-north-1.transcribe.cn", Some("transcribe")),
        ("aws.sagemaker.us-east-1.notebook", Some("notebook")),
        ("aws.api.global.codecatalyst", Some("codecatalyst")),
        ("com.amazonaws.iam", Some("iam")),
        ("com.amazonaws.s3-global.accesspoint", Some("s3-global.accesspoint")),
        ("gov.ic.c2s.us-iso-east-1.athena", Some("athena")),
        ("com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0", None),
        ("com.amazonaws.us-east-1", None),
        ("com.amazonaws.us-east-1.", None),
        ("ecr.api", None),
        ("", None),
    ] {
        assert_eq!(lookup_endpoint_service(name).map(|entry| entry.service()), service, "{name}");
    }
}
