//! Figures as a table in a terminal: bars, ratios, the spread of the samples, and a sentence per group.

use super::groups::{about, advice, grouped, time, times};
use procbox_benches::Figure;
use std::io::{self, Write};

/// Width of the longest bar of a group.
const BAR: usize = 20;
/// The eighths of a character.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A bar of this part of the longest, which takes [`BAR`] characters.
fn bar(part: f64) -> String {
    let eighths = (part.clamp(0.0, 1.0) * (8 * BAR) as f64).round() as usize;
    let eighths = eighths.max(1);
    let bar = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
    let width = bar.chars().count();
    bar + &" ".repeat(BAR.saturating_sub(width))
}

/// Half of the distance between the quartiles, in parts of the median.
fn spread(figure: &Figure) -> String {
    match figure.spread() {
        Some((low, high)) => format!("±{:.0}%", 50.0 * (high - low) / figure.ns_per_op),
        None => String::new(),
    }
}

pub(super) fn print(out: &mut impl Write, figures: &[Figure]) -> io::Result<()> {
    for (group, figures) in grouped(figures) {
        writeln!(out, "{group}: {}", about(group))?;
        let first = figures.first().map_or(f64::NAN, |figure| figure.ns_per_op);
        let slowest = figures.iter().map(|figure| figure.ns_per_op).fold(0.0, f64::max);
        for figure in figures {
            writeln!(
                out,
                "  {:<22} {} {:>9} {:>6} {:>7}",
                figure.contender,
                bar(figure.ns_per_op / slowest),
                time(figure.ns_per_op),
                spread(figure),
                times(figure.ns_per_op / first),
            )?;
        }
        match advice(group, figures) {
            Some(advice) => writeln!(out, "  {advice}\n")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_part() {
        assert_eq!(bar(1.0), "█".repeat(BAR));
        assert_eq!(bar(0.5).trim_end(), "█".repeat(BAR / 2));
        assert_eq!(bar(0.0).trim_end(), "▏");
        assert!([0.0, 0.013, 0.5, 0.77, 1.0, 9.0].iter().all(|p| bar(*p).chars().count() == BAR));
    }

    #[test]
    fn a_table_has_all_figures_and_their_spread() {
        let json = r#"[{"group": "lock/x", "contender": "native", "ns_per_op": 10, "samples": 9,
            "low": 9, "high": 11},
            {"group": "lock/x", "contender": "sandbox", "ns_per_op": 20, "samples": 9}]"#;
        let mut out = Vec::new();
        print(&mut out, &serde_json::from_str::<Vec<Figure>>(json).unwrap()).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in ["lock/x: take a lock", "10.0 ns   ±10%   1.00x", "2.00x", "Native is 2.00x"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
