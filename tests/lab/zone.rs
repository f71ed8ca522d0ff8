//! What the resolvers answer: one root zone that knows the few names of the lab,
//! derived from the faults.

use super::address::{
    ENDPOINT_A, ENDPOINT_A_V6, ENDPOINT_B, ENDPOINT_B_V6, ENDPOINT_ELSEWHERE, ENDPOINT_SECOND_CIDR, NOBODY,
    OTHER_ENDPOINT, PUBLIC_CLOUDWATCH, PUBLIC_CLOUDWATCH_V6, PUBLIC_ELSEWHERE, PUBLIC_S3,
    PUBLIC_S3_ELSEWHERE, PUBLIC_S3_ELSEWHERE_V6, PUBLIC_S3_V6, PUBLIC_WEBSITE, PUBLIC_WEBSITE_V6, estate,
};
use super::fault::{Fault, Faults};

pub const CLOUDWATCH: &str = "monitoring.us-east-1.amazonaws.com";

/// The names that AWS gives the endpoint itself; they resolve everywhere, private DNS or not.
const OWN_NAME: &str = "vpce-0123456789abcdef0-lab00000.monitoring.us-east-1.vpce.amazonaws.com";
const OWN_NAME_IN_ZONE_A: &str =
    "vpce-0123456789abcdef0-lab00000-us-east-1a.monitoring.us-east-1.vpce.amazonaws.com";
const OWN_NAME_IN_ZONE_B: &str =
    "vpce-0123456789abcdef0-lab00000-us-east-1b.monitoring.us-east-1.vpce.amazonaws.com";

/// CloudWatch in a region in which this VPC has nothing.
const ANOTHER_REGION: &str = "monitoring.eu-west-1.amazonaws.com";

/// The suffix of a search list that catches the CloudWatch name.
pub const SEARCHED: &str = "corp.example";

/// With these the instance asks the company's resolver, which is wrong about CloudWatch alone.
pub const OF_THE_COMPANY: [Fault; 4] = [
    Fault::SystemResolverDiffers,
    Fault::SystemResolverElsewhere,
    Fault::SystemResolverStale,
    Fault::SystemResolverPartial,
];

/// Other services with an endpoint of their own in the VPC; no fault touches their names.
pub const OTHER_SERVICES: [&str; 7] = ["ssm", "ssmmessages", "ec2messages", "logs", "kms", "sts", "api.ecr"];

/// Names like `estate-1.us-east-1.amazonaws.com`, all of them of the endpoint with its two zones.
/// As many like `zones-1.us-east-1.amazonaws.com` have three addresses each, of their own.
pub const ESTATE: usize = 200;

/// Names like `partner-1.us-east-1.amazonaws.com`. At the last one's address there is nobody.
pub const PARTNERS: usize = 20;

/// The zone as the VPC resolver has it.
pub fn vpc(faults: &Faults) -> String {
    if faults.has(Fault::NameNotFound) {
        return zone(&[], faults);
    }
    if faults.has(Fault::NameNoAddress) {
        return zone(&["TXT \"no address here\"".to_owned()], faults);
    }
    let records = [cloudwatch_a(faults), cloudwatch_aaaa(faults)].concat();
    // The endpoint's own name is right, so it stands for nothing that is wrong.
    if faults.has(Fault::DnsAlias) && records == cloudwatch_a(&Faults::default()) {
        return zone(&[format!("CNAME {OWN_NAME}.")], faults);
    }
    zone(&records, faults)
}

/// The zone as the company's resolver has it, if anybody is meant to ask that one.
pub fn corporate(faults: &Faults) -> Option<String> {
    let address = faults.first(&[
        (Fault::SystemResolverDiffers, PUBLIC_CLOUDWATCH),
        (Fault::SystemResolverElsewhere, ENDPOINT_ELSEWHERE),
        (Fault::SystemResolverStale, NOBODY),
        (Fault::SystemResolverPartial, ENDPOINT_A),
    ])?;
    Some(zone(&[format!("A {address}")], faults))
}

fn cloudwatch_a(faults: &Faults) -> Vec<String> {
    enum Answer {
        Many,
        Mixed,
        OneZone,
        OtherEndpoint,
        OutsideVpc,
        Public,
        Special,
        Stale,
    }
    let answer = faults.first(&[
        (Fault::PrivateDnsOff, &Answer::Public),
        (Fault::DnsMixed, &Answer::Mixed),
        (Fault::DnsOutsideVpc, &Answer::OutsideVpc),
        (Fault::DnsSpecial, &Answer::Special),
        (Fault::DnsStale, &Answer::Stale),
        (Fault::DnsOtherEndpoint, &Answer::OtherEndpoint),
        (Fault::DnsTruncated, &Answer::Many),
        (Fault::DnsTruncatedNoTcp, &Answer::Many),
        (Fault::DnsOneZone, &Answer::OneZone),
    ]);
    let addresses = match answer {
        None => vec![ENDPOINT_A.to_string(), ENDPOINT_B.to_string()],
        Some(Answer::Public) => vec![PUBLIC_CLOUDWATCH.to_string()],
        Some(Answer::Mixed) => vec![ENDPOINT_A.to_string(), PUBLIC_CLOUDWATCH.to_string()],
        Some(Answer::OneZone) => vec![ENDPOINT_B.to_string()],
        Some(Answer::OtherEndpoint) => vec![ENDPOINT_B.to_string(), OTHER_ENDPOINT.to_string()],
        Some(Answer::Stale) => vec![NOBODY.to_string()],
        Some(Answer::OutsideVpc) => vec![ENDPOINT_ELSEWHERE.to_string()],
        Some(Answer::Special) => vec!["127.0.0.1".to_owned()],
        Some(Answer::Many) => many_addresses(),
    };
    addresses.iter().map(|address| format!("A {address}")).collect()
}

fn cloudwatch_aaaa(faults: &Faults) -> Vec<String> {
    if faults.has(Fault::DnsAaaa) {
        return vec![format!("AAAA {ENDPOINT_A_V6}"), format!("AAAA {ENDPOINT_B_V6}")];
    }
    if faults.has(Fault::DnsAaaaPublic) {
        return vec![format!("AAAA {PUBLIC_CLOUDWATCH_V6}")];
    }
    Vec::new()
}

/// Fifteen addresses that all work: more than an answer of 256 bytes holds.
fn many_addresses() -> Vec<String> {
    let zone_a = (56..63).map(|last| format!("10.0.1.{last}"));
    let zone_b = (112..119).map(|last| format!("10.0.2.{last}"));
    zone_a.chain(zone_b).chain([ENDPOINT_SECOND_CIDR.to_string()]).collect()
}

fn zone(cloudwatch: &[String], faults: &Faults) -> String {
    let mut zone = "\
        $TTL 60\n\
        @ 60 IN SOA ns.lab. admin.lab. 1 3600 600 86400 60\n\
        @ 60 IN NS ns.lab.\n\
        ns.lab. 60 IN A 10.0.0.2\n"
        .to_owned();
    // What lives for a minute is waited for as long.
    let ttl = if faults.has(Fault::DnsOtherEndpoint) { 2 } else { 60 };
    for record in cloudwatch {
        zone += &format!("{CLOUDWATCH}. {ttl} IN {record}\n");
    }
    for (service, last) in OTHER_SERVICES.iter().zip([56, 58, 59, 60, 61, 62, 63]) {
        for address in [format!("10.0.1.{last}"), format!("10.0.2.{}", last + 56)] {
            zone += &format!("{service}.us-east-1.amazonaws.com. 60 IN A {address}\n");
        }
    }
    for number in 1..PARTNERS {
        zone += &format!("partner-{number}.us-east-1.amazonaws.com. 60 IN A {ENDPOINT_B}\n");
    }
    zone += &format!("partner-{PARTNERS}.us-east-1.amazonaws.com. 60 IN A {NOBODY}\n");
    for number in 1..=ESTATE {
        for address in [ENDPOINT_A, ENDPOINT_B] {
            zone += &format!("estate-{number}.us-east-1.amazonaws.com. 60 IN A {address}\n");
        }
        for address in estate(number) {
            zone += &format!("zones-{number}.us-east-1.amazonaws.com. 60 IN A {address}\n");
        }
    }
    for (region, ipv4, ipv6) in
        [("us-east-1", PUBLIC_S3, PUBLIC_S3_V6), ("us-west-2", PUBLIC_S3_ELSEWHERE, PUBLIC_S3_ELSEWHERE_V6)]
    {
        for name in ["s3", "s3.dualstack"] {
            zone += &format!("{name}.{region}.amazonaws.com. 60 IN A {ipv4}\n");
        }
        zone += &format!("s3.dualstack.{region}.amazonaws.com. 60 IN AAAA {ipv6}\n");
    }
    zone += &format!(
        "{OWN_NAME}. {ttl} IN A {ENDPOINT_B}\n{OWN_NAME_IN_ZONE_B}. {ttl} IN A {ENDPOINT_B}\n\
         {ANOTHER_REGION}. 60 IN A {PUBLIC_ELSEWHERE}\n\
         {CLOUDWATCH}.{SEARCHED}. 60 IN A {PUBLIC_CLOUDWATCH}\n"
    );
    if !faults.has(Fault::DnsOneZone) {
        zone +=
            &format!("{OWN_NAME}. {ttl} IN A {ENDPOINT_A}\n{OWN_NAME_IN_ZONE_A}. {ttl} IN A {ENDPOINT_A}\n");
    }
    if faults.has(Fault::WebsiteUnknown) {
        return zone;
    }
    // The real name hides behind two aliases as well.
    zone += &format!(
        "www.amazon.com. 300 IN CNAME tp.47cf2c8c9-frontier.amazon.com.\n\
         tp.47cf2c8c9-frontier.amazon.com. 60 IN CNAME www.amazon.com.edgekey.net.\n\
         www.amazon.com.edgekey.net. 60 IN A {PUBLIC_WEBSITE}\n\
         www.amazon.com.edgekey.net. 60 IN AAAA {PUBLIC_WEBSITE_V6}\n"
    );
    zone
}
