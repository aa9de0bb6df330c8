//! What `procbox --version` says beyond its own version: the target, and wasmtime's version.

use std::path::Path;

/// The line of wasmtime that `Cargo.toml` asks for.
const LINE: &str = "48";

fn main() {
    let target = std::env::var("TARGET").unwrap_or_default();
    // The workspace's: a package is built with whatever its user's cargo chooses of the line.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let text = std::fs::read_to_string(&lock).unwrap_or_default();
    let version = text.split_once("name = \"wasmtime\"\nversion = \"");
    let version = version.and_then(|(_, rest)| rest.split_once('"')).map(|(version, _)| version);
    println!("cargo:rerun-if-changed={}", lock.display());
    println!("cargo:rustc-env=PROCBOX_TARGET={target}");
    println!("cargo:rustc-env=PROCBOX_WASMTIME={}", version.unwrap_or(LINE));
}
