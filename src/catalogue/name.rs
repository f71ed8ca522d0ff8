//! The names of a service, from the templates of `services.tsv`.

use std::fmt;

use super::partition::{PARTITIONS, Partition, is_region};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Regional,
    DualStack,
    Fips,
    FipsDualStack,
}

impl Kind {
    /// In the order of the columns, which is that of how often a name is asked.
    pub const ALL: [Self; 4] = [Self::Regional, Self::DualStack, Self::Fips, Self::FipsDualStack];

    pub const fn is_fips(self) -> bool {
        matches!(self, Self::Fips | Self::FipsDualStack)
    }
}

/// Which endpoint makes a name private.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coverage {
    Endpoint,
    /// The one of the service with `-fips` in its name.
    FipsEndpoint,
    /// SDKs ask the name; whether the endpoint covers it is unknown.
    Unknown,
    /// None: the service has no private DNS.
    Public,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Name {
    pub kind: Kind,
    pub coverage: Coverage,
    /// Without the `*.` of a wildcard.
    pub host: String,
    /// A label that only the user knows comes before the host.
    pub is_wildcard: bool,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_wildcard { "*." } else { "" }, self.host)
    }
}

/// Says of a place that the service has no such name there.
const NONE: &str = "-";

/// One name of a column, its marks taken off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Template {
    /// Regions and partitions, separated by commas, or empty.
    places: &'static str,
    /// Whether it is known that the endpoint covers the name.
    pub is_covered: bool,
    pub is_wildcard: bool,
    host: &'static str,
}

impl Template {
    fn parse(text: &'static str) -> Self {
        let (places, rest) = text.split_once(':').unwrap_or(("", text));
        let (is_covered, rest) = rest.strip_prefix('?').map_or((true, rest), |rest| (false, rest));
        let (is_wildcard, host) = rest.strip_prefix("*.").map_or((false, rest), |host| (true, host));
        Self { places, is_covered, is_wildcard, host }
    }

    pub fn host(self, region: &str) -> String {
        let partition = Partition::of(region);
        let mut host = self.host.replace("{region}", region);
        for (placeholder, value) in placeholders(partition) {
            host = host.replace(placeholder, value);
        }
        host
    }

    fn is_for(self, place: &str) -> bool {
        self.places.split(',').any(|listed| listed == place)
    }

    /// A suffix that is written out is known for `amazonaws.com` alone.
    fn exists_in(self, partition: Partition) -> bool {
        self.host != NONE && (self.host.ends_with('}') || partition.is_commercial())
    }
}

const fn placeholders(partition: Partition) -> [(&'static str, &'static str); 3] {
    [
        ("{global}", partition.global_region),
        ("{dns}", partition.suffix),
        ("{dual}", partition.dual_stack_suffix),
    ]
}

/// The names of a column in this region: those given for the region, else those for its
/// partition, else those without a place.
pub fn in_region(column: &'static str, region: &str) -> impl Iterator<Item = Template> {
    let partition = Partition::of(region);
    let all = move || column.split(' ').filter(|text| !text.is_empty()).map(Template::parse);
    let place = [region, partition.id].into_iter().find(|place| all().any(|name| name.is_for(place)));
    let place = place.unwrap_or_default().to_owned();
    all().filter(move |name| name.is_for(&place) && name.exists_in(partition))
}

/// Whether every name of a column is well formed.
pub fn check(column: &'static str) -> Result<(), String> {
    let invalid = column.split(' ').filter(|text| !text.is_empty()).find(|text| !is_valid(text));
    invalid.map_or(Ok(()), |text| Err(format!("invalid name {text:?}")))
}

fn is_valid(text: &'static str) -> bool {
    let template = Template::parse(text);
    let is_place = |place: &str| is_region(place) || PARTITIONS.iter().any(|partition| partition.id == place);
    let are_places = !text.contains(':') || template.places.split(',').all(is_place);
    let is_none = template.host == NONE && !template.places.is_empty();
    are_places && (is_none || is_host(&template.host("us-east-1")))
}

fn is_host(host: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_allowed);
    host.len() <= 200 && host.contains('.') && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(column: &'static str, region: &str) -> Vec<String> {
        in_region(column, region).map(|name| name.host(region)).collect()
    }

    #[test]
    fn a_region_outranks_its_partition_and_both_outrank_the_rest() {
        let column =
            "a.{region}.{dns} b.{region}.{dns} aws-cn:c.{dns} cn-north-1,us-east-2:?*.d.{global}.{dual}";
        assert_eq!(hosts(column, "eu-west-1"), ["a.eu-west-1.amazonaws.com", "b.eu-west-1.amazonaws.com"]);
        assert_eq!(hosts(column, "cn-northwest-1"), ["c.amazonaws.com.cn"]);
        assert_eq!(hosts(column, "cn-north-1"), ["d.cn-northwest-1.api.amazonwebservices.com.cn"]);
        assert_eq!(hosts(column, "us-east-2"), ["d.us-east-1.api.aws"]);
        let marked = in_region(column, "us-east-2").next().unwrap();
        assert!(marked.is_wildcard && !marked.is_covered);
        assert_eq!(hosts("", "us-east-1"), Vec::<String>::new());
        assert_eq!(hosts("a.{region}.{dns} aws-cn:-", "cn-north-1"), Vec::<String>::new());
    }

    #[test]
    fn a_written_suffix_stays_where_it_is_known() {
        let column = "*.dkr-ecr.{region}.on.aws";
        assert_eq!(hosts(column, "us-gov-west-1"), ["dkr-ecr.us-gov-west-1.on.aws"]);
        assert_eq!(hosts(column, "cn-north-1"), Vec::<String>::new());
    }

    #[test]
    fn malformed_names_are_refused() {
        assert_eq!(check("kms.{region}.{dns} aws-cn,us-east-1:?*.kms.{dual} aws-iso:-"), Ok(()));
        for name in [
            "kms",
            "KMS.{dns}",
            "kms..{dns}",
            "a.{dns}.",
            "{label}.{dns}",
            "mars:a.{dns}",
            ":a.{dns}",
            "*",
            "?",
        ] {
            assert_eq!(check(name), Err(format!("invalid name {name:?}")));
        }
    }
}
