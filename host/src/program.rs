//! A `.wasm` program: read, checked, compiled, linked, ready to be instantiated.

use crate::compile::{Compiled, first_line};
use crate::inner::Inner;
use crate::listed::Listed;
use crate::section;
use crate::state::State;
use procbox_abi::{MAIN, MEMORY, WORKER_PREFIX, mode};
use procbox_core::raw::{Entry, WorkerInfo};
use procbox_core::runner::{find_worker, find_worker_briefly, listed_workers};
use procbox_core::{Bytes, Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::{ExternType, InstancePre, Store};

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

/// What a WASI reactor exports, to be called before all else.
const INITIALIZE: &str = "_initialize";

/// The bytes that every WebAssembly file begins with.
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

    /// Compiles it ahead of time, for the cache.
    pub(crate) fn keep(&self, sandbox: &Inner) -> Result<Compiled> {
        sandbox.compiler.keep(&sandbox.engine, &self.name, &self.bytes)
    }

    /// Checks, compiles and links it.
    pub(crate) fn prepare(&self, sandbox: &Inner) -> Result<Prepared> {
        let refuse = |why: String| Error::NotRunnable { program: self.name.clone(), why };
        let module = sandbox.compiler.compile(&sandbox.engine, &self.name, &self.bytes)?;
        let linked = sandbox.linker.instantiate_pre(&module);
        let instance = linked.map_err(|e| refuse(first_line(&e)))?;
        let workers: Vec<String> = module
            .exports()
            .filter(|export| matches!(export.ty(), ExternType::Func(_)))
            .filter_map(|export| export.name().strip_prefix(WORKER_PREFIX).map(str::to_string))
            .collect();
        let has_main = module.get_export(MAIN).is_some();
        let is_reactor = match module.get_export(INITIALIZE) {
            None => false,
            Some(ExternType::Func(ty)) if ty.params().len() + ty.results().len() == 0 => true,
            Some(_) => return Err(refuse(format!("its `{INITIALIZE}` is no function of nothing"))),
        };
        let signatures = section::signatures(&self.bytes, workers.iter().map(String::as_str));
        let info = |name: &String| {
            let signature = signatures.get(name.as_str()).copied().flatten();
            WorkerInfo::new(name.clone(), signature.map(str::to_string))
        };
        let listed = Listed::new(listed_workers(workers.iter().map(info).collect()));
        let places = workers.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        let name = self.name.clone();
        Ok(Prepared { name, instance, workers, places, listed, has_main, is_reactor })
    }
}

/// The entry of a program, as it is called.
#[derive(Clone, Debug)]
pub(crate) enum Export {
    Main,
    Worker { export: String, mode: i32 },
}

/// A program that is ready to be instantiated.
pub(crate) struct Prepared {
    name: String,
    instance: InstancePre<State>,
    workers: Vec<String>,
    /// Where each of them is. A module exports a name once only.
    places: HashMap<String, usize>,
    listed: Listed,
    has_main: bool,
    /// It is initialized before a worker is called.
    is_reactor: bool,
}

impl Prepared {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The export to call for an entry.
    ///
    /// # Errors
    /// [`Error::NoSuchWorker`], [`Error::AmbiguousWorker`], or [`Error::NotRunnable`] without a `main`.
    pub(crate) fn export_of(&self, entry: &Entry) -> Result<Export> {
        self.export(entry, |name| find_worker(name, self.identities()))
    }

    /// The same for a guest: the errors do not list what there is.
    ///
    /// # Errors
    /// Those of [`Prepared::export_of`].
    pub(crate) fn export_of_briefly(&self, entry: &Entry) -> Result<Export> {
        self.export(entry, |name| find_worker_briefly(name, self.identities()))
    }

    fn identities(&self) -> impl Iterator<Item = &str> + Clone {
        self.workers.iter().map(String::as_str)
    }

    fn export(&self, entry: &Entry, find: impl Fn(&str) -> Result<usize>) -> Result<Export> {
        let worker = |name: &str, mode| {
            // By its identity, as an item is started, however many there are.
            let index = self.places.get(name).copied().map_or_else(|| find(name), Ok)?;
            Ok(Export::Worker { export: format!("{WORKER_PREFIX}{}", self.workers[index]), mode })
        };
        match entry {
            Entry::Main(args) if self.has_main => {
                let is_fit = |arg: &Bytes| std::str::from_utf8(arg).is_ok() && !arg.contains(&0);
                match args.iter().position(|arg| !is_fit(arg)) {
                    None => Ok(Export::Main),
                    Some(at) => Err(Error::Invalid(format!(
                        "argument {} is not UTF-8, or has a zero byte: {:?}",
                        at + 1,
                        String::from_utf8_lossy(&args[at])
                    ))),
                }
            }
            Entry::Main(_) => Err(Error::NotRunnable {
                program: self.name.clone(),
                why: format!("it has no `{MAIN}`: not a WASI command"),
            }),
            Entry::Call(name) => worker(name, mode::CALL),
            Entry::Serve(name) => worker(name, mode::SERVE),
            _ => Err(Error::Unsupported("such an entry")),
        }
    }

    /// Makes an instance in a store and calls its entry: what that returned.
    ///
    /// # Errors
    /// A trap, an exit, or why there is no instance.
    pub(crate) async fn call(
        &self,
        store: &mut Store<State>,
        export: &Export,
    ) -> wasmtime::Result<i32> {
        let instance = self.instance.instantiate_async(&mut *store).await?;
        let memory = instance.get_memory(&mut *store, MEMORY);
        store.data_mut().memory = memory;
        match export {
            Export::Main => {
                let main = instance.get_typed_func::<(), ()>(&mut *store, MAIN)?;
                main.call_async(store, ()).await.map(|()| 0)
            }
            Export::Worker { export, mode } => {
                if self.is_reactor {
                    let initialize = instance.get_typed_func::<(), ()>(&mut *store, INITIALIZE)?;
                    initialize.call_async(&mut *store, ()).await?;
                }
                let worker = instance.get_typed_func::<i32, i32>(&mut *store, export)?;
                worker.call_async(store, *mode).await
            }
        }
    }

    pub(crate) fn listed(&self) -> &Listed {
        &self.listed
    }
}

/// True for a file that begins as a WebAssembly module does.
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
