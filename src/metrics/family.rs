//! A family of series under construction. Each set of labels appears once, whatever is added:
//! a duplicate would make Prometheus refuse the whole page.

use std::collections::BTreeMap;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::histogram::{self, BUCKETS};

pub type Labels<'a> = &'a [(&'static str, &'a str)];

#[derive(Debug)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    series: BTreeMap<Vec<(&'static str, String)>, Metric>,
}

impl Family {
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: MetricType::GAUGE, series: BTreeMap::new() }
    }

    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self { kind: MetricType::COUNTER, ..Self::gauge(name, help) }
    }

    pub fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { kind: MetricType::HISTOGRAM, ..Self::gauge(name, help) }
    }

    /// The first value of a set of labels stays.
    pub fn set(&mut self, labels: Labels<'_>, value: f64) {
        let mut metric = Metric::default();
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.insert(labels, metric);
    }

    pub fn set_histogram(&mut self, labels: Labels<'_>, values: &histogram::Histogram) {
        let bucket = |(bound, count): (&f64, &u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(*count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(BUCKETS.iter().zip(&values.cumulative).map(bucket).collect());
        histogram.set_sample_count(values.count);
        histogram.set_sample_sum(values.sum);
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        self.insert(labels, metric);
    }

    fn insert(&mut self, labels: Labels<'_>, metric: Metric) {
        let key = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.series.entry(key).or_insert(metric);
    }

    /// `None` without a series: the formats know no empty family.
    pub fn finish(self) -> Option<MetricFamily> {
        if self.series.is_empty() {
            return None;
        }
        let metrics = self.series.into_iter().map(|(labels, mut metric)| {
            metric.set_label(labels.into_iter().map(pair).collect());
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(metrics.collect());
        Some(family)
    }
}

fn pair((name, value): (&'static str, String)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}
