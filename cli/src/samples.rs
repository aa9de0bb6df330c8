//! Where the sample programs are, for the commands that run them.

use std::path::PathBuf;

/// A sample program: `make programs` puts them next to the directory of this executable.
pub(crate) fn sample(name: &str) -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let beside =
        exe.parent().and_then(|dir| dir.parent()).map(|dir| dir.join("programs").join(name));
    match beside {
        Some(path) if path.exists() => Ok(path),
        _ => anyhow::bail!("target/programs/{name} is missing: run `make programs` first"),
    }
}
