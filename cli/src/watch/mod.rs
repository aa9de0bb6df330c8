//! What several subcommands can be watched by: lines on stderr, a trace in a file, figures for a
//! scraper.
//!
//! Each is a subscriber to the events of the library, and costs nothing unless it is asked for.

mod deadlocks;
mod log;
mod metrics;
mod trace;
mod waits;

use anyhow::Context as _;
use clap::Args;
use metrics::Metrics;
use procbox::observe::{self, Subscription};
use procbox::watch::{self, Offer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use trace::Trace;
use waits::Writer;

/// Who watches.
#[derive(Args)]
pub(crate) struct WatchArgs {
    /// Write what happens, and when, to FILE: processes, tasks, waits, retries and kills, in the
    /// trace event format that Perfetto (ui.perfetto.dev) and chrome://tracing open
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Offer figures to Prometheus over HTTP while it runs: processes, tasks, their times, waits.
    /// ADDRESS is a port of the loopback interface, or an address with a port; port 0 takes a free
    /// one
    #[arg(long, value_name = "ADDRESS", value_parser = metrics::address)]
    metrics: Option<SocketAddr>,
    /// Keep a graph in FILE of which process waits for what, in DOT: `dot -Tsvg FILE`. After Ctrl-C it
    /// stays as it was, and shows in what a program hung
    #[arg(long, value_name = "FILE")]
    waits: Option<PathBuf>,
    /// Let `procbox top` look at it, from another terminal of the same user. With PROCBOX_WATCH=1 in
    /// the environment it does so anyway
    #[arg(long)]
    watch: bool,
}

/// The variable that stands for `--watch`.
const VARIABLE: &str = "PROCBOX_WATCH";

/// Those who watch, until this is dropped.
#[must_use = "nobody watches once it is dropped"]
pub(crate) struct Watching {
    all: Vec<Subscription>,
    trace: Option<Arc<Trace>>,
    _metrics: Option<Metrics>,
    _waits: Option<Writer>,
    _offer: Option<Offer>,
}

impl WatchArgs {
    /// Has those who were asked for watch from now on.
    pub(crate) fn begin(&self, quiet: bool) -> anyhow::Result<Watching> {
        // Before all that makes things to be looked at.
        let asked = std::env::var_os(VARIABLE).is_some_and(|it| !it.is_empty() && it != "0");
        let offer = match self.watch || asked {
            true => Some(watch::offer().context("--watch")?),
            false => None,
        };
        let trace = self.trace.as_deref().map(Trace::create).transpose()?.map(Arc::new);
        let mut all: Vec<_> = log::begin()?.into_iter().collect();
        if !quiet {
            all.push(deadlocks::begin());
        }
        if let Some(trace) = &trace {
            all.push(observe::subscribe(trace.clone()));
        }
        let metrics = self.metrics.map(|at| Metrics::listen(at, quiet)).transpose()?;
        all.extend(metrics.iter().map(|metrics| observe::subscribe(metrics.subscriber())));
        let waits = self.waits.as_deref().map(Writer::begin).transpose()?;
        all.extend(waits.iter().map(|waits| observe::subscribe(waits.subscriber())));
        Ok(Watching { all, trace, _metrics: metrics, _waits: waits, _offer: offer })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.all.clear();
        if let Some(trace) = self.trace.take() {
            trace.finish();
        }
    }
}
