//! `procbox bench`: both backends and their peers, side by side, in one run.

mod compare;
mod groups;
mod machine;
mod page;
mod peers;
mod table;

use crate::samples::sample;
use crate::signals;
use anyhow::Context as _;
use clap::Args;
use machine::Machine;
use peers::Peers;
use procbox_benches::{Case, Effort, Figure};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Args)]
#[command(after_help = "\
Runs within a minute with --quick, which leaves out the groups `scale/` unless TEXT names them. Ratios
within one run mean something; times do not travel. The columns are the median, half of the distance between the quartiles of the samples, and the ratio to
the first of the group: to native, or to what goes without what the others have.

Examples:
  procbox bench --quick --json figures.json
  procbox bench queue --html figures.html
  procbox bench --compare figures.json")]
pub(crate) struct BenchArgs {
    /// Fewer samples
    #[arg(long)]
    quick: bool,
    /// Write the figures to a file: group, contender, ns_per_op, samples, low and high quartile
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with plots, which needs nothing else to be read
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Say what has changed, beyond the noise, since these figures were written by --json
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
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
    // Before the minutes that measuring takes.
    let before = args.compare.as_deref().map(read).transpose()?;
    let peers = Peers::open()?;
    let mut all = entries(&peers)?;
    let only = args.only.as_deref().unwrap_or("");
    all.retain(|entry| format!("{} {}", entry.group(), entry.contender()).contains(only));
    if args.quick && only.is_empty() {
        all.retain(|entry| !entry.group().starts_with(groups::SCALE));
    }
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
    let mut out = std::io::stdout().lock();
    let machine = Machine::this();
    writeln!(out, "{machine}\n")?;
    table::print(&mut out, &figures)?;
    if let Some(before) = &before {
        compare::print(&mut out, before, &figures)?;
    }
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).with_context(|| path.display().to_string())
    };
    if let Some(path) = &args.json {
        write(path, serde_json::to_string_pretty(&figures)? + "\n")?;
    }
    if let Some(path) = &args.html {
        write(path, page::page(&figures, &machine, effort))?;
    }
    Ok(0)
}

/// Figures that were written down.
fn read(path: &Path) -> anyhow::Result<Vec<Figure>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text)
        .with_context(|| format!("{}: not what `procbox bench --json` writes", path.display()))
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
