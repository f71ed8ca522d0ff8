//! The Terraform example against the schema of its provider: every argument, block and attribute
//! that it names exists, and every argument that the provider requires is there. `aws.json` is
//! made from the npm package that it names, for the types that the example uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::Deserialize;

use crate::harness::packaged;

const FILES: [&str; 3] = ["main.tf", "outputs.tf", "variables.tf"];

/// What Terraform itself takes in every block.
const META: [&str; 6] = ["count", "depends_on", "for_each", "lifecycle", "provider", "dynamic"];

#[derive(Deserialize)]
struct Schema {
    resource: BTreeMap<String, Type>,
    data: BTreeMap<String, Type>,
}

#[derive(Deserialize)]
struct Type {
    arguments: BTreeSet<String>,
    attributes: BTreeSet<String>,
    blocks: BTreeMap<String, BTreeSet<String>>,
    required: BTreeSet<String>,
}

fn schema() -> Schema {
    serde_json::from_str(include_str!("terraform/aws.json")).unwrap()
}

fn example() -> String {
    let folder = packaged("examples/terraform");
    FILES.map(|file| fs::read_to_string(folder.join(file)).unwrap()).concat()
}

/// A block with what stands directly in it, by name; a nested block has contents of its own.
#[derive(Debug)]
struct Block {
    header: Vec<String>,
    entries: Vec<(String, Option<Self>)>,
}

/// The style of `terraform fmt`: an argument or a block begins on a line of its own.
fn blocks(text: &str) -> Vec<Block> {
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(header) = line.strip_suffix(" {") {
            blocks.push(block(header, &mut lines));
        }
    }
    blocks
}

fn block<'a>(header: &str, lines: &mut impl Iterator<Item = &'a str>) -> Block {
    let header = header.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect();
    let mut entries = Vec::new();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line == "}" {
            break;
        }
        if let Some((name, value)) = line.split_once(" = ").map(|(name, value)| (name.trim(), value)) {
            entries.push((name.to_owned(), None));
            let mut open = depth(value);
            while open > 0 {
                open += lines.next().map_or(-open, depth);
            }
        } else if let Some(header) = line.strip_suffix(" {") {
            entries.push((header.to_owned(), Some(block(header, lines))));
        }
    }
    Block { header, entries }
}

fn depth(text: &str) -> i32 {
    let opens = text.matches(['(', '[', '{']).count();
    let closes = text.matches([')', ']', '}']).count();
    i32::try_from(opens).unwrap() - i32::try_from(closes).unwrap()
}

fn mistakes(text: &str, schema: &Schema) -> Vec<String> {
    let mut mistakes = Vec::new();
    for Block { header, entries } in blocks(text) {
        let types = match header[0].as_str() {
            "resource" => &schema.resource,
            "data" => &schema.data,
            _ => continue,
        };
        let Some(known) = types.get(&header[1]) else {
            mistakes.push(header[1].clone());
            continue;
        };
        let names: BTreeSet<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        let missing = known.required.iter().filter(|name| !names.contains(name.as_str()));
        mistakes.extend(missing.map(|name| format!("{}: {name} is missing", header[1])));
        for (name, nested) in &entries {
            let inner = known.blocks.get(name);
            let exists = match nested {
                None => known.arguments.contains(name) || META.contains(&name.as_str()),
                Some(_) => inner.is_some() || META.contains(&name.as_str()),
            };
            if !exists {
                mistakes.push(format!("{}: {name}", header[1]));
            }
            for (entry, _) in nested.iter().flat_map(|nested| &nested.entries) {
                if inner.is_some_and(|inner| !inner.contains(entry)) {
                    mistakes.push(format!("{}: {name}.{entry}", header[1]));
                }
            }
        }
    }
    mistakes.extend(references(text).into_iter().filter_map(|reference| unknown(&reference, schema)));
    mistakes
}

/// `data.aws_region.current.id`, `aws_vpc_endpoint.interface["monitoring"].id`.
fn references(text: &str) -> Vec<Vec<String>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_.[]\"".contains(c);
    let words = text.split(|c| !is_part(c)).filter(|word| word.contains("aws_") && word.contains('.'));
    let parts = words.map(|word| {
        let name =
            |part: &str| part.split('[').next().unwrap_or_default().trim_matches(['"', ']']).to_owned();
        word.split('.').map(name).collect()
    });
    parts.collect()
}

fn unknown(reference: &[String], schema: &Schema) -> Option<String> {
    let (types, reference) = match reference {
        [first, rest @ ..] if first == "data" => (&schema.data, rest),
        all => (&schema.resource, all),
    };
    let [kind, _, attribute, ..] = reference else { return None };
    let known = types.get(kind)?;
    let exists = known.attributes.contains(attribute) || known.arguments.contains(attribute);
    (!exists).then(|| format!("{kind}: {attribute}"))
}

#[test]
fn every_argument_and_attribute_exists() {
    let (example, schema) = (example(), schema());
    assert_eq!(mistakes(&example, &schema), [""; 0]);
    let resources = blocks(&example).iter().filter(|block| block.header[0] == "resource").count();
    assert!(resources > 10 && references(&example).len() > 30);
}

#[test]
fn a_wrong_argument_is_found() {
    let (example, schema) = (example(), schema());
    for (right, wrong, mistake) in [
        ("service_name      =", "service           =", "aws_vpc_endpoint: service"),
        (
            "heartbeat_timeout =",
            "heartbeat_time    =",
            "aws_autoscaling_group: initial_lifecycle_hook.heartbeat_time",
        ),
        ("metadata_options {", "metadata_option {", "aws_launch_template: metadata_option"),
        (".supported_architectures", ".architectures", "aws_ec2_instance_type: architectures"),
        ("  max_size            =", "  maximum             =", "aws_autoscaling_group: max_size is missing"),
    ] {
        let broken = example.replace(right, wrong);
        assert_ne!(broken, example, "{right}");
        let found = mistakes(&broken, &schema);
        assert!(found.iter().any(|found| found == mistake), "{mistake}: {found:?}");
    }
}

/// The tag, the port and the words that other files rely on.
#[test]
fn the_example_fits_the_scrape_configuration() {
    let example = example();
    for file in ["prometheus.yml", "agent.yml", "textfile.yml"] {
        let scrape = fs::read_to_string(packaged("prometheus").join(file)).unwrap();
        assert!(scrape.contains("name: tag:linkproof\n            values: [\"true\"]"), "{file}");
    }
    let tag = "    key                 = \"linkproof\"\n    value               = \"true\"\n";
    assert!(example.contains(tag), "no instance has the tag that the scrape configurations filter on");
    assert!(example.contains("from_port                = 10042"));
}

/// The configuration in the user data checks every endpoint that the example creates.
#[test]
fn the_configuration_checks_every_endpoint_of_the_example() {
    let data = fs::read_to_string(packaged("examples/cloud-init.yaml")).unwrap();
    let file =
        data.split("  - path: ").find(|file| file.starts_with("/etc/linkproof/linkproof.toml")).unwrap();
    let config: String = file
        .lines()
        .filter_map(|line| line.strip_prefix("      "))
        .fold(String::new(), |config, line| config + line + "\n");
    let config: toml::Table = config.parse().unwrap();
    let configured: BTreeSet<&str> = config["endpoint"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| endpoint["service"].as_str().unwrap())
        .collect();
    let example = example();
    let interface = example
        .lines()
        .filter(|line| line.contains("= { action = "))
        .filter_map(|line| line.split_whitespace().next());
    assert_eq!(configured, interface.chain(["s3"]).collect());
    assert!(data.contains("proof = \"aws:SourceVpce\""));
}
