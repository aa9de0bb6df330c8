//! The plots: a strip per figure, all strips of a group with one axis, by powers of ten.

use super::super::groups::time;
use procbox_benches::Figure;
use std::fmt::Write;

/// From one power of ten to another, around all figures of a group.
pub(super) struct Axis {
    from: i32,
    to: i32,
}

/// As many labels have room on a phone, beside the first.
const MOST_LABELS: i32 = 3;

impl Axis {
    pub(super) fn of(figures: &[Figure]) -> Axis {
        let logs = || figures.iter().map(|figure| figure.ns_per_op.max(1e-3).log10());
        let from = logs().fold(f64::INFINITY, f64::min).floor();
        let to = logs().fold(f64::NEG_INFINITY, f64::max).ceil();
        let from = if from.is_finite() { from as i32 } else { 0 };
        Axis { from, to: if to.is_finite() { (to as i32).max(from + 1) } else { from + 1 } }
    }

    /// Where a time is, in percent of the width.
    fn place(&self, nanos: f64) -> f64 {
        let part =
            (nanos.max(1e-9).log10() - f64::from(self.from)) / f64::from(self.to - self.from);
        (100.0 * part).clamp(0.0, 100.0)
    }

    /// The powers of ten that have a line, and those that have a label too.
    fn powers(&self) -> impl Iterator<Item = (i32, bool)> + '_ {
        let step = (self.to - self.from + MOST_LABELS - 1) / MOST_LABELS;
        (self.from..=self.to).map(move |power| (power, (power - self.from) % step.max(1) == 0))
    }

    /// The labels under the strips.
    pub(super) fn labels(&self) -> String {
        let mut out = String::from("<div class=\"axis\" aria-hidden=\"true\">");
        for (power, _) in self.powers().filter(|(_, has_label)| *has_label) {
            let nanos = 10f64.powi(power);
            let at = self.place(nanos);
            // The outermost stay inside of the card.
            let class = if at <= 0.0 {
                " class=\"first\""
            } else if at >= 100.0 {
                " class=\"last\""
            } else {
                ""
            };
            let label = time(nanos).replace(".00", "").replace(".0 ", " ");
            let _ = write!(out, "<span{class} style=\"left:{at:.2}%\">{label}</span>");
        }
        out + "</div>"
    }
}

/// A figure on its group's axis: the median, and a line where the middle half of the samples is.
pub(super) fn strip(axis: &Axis, figure: &Figure, class: &str) -> String {
    let mut out = format!(
        "<svg class=\"strip\" role=\"img\" aria-label=\"{}\" width=\"100%\" height=\"22\">",
        time(figure.ns_per_op)
    );
    for (power, _) in axis.powers() {
        let at = axis.place(10f64.powi(power));
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"0\" y2=\"22\"/>"
        );
    }
    let at = axis.place(figure.ns_per_op);
    let _ =
        write!(out, "<line class=\"stem {class}\" x1=\"0\" x2=\"{at:.2}%\" y1=\"11\" y2=\"11\"/>");
    if let Some((low, high)) = figure.spread() {
        let (low, high) = (axis.place(low), axis.place(high));
        let _ = write!(
            out,
            "<line class=\"range {class}\" x1=\"{low:.2}%\" x2=\"{high:.2}%\" y1=\"11\" y2=\"11\"/>"
        );
    }
    let _ = write!(out, "<circle class=\"{class}\" cx=\"{at:.2}%\" cy=\"11\" r=\"5\"/></svg>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(ns_per_op: f64) -> Figure {
        let json = format!(
            r#"{{"group": "g", "contender": "c", "ns_per_op": {ns_per_op}, "samples": 9, "low": 30, "high": 4000}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn an_axis_is_around_its_figures() {
        let axis = Axis::of(&[figure(35.0), figure(2100.0)]);
        assert_eq!((axis.from, axis.to), (1, 4));
        assert!((axis.place(10.0), axis.place(1e4)) == (0.0, 100.0));
        assert!((axis.place(100.0) - 100.0 / 3.0).abs() < 0.01);
        assert!(axis.labels().contains("10 ns") && axis.labels().contains("10 us"));
        let one = Axis::of(&[figure(100.0)]);
        assert_eq!((one.from, one.to), (2, 3));
        let none = Axis::of(&[]);
        assert!(none.to > none.from);
    }

    #[test]
    fn marks_are_inside_of_the_strip() {
        for nanos in [0.0, 1.0, 55.0, 1e12] {
            let strip = strip(&Axis::of(&[figure(50.0), figure(60.0)]), &figure(nanos), "native");
            let places = strip.split("cx=\"").nth(1).and_then(|rest| rest.split('%').next());
            let place: f64 = places.unwrap().parse().unwrap();
            assert!((0.0..=100.0).contains(&place), "{strip}");
        }
    }
}
