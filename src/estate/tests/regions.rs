//! The region that the VPC is in.

use super::*;

#[test]
fn the_region_is_that_of_the_zones_and_gateways() {
    let region = |items: &[Value], region: Option<&str>| {
        let options = Options { region, ..Options::default() };
        let imported = try_import(&[("x.json", list(items).as_bytes())], &options)?;
        Ok::<_, ImportError>(Config::parse(&imported.text, "x.toml").unwrap().region.unwrap())
    };
    let regional = |id: &str, region: &str| {
        let name = format!("{id}-1a2b3c4d.kms.{region}.vpce.amazonaws.com");
        let service = format!("com.amazonaws.{region}.kms");
        let entries = json!([{ "DnsName": name, "HostedZoneId": "Z1" }]);
        with(
            &item(0),
            &[("VpcEndpointId", json!(id)), ("ServiceName", json!(service)), ("DnsEntries", entries)],
        )
    };
    let (here, there) = (regional("vpce-0a", "us-west-2"), regional("vpce-0b", "eu-west-1"));
    assert_eq!(region(&[here.clone(), there.clone(), item(7)], None).unwrap(), "us-west-2");
    assert_eq!(region(std::slice::from_ref(&there), None).unwrap(), "eu-west-1");
    let imported = import_one(&list(std::slice::from_ref(&there)));
    let guess = "region eu-west-1 is that of the services; the files do not say where the VPC is; if it is elsewhere, add --region";
    assert_eq!(imported.warnings, [guess]);
    assert_eq!(region(&[here.clone(), there.clone()], Some("us-west-2")).unwrap(), "us-west-2");
    let error = |items: &[Value], given| region(items, given).unwrap_err().to_string();
    assert_eq!(
        error(&[here, there], None),
        "the endpoints are of several regions (eu-west-1, us-west-2); choose the region of the VPC with --region"
    );
    let id = item(7)["VpcEndpointId"].as_str().unwrap().to_owned();
    assert_eq!(
        error(&[item(7)], Some("eu-west-1")),
        format!("{id} is in us-west-2, not in eu-west-1; give the region of the VPC, or leave out --region")
    );
    assert_eq!(
        error(&[item(7)], Some("us-west-2a")),
        "invalid region \"us-west-2a\" (expected something like \"us-east-1\")"
    );
    let nowhere =
        with(&item(0), &[("ServiceName", json!("x")), ("DnsEntries", json!([{"DnsName": "a.example"}]))]);
    assert_eq!(error(&[nowhere], None), "the files do not say the region; add --region");
}

/// One whose service is in another region than its VPC has no zonal names.
fn cross_region() -> Value {
    let names = ["vpce-0c-1a2b3c4d.kms.eu-west-1.vpce.amazonaws.com", "kms.eu-west-1.amazonaws.com"];
    let entries = names.map(|name| json!({ "DnsName": name, "HostedZoneId": "Z1" }));
    with(
        &item(0),
        &[
            ("VpcEndpointId", json!("vpce-0c")),
            ("ServiceName", json!("com.amazonaws.eu-west-1.kms")),
            ("ServiceRegion", json!("eu-west-1")),
            ("SubnetIds", json!(["subnet-1"])),
            ("NetworkInterfaceIds", json!(["eni-1"])),
            ("DnsEntries", json!(entries)),
        ],
    )
}

#[test]
fn the_region_of_a_service_is_not_taken_for_that_of_the_vpc() {
    let alone = list(&[cross_region()]);
    let refused = "the files say the region of the services (eu-west-1) and not that of the VPC, which may be another; add --region with the region of the VPC";
    assert_eq!(refusal(alone.as_bytes()), refused);
    let region = |files: &[&str], region: Option<&str>| {
        let files: Vec<(&str, &[u8])> = files.iter().map(|file| ("x.json", file.as_bytes())).collect();
        let imported = import(&files, &Options { region, ..Options::default() });
        let comment = "# The service is in eu-west-1: a cross-region endpoint.\n";
        assert!(imported.text.contains(comment) && imported.warnings.is_empty(), "{}", imported.text);
        Config::parse(&imported.text, "x.toml").unwrap().region.unwrap()
    };
    assert_eq!(region(&[&alone], Some("us-west-2")), "us-west-2");
    let vpc = item(0)["VpcId"].clone();
    let elsewhere =
        json!({"Subnets": [{"SubnetId": "subnet-9", "VpcId": "vpc-0f", "AvailabilityZone": "us-east-1a"}]});
    for of_vpc in [
        json!({"Subnets": [{"SubnetId": "subnet-1", "AvailabilityZone": "us-west-2a"}]}),
        json!({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "AvailabilityZone": "us-west-2a"}]}),
        json!({"Subnets": [{"SubnetId": "subnet-5", "VpcId": vpc, "AvailabilityZone": "us-west-2a"}]}),
        json!({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-5", "VpcId": vpc, "AvailabilityZone": "us-west-2a"}]}),
    ] {
        assert_eq!(
            region(&[&alone, &of_vpc.to_string(), &elsewhere.to_string()], None),
            "us-west-2",
            "{of_vpc}"
        );
    }
    assert_eq!(region(&[&list(&[cross_region(), item(7)])], None), "us-west-2");
    let elsewhere = elsewhere.to_string();
    let files: [(&str, &[u8]); 2] = [("a.json", alone.as_bytes()), ("b.json", elsewhere.as_bytes())];
    assert_eq!(refusal_of(&files, &Options::default()), refused, "subnets of another VPC");
}
