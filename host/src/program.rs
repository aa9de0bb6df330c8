//! A `.wasm` program: read, checked, compiled, linked, ready to be instantiated.

use crate::compile::{self, Compiled, first_line};
use crate::inner::Inner;
use crate::listed::Listed;
use crate::pools::Pools;
use crate::section;
use crate::state::State;
use procbox_abi::{MAIN, MEMORY, WORKER_PREFIX, mode};
use procbox_core::raw::{Entry, WorkerInfo};
use procbox_core::runner::{find_worker, find_worker_briefly, listed_workers};
use procbox_core::{Bytes, Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use wasmtime::{Extern, ExternType, Func, Instance, InstancePre, Module, ModuleExport, Store};

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

/// How many names of workers are kept that a search has found.
const NAMES: usize = 8;

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
        sandbox.compiler.keep(&sandbox.pools.get(0)?.engine, &self.name, &self.bytes)
    }

    /// Checks, compiles and links it.
    pub(crate) fn prepare(&self, sandbox: &Inner) -> Result<Prepared> {
        let refuse = |why: String| Error::NotRunnable { program: self.name.clone(), why };
        let first = sandbox.pools.get(0)?;
        let module = sandbox.compiler.compile(&first.engine, &self.name, &self.bytes)?;
        let linked = first.linker.instantiate_pre(&module);
        let instance = linked.map_err(|e| refuse(first_line(&e)))?;
        let workers: Vec<String> = module
            .exports()
            .filter(|export| matches!(export.ty(), ExternType::Func(_)))
            .filter_map(|export| export.name().strip_prefix(WORKER_PREFIX).map(str::to_string))
            .collect();
        let instances: Vec<_> = (0..sandbox.pools.len()).map(|_| OnceLock::new()).collect();
        let _ = instances[0].set(Loaded::new(instance, &module, &workers));
        let has_main = module.get_export(MAIN).is_some();
        match module.get_export(INITIALIZE) {
            None => {}
            Some(ExternType::Func(ty)) if ty.params().len() + ty.results().len() == 0 => {}
            Some(_) => return Err(refuse(format!("its `{INITIALIZE}` is no function of nothing"))),
        }
        let signatures = section::signatures(&self.bytes, workers.iter().map(String::as_str));
        let info = |name: &String| {
            let signature = signatures.get(name.as_str()).copied().flatten();
            WorkerInfo::new(name.clone(), signature.map(str::to_string))
        };
        let listed = Listed::new(listed_workers(workers.iter().map(info).collect()));
        let places = workers.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        let name = self.name.clone();
        let found = Default::default();
        Ok(Prepared { name, module, instances, workers, places, found, listed, has_main })
    }
}

/// The entry of a program, as it is called.
#[derive(Clone, Debug)]
pub(crate) enum Export {
    Main,
    /// One of the program's workers, and how it is called.
    Worker {
        index: usize,
        mode: i32,
    },
}

/// A program that is ready to be instantiated.
pub(crate) struct Prepared {
    name: String,
    module: Module,
    /// Ready for each pool in which it has run.
    instances: Vec<OnceLock<Loaded>>,
    workers: Vec<String>,
    /// Where each of them is. A module exports a name once only.
    places: HashMap<String, usize>,
    /// The first names, other than those, by which some of them were found.
    found: [OnceLock<(String, usize)>; NAMES],
    listed: Listed,
    has_main: bool,
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
            let known = self.places.get(name).copied().or_else(|| self.found(name));
            let index = known.map_or_else(|| find(name).inspect(|at| self.note(name, *at)), Ok)?;
            Ok(Export::Worker { index, mode })
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

    /// Where a worker is, if it was found by this name before.
    fn found(&self, name: &str) -> Option<usize> {
        let mut known = self.found.iter().map_while(OnceLock::get);
        known.find(|(own, _)| own == name).map(|(_, index)| *index)
    }

    /// Notes where a worker is that was looked for by this name, if there is room.
    fn note(&self, name: &str, index: usize) {
        let _ = self.found.iter().try_for_each(|place| match place.set((name.into(), index)) {
            Ok(()) => Err(()),
            Err(_) => Ok(()),
        });
    }

    /// Sees to it that it can run in a pool.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if there is no room for that.
    pub(crate) fn load(&self, pools: &Pools, pool: usize) -> Result<()> {
        if self.instances[pool].get().is_some() {
            return Ok(());
        }
        let full = |e: wasmtime::Error| Error::Exhausted(format!("room: {}", first_line(&e)));
        let made = pools.get(pool).map_err(|e| Error::Exhausted(format!("room: {e}")))?;
        let module = compile::again(&self.module, &made.engine).map_err(full)?;
        let instance = made.linker.instantiate_pre(&module).map_err(full)?;
        // Another may have done the same.
        let _ = self.instances[pool].set(Loaded::new(instance, &module, &self.workers));
        Ok(())
    }

    /// It, ready to run in a pool for which it was loaded.
    pub(crate) fn loaded(&self, pool: usize) -> Option<&Loaded> {
        self.instances[pool].get()
    }

    pub(crate) fn listed(&self) -> &Listed {
        &self.listed
    }
}

/// A program in a pool, and where its exports are.
pub(crate) struct Loaded {
    pub(crate) instance: InstancePre<State>,
    memory: Option<ModuleExport>,
    main: Option<ModuleExport>,
    /// If it is a reactor: called before a worker.
    initialize: Option<ModuleExport>,
    workers: Vec<Option<ModuleExport>>,
}

impl Loaded {
    fn new(instance: InstancePre<State>, module: &Module, workers: &[String]) -> Loaded {
        let export = |name: &str| module.get_export_index(name);
        let worker = |name: &String| export(&format!("{WORKER_PREFIX}{name}"));
        Loaded {
            instance,
            memory: export(MEMORY),
            main: export(MAIN),
            initialize: export(INITIALIZE),
            workers: workers.iter().map(worker).collect(),
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
        let memory = self.memory.and_then(|at| instance.get_module_export(&mut *store, &at));
        store.data_mut().memory = memory.and_then(Extern::into_memory);
        match export {
            Export::Main => {
                let main = function(instance, store, self.main)?.typed::<(), ()>(&*store)?;
                main.call_async(store, ()).await.map(|()| 0)
            }
            Export::Worker { index, mode } => {
                if self.initialize.is_some() {
                    let initialize = function(instance, store, self.initialize)?;
                    initialize.typed::<(), ()>(&*store)?.call_async(&mut *store, ()).await?;
                }
                let at = self.workers.get(*index).copied().flatten();
                let worker = function(instance, store, at)?.typed::<i32, i32>(&*store)?;
                worker.call_async(store, *mode).await
            }
        }
    }
}

/// The function that is exported there.
fn function(
    instance: Instance,
    store: &mut Store<State>,
    at: Option<ModuleExport>,
) -> wasmtime::Result<Func> {
    at.and_then(|at| instance.get_module_export(store, &at))
        .and_then(Extern::into_func)
        .ok_or_else(|| wasmtime::Error::msg("it exports no such function"))
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
