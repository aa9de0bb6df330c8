//! `procbox bench`: both backends and their peers, side by side, in one run.

use super::BenchArgs;
use super::samples::sample;
use anyhow::Context as _;
use procbox_benches::Case;
use serde::Serialize;
use std::time::Duration;

/// One row of the JSON output.
#[derive(Serialize)]
pub(super) struct Figure {
    group: &'static str,
    contender: &'static str,
    ns_per_op: f64,
    samples: usize,
}

/// Where a sample cannot be shorter, there are fewer.
const FEW_SAMPLES: usize = 5;
/// The median of so many samples is the figure.
const SAMPLES: usize = 25;
const QUICK_SAMPLES: usize = 9;
/// Each sample takes about so long.
const SAMPLE_TIME: Duration = Duration::from_millis(200);
const QUICK_SAMPLE_TIME: Duration = Duration::from_millis(60);

pub(super) fn bench(args: &BenchArgs) -> anyhow::Result<u8> {
    procbox::answer_ctrl_c()?;
    let only = args.only.as_deref().unwrap_or("");
    let bench = sample("bench")?;
    let mut all = procbox_benches::cases(bench.parent().unwrap_or(&bench))?;
    all.retain(|case| format!("{} {}", case.group, case.contender).contains(only));
    if all.is_empty() {
        anyhow::bail!("no group and contender has `{only}` in its name");
    }
    let (samples, time) =
        if args.quick { (QUICK_SAMPLES, QUICK_SAMPLE_TIME) } else { (SAMPLES, SAMPLE_TIME) };
    let mut figures = Vec::new();
    for case in &mut all {
        eprint!("\r{:<24} {:<20}", case.group, case.contender);
        let samples = if case.ops.is_some() { samples.min(FEW_SAMPLES) } else { samples };
        let ns_per_op = measure(case, samples, time)
            .with_context(|| format!("{} {}", case.group, case.contender))?;
        figures.push(Figure { group: case.group, contender: case.contender, ns_per_op, samples });
    }
    eprint!("\r{:46}\r", "");
    print_table(&figures);
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&figures)?;
        std::fs::write(path, json + "\n").with_context(|| path.display().to_string())?;
    }
    Ok(0)
}

/// The median nanoseconds per operation.
fn measure(case: &mut Case, samples: usize, time: Duration) -> anyhow::Result<f64> {
    let n = match case.ops {
        Some(n) => n,
        None => ops_for(case, time)?,
    };
    let mut figures = Vec::with_capacity(samples);
    for _ in 0..samples {
        figures.push((case.run)(n)?.as_secs_f64() * 1e9 / n as f64);
    }
    figures.sort_by(f64::total_cmp);
    Ok(figures[figures.len() / 2])
}

/// How many operations take about so long.
fn ops_for(case: &mut Case, time: Duration) -> anyhow::Result<u64> {
    // Grow until a run takes long enough to say.
    let mut n = 1;
    let per_op = loop {
        let took = (case.run)(n)?;
        if took * 8 >= time || n >= 1 << 24 {
            break took.as_secs_f64() / n as f64;
        }
        n *= 4;
    };
    Ok(((time.as_secs_f64() / per_op) as u64).clamp(1, 1 << 24))
}

fn print_table(figures: &[Figure]) {
    println!("{:<22} {:<18} {:>14} {:>10}", "group", "contender", "ns/op", "x native");
    let mut group = "";
    for figure in figures {
        if figure.group != group && !group.is_empty() {
            println!();
        }
        group = figure.group;
        let native = figures.iter().find(|f| f.group == group && f.contender == "native");
        let ratio = native.map_or(f64::NAN, |native| figure.ns_per_op / native.ns_per_op);
        println!(
            "{:<22} {:<18} {:>14.1} {:>10.2}",
            group, figure.contender, figure.ns_per_op, ratio
        );
    }
}
