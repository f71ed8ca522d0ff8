//! Variables of the environment by which applications go elsewhere than was looked at.

use std::collections::BTreeMap;

/// Nothing here obeys them; beside regions and `NO_PROXY` only their names are kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Environment {
    /// By which programs are sent through a proxy.
    pub proxy_variables: Vec<String>,
    /// What `NO_PROXY` and `no_proxy` say, as far as they are set.
    pub no_proxy: Vec<String>,
    /// By which AWS clients ask other names, or go to other addresses.
    pub endpoint_variables: Vec<String>,
    /// By which AWS clients ask the names of a region, with the region.
    pub region_variables: BTreeMap<String, String>,
}

impl Environment {
    /// Whether `NO_PROXY` keeps every program from the proxy. Some programs read the variable in upper
    /// case, others in lower case, so both have to name `host` where both are set.
    pub fn bypasses_proxy(&self, host: &str) -> bool {
        !self.no_proxy.is_empty() && self.no_proxy.iter().all(|list| covers(list, host))
    }
}

/// What curl, Go and Python's urllib read the same way: commas between names, a name with all names below
/// it, or `*` alone. Each of them knows more, such as ports, CIDRs and blanks.
fn covers(list: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let is_covered = |entry: &str| {
        let entry = entry.trim().to_ascii_lowercase();
        let name = entry.strip_prefix('.').unwrap_or(&entry);
        !name.is_empty() && (entry == host || host.ends_with(&format!(".{name}")))
    };
    list.trim() == "*" || list.split(',').any(is_covered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_covers_what_all_programs_agree_on() {
        const HOST: &str = "monitoring.us-east-1.amazonaws.com";
        for (list, covered) in [
            (HOST, true),
            ("localhost, Monitoring.US-east-1.amazonaws.com", true),
            (".amazonaws.com", true),
            ("amazonaws.com", true),
            (" * ", true),
            ("", false),
            (".", false),
            (",", false),
            ("aws.com", false),
            ("*.amazonaws.com", false),
            ("localhost,*", false),
            (".monitoring.us-east-1.amazonaws.com", false),
            ("monitoring.us-east-1.amazonaws.com:443", false),
            ("localhost amazonaws.com", false),
            ("10.0.0.0/8", false),
        ] {
            assert_eq!(covers(list, HOST), covered, "{list:?}");
        }
        assert!(covers("169.254.169.254", "169.254.169.254"));
    }

    #[test]
    fn both_spellings_have_to_cover_a_host() {
        let of = |lists: &[&str]| Environment {
            no_proxy: lists.iter().map(|list| (*list).to_owned()).collect(),
            ..Environment::default()
        };
        for (lists, bypasses) in [
            (&[][..], false),
            (&["example.com"], true),
            (&["example.com", "localhost"], false),
            (&["example.com", "*"], true),
        ] {
            assert_eq!(of(lists).bypasses_proxy("a.example.com"), bypasses, "{lists:?}");
        }
    }
}
