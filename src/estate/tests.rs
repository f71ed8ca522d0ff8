//! Files as people hand them over, and what comes of them.

mod hostile;
mod labels;
mod left_out;
mod regions;

use serde_json::{Value, json};

use super::*;
use crate::config::{Config, EndpointConfig, HostConfig};
use crate::report::fixture::golden;

const PAGE: &str = include_str!("golden/page.json");

#[test]
fn files_become_these_configurations() {
    let ids = ["a1b2c3", "d4e5f6"].map(|id| ("execute-api".to_owned(), id.to_owned()));
    let plain = Options::default();
    for (name, options) in [
        ("page", plain),
        ("s3-inbound-only", plain),
        ("wildcards", Options { labels: &ids, ..plain }),
        ("china", plain),
        ("govcloud", Options { vpc: Some("vpc-0feedfacecafe0005"), ..plain }),
        ("eusc", plain),
        ("partners", plain),
        ("terraform-state", plain),
        ("terraform-plan", plain),
    ] {
        let path = format!("{}/src/estate/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let content = std::fs::read(path).unwrap();
        let imported = import(&[(&format!("{name}.json"), &content)], &options);
        golden(&format!("src/estate/golden/{name}.toml"), &imported.text);
    }
}

fn try_import(files: &[(&str, &[u8])], options: &Options<'_>) -> Result<Imported, ImportError> {
    let mut estate = Estate::default();
    for (name, bytes) in files {
        estate.read(name, bytes)?;
    }
    estate.configuration(options)
}

fn import(files: &[(&str, &[u8])], options: &Options<'_>) -> Imported {
    try_import(files, options).unwrap_or_else(|error| panic!("{error}"))
}

fn import_one(content: &str) -> Imported {
    import(&[("x.json", content.as_bytes())], &Options::default())
}

fn refusal(content: &[u8]) -> String {
    refusal_of(&[("x.json", content)], &Options::default())
}

fn refusal_of(files: &[(&str, &[u8])], options: &Options<'_>) -> String {
    match try_import(files, options) {
        Ok(imported) => panic!("was accepted:\n{}", imported.text),
        Err(error) => error.to_string(),
    }
}

/// Without the header, which names the files.
fn tables(imported: &Imported) -> &str {
    imported.text.split_once("\nregion = ").expect("a region").1
}

fn endpoints(imported: &Imported) -> Vec<EndpointConfig> {
    Config::parse(&imported.text, "x.toml").unwrap_or_else(|error| panic!("{error}")).endpoints
}

fn hosts(imported: &Imported) -> Vec<String> {
    let host = |endpoint: EndpointConfig| match endpoint.host {
        HostConfig::Given(host) => host,
        HostConfig::OfService(service) => panic!("{service} without a host"),
    };
    endpoints(imported).into_iter().map(host).collect()
}

fn page() -> Value {
    serde_json::from_str(PAGE).unwrap()
}

fn item(number: usize) -> Value {
    page()["VpcEndpoints"][number].clone()
}

fn list(items: &[Value]) -> String {
    json!({ "VpcEndpoints": items }).to_string()
}

fn with(item: &Value, changes: &[(&str, Value)]) -> Value {
    let mut item = item.clone();
    for (key, value) in changes {
        item[*key] = value.clone();
    }
    item
}

/// `VpcEndpointId` as `vpcEndpointId`.
fn with_small_letters(value: &Value) -> Value {
    let small = |key: &String| format!("{}{}", key[..1].to_ascii_lowercase(), &key[1..]);
    match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (small(key), with_small_letters(value))).collect()
        }
        Value::Array(items) => items.iter().map(with_small_letters).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_form_of_a_page_says_the_same() {
    let expected = import_one(PAGE);
    let items = page()["VpcEndpoints"].as_array().unwrap().clone();
    let pages: Vec<String> = items.iter().map(|item| list(std::slice::from_ref(item))).collect();
    let utf16 = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        mark.iter().copied().chain(PAGE.encode_utf16().flat_map(bytes)).collect()
    };
    let singles: Vec<String> = items.iter().map(|item| json!({ "VpcEndpoint": item }).to_string()).collect();
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("pages appended", pages.concat().into_bytes()),
        ("pages in lines", pages.join("\n\n").into_bytes()),
        ("pages in a list", format!("[{}]", pages.join(",")).into_bytes()),
        ("--query VpcEndpoints", Value::from(items.clone()).to_string().into_bytes()),
        ("objects", items.iter().map(ToString::to_string).collect::<String>().into_bytes()),
        ("create-vpc-endpoint", singles.concat().into_bytes()),
        ("small letters", with_small_letters(&page()).to_string().into_bytes()),
        ("small letters in a list", with_small_letters(&items.into()).to_string().into_bytes()),
        ("UTF-8 with a mark", [b"\xef\xbb\xbf", PAGE.as_bytes()].concat()),
        ("UTF-16 of PowerShell", utf16(b"\xff\xfe", u16::to_le_bytes)),
        ("UTF-16, the other order", utf16(b"\xfe\xff", u16::to_be_bytes)),
        ("twice", [PAGE, PAGE].concat().into_bytes()),
    ];
    for (form, content) in forms {
        let imported = import(&[("x.json", &content)], &Options::default());
        assert_eq!(tables(&imported), tables(&expected), "{form}");
    }
}

/// Files and why they are refused, apart by `====`, the two by `----`.
const REFUSALS: &str = include_str!("golden/refusals.txt");

#[test]
fn a_file_that_cannot_be_read_says_why() {
    for block in REFUSALS.split("====\n") {
        let (content, expected) = block.split_once("\n----\n").unwrap();
        assert_eq!(refusal(content.as_bytes()), expected.trim_end(), "{content}");
    }
    let empty =
        "the file is empty; give the output of `aws ec2 describe-vpc-endpoints` or of `terraform show -json`";
    let nul = "the file contains NUL bytes; save it as UTF-8, or as UTF-16 with a byte order mark";
    let not_utf16 = "the file begins as UTF-16 and is not; save it as UTF-8";
    for (content, expected) in [
        (&b""[..], empty),
        (b" \r\n\t", empty),
        (b"{\"VpcEndpoints\": [\0]}", nul),
        (b"{\0}\0\xff", nul),
        (
            b"PK\x03\x04\x14\0\x08\0tfplan\xff",
            "the file is a binary plan; give the output of `terraform show -json PLAN`",
        ),
        (b"{\n  \"\xff", "line 2, column 4: the file is not UTF-8; save it as UTF-8 or UTF-16"),
        (b"\xff\xfe{\0}", not_utf16),
        (b"\xff\xfe\x00\xd8", not_utf16),
    ] {
        assert_eq!(refusal(content), format!("x.json: {expected}"), "{content:?}");
    }
}

#[test]
fn a_packed_file_is_named_with_the_command_that_unpacks_it() {
    for (content, form, unpack) in [
        (&b"\x1f\x8b\x08\0\0\0\0\0"[..], "gzip", "gzip -dc"),
        (b"PK\x03\x04\x14\0page.json", "ZIP", "unzip -p"),
        (b"\x28\xb5\x2f\xfd\x04\0", "zstd", "zstd -dc"),
        (b"\xfd7zXZ\0\0\x04", "xz", "xz -dc"),
        (b"BZh91AY", "bzip2", "bzip2 -dc"),
        (b"\x04\x22\x4d\x18d@", "lz4", "lz4 -dc"),
    ] {
        let expected = format!(
            "x.json: the file is packed as {form}; unpack it and give - as FILE: {unpack} FILE | linkproof import -"
        );
        assert_eq!(refusal(content), expected);
    }
}

#[test]
fn without_endpoints_there_is_no_configuration() {
    let empty = "the list of endpoints is empty; a participant of a shared subnet sees none, so ask as the account that owns the VPC";
    for content in ["{\"VpcEndpoints\": []}", "[]"] {
        assert_eq!(refusal(content.as_bytes()), empty);
    }
    let others = "the files have no VPC endpoints; add the output of `aws ec2 describe-vpc-endpoints` or of `terraform show -json`";
    for content in ["{\"Subnets\": []}", "{\"ServiceDetails\": [], \"ServiceNames\": [\"x\"]}"] {
        assert_eq!(refusal(content.as_bytes()), others);
    }
    let pending = refusal(list(&[item(6)]).as_bytes());
    let id = item(6)["VpcEndpointId"].as_str().unwrap().to_owned();
    let expected = format!(
        "no endpoint in the files can be checked:\n  {id}, com.amazonaws.us-west-2.kms: pending; import again when it is available."
    );
    assert_eq!(pending, expected);
}

#[test]
fn deep_nesting_is_refused_and_skipped_where_it_means_nothing() {
    let deep = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat();
    assert!(refusal(deep("[", "]").as_bytes()).ends_with("ask for --query VpcEndpoints"));
    assert!(refusal(deep("[", "").as_bytes()).contains("the file ends in the middle"));
    assert!(refusal(deep("{\"a\":", "}").replace(":}", ":1}").as_bytes()).contains("unknown kind of object"));
    let modules = deep("{\"child_modules\":[", "]}");
    let state = format!("{{\"format_version\":\"1.0\",\"values\":{{\"root_module\":{modules}}}}}");
    assert!(refusal(state.as_bytes()).contains("nested more than 128 levels deep"));
    let mut tagged = item(0).to_string();
    tagged.insert_str(1, &format!("\"Tags\":{},", deep("[", "]")).replace("\"Tags\"", "\"Other\""));
    let imported = import_one(&format!("[{tagged}]"));
    assert_eq!(tables(&imported), tables(&import_one(&list(&[item(0)]))));
}

#[test]
fn white_space_and_many_documents_are_read_in_one_pass() {
    let padded = [" ".repeat(1 << 20).as_str(), PAGE, &"\n".repeat(1 << 20)].concat();
    assert_eq!(tables(&import_one(&padded)), tables(&import_one(PAGE)));
    let many = ["{\"VpcEndpoints\":[]}".repeat(50_000).as_str(), PAGE].concat();
    assert_eq!(tables(&import_one(&many)), tables(&import_one(PAGE)));
}

#[test]
fn states_and_types_are_compared_without_case() {
    for state in ["Available", "AVAILABLE", "available"] {
        let imported = import_one(&list(&[with(&item(0), &[("State", json!(state))])]));
        assert_eq!(hosts(&imported).len(), 4, "{state}");
    }
    for kind in [json!("interface"), json!("INTERFACE"), Value::Null] {
        let imported = import_one(&list(&[with(&item(0), &[("VpcEndpointType", kind)])]));
        assert_eq!(hosts(&imported).len(), 4);
    }
    let gateway = with(&item(7), &[("VpcEndpointType", Value::Null)]);
    assert!(endpoints(&import_one(&list(&[gateway])))[0].gateway);
}

#[test]
fn one_vpc_is_chosen() {
    let other = with(&item(0), &[("VpcEndpointId", json!("vpce-0b")), ("VpcId", json!("vpc-0b"))]);
    let files = list(&[item(0), item(7), other]);
    let files: [(&str, &[u8]); 1] = [("x.json", files.as_bytes())];
    let several = "the files have endpoints of several VPCs; choose one with --vpc:\n  vpc-0b (1)\n  vpc-0feedfacecafe0001 (2)";
    assert_eq!(refusal_of(&files, &Options::default()), several);
    let own = |own_vpc, vpc| Options { vpc, own_vpc, ..Options::default() };
    let elsewhere = several.replace("VPCs;", "VPCs, and none of vpc-0c, where this instance is;");
    assert_eq!(refusal_of(&files, &own(Some("vpc-0c"), None)), elsewhere);
    let unknown = "the files have no endpoint of vpc-0c; they have endpoints of:\n  vpc-0b (1)\n  vpc-0feedfacecafe0001 (2)";
    assert_eq!(refusal_of(&files, &own(None, Some("vpc-0c"))), unknown);
    let by_metadata = import(&files, &own(Some("vpc-0feedfacecafe0001"), None));
    assert_eq!(hosts(&by_metadata).len(), 5);
    assert!(by_metadata.text.contains("# - 1 endpoint of vpc-0b: another VPC.\n"));
    let chosen = "# The files have several VPCs; this one is the instance's own, by instance metadata.\n";
    assert!(by_metadata.text.contains(chosen), "{}", by_metadata.text);
    assert_eq!(by_metadata.warnings, Vec::<String>::new());
    let by_option = import(&files, &own(Some("vpc-0b"), Some("vpc-0feedfacecafe0001")));
    let warning = "this instance is in vpc-0b, and the endpoints are in vpc-0feedfacecafe0001";
    assert_eq!((hosts(&by_option).len(), by_option.warnings.as_slice()), (5, &[warning.to_owned()][..]));
    assert!(!by_option.text.contains("by instance metadata"));
}

#[test]
fn one_endpoint_in_two_files_is_taken_once() {
    let mut shuffled = item(0);
    shuffled["DnsEntries"].as_array_mut().unwrap().reverse();
    let (first, second) = (list(&[item(0)]), list(&[shuffled]));
    let files: [(&str, &[u8]); 2] = [("a.json", first.as_bytes()), ("b.json", second.as_bytes())];
    assert_eq!(tables(&import(&files, &Options::default())), tables(&import_one(&first)));
    let changed = list(&[with(&item(0), &[("PrivateDnsEnabled", json!(false))])]);
    let files: [(&str, &[u8]); 2] = [("a.json", first.as_bytes()), ("b.json", changed.as_bytes())];
    let id = item(0)["VpcEndpointId"].as_str().unwrap().to_owned();
    let expected = format!(
        "b.json: line 1, column 18: {id} differs from the endpoint of the same id in line 1 of a.json; give only the newer file"
    );
    assert_eq!(refusal_of(&files, &Options::default()), expected);
    let one_file = format!("{first}\n\n  {changed}");
    let expected = format!(
        "x.json: line 3, column 20: {id} differs from the endpoint of the same id in line 1; remove one of the two"
    );
    assert_eq!(refusal(one_file.as_bytes()), expected);
}

#[test]
fn two_resources_that_differ_are_named_by_their_addresses() {
    let resource = |address: &str, vpc: &str| {
        json!({"address": address, "mode": "managed", "type": "aws_vpc_endpoint", "values": {
            "id": "vpce-0a", "vpc_id": vpc, "service_name": "com.amazonaws.us-west-2.s3"}})
    };
    let state = |resources: &[Value]| {
        json!({"format_version": "1.0", "values": {"root_module": {"resources": resources}}}).to_string()
    };
    let (a, b) = (resource("aws_vpc_endpoint.a", "vpc-0a"), resource("aws_vpc_endpoint.b\n", "vpc-0b"));
    let differs =
        r"vpce-0a at aws_vpc_endpoint.b\u{a} differs from the endpoint of the same id at aws_vpc_endpoint.a";
    let both = state(&[a.clone(), b.clone()]);
    assert_eq!(refusal(both.as_bytes()), format!("x.json: {differs}; remove one of the two"));
    let (a, b) = (state(&[a]), state(&[b]));
    let files: [(&str, &[u8]); 2] = [("a.json", a.as_bytes()), ("b.json", b.as_bytes())];
    let expected = format!("b.json: {differs} in a.json; give only the newer file");
    assert_eq!(refusal_of(&files, &Options::default()), expected);
}

#[test]
fn terraform_completes_what_the_cli_does_not_say() {
    let id = item(7)["VpcEndpointId"].clone();
    let state = json!({"format_version": "1.0", "values": {"root_module": {"resources": [
        {"address": "aws_vpc_endpoint.s3", "mode": "managed", "type": "aws_vpc_endpoint", "values": {
            "id": id, "vpc_id": "vpc-0feedfacecafe0001", "prefix_list_id": "pl-0a", "cidr_blocks": ["3.5.0.0/16"],
            "dns_entry": null, "state": "available"}}]}}});
    let state = state.to_string();
    for files in [
        [("a.json", PAGE.as_bytes()), ("b.json", state.as_bytes())],
        [("b.json", state.as_bytes()), ("a.json", PAGE.as_bytes())],
    ] {
        let imported = import(&files, &Options::default());
        assert!(imported.text.contains("# Prefix list: pl-0a, at the last refresh 3.5.0.0/16.\n"));
        let sorted = |mut hosts: Vec<String>| {
            hosts.sort();
            hosts
        };
        assert_eq!(sorted(hosts(&imported)), sorted(hosts(&import_one(PAGE))));
    }
}

#[test]
fn an_inbound_only_endpoint_of_terraform_is_one_too() {
    let own = "vpce-0a-1a2b3c4d.s3.us-west-2.vpce.amazonaws.com";
    let (own, private) = (format!("*.{own}"), "s3.us-west-2.amazonaws.com");
    let both = json!({"id": "vpce-0a", "vpc_id": "vpc-0a", "vpc_endpoint_type": "Interface",
        "service_name": "com.amazonaws.us-west-2.s3", "private_dns_enabled": true});
    let entries = [&own, private].map(|name| json!({"dns_name": name, "hosted_zone_id": "Z0"}));
    let option = "private_dns_only_for_inbound_resolver_endpoint";
    let aws = |inbound: bool| {
        let changes = [("dns_entry", json!(entries)), ("dns_options", json!([{ option: inbound }]))];
        ("aws_vpc_endpoint", with(&both, &changes))
    };
    let awscc = |inbound: &str| {
        let entries = [format!("Z0:{own}"), format!("Z0:{private}")];
        let changes = [("dns_entries", json!(entries)), ("dns_options", json!({ option: inbound }))];
        ("awscc_ec2_vpc_endpoint", with(&both, &changes))
    };
    for ((kind, values), expected) in [
        (aws(true), "bucket.vpce-0a-1a2b3c4d.s3.us-west-2.vpce.amazonaws.com"),
        (aws(false), private),
        (awscc("OnlyInboundResolver"), "bucket.vpce-0a-1a2b3c4d.s3.us-west-2.vpce.amazonaws.com"),
        (awscc("AllResolvers"), private),
        (awscc("NotSpecified"), private),
    ] {
        let resources = json!([{ "address": "a.b", "mode": "managed", "type": kind, "values": values }]);
        let state = json!({"format_version": "1.0", "values": {"root_module": {"resources": resources}}});
        assert_eq!(hosts(&import_one(&state.to_string())), [expected], "{state}");
    }
}

#[test]
fn a_page_of_several_is_said() {
    let mut page = page();
    page["NextToken"] = json!("eyJ0b2tlbiI6IDF9");
    let imported = import_one(&page.to_string());
    let warning =
        "x.json: another page follows (NextToken); unless all pages are given, endpoints are missing";
    assert_eq!(imported.warnings, [warning]);
    assert!(imported.text.contains(&format!("# Warning: {warning}.\n")));
    for none in [Value::Null, json!("")] {
        page["NextToken"] = none;
        assert_eq!(import_one(&page.to_string()).warnings, Vec::<String>::new());
    }
}

#[test]
fn an_inbound_only_endpoint_without_its_gateway_is_worth_a_warning() {
    let page: Value = serde_json::from_str(include_str!("golden/s3-inbound-only.json")).unwrap();
    let interface = page["VpcEndpoints"][0].clone();
    let id = interface["VpcEndpointId"].as_str().unwrap().to_owned();
    let imported = import_one(&list(&[interface]));
    let warning = format!(
        "{id}: private DNS for inbound resolvers needs a gateway endpoint, and the files have none of s3"
    );
    assert_eq!(imported.warnings, [warning]);
    assert_eq!(endpoints(&imported)[0].name, "s3");
}

fn named(number: usize, names: &[&str]) -> Value {
    let entries: Vec<Value> =
        names.iter().map(|name| json!({ "DnsName": name, "HostedZoneId": "Z0" })).collect();
    let id = format!("vpce-0{number:03}");
    let service = format!("com.amazonaws.us-west-2.svc{number}");
    with(
        &item(0),
        &[("VpcEndpointId", json!(id)), ("ServiceName", json!(service)), ("DnsEntries", json!(entries))],
    )
}

#[test]
fn two_hundred_names_are_written_and_fips_names_give_way_first() {
    let items: Vec<Value> = (0..60)
        .map(|n| {
            let names =
                ["", "-b", "-c-fips", "-fips"].map(|kind| format!("svc{n}{kind}.us-west-2.amazonaws.com"));
            named(n, &names.each_ref().map(String::as_str))
        })
        .collect();
    let options = Options { region: Some("us-west-2"), ..Options::default() };
    let imported = import(&[("x.json", list(&items).as_bytes())], &options);
    let hosts = hosts(&imported);
    assert_eq!(hosts.len(), 200);
    assert_eq!(hosts.iter().filter(|host| !host.contains("-fips")).count(), 120);
    assert_eq!(imported.warnings, ["40 names left out: a configuration may have 200"]);
    let many: Vec<Value> =
        (0..250).map(|n| named(n, &[&format!("svc{n}.us-west-2.amazonaws.com")])).collect();
    assert_eq!(endpoints(&import_one(&list(&many))).len(), 200);
    let endless: Vec<String> = (0..5000).map(|n| format!("n{n}.us-west-2.amazonaws.com")).collect();
    let endless: Vec<&str> = endless.iter().map(String::as_str).collect();
    let imported = import_one(&list(&[named(1, &endless)]));
    assert_eq!(endpoints(&imported).len(), 32);
    assert!(imported.text.len() < 10_000);
}

#[test]
fn what_is_no_host_name_is_left_out_and_quoted() {
    let long = format!("{}.example", "a.".repeat(300));
    let names = [
        "good.example",
        "a\nb.example",
        "a\"b.example",
        "\"]\n[[endpoint]]\nhost = \"evil.example",
        "\\u0022.example",
        "a\u{202e}b.example",
        "10.0.0.1",
        "*.",
        "nul\0.example",
        &long,
    ];
    let imported = import_one(&list(&[named(1, &names)]));
    assert_eq!(hosts(&imported), ["good.example"]);
    let left_out: Vec<&str> = imported.text.lines().filter(|line| line.starts_with("# - ")).collect();
    assert_eq!(left_out.len(), 9, "{left_out:?}");
    assert!(left_out[1].starts_with(r#"# - a"b.example of vpce-0001: not a host name: "#), "{}", left_out[1]);
    assert!(
        !imported.text.contains(['\u{202e}', '\0']) && imported.text.lines().all(|line| line.len() < 1000)
    );
}

#[test]
fn a_name_of_another_endpoint_is_not_this_one_s() {
    let stranger = "vpce-0999-1a2b3c4d.svc1.us-west-2.vpce.amazonaws.com";
    let imported = import_one(&list(&[named(1, &["svc1.us-west-2.amazonaws.com", stranger])]));
    assert_eq!(endpoints(&imported)[0].vpce_hosts, Vec::<String>::new());
    assert!(
        imported
            .text
            .contains(&format!("# - {stranger} of vpce-0001: it carries the id of another endpoint."))
    );
    let twice = [named(1, &["a.example", "b.example"]), named(2, &["b.example"])];
    let imported = import_one(&list(&twice));
    assert_eq!(hosts(&imported), ["a.example", "b.example"]);
    assert!(imported.text.contains(
        "# - b.example of vpce-0002, com.amazonaws.us-west-2.svc2: a name of vpce-0001 already.\n"
    ));
}

/// A configuration would refuse it.
#[test]
fn a_service_is_left_out_where_its_names_are_those_of_another() {
    let monitoring = ("ServiceName", json!("com.amazonaws.us-west-2.monitoring"));
    for (host, expected) in [
        ("monitoring.us-west-2.amazonaws.com", "monitoring"),
        ("logs.us-west-2.amazonaws.com", "logs.us-west-2.amazonaws.com"),
    ] {
        let imported = import_one(&list(&[with(&named(1, &[host]), std::slice::from_ref(&monitoring))]));
        assert_eq!(endpoints(&imported)[0].name, expected, "{}", imported.text);
    }
}
