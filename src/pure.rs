//! What is computed for each observation, scrape and page, at the size of an estate: for the
//! benchmark (`make bench-pure`).

use crate::config::Config;
use crate::estate::{Estate, Options};
use crate::metrics::Metrics;
use crate::report::{fixture, json, text};
use crate::serve;

/// One computation. It returns the size of what it made, so that nothing is optimized away.
#[allow(missing_debug_implementations, reason = "a closure has none")]
pub struct Part {
    pub name: &'static str,
    pub run: Box<dyn Fn() -> usize>,
}

/// As `describe-vpc-endpoints` has them, each of a service of its own.
fn described(endpoints: usize) -> String {
    let endpoint = |number: usize| {
        let service = format!("service{number}.us-east-1");
        let own = ["", "-us-east-1a", "-us-east-1b"].map(|zone| {
            format!(r#"{{"DnsName": "vpce-{number:017x}-1a2b{zone}.{service}.vpce.amazonaws.com"}}"#)
        });
        format!(
            r#"{{"VpcEndpointId": "vpce-{number:017x}", "VpcEndpointType": "Interface", "VpcId": "vpc-0a",
            "ServiceName": "com.amazonaws.us-east-1.service{number}", "State": "available",
            "PrivateDnsEnabled": true, "DnsEntries": [{}, {{"DnsName": "{service}.amazonaws.com"}}]}}"#,
            own.join(", ")
        )
    };
    let endpoints: Vec<String> = (0..endpoints).map(endpoint).collect();
    format!(r#"{{"VpcEndpoints": [{}]}}"#, endpoints.join(", "))
}

/// The length of the configuration.
fn import(file: &str) -> usize {
    let mut estate = Estate::default();
    let imported = estate.read("endpoints.json", file.as_bytes());
    imported
        .and_then(|()| estate.configuration(&Options::default()))
        .map_or(0, |imported| imported.text.len())
}

/// Each endpoint has three addresses.
pub fn parts(endpoints: usize) -> Vec<Part> {
    let report = fixture::estate(endpoints);
    let metrics = Metrics::of(&report);
    let configuration: String = (0..endpoints)
        .map(|number| format!("[[endpoint]]\nname = 'e{number}'\nhost = 'e{number}.example'\n"))
        .collect();
    let described = described(endpoints);
    let part = |name, run: Box<dyn Fn() -> usize>| Part { name, run };
    let with = |run: fn(&crate::report::Report) -> usize| -> Box<dyn Fn() -> usize> {
        let report = report.clone();
        Box::new(move || run(&report))
    };
    vec![
        part(
            "diagnosis",
            with(|report| {
                let mut report = report.clone();
                report.diagnose();
                report.checks.len() + report.diagnoses.len()
            }),
        ),
        part("JSON", with(|report| json::render(report).map_or(0, |page| page.len()))),
        part("text", with(|report| text::render(report, text::Style::PLAIN).len())),
        part("page", with(|report| serve::page(report, report.finished_at, true, &[]).len())),
        part("metrics", {
            let report = report.clone();
            Box::new(move || metrics.textfile(&report).len())
        }),
        part("import", Box::new(move || import(&described))),
        part(
            "configuration",
            Box::new(move || {
                Config::parse(&configuration, "linkproof.toml").map_or(0, |config| config.endpoints.len())
            }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_makes_something_that_grows_with_the_estate() {
        for (few, many) in parts(2).iter().zip(parts(8)) {
            let (size_few, size_many) = ((few.run)(), (many.run)());
            assert!(size_many > size_few, "{}: {size_few} {size_many}", few.name);
        }
    }
}
