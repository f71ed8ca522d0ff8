//! What the list of what is left out says, and the warnings of pages that are missing.

use super::*;

/// The header's line about the endpoints, and the lines of what is left out.
fn said(imported: &Imported) -> (&str, Vec<&str>) {
    let header = imported.text.lines().nth(1).unwrap();
    (header, imported.text.lines().filter(|line| line.starts_with("# - ")).collect())
}

#[test]
fn an_endpoint_without_a_vpc_is_named_and_counted() {
    let nowhere = |id: &str, vpc: Value| with(&item(0), &[("VpcEndpointId", json!(id)), ("VpcId", vpc)]);
    let why = "com.amazonaws.us-west-2.monitoring: the file does not say its VPC.";
    let one = import_one(&list(&[item(7), nowhere("vpce-0b", Value::Null)]));
    let (header, left_out) = said(&one);
    let expected = "# vpc-0feedfacecafe0001 in us-west-2 has 2 endpoints in the files, 1 of which may be in another VPC; 1 can be checked.";
    assert_eq!((header, left_out), (expected, vec![format!("# - vpce-0b, {why}").as_str()]));
    let two = import_one(&list(&[item(7), nowhere("vpce-0b", json!("")), nowhere("vpce-0c", Value::Null)]));
    let (header, left_out) = said(&two);
    assert!(header.contains("has 3 endpoints in the files, 2 of which may be in another VPC; 1"), "{header}");
    assert_eq!(left_out, ["vpce-0b", "vpce-0c"].map(|id| format!("# - {id}, {why}")));
}

#[test]
fn a_resource_without_a_vpc_is_named_by_its_address() {
    let gateway = |name: &str, id: &str, vpc: &str| {
        json!({"address": format!("aws_vpc_endpoint.{name}"), "mode": "managed", "type": "aws_vpc_endpoint",
            "values": {"id": id, "vpc_id": vpc, "service_name": "com.amazonaws.us-west-2.s3", "state": "available"}})
    };
    let resources = [gateway("a", "vpce-0a", "vpc-0a"), gateway("b", "vpce-0b", "")];
    let state = json!({"format_version": "1.0", "values": {"root_module": {"resources": resources}}});
    let imported = import_one(&state.to_string());
    let expected = "# - aws_vpc_endpoint.b, vpce-0b, com.amazonaws.us-west-2.s3 (gateway): the file does not say its VPC.";
    assert_eq!(said(&imported).1, [expected]);
}

#[test]
fn a_missing_page_is_of_what_its_file_lists() {
    let token = ("NextToken", json!("eyJ0b2tlbiI6IDF9"));
    let subnets = with(&json!({"Subnets": []}), std::slice::from_ref(&token)).to_string();
    let interfaces = with(&json!({"NetworkInterfaces": []}), std::slice::from_ref(&token)).to_string();
    let services = with(&json!({"ServiceDetails": []}), std::slice::from_ref(&token)).to_string();
    let both = with(&page(), std::slice::from_ref(&token)).to_string() + &subnets + &subnets;
    for (file, missing) in [
        (subnets.as_str(), &["subnets"][..]),
        (&interfaces, &["network interfaces"]),
        (&services, &["services"]),
        (&both, &["endpoints", "subnets"]),
    ] {
        let files: [(&str, &[u8]); 2] = [("page.json", PAGE.as_bytes()), ("x.json", file.as_bytes())];
        let warning = |what: &&str| {
            format!(
                "x.json: another page follows (NextToken); unless all pages are given, {what} are missing"
            )
        };
        let expected: Vec<String> = missing.iter().map(warning).collect();
        assert_eq!(import(&files, &Options::default()).warnings, expected);
    }
}

#[test]
fn why_a_wildcard_and_its_bare_names_are_left_out_is_one_sentence() {
    let bases = ["notebook.us-east-1.sagemaker.aws", "other.us-east-1.sagemaker.aws"];
    let of = |names: &[String]| {
        let entries: Vec<Value> =
            names.iter().map(|name| json!({"DnsName": name, "HostedZoneId": "Z1"})).collect();
        let notebook = with(
            &item(0),
            &[
                ("VpcEndpointId", json!("vpce-0b")),
                ("ServiceName", json!("aws.sagemaker.us-east-1.notebook")),
                ("DnsEntries", json!(entries)),
            ],
        );
        import_one(&list(&[item(7), notebook]))
    };
    let wildcard = |base: &str| {
        format!("*.{base} is a wildcard, and which name is used here is not known; add --label notebook=NAME")
    };
    let start = "# - vpce-0b, aws.sagemaker.us-east-1.notebook: ";
    let [notebook, other] = bases;
    let one = of(&[notebook.to_owned(), format!("*.{notebook}")]);
    let sentence =
        format!("{start}{}; {notebook} is a bare name, which no client asks for.", wildcard(notebook));
    assert_eq!(said(&one).1, [sentence]);
    let names = bases.iter().flat_map(|base| [(*base).to_owned(), format!("*.{base}")]);
    let both = of(&names.collect::<Vec<_>>());
    let end = format!("{notebook}, {other} are bare names, which no client asks for.");
    assert_eq!(said(&both).1, [format!("{start}{}; {}; {end}", wildcard(notebook), wildcard(other))]);
}
