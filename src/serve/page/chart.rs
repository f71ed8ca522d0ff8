//! An hour of an address's connection times, as a line that needs no script, and in words.

use std::time::Duration;

use crate::report::latency::{MINUTES, Minute};
use crate::wording::duration;

/// In the units of the picture, which has one for each minute.
const HEIGHT: u32 = 16;

/// Of a cell of the table. Nothing before the second minute: a line needs two points.
pub fn cell(minutes: &[Minute; MINUTES]) -> String {
    let took = |minute: &Minute| match minute {
        Minute::Took(micros) => Some(*micros),
        Minute::Failed | Minute::NotTried => None,
    };
    let known = minutes.iter().filter(|minute| **minute != Minute::NotTried).count();
    if known < 2 {
        return String::new();
    }
    let most = minutes.iter().filter_map(took).max();
    let failed = minutes.iter().filter(|minute| **minute == Minute::Failed).count();
    let words = [
        most.map(|most| format!("up to {}", duration(Duration::from_micros(most.into())))),
        (failed > 0).then(|| format!("failed in {failed} min")),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    format!("{} {}", picture(minutes, most.unwrap_or(1).max(1)), words.join(", "))
}

/// Hidden from screen readers, which have the words. Of each two minutes the worse: more would not be
/// seen at this size.
fn picture(minutes: &[Minute; MINUTES], most: u32) -> String {
    let (mut line, mut failures) = (String::new(), String::new());
    let mut before: Option<i64> = None;
    for (at, minutes) in minutes.chunks(2).enumerate() {
        let (x, worst) = (at * 2, minutes.iter().copied().reduce(Minute::worse));
        match worst {
            Some(Minute::Took(micros)) => {
                let y = i64::from(HEIGHT - 1) - i64::from(micros) * i64::from(HEIGHT - 2) / i64::from(most);
                line += &match before {
                    // A point without a neighbor is drawn as a dash, because a line of no length is invisible.
                    None => format!("M{x} {y}h1"),
                    Some(before) => step(y - before, line.ends_with("h1")),
                };
                before = Some(y);
            }
            Some(Minute::Failed) => {
                failures += &format!("M{x} 0v{HEIGHT}");
                before = None;
            }
            Some(Minute::NotTried) | None => before = None,
        }
    }
    let failures =
        if failures.is_empty() { String::new() } else { format!("<path class=\"f\" d=\"{failures}\"/>") };
    format!(
        "<svg viewBox=\"0 0 {MINUTES} {HEIGHT}\" aria-hidden=\"true\"><path d=\"{line}\"/>{failures}</svg>"
    )
}

/// Two minutes further.
fn step(dy: i64, is_first: bool) -> String {
    let dx = if is_first { 1 } else { 2 };
    match dy {
        0 => format!("h{dx}"),
        dy if dy < 0 => format!("l{dx}{dy}"),
        dy => format!("l{dx} {dy}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(values: &[(usize, Minute)]) -> [Minute; MINUTES] {
        let mut minutes = [Minute::NotTried; MINUTES];
        for (at, value) in values {
            minutes[*at] = *value;
        }
        minutes
    }

    #[test]
    fn a_line_has_a_gap_where_nothing_was_measured_and_a_bar_where_it_failed() {
        use Minute::{Failed, Took};
        let minutes = hour(&[
            (10, Took(1000)),
            (12, Took(2000)),
            (13, Took(500)),
            (14, Took(2000)),
            (16, Took(1000)),
            (21, Failed),
            (59, Took(500)),
        ]);
        assert_eq!(
            cell(&minutes),
            "<svg viewBox=\"0 0 60 16\" aria-hidden=\"true\"><path d=\"M10 8h1l1-7h2l2 7M58 12h1\"/>\
             <path class=\"f\" d=\"M20 0v16\"/></svg> up to 2 ms, failed in 1 min"
        );
        assert_eq!(cell(&hour(&[(59, Took(500))])), "", "a line needs two points");
        assert!(cell(&hour(&[(58, Failed), (59, Failed)])).ends_with("</svg> failed in 2 min"));
    }

    #[test]
    fn the_longest_line_is_short() {
        let zigzag: Vec<(usize, Minute)> =
            (0..MINUTES).map(|at| (at, Minute::Took(if at % 4 < 2 { 1 } else { u32::MAX }))).collect();
        assert!(cell(&hour(&zigzag)).len() < 320);
    }
}
