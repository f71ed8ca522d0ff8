//! The OpenMetrics 1.0 text format, which the prometheus crate does not write. It differs from
//! the older one in that a counter's family has no `_total`, in its numbers, and in its end.

use std::fmt::{self, Write};

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::family::{Family, Kind, Number, escape};

pub const END: &str = "# EOF\n";

/// One of ours, with its series.
pub fn family(page: &mut String, family: &Family) {
    let name = match family.kind {
        Kind::Counter => family.name.strip_suffix("_total").unwrap_or(family.name),
        Kind::Gauge => family.name,
    };
    head(page, name, family.kind.word(), family.help);
    family.lines(page);
}

/// One of the library's.
pub fn library_family(page: &mut String, family: &MetricFamily) {
    let kind = family.get_field_type();
    let (name, word) = match kind {
        MetricType::COUNTER => (family.name().strip_suffix("_total").unwrap_or(family.name()), "counter"),
        MetricType::GAUGE => (family.name(), "gauge"),
        MetricType::HISTOGRAM => (family.name(), "histogram"),
        // Nothing here makes them.
        MetricType::SUMMARY | MetricType::UNTYPED => return,
    };
    head(page, name, word, family.help());
    for metric in family.get_metric() {
        series(page, name, kind, metric);
    }
}

fn head(page: &mut String, name: &str, kind: &str, help: &str) {
    page.extend(["# TYPE ", name, " ", kind, "\n# HELP ", name, " "]);
    escape(page, help);
    page.push('\n');
}

fn series(page: &mut String, name: &str, kind: MetricType, metric: &Metric) {
    let labels = metric.get_label();
    match kind {
        MetricType::COUNTER => {
            sample(page, [name, "_total"], labels, None, Number(metric.get_counter().get_value()));
        }
        MetricType::GAUGE => sample(page, [name, ""], labels, None, Number(metric.get_gauge().get_value())),
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            for bucket in histogram.get_bucket() {
                let bound = Some(bucket.upper_bound());
                sample(page, [name, "_bucket"], labels, bound, bucket.cumulative_count());
            }
            let count = histogram.get_sample_count();
            sample(page, [name, "_bucket"], labels, Some(f64::INFINITY), count);
            sample(page, [name, "_count"], labels, None, count);
            sample(page, [name, "_sum"], labels, None, Number(histogram.get_sample_sum()));
        }
        MetricType::SUMMARY | MetricType::UNTYPED => {}
    }
}

fn sample(
    page: &mut String,
    name: [&str; 2],
    labels: &[LabelPair],
    bound: Option<f64>,
    value: impl fmt::Display,
) {
    page.extend(name);
    let mut before = "{";
    for pair in labels {
        page.extend([before, pair.name(), "=\""]);
        escape(page, pair.value());
        page.push('"');
        before = ",";
    }
    if let Some(bound) = bound {
        page.extend([before, "le=\"", &float(bound), "\""]);
        before = ",";
    }
    if before == "," {
        page.push('}');
    }
    // Writing to a String does not fail.
    let _ = writeln!(page, " {value}");
}

/// The canonical spelling of a bound always has a point.
fn float(value: f64) -> String {
    let text = Number(value).to_string();
    if value.is_finite() && !text.contains('.') { text + ".0" } else { text }
}

#[cfg(test)]
mod tests {
    use prometheus::core::Collector;
    use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts};

    use super::*;

    #[test]
    fn every_kind_reads_as_the_specification_has_it() {
        let counter =
            IntCounterVec::new(Opts::new("runs_total", "Runs \"so far\"\n\\."), &["check"]).unwrap();
        counter.with_label_values(&["a\"b\\c\nd"]).inc_by(3);
        let bare = IntCounter::new("odd", "No suffix.").unwrap();
        let gauge = Gauge::new("skew_seconds", "Skew.").unwrap();
        gauge.set(-1.5);
        let opts = HistogramOpts::new("took_seconds", "Time.").buckets(vec![0.001, 1.0]);
        let histogram = Histogram::with_opts(opts).unwrap();
        histogram.observe(0.5);
        histogram.observe(7.0);
        let mut page = String::new();
        for family in [counter.collect(), bare.collect(), gauge.collect(), histogram.collect()].concat() {
            library_family(&mut page, &family);
        }
        assert_eq!(
            page,
            r#"# TYPE runs counter
# HELP runs Runs \"so far\"\n\\.
runs_total{check="a\"b\\c\nd"} 3
# TYPE odd counter
# HELP odd No suffix.
odd_total 0
# TYPE skew_seconds gauge
# HELP skew_seconds Skew.
skew_seconds -1.5
# TYPE took_seconds histogram
# HELP took_seconds Time.
took_seconds_bucket{le="0.001"} 0
took_seconds_bucket{le="1.0"} 1
took_seconds_bucket{le="+Inf"} 2
took_seconds_count 2
took_seconds_sum 7.5
"#
        );
    }

    #[test]
    fn numbers_without_an_end_are_spelt_as_specified() {
        assert_eq!(
            [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e9].map(|value| Number(value).to_string()),
            ["+Inf", "-Inf", "NaN", "1000000000"]
        );
        assert_eq!([10.0, 0.25, f64::INFINITY].map(float), ["10.0", "0.25", "+Inf"]);
    }
}
