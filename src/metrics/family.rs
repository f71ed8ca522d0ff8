//! A family of series under construction. Each set of labels appears once, whatever is added:
//! a duplicate would make Prometheus refuse the whole page. The labels are kept as the text that both
//! formats have, since there are thousands of series.

use std::fmt::{self, Write};

use prometheus::proto::Metric;

pub type Labels<'a> = &'a [(&'static str, &'a str)];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Gauge,
    Counter,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        }
    }
}

#[derive(Debug)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    /// Of all series, one after the other.
    text: String,
    series: Vec<Series>,
}

/// A value, and where its labels are in the text.
#[derive(Clone, Copy, Debug)]
struct Series {
    from: u32,
    to: u32,
    value: f64,
}

impl Series {
    fn labels(self, text: &str) -> &str {
        &text[self.from as usize..self.to as usize]
    }
}

impl Family {
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Gauge, text: String::new(), series: Vec::new() }
    }

    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Counter, ..Self::gauge(name, help) }
    }

    /// The first value of a set of labels stays.
    pub fn set(&mut self, labels: Labels<'_>, value: f64) {
        let from = position(&self.text);
        let mut before = "";
        for (name, value) in labels {
            self.text.extend([before, name, "=\""]);
            escape(&mut self.text, value);
            self.text.push('"');
            before = ",";
        }
        self.series.push(Series { from, to: position(&self.text), value });
    }

    /// `None` without a series: the formats know no empty family.
    pub fn finish(mut self) -> Option<Self> {
        let text = &self.text;
        // Stable, so that the first of two remains.
        self.series.sort_by(|one, other| one.labels(text).cmp(other.labels(text)));
        self.series.dedup_by(|later, first| later.labels(text) == first.labels(text));
        (!self.series.is_empty()).then_some(self)
    }

    /// About as long as its series become on the page.
    pub fn length(&self) -> usize {
        const VALUE: usize = 24;
        self.text.len() + self.series.len() * (self.name.len() + VALUE)
    }

    /// A line for each series.
    pub fn lines(&self, page: &mut String) {
        for series in &self.series {
            page.push_str(self.name);
            let labels = series.labels(&self.text);
            if !labels.is_empty() {
                page.extend(["{", labels, "}"]);
            }
            // Writing to a String does not fail.
            let _ = writeln!(page, " {}", Number(series.value));
        }
    }
}

/// The page of the largest configuration has a few MiB.
fn position(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// Of the series that the library counts.
pub fn by_labels(one: &Metric, other: &Metric) -> std::cmp::Ordering {
    let [one, other] =
        [one, other].map(|metric| metric.get_label().iter().map(|pair| (pair.name(), pair.value())));
    one.cmp(other)
}

/// As both formats have the value of a label.
pub fn escape(page: &mut String, text: &str) {
    escape_these(page, text, &['\\', '\n', '"']);
}

pub fn escape_these(page: &mut String, text: &str, letters: &[char]) {
    let mut plain = 0;
    for (at, letter) in text.match_indices(letters) {
        let escaped = if letter == "\n" { "n" } else { letter };
        page.extend([&text[plain..at], "\\", escaped]);
        plain = at + 1;
    }
    page.push_str(&text[plain..]);
}

pub struct Number(pub f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_labels_appears_once_and_in_order() {
        let mut family = Family::gauge("x", "X.");
        family.set(&[("a", "2")], 1.0);
        family.set(&[("a", "1\"\\\n"), ("b", "")], 2.5);
        family.set(&[("a", "2")], 3.0);
        family.set(&[], f64::INFINITY);
        let mut page = String::new();
        let family = family.finish().unwrap();
        family.lines(&mut page);
        assert_eq!(page, "x +Inf\nx{a=\"1\\\"\\\\\\n\",b=\"\"} 2.5\nx{a=\"2\"} 1\n");
        assert!(page.len() <= family.length());
        assert!(Family::counter("y", "Y.").finish().is_none());
    }
}
