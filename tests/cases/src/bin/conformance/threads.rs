//! A case of the suite with workers that are threads of this program: a program for each, so that what one
//! leaves behind is gone with it.

use anyhow::{Context as _, bail};
use procbox_cases::{Place, Trial};

/// Runs a case at a place. If it fails, this is the end: what it has started cannot be ended otherwise.
pub(crate) fn run(place: &str, name: &str) -> anyhow::Result<()> {
    let place = match place {
        "parent" => Place::Parent,
        "worker" => Place::Worker,
        _ => bail!("{place} is no place"),
    };
    let trial = Trial::find(name, place).with_context(|| format!("no case {name}"))?;
    let ctx = procbox_guest::local()?;
    if let Err(e) = trial.run(&ctx) {
        eprintln!("error: {e:#}");
        std::process::exit(1);
    }
    // The end of the context is part of it.
    drop(ctx);
    Ok(())
}
