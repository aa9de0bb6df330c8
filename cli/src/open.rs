//! From a path and options to a context that runs the program.

use crate::options::{BackendArg, ProgramArgs};
use procbox::sandbox::Grants;
use procbox::{Context, Error, Native, Result, Sandbox, native, sandbox};
use std::path::{Path, PathBuf};

/// Opens a program where the options say, or else where its first bytes say.
pub(crate) fn open(path: &Path, args: &ProgramArgs) -> Result<Context> {
    let wasm = sandbox::is_wasm(path) || is_named_wasm(path);
    match args.backend {
        Some(BackendArg::Sandbox) if !wasm => open_sandbox(&sibling(path, true), args),
        Some(BackendArg::Native) if wasm => open_native(&sibling(path, false), args),
        Some(BackendArg::Sandbox) => open_sandbox(path, args),
        None if wasm => open_sandbox(path, args),
        Some(BackendArg::Native) | None => open_native(path, args),
    }
}

/// The other build of the same program, `NAME.wasm` beside `NAME`, if there is one.
fn sibling(path: &Path, wasm: bool) -> PathBuf {
    let other = if wasm { path.with_added_extension("wasm") } else { path.with_extension("") };
    if other.is_file() { other } else { path.to_path_buf() }
}

/// A file that says `.wasm` and is none should be refused as such.
fn is_named_wasm(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "wasm") && path.exists()
}

/// The two sides of `HOST[::GUEST]`.
fn host_and_guest(dir: &str) -> (&str, &str) {
    dir.split_once("::").unwrap_or((dir, dir))
}

fn open_sandbox(path: &Path, args: &ProgramArgs) -> Result<Context> {
    let program = sandbox::Program::wasm(path)?;
    let mut grants = Grants::default().quiet(args.quiet);
    for (host, guest) in args.dir.iter().map(|dir| host_and_guest(dir)) {
        grants = grants.dir(host, guest);
    }
    for (host, guest) in args.dir_ro.iter().map(|dir| host_and_guest(dir)) {
        grants = grants.dir_read_only(host, guest);
    }
    for (key, value) in variables(args)? {
        grants = grants.env(key, value);
    }
    let mut builder = Sandbox::builder().max_processes(args.max_processes);
    if let Some(bytes) = args.memory {
        builder = builder.memory(bytes);
    }
    if let Some(units) = args.fuel {
        builder = builder.fuel(units);
    }
    builder.build()?.context_with(program, grants)
}

fn open_native(path: &Path, args: &ProgramArgs) -> Result<Context> {
    let confined = args.memory.is_some() || args.fuel.is_some();
    if !args.dir.is_empty() || !args.dir_ro.is_empty() || confined {
        let why = "--dir, --dir-ro, --memory and --fuel are for the sandbox: a native process has its caller's rights";
        return Err(Error::Invalid(why.into()));
    }
    let mut builder = Native::builder().program(native::Program::open(path)?);
    for (key, value) in variables(args)? {
        builder = builder.env(key, value);
    }
    builder.build()
}

fn variables(args: &ProgramArgs) -> Result<Vec<(String, String)>> {
    args.env
        .iter()
        .map(|text| match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_string(), value.to_string())),
            _ => Err(Error::Invalid(format!("--env {text}: write NAME=VALUE"))),
        })
        .collect()
}

/// The worker to use: the named one, or the only one. `None` if the program has none.
pub(crate) fn choose_worker(ctx: &Context, asked: Option<&str>) -> Result<Option<String>> {
    let available: Vec<String> = ctx.workers()?.into_iter().map(|w| w.name).collect();
    match (asked, available.as_slice()) {
        (Some(name), _) if available.iter().any(|w| w == name) => Ok(Some(name.to_string())),
        (Some(name), _) => Err(Error::NoSuchWorker { name: name.to_string(), available }),
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(only.clone())),
        (None, _) => {
            let list = available.join(", ");
            Err(Error::Invalid(format!(
                "the program has several workers; say --worker and one of {list}"
            )))
        }
    }
}
