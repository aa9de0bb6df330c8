//! What has changed since figures were written down, beyond the noise of both.

use super::groups::{time, times};
use procbox_benches::Figure;
use std::io::{self, Write};

/// What changes less than this is not told, however still the machine was: a build moves code.
const LEAST: f64 = 1.05;
/// The spread that is assumed of a figure that does not say its own, in parts of it.
const UNKNOWN: f64 = 0.25;

/// A figure's way from one run to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Faster,
    Slower,
    /// By less than the samples differ.
    Noise,
}

/// Between which half of the samples are.
fn spread(figure: &Figure) -> (f64, f64) {
    let about = figure.ns_per_op;
    figure.spread().unwrap_or((about * (1.0 - UNKNOWN), about * (1.0 + UNKNOWN)))
}

/// It has changed if the middle halves of both runs' samples do not meet.
fn change(old: &Figure, new: &Figure) -> Change {
    let ((old_low, old_high), (new_low, new_high)) = (spread(old), spread(new));
    let ratio = new.ns_per_op / old.ns_per_op;
    match () {
        () if new_high < old_low && ratio < 1.0 / LEAST => Change::Faster,
        () if new_low > old_high && ratio > LEAST => Change::Slower,
        () => Change::Noise,
    }
}

pub(super) fn print(out: &mut impl Write, old: &[Figure], new: &[Figure]) -> io::Result<()> {
    let is_same = |one: &Figure, other: &Figure| {
        (&one.group, &one.contender) == (&other.group, &other.contender)
    };
    let mut alike = 0;
    for figure in new {
        let name = format!("{} {}", figure.group, figure.contender);
        let Some(before) = old.iter().find(|before| is_same(before, figure)) else {
            writeln!(out, "{name:<44} {:>9}  was not measured before", time(figure.ns_per_op))?;
            continue;
        };
        let word = match change(before, figure) {
            Change::Faster => "faster",
            Change::Slower => "SLOWER",
            Change::Noise => {
                alike += 1;
                continue;
            }
        };
        let (from, to) = (time(before.ns_per_op), time(figure.ns_per_op));
        let ratio = times(figure.ns_per_op / before.ns_per_op);
        writeln!(out, "{name:<44} {from:>9} -> {to:>9} {ratio:>7}  {word}")?;
    }
    writeln!(out, "{alike} of {} have not changed beyond the noise of both runs", new.len())?;
    let gone =
        old.iter().filter(|before| !new.iter().any(|figure| is_same(before, figure))).count();
    if gone > 0 {
        writeln!(out, "{gone} that were measured then were not measured now")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(contender: &str, ns_per_op: f64, spread: Option<(f64, f64)>) -> Figure {
        let json = format!(
            r#"{{"group": "lock", "contender": "{contender}", "ns_per_op": {ns_per_op}, "samples": 9}}"#
        );
        let figure: Figure = serde_json::from_str(&json).unwrap();
        Figure { low: spread.map(|it| it.0), high: spread.map(|it| it.1), ..figure }
    }

    #[test]
    fn only_what_is_beyond_the_spread_of_both_has_changed() {
        let still = |at: f64| figure("native", at, Some((at * 0.99, at * 1.01)));
        let noisy = |at: f64| figure("native", at, Some((at * 0.7, at * 1.3)));
        assert_eq!(change(&still(100.0), &still(110.0)), Change::Slower);
        assert_eq!(change(&still(110.0), &still(100.0)), Change::Faster);
        assert_eq!(change(&still(100.0), &still(103.0)), Change::Noise, "too little to tell");
        assert_eq!(change(&noisy(100.0), &still(110.0)), Change::Noise);
        assert_eq!(change(&still(100.0), &noisy(110.0)), Change::Noise);
        assert_eq!(change(&noisy(100.0), &noisy(250.0)), Change::Slower);
        let unknown = |at| figure("native", at, None);
        assert_eq!(change(&unknown(100.0), &still(120.0)), Change::Noise);
        assert_eq!(change(&unknown(100.0), &unknown(200.0)), Change::Slower);
    }

    #[test]
    fn what_is_new_or_gone_is_said() {
        let old = [figure("native", 100.0, None), figure("gone", 1.0, None)];
        let new = [figure("native", 100.0, None), figure("new", 1.0, None)];
        let mut out = Vec::new();
        print(&mut out, &old, &new).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in ["lock new", "1 of 2 have not changed", "1 that were measured then"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
