//! Where the sample programs are, for the commands that run them: beside the command, or in the sources
//! that it was built from. There they are built when they are first needed.

use crate::status::say;
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The sources that this was built from, if it was not built from a package.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A sample program: `make programs` puts them next to the directory of a build.
pub(crate) fn sample(name: &str) -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let beside =
        exe.parent().and_then(|dir| dir.parent()).map(|dir| dir.join("programs").join(name));
    if let Some(path) = beside.filter(|path| path.exists()) {
        return Ok(path);
    }
    let sources = Path::new(SOURCES);
    let built = sources.join("target/programs").join(name);
    if !built.exists() {
        build(sources)?;
    }
    anyhow::ensure!(built.exists(), "{} is missing", built.display());
    Ok(built)
}

/// Builds all of them, in their sources.
fn build(sources: &Path) -> anyhow::Result<()> {
    let makefile = sources.join("Makefile");
    anyhow::ensure!(
        makefile.is_file() && sources.join("guest/programs").is_dir(),
        "the sample programs are missing: run `make programs` in a clone of procbox's sources"
    );
    say("the sample programs are built first, which takes a minute");
    let mut make = Command::new("make");
    make.arg("-C").arg(sources).arg("programs").stdin(Stdio::null());
    // What it says is not what was asked for.
    make.stdout(std::io::stderr());
    let status = make.status().context("make")?;
    anyhow::ensure!(status.success(), "`make programs` in {}: {status}", sources.display());
    Ok(())
}
