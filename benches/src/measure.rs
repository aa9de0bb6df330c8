//! From a case to a figure: how many operations a sample has, and the median of the samples.

use crate::Case;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Where a sample cannot be shorter, there are fewer.
const FEW_SAMPLES: usize = 5;
/// The most operations that a sample has.
const MAX_OPS: u64 = 1 << 24;

/// The time that a measurement may take.
///
/// ```
/// use procbox_benches::Effort;
/// assert!(Effort::QUICK.samples < Effort::FULL.samples);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Samples, of which the median is the figure.
    pub samples: usize,
    /// Length of a sample, about.
    pub sample_time: Duration,
}

impl Effort {
    /// What a figure takes that is to be written down.
    pub const FULL: Effort = Effort { samples: 25, sample_time: Duration::from_millis(200) };
    /// Within a minute for all, if nothing else takes the CPUs.
    pub const QUICK: Effort = Effort { samples: 7, sample_time: Duration::from_millis(40) };
}

/// One row of the table that `procbox bench` prints, and of its JSON.
///
/// ```
/// use procbox_benches::Figure;
/// let json = r#"{"group": "spawn", "contender": "native", "ns_per_op": 1.5, "samples": 9}"#;
/// let figure: Figure = serde_json::from_str(json)?;
/// assert_eq!((figure.ns_per_op, figure.spread()), (1.5, None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The operation.
    pub group: String,
    /// One way to do it.
    pub contender: String,
    /// The median nanoseconds per operation.
    pub ns_per_op: f64,
    /// Samples that were taken.
    pub samples: usize,
    /// A quarter of the samples are below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// A quarter of the samples are above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

impl Figure {
    /// Between which half of the samples are, if that is known.
    ///
    /// ```
    /// # let figure: procbox_benches::Figure = serde_json::from_str(
    /// #     r#"{"group":"g","contender":"c","ns_per_op":2,"samples":9,"low":1.5,"high":3}"#)?;
    /// assert_eq!(figure.spread(), Some((1.5, 3.0)));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn spread(&self) -> Option<(f64, f64)> {
        Some((self.low?, self.high?))
    }
}

impl Case {
    /// Measures it.
    ///
    /// # Errors
    /// What the operation says when it fails, with the case's name.
    pub fn measure(&mut self, effort: Effort) -> anyhow::Result<Figure> {
        let samples =
            if self.ops.is_some() { effort.samples.min(FEW_SAMPLES) } else { effort.samples };
        let sorted = self
            .samples(samples, effort.sample_time)
            .with_context(|| format!("{} {}", self.group, self.contender))?;
        // The nearest of them.
        let at = |quarter: usize| sorted.get(sorted.len().saturating_sub(1) * quarter / 4).copied();
        Ok(Figure {
            group: self.group.to_string(),
            contender: self.contender.to_string(),
            ns_per_op: at(2).context("no samples")?,
            samples,
            low: at(1),
            high: at(3),
        })
    }

    /// The nanoseconds per operation of each sample, sorted.
    fn samples(&mut self, samples: usize, time: Duration) -> anyhow::Result<Vec<f64>> {
        let n = match self.ops {
            Some(n) => n,
            None => self.ops_for(time)?,
        };
        let mut figures = Vec::with_capacity(samples);
        for _ in 0..samples {
            figures.push((self.run)(n)?.as_secs_f64() * 1e9 / n as f64);
        }
        figures.sort_by(f64::total_cmp);
        Ok(figures)
    }

    /// Operations that take about so long.
    fn ops_for(&mut self, time: Duration) -> anyhow::Result<u64> {
        // Grow until a run takes long enough to say.
        let mut n = 1;
        let per_op = loop {
            let took = (self.run)(n)?;
            if took * 8 >= time || n >= MAX_OPS {
                break took.as_secs_f64() / n as f64;
            }
            n *= 4;
        };
        Ok(((time.as_secs_f64() / per_op) as u64).clamp(1, MAX_OPS))
    }
}

/// Times so many calls of a function.
///
/// ```
/// let mut calls = 0;
/// procbox_benches::timed(3, || Ok(calls += 1))?;
/// assert_eq!(calls, 3);
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// The function's first error.
pub fn timed(n: u64, mut f: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let began = Instant::now();
    for _ in 0..n {
        f()?;
    }
    Ok(began.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case of which each operation takes so long.
    fn case(ops: Option<u64>, each: Duration) -> Case {
        let run = Box::new(move |n: u64| Ok(each * u32::try_from(n)?));
        Case { group: "group", contender: "contender", ops, run }
    }

    #[test]
    fn a_figure_is_the_time_of_one_operation() {
        let effort = Effort { samples: 3, sample_time: Duration::from_millis(1) };
        let figure = case(None, Duration::from_micros(2)).measure(effort).unwrap();
        assert!((figure.ns_per_op - 2000.0).abs() < 1.0, "{figure:?}");
        assert_eq!((figure.samples, &*figure.group), (3, "group"));
    }

    #[test]
    fn a_sample_has_as_many_operations_as_fit_its_time() {
        let time = Duration::from_millis(1);
        assert_eq!(case(None, Duration::from_micros(10)).ops_for(time).unwrap(), 100);
        assert_eq!(case(None, Duration::from_secs(1)).ops_for(time).unwrap(), 1);
        assert_eq!(case(None, Duration::ZERO).ops_for(time).unwrap(), MAX_OPS);
    }

    #[test]
    fn long_samples_are_few() {
        let figure = case(Some(7), Duration::from_micros(1)).measure(Effort::FULL).unwrap();
        assert_eq!(figure.samples, FEW_SAMPLES);
    }

    #[test]
    fn an_operation_that_fails_is_named() {
        let run = Box::new(|_| anyhow::bail!("no"));
        let mut case = Case { group: "group", contender: "contender", ops: Some(1), run };
        let error = case.measure(Effort::QUICK).unwrap_err();
        assert_eq!(format!("{error:#}"), "group contender: no");
    }
}
