//! `vpce_hosts` of an `[[endpoint]]`: the endpoint's own DNS names.

use super::name::host_name;
use super::problem::Problems;
use super::table::Value;

/// A regional name, and one for each zone of the largest region.
const MOST: usize = 16;

/// `hosts`: the names that the addresses are looked up by.
pub fn own_names(value: &Value<'_>, hosts: &[String], problems: &mut Problems<'_>) -> Option<Vec<String>> {
    let mut first = None;
    let names = value.list(MOST, problems, |value, problems| own_name(value, hosts, &mut first, problems))?;
    if names.is_empty() {
        problems.add(&value.span, "vpce_hosts must contain at least one name");
        return None;
    }
    Some(names)
}

fn own_name(
    value: &Value<'_>,
    hosts: &[String],
    first: &mut Option<String>,
    problems: &mut Problems<'_>,
) -> Option<String> {
    let text = value.text("strings such as \"vpce-0a1b..-1a2b..\"", problems)?;
    let checked = host_name(text).and_then(|name| check(&name, hosts, first).map(|()| name));
    checked.inspect_err(|why| problems.add(&value.span, why)).ok()
}

fn check(name: &str, hosts: &[String], first: &mut Option<String>) -> Result<(), String> {
    // Without private DNS the host is an own name too (`import` writes it so). AWS gives that name to
    // one endpoint alone.
    if hosts.iter().any(|host| host == name) && !(id(name).is_some() && name.contains(".vpce.")) {
        return Err(format!("{name:?} is the host itself, so every address would match; {ADVICE}"));
    }
    let id = id(name).ok_or_else(|| format!("{name:?} is not the endpoint's own DNS name; {ADVICE}"))?;
    let first = first.get_or_insert_with(|| id.to_owned());
    if first != id {
        return Err(format!(
            "{name:?} belongs to another endpoint than the names before it ({first}); give {id} its own [[endpoint]]"
        ));
    }
    Ok(())
}

const ADVICE: &str =
    "list the vpce- names that `aws ec2 describe-vpc-endpoints` shows as DnsEntries, or delete vpce_hosts";

/// `vpce-0a1b..` in `vpce-0a1b..-1a2b..-us-east-1a.`. S3's names have a label in front of it.
fn id(name: &str) -> Option<&str> {
    let id = |label: &str| {
        let id = label.strip_prefix("vpce-")?.split('-').next()?.len();
        Some("vpce-".len() + id)
    };
    let is_id = |id: &str| !matches!(id, "vpce-" | "vpce-svc");
    name.split('.').filter_map(|label| label.get(..id(label)?)).find(|id| is_id(id))
}

#[cfg(test)]
mod tests {
    use super::id;

    #[test]
    fn the_id_of_the_endpoint_is_in_each_of_its_names() {
        for (name, expected) in [
            ("vpce-0a1b-c2d3.monitoring.us-east-1.vpce.amazonaws.com", Some("vpce-0a1b")),
            ("vpce-0a1b-c2d3-us-east-1a.kms.us-east-1.vpce.amazonaws.com", Some("vpce-0a1b")),
            ("bucket.vpce-0a1b-c2d3.s3.us-east-1.vpce.amazonaws.com", Some("vpce-0a1b")),
            ("vpce-0a1b.s3.us-east-1.vpce.amazonaws.com", Some("vpce-0a1b")),
            ("vpce-0a1b-c2d3.vpce-svc-0e1f.us-east-1.vpce.amazonaws.com", Some("vpce-0a1b")),
            ("vpce-svc-0e1f.us-east-1.vpce.amazonaws.com", None),
            ("vpce-.us-east-1.vpce.amazonaws.com", None),
            ("monitoring.us-east-1.amazonaws.com", None),
        ] {
            assert_eq!(id(name), expected, "{name}");
        }
    }
}
