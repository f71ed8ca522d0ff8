//! One line of `services.tsv`, checked column by column.

use super::name::{self, Kind};
use super::partition::{PARTITIONS, Partition};
use crate::observation::EndpointProtocol;

const NOTHING: &str = "-";

/// How the private DNS name of a service is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PrivateDns {
    /// AWS documents it or has it in its own tools, or it was recorded in a VPC.
    Documented,
    /// It is what the SDKs ask, or independent lists agree on it.
    Inferred,
    /// There is none: the names stay public, whether there is an endpoint or not.
    None,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Row {
    pub service: &'static str,
    pub private_dns: PrivateDns,
    pub interface: bool,
    pub gateway: bool,
    pub port: u16,
    pub protocol: EndpointProtocol,
    /// Ids of partitions, `*` for all, `?` where it is unknown.
    partitions: &'static str,
    /// The endpoint service of its own that has the FIPS names.
    pub fips_service: Option<&'static str>,
    also_called: &'static str,
    /// In the order of [`Kind::ALL`].
    names: [&'static str; 4],
    pub note: Option<&'static str>,
}

impl Row {
    /// The error says which column is wrong.
    pub fn parse(line: &'static str) -> Result<Self, String> {
        let columns: Vec<&str> = line.split('\t').collect();
        let Ok(
            [service, class, kind, port, partitions, fips, called, regional, dual, fips_names, both, note],
        ) = <[&'static str; 12]>::try_from(columns)
        else {
            return Err("not 12 columns".to_owned());
        };
        let (interface, gateway) = endpoint_types(kind)?;
        let (port, protocol) = port_and_protocol(port)?;
        let row = Self {
            service: word(service)?,
            private_dns: private_dns(class)?,
            interface,
            gateway,
            port,
            protocol,
            partitions: partition_list(partitions)?,
            fips_service: optional(fips).map(word).transpose()?,
            also_called: optional(called).unwrap_or_default(),
            names: [regional, dual, fips_names, both].map(|names| optional(names).unwrap_or_default()),
            note: optional(note),
        };
        row.also_called().try_for_each(|called| word(called).map(|_| ()))?;
        row.names.iter().try_for_each(|names| name::check(names))?;
        if regional == NOTHING { Err("a service without a name".to_owned()) } else { Ok(row) }
    }

    pub fn also_called(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.also_called.split(',').filter(|called| !called.is_empty())
    }

    pub fn names(&self, kind: Kind) -> &'static str {
        self.names[kind as usize]
    }

    /// Where SDKs know the service; `None` where that is unknown.
    pub fn partitions(&self) -> Option<Vec<&'static str>> {
        match self.partitions {
            "?" => None,
            "*" => Some(PARTITIONS.map(|partition| partition.id).to_vec()),
            listed => Some(listed.split(',').collect()),
        }
    }

    /// Whether it is known not to exist in this partition.
    pub fn is_absent_from(&self, partition: Partition) -> bool {
        self.partitions().is_some_and(|listed| !listed.contains(&partition.id))
    }
}

fn optional(column: &'static str) -> Option<&'static str> {
    (column != NOTHING).then_some(column)
}

fn word(text: &'static str) -> Result<&'static str, String> {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let is_word = (1..=64).contains(&text.len()) && text.bytes().all(is_allowed);
    if is_word { Ok(text) } else { Err(format!("invalid service {text:?}")) }
}

fn private_dns(class: &str) -> Result<PrivateDns, String> {
    match class {
        "A" => Ok(PrivateDns::Documented),
        "B" => Ok(PrivateDns::Inferred),
        "N" => Ok(PrivateDns::None),
        _ => Err(format!("invalid class {class:?}")),
    }
}

fn endpoint_types(text: &str) -> Result<(bool, bool), String> {
    match text {
        "interface" => Ok((true, false)),
        "gateway" => Ok((false, true)),
        "both" => Ok((true, true)),
        _ => Err(format!("invalid type {text:?}")),
    }
}

fn port_and_protocol(text: &str) -> Result<(u16, EndpointProtocol), String> {
    let invalid = || format!("invalid port {text:?}");
    let (port, protocol) = text.split_once('/').ok_or_else(invalid)?;
    let protocol = match protocol {
        "https" => EndpointProtocol::Https,
        "tls" => EndpointProtocol::Tls,
        "tcp" => EndpointProtocol::Tcp,
        _ => return Err(invalid()),
    };
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(invalid)?;
    Ok((port, protocol))
}

fn partition_list(text: &'static str) -> Result<&'static str, String> {
    let is_known = |id: &str| PARTITIONS.iter().any(|partition| partition.id == id);
    if matches!(text, "*" | "?") || text.split(',').all(is_known) {
        Ok(text)
    } else {
        Err(format!("invalid partitions {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "kms\tA\tinterface\t443/https\t*\tkms-fips\tkey-management\tkms.{region}.{dns}\t?kms.{region}.{dual}\tkms-fips.{region}.{dns}\t-\t-";

    #[test]
    fn a_line_becomes_a_row() {
        let row = Row::parse(LINE).unwrap();
        assert_eq!((row.service, row.port, row.protocol), ("kms", 443, EndpointProtocol::Https));
        assert_eq!((row.private_dns, row.interface, row.gateway), (PrivateDns::Documented, true, false));
        assert_eq!(row.also_called().collect::<Vec<_>>(), ["key-management"]);
        assert_eq!((row.fips_service, row.note), (Some("kms-fips"), None));
        assert_eq!(row.names(Kind::DualStack), "?kms.{region}.{dual}");
        assert_eq!(row.names(Kind::FipsDualStack), "");
        assert_eq!(row.partitions().map(|ids| ids.len()), Some(8));
    }

    #[test]
    fn malformed_lines_are_refused() {
        for (from, to, error) in [
            ("kms\tA", "KMS\tA", "invalid service \"KMS\""),
            ("kms\tA", "\tA", "invalid service \"\""),
            ("\tA\t", "\tC\t", "invalid class \"C\""),
            ("interface", "resource", "invalid type \"resource\""),
            ("443/https", "443", "invalid port \"443\""),
            ("443/https", "0/https", "invalid port \"0/https\""),
            ("443/https", "70000/https", "invalid port \"70000/https\""),
            ("443/https", "443/udp", "invalid port \"443/udp\""),
            ("\t*\t", "\taws,mars\t", "invalid partitions \"aws,mars\""),
            ("kms-fips\t", "kms fips\t", "invalid service \"kms fips\""),
            ("key-management", "key_management", "invalid service \"key_management\""),
            ("kms.{region}.{dns}\t?", "-\t?", "a service without a name"),
            ("kms.{region}.{dns}\t?", "kms.{place}.{dns}\t?", "invalid name \"kms.{place}.{dns}\""),
            ("\t-\t-", "\t-", "not 12 columns"),
            ("\t-\t-", "\t-\t-\t-", "not 12 columns"),
        ] {
            let line: &'static str = LINE.replacen(from, to, 1).leak();
            assert_eq!(Row::parse(line).unwrap_err(), error, "{line}");
        }
    }

    #[test]
    fn an_unknown_partition_rules_nothing_out() {
        let row = |partitions: &str| Row::parse(LINE.replacen("\t*\t", partitions, 1).leak()).unwrap();
        let china = Partition::of("cn-north-1");
        assert!(row("\taws,aws-us-gov\t").is_absent_from(china));
        assert!(!row("\taws,aws-cn\t").is_absent_from(china));
        assert!(!row("\t?\t").is_absent_from(china));
        assert!(!row("\t*\t").is_absent_from(china));
    }
}
