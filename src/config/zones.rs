//! `zones` of an `[[endpoint]]`: the ranges of its subnets in each availability zone.

use std::collections::HashMap;
use std::hash::Hash;

use super::ZoneConfig;
use super::problem::Problems;
use super::table::{Keys, Value};
use super::value::cidr;
use crate::network::{Cidr, is_zone_id, is_zone_name};

pub static KEYS: Keys =
    Keys { table: "{ name = .., id = .., cidrs = [..] }", known: &["name", "id", "cidrs"] };

/// More zones than any region has.
pub const MOST_ZONES: usize = 16;

/// An endpoint has one subnet in a zone, with a range of each family. Single addresses need more.
pub const MOST_CIDRS: usize = 16;

pub fn zones(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Vec<ZoneConfig>> {
    let expected = "a list of tables such as { name = \"us-east-1a\", cidrs = [\"10.0.1.0/24\"] }";
    let items = value.items(expected, MOST_ZONES, problems)?;
    let mut known = Known::default();
    let zones: Vec<Option<ZoneConfig>> = items.iter().map(|item| zone(item, &mut known, problems)).collect();
    let zones: Vec<ZoneConfig> = zones.into_iter().collect::<Option<_>>()?;
    // With some of them, zones of two accounts could be taken for one.
    let with_id = zones.iter().filter(|zone| zone.id.is_some()).count();
    if with_id != 0 && with_id != zones.len() {
        problems.add(&value.span, "id must be given for every zone of an endpoint, or for none");
        return None;
    }
    Some(zones)
}

/// What earlier zones of the same endpoint have.
#[derive(Default)]
struct Known {
    names: HashMap<String, usize>,
    ids: HashMap<String, usize>,
    cidrs: Vec<(Cidr, String)>,
}

fn zone(item: &Value<'_>, known: &mut Known, problems: &mut Problems<'_>) -> Option<ZoneConfig> {
    let table = item.table(&KEYS, problems)?;
    let name = table.read_optional("name", problems, |value, problems| {
        let name = value.text("a string such as \"us-east-1a\"", problems)?;
        if !is_zone_name(name) {
            let message = if is_zone_id(name) {
                format!("{name:?} is the id of a zone; write it as id, and the name, such as \"us-east-1a\", as name")
            } else {
                format!("invalid zone name {name:?} (expected something like \"us-east-1a\")")
            };
            problems.add(&value.span, message);
            return None;
        }
        is_new(name.to_owned(), "name", value, &mut known.names, problems)
    });
    let id = table.read_optional("id", problems, |value, problems| {
        let id = value.text("a string such as \"use1-az1\"", problems)?;
        if !is_zone_id(id) {
            let message = format!("invalid zone id {id:?} (expected something like \"use1-az1\")");
            problems.add(&value.span, message);
            return None;
        }
        is_new(id.to_owned(), "id", value, &mut known.ids, problems)
    });
    let cidrs = table
        .read("cidrs", Some(Vec::new()), problems, |value, problems| value.list(MOST_CIDRS, problems, cidr));
    if name == Some(None) {
        problems.add(&table.span, "a zone needs a name, such as \"us-east-1a\"");
    }
    if cidrs.as_ref().is_some_and(Vec::is_empty) {
        let span = table.value("cidrs").map_or(table.span.clone(), |value| value.span);
        problems.add(&span, "a zone needs at least one CIDR in cidrs");
    }
    let zone = ZoneConfig { name: name??, id: id?, cidrs: cidrs.filter(|cidrs| !cidrs.is_empty())? };
    check_overlap(&zone, item, known, problems)?;
    Some(zone)
}

fn is_new<T: Clone + Eq + Hash + std::fmt::Debug>(
    text: T,
    key: &str,
    value: &Value<'_>,
    lines: &mut HashMap<T, usize>,
    problems: &mut Problems<'_>,
) -> Option<T> {
    if let Some(line) = lines.get(&text) {
        problems.add(&value.span, format!("duplicate zone {key} {text:?} (first given on line {line})"));
        return None;
    }
    lines.insert(text.clone(), problems.line(&value.span));
    Some(text)
}

/// An address must not be in two zones.
fn check_overlap(
    zone: &ZoneConfig,
    item: &Value<'_>,
    known: &mut Known,
    problems: &mut Problems<'_>,
) -> Option<()> {
    for cidr in &zone.cidrs {
        if let Some((other, name)) = known.cidrs.iter().find(|(other, _)| other.overlaps(*cidr)) {
            problems.add(&item.span, format!("{cidr} of {} overlaps {other} of {name}", zone.name));
            return None;
        }
    }
    known.cidrs.extend(zone.cidrs.iter().map(|cidr| (*cidr, zone.name.clone())));
    Some(())
}
