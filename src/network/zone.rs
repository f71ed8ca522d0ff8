//! Availability zones. A name (`us-east-1a`) may mean another place in another account; an id
//! (`use1-az1`) means the same place in all of them.

use super::is_region;

const LONGEST: usize = 64;

/// `us-east-1` of `us-east-1a` and of the local zone `us-east-1-bos-1a`.
pub fn region_of_zone(zone: &str) -> Option<&str> {
    let ends = zone.match_indices('-').map(|(at, _)| at).chain([zone.len()]);
    let begins = ends.map(|end| zone[..end].trim_end_matches(|c: char| c.is_ascii_lowercase()));
    begins.into_iter().find(|begin| is_region(begin))
}

/// The name of a zone: its region, and a letter or more behind it.
pub fn is_zone_name(text: &str) -> bool {
    is_word(text) && region_of_zone(text).is_some_and(|region| region.len() < text.len())
}

/// The id of a zone: `use1-az1`, or `use1-bos1-az1` of a local zone. It does not begin with a region.
pub fn is_zone_id(text: &str) -> bool {
    let first = text.split('-').next().unwrap_or_default();
    is_word(text) && text.contains('-') && first.ends_with(|c: char| c.is_ascii_digit())
}

fn is_word(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_bare = !text.starts_with('-') && !text.ends_with('-');
    (1..=LONGEST).contains(&text.len()) && is_bare && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_names_its_region() {
        for (zone, region) in [
            ("us-east-1a", Some("us-east-1")),
            ("us-gov-west-1b", Some("us-gov-west-1")),
            ("us-east-1-bos-1a", Some("us-east-1")),
            ("us-east-1-wl1-bos-wlz-1", Some("us-east-1")),
            ("eusc-de-east-1a", Some("eusc-de-east-1")),
            ("bucket", None),
            ("", None),
        ] {
            assert_eq!(region_of_zone(zone), region, "{zone}");
        }
    }

    #[test]
    fn names_and_ids_of_zones_are_told_apart() {
        for name in ["us-east-1a", "us-gov-west-1b", "us-east-1-bos-1a", "us-east-1-wl1-bos-wlz-1"] {
            assert!(is_zone_name(name) && !is_zone_id(name), "{name}");
        }
        for id in ["use1-az1", "usgw1-az2", "eusce1-az1", "use1-bos1-az1", "use1-wl1-bos-wlz1"] {
            assert!(is_zone_id(id) && !is_zone_name(id), "{id}");
        }
        let long = format!("us-east-1{}", "a".repeat(64));
        for neither in
            ["", "us-east-1", "US-EAST-1A", "us-east-1a\"", "us-east-1a\n", "use1", "-", "-az1", &long]
        {
            assert!(!is_zone_name(neither) && !is_zone_id(neither), "{neither:?}");
        }
    }
}
