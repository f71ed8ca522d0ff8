//! Figures with their spread, as a table and as JSON.

use serde_json::{Value, json};

#[derive(Debug)]
pub struct Figure {
    pub what: String,
    pub unit: &'static str,
    /// One for each round.
    values: Vec<f64>,
    goal: Option<(&'static str, f64)>,
    /// Its high quantiles count, not its extremes.
    is_distribution: bool,
}

impl Figure {
    pub fn new(what: impl Into<String>, unit: &'static str, values: Vec<f64>) -> Self {
        assert!(!values.is_empty() && values.iter().all(|value| value.is_finite()), "{values:?}");
        Self { what: what.into(), unit, values, goal: None, is_distribution: false }
    }

    /// One value for each of many probes. A goal is one for the 99th percentile.
    pub fn distribution(what: impl Into<String>, unit: &'static str, values: Vec<f64>) -> Self {
        Self { is_distribution: true, ..Self::new(what, unit, values) }
    }

    pub fn at_most(mut self, goal: f64) -> Self {
        self.goal = Some(("at most", goal));
        self
    }

    pub fn at_least(mut self, goal: f64) -> Self {
        self.goal = Some(("at least", goal));
        self
    }

    /// The quotients round by round.
    pub fn ratio(what: impl Into<String>, of: &[f64], to: &[f64]) -> Self {
        Self::new(what, "times", of.iter().zip(to).map(|(of, to)| of / to).collect())
    }

    fn spread(&self) -> [f64; 3] {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        [median, sorted[0], sorted[sorted.len() - 1]]
    }

    /// The least value that so many percent of the values do not exceed.
    fn quantile(&self, percent: usize) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
    }

    pub fn line(&self) -> String {
        let [median, least, most] = self.spread().map(short);
        let [p90, p99] = [90, 99].map(|percent| short(self.quantile(percent)));
        let goal =
            self.goal.map(|(word, goal)| format!("  goal: {word} {}", short(goal))).unwrap_or_default();
        let (spread, count) = if self.is_distribution {
            (format!("p90 {p90}, p99 {p99}"), "values")
        } else {
            (format!("{least} to {most}"), "rounds")
        };
        format!(
            "{:<62} {median:>9} {:<6} {spread:<20} {:>2} {count}{goal}",
            self.what,
            self.unit,
            self.values.len()
        )
    }

    pub fn json(&self) -> Value {
        let [median, min, max] = self.spread();
        json!({
            "what": self.what, "unit": self.unit, "median": median, "min": min, "max": max,
            "p90": self.quantile(90), "p99": self.quantile(99),
            "values": self.values, "goal": self.goal.map(|(word, goal)| format!("{word} {goal}")),
        })
    }
}

/// Three significant digits, or all of those before the point.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        0.0 | 100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}
