//! `PROCBOX_LOG`: what happens as lines on stderr.

use crate::color;
use procbox::Error;
use procbox::observe::{self, Subscription};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The variable.
const VARIABLE: &str = "PROCBOX_LOG";

/// Begins the log that the variable asks for: a level, or levels by target.
pub(super) fn begin() -> anyhow::Result<Option<Subscription>> {
    let Some(asked) = std::env::var_os(VARIABLE).filter(|asked| !asked.is_empty()) else {
        return Ok(None);
    };
    let targets = asked.to_str().and_then(targets).ok_or_else(|| {
        Error::Invalid(format!(
            "{VARIABLE} is a level (error, warn, info, debug, trace) or TARGET=LEVEL,...: {asked:?}"
        ))
    })?;
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(color::are_on());
    tracing_subscriber::registry().with(targets).with(lines).try_init()?;
    Ok(Some(observe::to_tracing()))
}

/// A level alone is procbox's own; `wasmtime=debug` shows what else there is.
fn targets(asked: &str) -> Option<Targets> {
    match asked.parse::<LevelFilter>() {
        Ok(level) => Some(Targets::new().with_target("procbox", level)),
        Err(_) if asked.contains('=') => asked.parse().ok(),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn a_level_alone_is_procboxs_own() {
        let levels = targets("debug").unwrap();
        assert!(levels.would_enable("procbox", &Level::DEBUG));
        assert!(!levels.would_enable("procbox", &Level::TRACE));
        assert!(!levels.would_enable("wasmtime", &Level::ERROR));
        assert!(
            targets("procbox=trace,wasmtime=info").unwrap().would_enable("wasmtime", &Level::INFO)
        );
        assert!(targets("loud").is_none() && targets("procbox=loud").is_none());
    }
}
