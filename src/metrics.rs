//! Every Prometheus series is named here. Gauges and most counters are read off the report at each
//! scrape, so a series is gone once its address, check or target is; only what a single
//! report cannot know (durations, sums over attempts) is kept. A scrape never probes.

mod accept;
mod clock;
mod counters;
mod family;
mod gauges;
mod openmetrics;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, HistogramVec, TextEncoder};

use crate::check::CheckId;
use crate::observation::Observation;
use crate::report::Report;
use accept::ExpositionFormat;
use counters::Counters;
use family::Family;

#[derive(Debug)]
pub struct Metrics {
    /// By kind of check.
    durations: HistogramVec,
    /// Of the schedule.
    delays: Histogram,
    counters: Mutex<BTreeMap<CheckId, Counters>>,
    last_reload_succeeded: AtomicBool,
    /// Whether the web configuration in use is that of its file, which is read without a reload.
    web_is_current: Arc<AtomicBool>,
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
        Self::with_web(Arc::new(AtomicBool::new(true)))
    }

    pub fn with_web(web_is_current: Arc<AtomicBool>) -> Self {
        Self {
            web_is_current,
            durations: durations(),
            delays: delays(),
            counters: Mutex::default(),
            // We run, so a configuration was accepted.
            last_reload_succeeded: AtomicBool::new(true),
            process: ProcessCollector::for_self(),
        }
    }

    /// Of a report by itself, as if its attempts were the only ones.
    pub fn of(report: &Report) -> Self {
        let metrics = Self::new();
        report.checks.iter().filter_map(|check| check.last.as_deref()).for_each(|last| metrics.observe(last));
        metrics
    }

    /// To be called once for every attempt.
    pub fn observe(&self, observation: &Observation) {
        self.durations
            .with_label_values(&[observation.check.kind().code()])
            .observe(observation.took.as_secs_f64());
        if counters::counts(observation) {
            let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
            counters.entry(observation.check.clone()).or_default().add(observation);
        }
    }

    /// To be called when a run starts, with the time since it was due.
    pub fn started(&self, late: Duration) {
        self.delays.observe(late.as_secs_f64());
    }

    pub fn reloaded(&self, succeeded: bool) {
        self.last_reload_succeeded.store(succeeded, Ordering::Relaxed);
    }

    /// The page in the format that the `Accept` header prefers.
    pub fn page(&self, report: &Report, accept: &str) -> Exposition {
        let mut families = self.families(report);
        families.extend(self.process.collect().into_iter().map(Source::Library));
        encode(families, accept::format(accept))
    }

    /// The page for node_exporter's textfile collector: without our process, since node_exporter
    /// tells the same of its own, and series that come twice are an error to it.
    pub fn textfile(&self, report: &Report) -> String {
        encode(self.families(report), ExpositionFormat::Text).body
    }

    /// In a fixed order. What has not run is there as well, at zero.
    fn durations(&self, report: &Report) -> Option<MetricFamily> {
        for check in &report.checks {
            self.durations.with_label_values(&[check.id.kind().code()]);
        }
        let mut family = self.durations.collect().pop().filter(|family| !family.get_metric().is_empty())?;
        let mut series = family.take_metric();
        series.sort_by(family::by_labels);
        family.set_metric(series);
        Some(family)
    }

    /// `None` with `--once`, which has no schedule.
    fn delays(&self) -> Option<MetricFamily> {
        self.delays.collect().pop().filter(|_| self.delays.get_sample_count() > 0)
    }

    /// A copy, so that a scrape does not hold up the engine, which counts. Few checks have counters.
    fn counters(&self, report: &Report) -> BTreeMap<CheckId, Counters> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|id, _| report.check(id).is_some());
        for last in report.checks.iter().filter_map(|check| check.last.as_deref()) {
            if counters::counts(last) {
                counters.entry(last.check.clone()).or_default().sync(last);
            }
        }
        counters.clone()
    }

    /// In the order of their names.
    fn families(&self, report: &Report) -> Vec<Source> {
        let succeeded = [&self.last_reload_succeeded, &*self.web_is_current];
        let succeeded = succeeded.iter().all(|succeeded| succeeded.load(Ordering::Relaxed));
        let mut families = gauges::families(report, succeeded);
        families.extend(counters::families(&self.counters(report), report));
        let own = families.into_iter().filter_map(Family::finish).map(Source::Own);
        let histograms = self.durations(report).into_iter().chain(self.delays());
        let mut families: Vec<Source> = own.chain(histograms.map(Source::Library)).collect();
        families.sort_by(|a, b| a.name().cmp(b.name()));
        families
    }
}

/// An answer inside a VPC takes a few milliseconds, and no timeout is longer than 10 s.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const VALID: &str = "the crate refuses only invalid names and buckets out of order, and these are neither";

fn durations() -> HistogramVec {
    let options = HistogramOpts::new(
        "linkproof_check_duration_seconds",
        "Duration of the runs of a kind of check in seconds.",
    );
    HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["kind"]).expect(VALID)
}

fn delays() -> Histogram {
    let options = HistogramOpts::new(
        "linkproof_check_start_delay_seconds",
        "Time from when a run of a check was due until it started, in seconds.",
    );
    Histogram::with_opts(options.buckets(BUCKETS.to_vec())).expect(VALID)
}

/// A family that we made, or one that the library counted.
#[derive(Debug)]
enum Source {
    Own(Family),
    Library(MetricFamily),
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Self::Own(family) => family.name,
            Self::Library(family) => family.name(),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Own(family) => family.length(),
            // A histogram with its buckets.
            Self::Library(family) => 4096 * family.get_metric().len(),
        }
    }
}

/// Each family goes once it is written, and the page has its memory at once: a scrape of many
/// endpoints needs little more than the page.
fn encode(families: Vec<Source>, format: ExpositionFormat) -> Exposition {
    let mut body = String::with_capacity(families.iter().map(Source::length).sum());
    for family in families {
        match format {
            ExpositionFormat::OpenMetrics => match family {
                Source::Own(family) => openmetrics::family(&mut body, &family),
                Source::Library(family) => openmetrics::library_family(&mut body, &family),
            },
            ExpositionFormat::Text => match family {
                Source::Own(family) => text_family(&mut body, &family),
                Source::Library(family) => TextEncoder::new()
                    .encode_utf8(&[family], &mut body)
                    .expect("the encoder refuses only a family without a name or a series"),
            },
        }
    }
    if format == ExpositionFormat::OpenMetrics {
        body.push_str(openmetrics::END);
    }
    Exposition { content_type: format.content_type(), body }
}

/// The format of Prometheus before OpenMetrics.
fn text_family(page: &mut String, family: &Family) {
    page.extend(["# HELP ", family.name, " "]);
    family::escape_these(page, family.help, &['\\', '\n']);
    page.extend(["\n# TYPE ", family.name, " ", family.kind.word(), "\n"]);
    family.lines(page);
}

#[cfg(test)]
mod tests;
