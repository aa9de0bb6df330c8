//! From a path and options to a context that runs the program.

use crate::options::{BackendArg, ProgramArgs, UnknownImportsArg};
use memchr::memmem;
use procbox::backend::runner::find_worker;
use procbox::native::Confinement;
use procbox::sandbox::Grants;
use procbox::{Context, Error, Native, Result, Sandbox, native, sandbox};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How many processes a program of procbox's may have at once, unless told otherwise.
const MAX_PROCESSES: usize = 1000;
/// What the imports of procbox's begin with: a module without it cannot start a process.
const PROCBOX: &[u8] = b"procbox_";

/// Opens a program where the options say, or else where its first bytes say.
pub(crate) fn open(path: &Path, args: &ProgramArgs) -> Result<Context> {
    let found = in_path(path).filter(|_| args.backend != Some(BackendArg::Sandbox));
    let path = found.as_deref().unwrap_or(path);
    let wasm = is_wasm(path);
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

/// The executable in PATH that a bare name means, unless there is such a file here.
fn in_path(name: &Path) -> Option<PathBuf> {
    if name.components().count() != 1 || name.as_os_str().as_encoded_bytes().contains(&b'/') {
        return None;
    }
    if name.is_file() {
        return None;
    }
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(runs)
}

/// Whether a program is for the sandbox. A file that says `.wasm` and is none is refused as such.
pub(crate) fn is_wasm(path: &Path) -> bool {
    let named = path.extension().is_some_and(|e| e == "wasm" || e == "wat");
    sandbox::is_wasm(path) || named && path.exists()
}

/// The bytes of a module; of one in the text format, `.wat`, what that comes to.
fn module(path: &Path) -> Result<Vec<u8>> {
    let refuse = |why: String| Error::NotRunnable { program: path.display().to_string(), why };
    let bytes = std::fs::read(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Error::NotFound(path.to_path_buf()),
        _ => refuse(e.to_string()),
    })?;
    if path.extension().is_none_or(|e| e != "wat") || bytes.starts_with(sandbox::MAGIC) {
        return Ok(bytes);
    }
    let bytes = wat::parse_bytes(&bytes).map_err(|e| refuse(e.to_string()))?;
    Ok(bytes.into_owned())
}

/// A program for the sandbox.
pub(crate) fn wasm_program(path: &Path) -> Result<sandbox::Program> {
    sandbox::Program::from_bytes(path.display().to_string(), module(path)?)
}

/// The room that a program needs: what cannot start a process is only ever one.
fn room(program: &sandbox::Program, args: &ProgramArgs, at_once: Option<usize>) -> usize {
    let speaks = !program.is_component() && memmem::find(program.bytes(), PROCBOX).is_some();
    match (args.limits.max_processes, at_once) {
        (Some(most), _) => most.get(),
        (None, Some(processes)) if !speaks || args.limits.no_processes => processes,
        (None, _) => MAX_PROCESSES,
    }
}

/// The two sides of `HOST[::GUEST]`.
fn host_and_guest(dir: &str) -> (&str, &str) {
    dir.split_once("::").unwrap_or((dir, dir))
}

fn open_sandbox(path: &Path, args: &ProgramArgs) -> Result<Context> {
    if args.confine {
        let why = "--confine is for native programs: the sandbox confines whatever it runs";
        return Err(Error::Invalid(why.into()));
    }
    let program = wasm_program(path)?;
    let room = room(&program, args, args.at_once);
    for (host, option) in args
        .dir
        .iter()
        .map(|dir| (host_and_guest(dir).0, "--dir"))
        .chain(args.dir_ro.iter().map(|dir| (host_and_guest(dir).0, "--dir-ro")))
    {
        if !Path::new(host).is_dir() {
            return Err(Error::os(option, format!("{host}: there is no such directory")));
        }
    }
    let mut grants = Grants::default()
        .quiet(args.quiet)
        .processes(!args.limits.no_processes)
        .unknown_imports(args.unknown_imports.into());
    for (host, guest) in args.dir.iter().map(|dir| host_and_guest(dir)) {
        grants = grants.dir(host, guest);
    }
    for (host, guest) in args.dir_ro.iter().map(|dir| host_and_guest(dir)) {
        grants = grants.dir_read_only(host, guest);
    }
    for (key, value) in variables(args)? {
        grants = grants.env(key, value);
    }
    let alone = (args.at_once == Some(1)).then_some(room);
    let builder = Sandbox::builder().max_processes(room).cache(!args.no_cache);
    let mut builder = args.limits.set(args.compile.limit(builder), alone);
    if let Some(timeout) = args.compile_timeout {
        builder = builder.compile_timeout(timeout);
    }
    builder.build()?.context_with(program, grants)
}

fn open_native(path: &Path, args: &ProgramArgs) -> Result<Context> {
    let natively = [
        (!args.confine && !args.dir.is_empty(), "--dir"),
        (!args.confine && !args.dir_ro.is_empty(), "--dir-ro"),
        (!args.confine && args.limits.memory.is_some(), "--memory"),
        (args.no_cache, "--no-cache"),
        (args.unknown_imports != UnknownImportsArg::Refuse, "--unknown-imports"),
        (args.compile.compile_time.is_some(), "--compile-time"),
        (args.compile.compile_memory.is_some(), "--compile-memory"),
    ];
    for (given, option) in natively.into_iter().chain(args.limits.of_sandbox()) {
        if given {
            return Err(Error::Invalid(format!(
                "{option} is for the sandbox: {} would run natively, with its caller's rights",
                path.display()
            )));
        }
    }
    let mut builder = Native::builder().program(native::Program::open(path)?);
    for (key, value) in variables(args)? {
        builder = builder.env(key, value);
    }
    if args.confine {
        builder = builder.confine(confinement(args)?);
    }
    builder.build()
}

/// What `--confine` means.
fn confinement(args: &ProgramArgs) -> Result<Confinement> {
    let mut confinement = Confinement::new().no_network().hardened().own_signals().files();
    // A process sees the directories of the host: none has another name.
    let host = |option: &str, dir: &str| match host_and_guest(dir) {
        (host, guest) if host == guest => Ok(host.to_string()),
        _ => Err(Error::Invalid(format!("{option} {dir}: natively a directory keeps its name"))),
    };
    for dir in &args.dir {
        confinement = confinement.write(host("--dir", dir)?);
    }
    for dir in &args.dir_ro {
        confinement = confinement.read(host("--dir-ro", dir)?);
    }
    if let Some(bytes) = args.limits.memory {
        confinement = confinement.memory(bytes as u64);
    }
    Ok(confinement)
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
    let workers = ctx.workers()?;
    let name = |index: usize| workers[index].name.clone();
    match (asked, workers.as_slice()) {
        (Some(asked), [worker]) if worker.any_name => Ok(Some(asked.to_string())),
        (Some(asked), _) => {
            let identities = workers.iter().map(|worker| worker.identity.as_str());
            Ok(Some(name(find_worker(asked, identities)?)))
        }
        (None, []) => Ok(None),
        (None, [_]) => Ok(Some(name(0))),
        (None, _) => {
            let list: Vec<_> = workers.iter().map(|worker| worker.name.as_str()).collect();
            let list = list.join(", ");
            Err(Error::Invalid(format!(
                "the program has several workers; say --worker and one of {list}"
            )))
        }
    }
}
