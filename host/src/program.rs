//! A `.wasm` program: read, checked, compiled, linked, ready to be instantiated.

use crate::abi::WORKER_PREFIX;
use crate::process::{Export, State};
use procbox_core::runner::{find_worker, listed_workers};
use procbox_core::{Entry, Error, Result, WorkerInfo};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::{Engine, ExternType, InstancePre, Linker, Module};

/// A WebAssembly program, not yet compiled: that is done by the sandbox that runs it.
///
/// ```
/// use procbox_host::Program;
/// let empty = Program::from_bytes("empty", b"\0asm\x01\0\0\0".to_vec())?;
/// assert!(Program::from_bytes("text", b"hello".to_vec()).is_err());
/// # drop(empty);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Program {
    name: String,
    bytes: Arc<[u8]>,
}

/// What every WebAssembly file begins with.
///
/// ```
/// let module = b"\0asm\x01\0\0\0";
/// assert!(module.starts_with(procbox_host::MAGIC));
/// ```
pub const MAGIC: &[u8; 4] = b"\0asm";

impl Program {
    /// Reads a `.wasm` file.
    ///
    /// ```
    /// use procbox_core::Error;
    /// use procbox_host::Program;
    /// let missing = Program::wasm("/no/such.wasm");
    /// assert_eq!(missing.err(), Some(Error::NotFound("/no/such.wasm".into())));
    /// assert!(matches!(Program::wasm("/bin/sh"), Err(Error::NotRunnable { .. })));
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotRunnable`] if it cannot be read or is not WebAssembly.
    pub fn wasm(path: impl Into<PathBuf>) -> Result<Program> {
        let path = path.into();
        let name = path.display().to_string();
        match std::fs::read(&path) {
            Ok(bytes) => Program::from_bytes(name, bytes),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::NotFound(path)),
            Err(e) => Err(Error::NotRunnable { program: name, why: e.to_string() }),
        }
    }

    /// A program that is in memory; the name is for messages.
    ///
    /// ```
    /// use procbox_host::Program;
    /// let text = Program::from_bytes("greeting", b"hello".to_vec());
    /// let why = text.unwrap_err().to_string();
    /// assert!(why.starts_with("greeting: not runnable: not a WebAssembly module"));
    /// ```
    ///
    /// # Errors
    /// [`Error::NotRunnable`] if it is not WebAssembly.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Program> {
        let name = name.into();
        if !bytes.starts_with(MAGIC) {
            let why = "not a WebAssembly module: it does not begin with `\\0asm`".to_string();
            return Err(Error::NotRunnable { program: name, why });
        }
        Ok(Program { name, bytes: bytes.into() })
    }

    /// Compiles and links it.
    pub(crate) fn prepare(&self, engine: &Engine, linker: &Linker<State>) -> Result<Prepared> {
        let refuse = |why: String| Error::NotRunnable { program: self.name.clone(), why };
        // Preamble: magic, version, layer. A component has layer 1.
        if self.bytes.get(6..8) == Some(&[1, 0]) {
            return Err(refuse("a component; procbox runs core modules (wasm32-wasip1)".into()));
        }
        let module = Module::new(engine, &self.bytes).map_err(|e| refuse(first_line(&e)))?;
        let instance = linker.instantiate_pre(&module).map_err(|e| refuse(first_line(&e)))?;
        let workers = module
            .exports()
            .filter(|export| matches!(export.ty(), ExternType::Func(_)))
            .filter_map(|export| export.name().strip_prefix(WORKER_PREFIX).map(str::to_string))
            .collect();
        let has_main = module.get_export("_start").is_some();
        let signatures = signatures(&self.bytes);
        Ok(Prepared { name: self.name.clone(), instance, workers, signatures, has_main })
    }
}

/// The innermost message of a wasmtime error: the outer ones repeat what the caller knows.
fn first_line(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    let line = cause.lines().next().unwrap_or("invalid").to_string();
    match line.strip_prefix("unknown import: `") {
        Some(rest) => format!(
            "it imports `{}, which is not granted",
            rest.replace("` has not been defined", "`")
        ),
        None => line,
    }
}

/// A program that is ready to be instantiated.
pub(crate) struct Prepared {
    name: String,
    pub(crate) instance: InstancePre<State>,
    workers: Vec<String>,
    signatures: Vec<(String, String)>,
    has_main: bool,
}

impl Prepared {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What to call for an entry.
    ///
    /// # Errors
    /// [`Error::NoSuchWorker`], [`Error::AmbiguousWorker`], or [`Error::NotRunnable`] without a `main`.
    pub(crate) fn export_of(&self, entry: &Entry) -> Result<Export> {
        match entry {
            Entry::Main(_) if self.has_main => Ok(Export::Main),
            Entry::Main(_) => Err(Error::NotRunnable {
                program: self.name.clone(),
                why: "it has no `_start`: not a WASI command".into(),
            }),
            Entry::Call(name) | Entry::Serve(name) => {
                let index = find_worker(name, self.workers.iter().map(String::as_str))?;
                Ok(Export::Worker(format!("{WORKER_PREFIX}{}", self.workers[index])))
            }
        }
    }

    pub(crate) fn workers(&self) -> Vec<WorkerInfo> {
        listed_workers(self.workers_by_identity())
    }

    /// The workers with their signatures as the program has them.
    pub(crate) fn workers_by_identity(&self) -> Vec<WorkerInfo> {
        let signature = |name: &str| {
            self.signatures.iter().find(|(n, _)| n == name).map(|(_, text)| text.clone())
        };
        let info = |name: &String| WorkerInfo::new(name.clone(), signature(name));
        self.workers.iter().map(info).collect()
    }
}

/// The workers' signatures, from the custom section in which the SDK puts them: a line each,
/// `name TAB signature`. Whatever is not that is passed over.
fn signatures(wasm: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for section in custom_sections(wasm, SECTION) {
        for line in String::from_utf8_lossy(section).lines() {
            if let Some((name, signature)) = line.split_once('\t') {
                found.push((name.to_string(), signature.to_string()));
            }
        }
    }
    found
}

/// The name of that section, the same in ELF files.
const SECTION: &str = ".procbox";

/// The contents of the custom sections of this name. The module is known to be valid.
fn custom_sections<'a>(wasm: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    let mut rest = wasm.get(8..).unwrap_or_default();
    while let Some((&id, after)) = rest.split_first() {
        let Some((size, after)) = leb128(after) else { break };
        let Some((body, after)) = after.split_at_checked(size) else { break };
        if id == 0
            && let Some((len, body)) = leb128(body)
            && let Some((own, content)) = body.split_at_checked(len)
            && own == name.as_bytes()
        {
            found.push(content);
        }
        rest = after;
    }
    found
}

/// An unsigned LEB128 number of at most 32 bits, as WebAssembly encodes sizes.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[i + 1..]));
        }
    }
    None
}

/// Whether a file begins as a WebAssembly module does.
///
/// ```
/// use std::path::Path;
/// assert!(!procbox_host::is_wasm(Path::new("/bin/sh")));
/// assert!(!procbox_host::is_wasm(Path::new("/no/such.wasm"))); // one that cannot be read is none
/// ```
pub fn is_wasm(path: &Path) -> bool {
    let mut magic = [0; 4];
    std::fs::File::open(path)
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic))
        .is_ok_and(|()| magic == *MAGIC)
}
