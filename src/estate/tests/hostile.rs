//! Files with any text in any place.

use proptest::prelude::*;

use super::*;

/// Any text, and more often the text that could do harm.
fn hostile() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        "\"]\n[[endpoint]]\nhost = \"evil.example\"\n#",
        "\n[web]\nlisten = \"0.0.0.0:1\"\n",
        "\r\n\u{2028}\u{85}\u{202e}\0\u{1b}[31m",
        "\\u0022\\",
        "com.amazonaws.us-west-2.\"\n",
        "vpce-0a\n[egress]\nenabled = false",
        "monitoring",
        "s3.interface",
        "*.s3.us-west-2.amazonaws.com",
        "vpce-0a-1a2b3c4d.x.us-west-2.vpce.amazonaws.com",
        "Gateway",
        "pending",
    ]);
    prop_oneof![nasty.prop_map(ToOwned::to_owned), "\\PC{0,40}", any::<String>()]
}

const TEXTS: [&str; 7] =
    ["VpcEndpointId", "VpcEndpointType", "VpcId", "ServiceName", "ServiceRegion", "State", "OwnerId"];

/// One of the page's endpoints with hostile texts in some of its fields.
fn endpoint() -> impl Strategy<Value = Value> {
    let fields = prop::collection::vec((prop::sample::select(TEXTS.to_vec()), hostile()), 0..3);
    let lists = prop::collection::vec(hostile(), 0..3).boxed();
    (0_usize..8, fields, lists.clone(), lists.clone(), lists).prop_map(
        |(number, fields, names, ids, errors)| {
            let mut endpoint = item(number);
            for (field, text) in fields {
                endpoint[field] = json!(text);
            }
            let entries = endpoint["DnsEntries"].as_array_mut().unwrap();
            entries.extend(names.iter().map(|name| json!({ "DnsName": name, "HostedZoneId": name })));
            for key in ["SubnetIds", "RouteTableIds"] {
                endpoint[key].as_array_mut().unwrap().extend(ids.iter().map(|id| json!(id)));
            }
            if let Some(error) = errors.first() {
                endpoint["LastError"] = json!({ "Message": error });
                endpoint["FailureReason"] = json!(error);
            }
            endpoint
        },
    )
}

fn assert_only_what_was_meant(text: &str) {
    const KEYS: [&str; 10] =
        ["service", "name", "type", "host", "hosts", "vpce_hosts", "zones", "protocol", "port", "call"];
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(table.keys().collect::<Vec<_>>(), ["endpoint", "region"], "{text}");
    for endpoint in table["endpoint"].as_array().unwrap() {
        for key in endpoint.as_table().unwrap().keys() {
            assert!(KEYS.contains(&key.as_str()), "{key}\n{text}");
        }
    }
    Config::parse(text, "x.toml").unwrap_or_else(|error| panic!("{error}\n{text}"));
    // One line break is as good as another to some readers.
    let breaks = ['\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}', '\u{202e}', '\u{1b}', '\0'];
    assert!(!text.contains(breaks), "{text:?}");
    let is_ours = |line: &str| {
        line.is_empty()
            || ["# ", "region = ", "[[endpoint]]", "    \"", "    { name = \"", "]"]
                .iter()
                .any(|start| line.starts_with(start))
            || KEYS.iter().any(|key| line.starts_with(&format!("{key} = ")))
    };
    for line in text.lines() {
        assert!(is_ours(line), "{line:?}");
    }
}

proptest! {
    #[test]
    fn no_text_of_a_file_leaves_its_place(
        items in prop::collection::vec(endpoint(), 1..5),
        file in hostile(),
        label in hostile(),
    ) {
        let labels = [("ecr.dkr".to_owned(), label)];
        let options = Options { labels: &labels, region: Some("us-west-2"), ..Options::default() };
        match try_import(&[(&file, list(&items).as_bytes())], &options) {
            Ok(imported) => assert_only_what_was_meant(&imported.text),
            Err(ImportError::Unusable(error)) => panic!("{error}"),
            Err(error) => {
                let is_safe = !error.to_string().contains(['\r', '\u{1b}', '\0', '\u{202e}']);
                prop_assert!(is_safe, "{error}");
            }
        }
    }

    #[test]
    fn no_address_of_terraform_leaves_its_place(address in hostile(), zone in hostile(), cidr in hostile(), id in hostile()) {
        let name = "vpce-0a-1a2b3c4d.kms.us-west-2.vpce.amazonaws.com";
        let state = json!({"format_version": "1.0", "values": {"root_module": {"child_modules": [{"resources": [
            {"address": address, "mode": "managed", "type": "aws_vpc_endpoint", "name": "x", "index": cidr, "values": {
                "id": "vpce-0a", "vpc_id": "vpc-0a", "vpc_endpoint_type": "Interface", "private_dns_enabled": false,
                "service_name": "com.amazonaws.us-west-2.kms", "state": "available", "subnet_ids": [id],
                "dns_entry": [{"dns_name": name, "hosted_zone_id": zone}],
                "subnet_configuration": [{"ipv4": cidr, "subnet_id": id}]}},
            {"address": address, "mode": "managed", "type": "aws_vpc_endpoint", "name": "y", "values": {
                "id": "vpce-0b", "vpc_id": "vpc-0a", "service_name": "com.amazonaws.us-west-2.s3", "region": zone,
                "prefix_list_id": cidr, "cidr_blocks": [cidr, zone], "route_table_ids": [id]}},
            {"address": address, "mode": "managed", "type": "aws_vpc_endpoint", "values": {"id": null, "dns_entry": null}},
            {"address": "s", "mode": "managed", "type": "aws_subnet", "values": {
                "id": id, "availability_zone": zone, "availability_zone_id": zone, "cidr_block": cidr}}]}]}}});
        match try_import(&[("x.json", state.to_string().as_bytes())], &Options::default()) {
            Ok(imported) => assert_only_what_was_meant(&imported.text),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_damaged_file_gives_a_reason(from in 0_usize..PAGE.len(), length in 0_usize..60, text in "[ -~\n\u{e9}]{0,6}") {
        let mut content = PAGE.to_owned();
        content.replace_range(from..(from + length).min(PAGE.len()), &text);
        if let Err(error) = try_import(&[("x.json", content.as_bytes())], &Options::default()) {
            prop_assert!(!error.to_string().is_empty());
            prop_assert!(!matches!(error, ImportError::Unusable(_)), "{}", error);
        }
    }
}
