//! Every Prometheus series is named here. Gauges and most counters are read off the report at each
//! scrape, so a series is gone once its address, check or target is; only what a single
//! report cannot know (histograms, sums over attempts) is kept. A scrape never probes.

mod accept;
mod counters;
mod family;
mod gauges;
mod histogram;
mod openmetrics;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use prometheus::TextEncoder;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;

use crate::check::CheckId;
use crate::observation::Observation;
use crate::report::Report;
use accept::ExpositionFormat;
use counters::Counters;

#[derive(Debug)]
pub struct Metrics {
    counters: Mutex<BTreeMap<CheckId, Counters>>,
    last_reload_succeeded: AtomicBool,
    process: ProcessCollector,
}

/// A page, and what its `Content-Type` has to say.
#[derive(Debug, Eq, PartialEq)]
pub struct Exposition {
    pub content_type: &'static str,
    pub body: String,
}

/// The content type that an `Accept` header prefers. As an `Accept` header it selects itself.
pub fn content_type(accept: &str) -> &'static str {
    accept::format(accept).content_type()
}

impl Metrics {
    pub fn new() -> Self {
        Self {
            counters: Mutex::default(),
            // We run, so a configuration was accepted.
            last_reload_succeeded: AtomicBool::new(true),
            process: ProcessCollector::for_self(),
        }
    }

    /// Of a report by itself, as if its attempts were the only ones.
    pub fn of(report: &Report) -> Self {
        let metrics = Self::new();
        report.checks.iter().filter_map(|check| check.last.as_ref()).for_each(|last| metrics.observe(last));
        metrics
    }

    /// To be called once for every attempt.
    pub fn observe(&self, observation: &Observation) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.entry(observation.check.clone()).or_default().add(observation);
    }

    pub fn reloaded(&self, succeeded: bool) {
        self.last_reload_succeeded.store(succeeded, Ordering::Relaxed);
    }

    /// The page in the format that the `Accept` header prefers.
    pub fn page(&self, report: &Report, accept: &str) -> Exposition {
        let mut families = self.families(report);
        families.extend(self.process.collect());
        encode(&families, accept::format(accept))
    }

    /// The page for node_exporter's textfile collector: without our process, since node_exporter
    /// tells the same of its own, and series that come twice are an error to it.
    pub fn textfile(&self, report: &Report) -> String {
        encode(&self.families(report), ExpositionFormat::Text).body
    }

    fn families(&self, report: &Report) -> Vec<MetricFamily> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|id, _| report.checks.iter().any(|check| check.id == *id));
        for check in &report.checks {
            counters.entry(check.id.clone()).or_default().sync(check.last.as_ref());
        }
        let mut families = gauges::families(report, self.last_reload_succeeded.load(Ordering::Relaxed));
        families.extend(counters::families(&counters, report));
        let mut families: Vec<MetricFamily> =
            families.into_iter().filter_map(family::Family::finish).collect();
        families.sort_by(|a, b| a.name().cmp(b.name()));
        families
    }
}

fn encode(families: &[MetricFamily], format: ExpositionFormat) -> Exposition {
    let body = match format {
        ExpositionFormat::OpenMetrics => openmetrics::encode(families),
        ExpositionFormat::Text => TextEncoder::new()
            .encode_to_string(families)
            .expect("the encoder refuses only families without a name or a series, and there are none"),
    };
    Exposition { content_type: format.content_type(), body }
}

#[cfg(test)]
mod tests;
