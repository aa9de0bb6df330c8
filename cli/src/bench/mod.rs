//! `procbox bench`: both backends and their peers, side by side, in one run.

mod peers;

use crate::samples::sample;
use crate::signals;
use anyhow::Context as _;
use clap::Args;
use peers::Peers;
use procbox_benches::{Case, Effort, Figure};
use std::io::Write;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "\
Runs in a minute or two with --quick. Ratios within one run mean something; times do not travel. The
last column is the ratio to the first of the group: to native, or to what goes without what the
others have.

Examples:
  procbox bench --quick --json figures.json
  procbox bench queue")]
pub(crate) struct BenchArgs {
    /// Fewer samples
    #[arg(long)]
    quick: bool,
    /// Write the figures to a file: group, contender, ns_per_op, samples
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only what has this in its group and contender, e.g. `queue` or "spawn sandbox"
    #[arg(value_name = "TEXT")]
    only: Option<String>,
}

/// Something to measure: a case of ours, or one that the program of the peers has.
enum Entry {
    Ours(Case),
    Peer { group: String, contender: String },
}

impl Entry {
    fn group(&self) -> &str {
        match self {
            Entry::Ours(case) => case.group,
            Entry::Peer { group, .. } => group,
        }
    }

    fn contender(&self) -> &str {
        match self {
            Entry::Ours(case) => case.contender,
            Entry::Peer { contender, .. } => contender,
        }
    }
}

pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<u8> {
    signals::answer()?;
    let peers = Peers::open()?;
    let mut all = entries(&peers)?;
    let only = args.only.as_deref().unwrap_or("");
    all.retain(|entry| format!("{} {}", entry.group(), entry.contender()).contains(only));
    if all.is_empty() {
        anyhow::bail!("no group and contender has `{only}` in its name");
    }
    let effort = if args.quick { Effort::QUICK } else { Effort::FULL };
    let mut figures = Vec::new();
    for entry in &mut all {
        show(&format!("\r{:<24} {:<20}", entry.group(), entry.contender()));
        figures.push(match entry {
            Entry::Ours(case) => case.measure(effort)?,
            Entry::Peer { group, contender } => peers.measure(group, contender, effort)?,
        });
    }
    show(&format!("\r{:46}\r", ""));
    print_table(&figures)?;
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&figures)?;
        std::fs::write(path, json + "\n").with_context(|| path.display().to_string())?;
    }
    Ok(0)
}

/// All cases, those of a group in a row: what is compared is measured close in time.
fn entries(peers: &Peers) -> anyhow::Result<Vec<Entry>> {
    let bench = sample("bench")?;
    let ours = procbox_benches::cases(bench.parent().unwrap_or(&bench))?;
    let mut all: Vec<Entry> = ours.into_iter().map(Entry::Ours).collect();
    let theirs = peers.list()?.into_iter();
    all.extend(theirs.map(|(group, contender)| Entry::Peer { group, contender }));
    all.sort_by(|a, b| a.group().cmp(b.group()));
    Ok(all)
}

/// Says on stderr what is under way. If that is gone there is nobody to tell.
fn show(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn print_table(figures: &[Figure]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<24} {:<18} {:>14} {:>10}", "group", "contender", "ns/op", "x first")?;
    let mut group = "";
    for figure in figures {
        if figure.group != group && !group.is_empty() {
            writeln!(out)?;
        }
        group = &figure.group;
        let first = figures.iter().find(|f| f.group == group).unwrap_or(figure);
        let ratio = figure.ns_per_op / first.ns_per_op;
        writeln!(
            out,
            "{:<24} {:<18} {:>14.1} {:>10.2}",
            group, figure.contender, figure.ns_per_op, ratio
        )?;
    }
    Ok(())
}
