//! A family of series under construction. Each set of labels appears once, whatever is added:
//! a duplicate would make Prometheus refuse the whole page.

use std::cmp::Ordering;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

pub type Labels<'a> = &'a [(&'static str, &'a str)];

#[derive(Debug)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    series: Vec<Metric>,
}

impl Family {
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: MetricType::GAUGE, series: Vec::new() }
    }

    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self { kind: MetricType::COUNTER, ..Self::gauge(name, help) }
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
        metric.set_label(labels.iter().map(pair).collect());
        self.series.push(metric);
    }

    /// `None` without a series: the formats know no empty family.
    pub fn finish(mut self) -> Option<MetricFamily> {
        if self.series.is_empty() {
            return None;
        }
        // Stable, so that the first of two remains.
        self.series.sort_by(by_labels);
        self.series.dedup_by(|later, first| by_labels(later, first).is_eq());
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(self.series);
        Some(family)
    }
}

pub fn by_labels(one: &Metric, other: &Metric) -> Ordering {
    let [one, other] =
        [one, other].map(|metric| metric.get_label().iter().map(|pair| (pair.name(), pair.value())));
    one.cmp(other)
}

fn pair((name, value): &(&'static str, &str)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name((*name).to_owned());
    pair.set_value((*value).to_owned());
    pair
}
