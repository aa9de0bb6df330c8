//! A `.wasm` program: read, checked, compiled, linked, ready to be instantiated.

use crate::compile::{self, Code, Compiled, first_line};
use crate::component::{self, Entrance};
use crate::exported::Exported;
use crate::imports::Imports;
use crate::initialize::{INITIALIZE, OwnConstructors};
use crate::inner::Inner;
use crate::listed::Listed;
use crate::module::{self, Sought};
use crate::pools::Pools;
use crate::section;
use crate::state::State;
use crate::warm::{self, Capture};
use procbox_abi::{MAIN, RESEED, RESUME, WORKER_PREFIX, mode};
use procbox_core::raw::{Entry, WorkerInfo};
use procbox_core::runner::{find_worker, find_worker_briefly, listed_workers};
use procbox_core::{Bytes, Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use wasmtime::component::Component;
use wasmtime::{Engine, ExternType, InstancePre, Module, Store};

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
    bytes: Arc<Vec<u8>>,
}

/// How many names of workers are kept that a search has found.
const NAMES: usize = 8;

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
        Ok(Program { name, bytes: Arc::new(bytes) })
    }

    /// Its bytes: those of the file, or of the image that it was made of.
    ///
    /// ```
    /// let empty = b"\0asm\x01\0\0\0";
    /// let program = procbox_host::Program::from_bytes("empty", empty.to_vec())?;
    /// assert_eq!(program.bytes(), empty);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it is a component; if not, it is a core module.
    ///
    /// ```
    /// let module = procbox_host::Program::from_bytes("empty", b"\0asm\x01\0\0\0".to_vec())?;
    /// let component = procbox_host::Program::from_bytes("other", b"\0asm\x0d\0\x01\0".to_vec())?;
    /// assert!(!module.is_component() && component.is_component());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn is_component(&self) -> bool {
        component::is_component(&self.bytes)
    }

    /// Compiles it ahead of time, for the cache; these functions are not compiled again.
    pub(crate) fn keep(
        &self,
        sandbox: &Inner,
        imports: &Imports,
        functions: &[u8],
    ) -> Result<Compiled> {
        let engine = &sandbox.pools.get(0)?.engine;
        sandbox.compiler.keep(engine, &self.name, &self.bytes, imports, functions)
    }

    /// Checks, compiles and links it, where this is what it may import besides, and these functions are not
    /// compiled again.
    pub(crate) fn prepare(
        &self,
        sandbox: &Inner,
        imports: Imports,
        functions: &[u8],
    ) -> Result<Prepared> {
        let engine = &sandbox.pools.get(0)?.engine;
        let compiler = &sandbox.compiler;
        match compiler.compile(engine, &self.name, &self.bytes, &imports, functions)? {
            Code::Module(module) => self.link(sandbox, module, imports, None),
            Code::Component(component) => self.link_component(sandbox, component, imports),
        }
    }

    /// The same for one whose first process is to become an image; and its functions.
    pub(crate) fn prepare_first(
        &self,
        sandbox: &Inner,
        imports: Imports,
        capture: Arc<Capture>,
    ) -> Result<(Prepared, Vec<u8>)> {
        if warm::is_warm(&self.bytes) {
            return Err(self.refuse("an image of it cannot be made: it is one already".into()));
        }
        let component = "an image of it cannot be made: it is a component, and begins as it was built; \
                         have its initialization run when it is built";
        if self.is_component() {
            return Err(self.refuse(component.into()));
        }
        let engine = &sandbox.pools.get(0)?.engine;
        match sandbox.compiler.instrument(engine, &self.name, &self.bytes, &imports)? {
            (Code::Module(module), functions) => {
                Ok((self.link(sandbox, module, imports, Some(capture))?, functions))
            }
            (Code::Component(_), _) => Err(self.refuse(component.into())),
        }
    }

    /// The program that begins with this image of a process of it.
    pub(crate) fn rewritten(&self, sandbox: &Inner, image: &[u8]) -> Result<Program> {
        let bytes = sandbox.compiler.rewrite(&self.name, &self.bytes, image)?;
        Program::from_bytes(self.name.clone(), bytes)
    }

    pub(crate) fn refuse(&self, why: String) -> Error {
        Error::NotRunnable { program: self.name.clone(), why }
    }

    fn link(
        &self,
        sandbox: &Inner,
        module: Module,
        imports: Imports,
        capture: Option<Arc<Capture>>,
    ) -> Result<Prepared> {
        let linked = imports.link(sandbox.pools.get(0)?, &module);
        let instance = linked.map_err(|e| self.refuse(first_line(&e)))?;
        let workers: Vec<String> = module
            .exports()
            .filter(|export| matches!(export.ty(), ExternType::Func(_)))
            .filter_map(|export| export.name().strip_prefix(WORKER_PREFIX).map(str::to_string))
            .collect();
        let signatures = section::signatures(&self.bytes, workers.iter().map(String::as_str));
        let info = |name: &String| {
            let signature = signatures.get(name.as_str()).copied().flatten();
            WorkerInfo::new(name.clone(), signature.map(str::to_string))
        };
        let listed = Listed::new(listed_workers(workers.iter().map(info).collect()));
        let places = workers.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        let plain = |name: &str| match module.get_export(name) {
            None => Ok(false),
            Some(ExternType::Func(ty)) if ty.params().len() + ty.results().len() == 0 => Ok(true),
            Some(_) => Err(self.refuse(format!("its `{name}` is no function of nothing"))),
        };
        plain(INITIALIZE)?;
        let is_warm = warm::is_warm(&self.bytes);
        // In the process that an image was made of it was called.
        let constructors = (!is_warm).then(|| OwnConstructors::of(&self.bytes));
        let reseeds = (is_warm || capture.is_some()) && plain(RESEED)?;
        let main = if is_warm && plain(RESUME)? { RESUME } else { MAIN };
        let has_main = module.get_export(main).is_some();
        let instances: Vec<_> = (0..sandbox.pools.len()).map(|_| OnceLock::new()).collect();
        let needed = module.resources_required();
        let prepared = Prepared {
            source: self.clone(),
            code: Code::Module(module),
            imports,
            room: sandbox.pools.room(needed.num_memories as usize),
            instances,
            workers,
            places,
            found: Default::default(),
            listed,
            main,
            has_main,
            constructors,
            reseeds,
            capture,
        };
        prepared.is_loaded(0, Loaded::Module(prepared.loaded_module(instance)));
        Ok(prepared)
    }

    fn link_component(
        &self,
        sandbox: &Inner,
        component: Component,
        imports: Imports,
    ) -> Result<Prepared> {
        let linker = sandbox.pools.get(0)?.components()?;
        let loaded = component::Loaded::new(&component, linker).map_err(|why| self.refuse(why))?;
        let instances: Vec<_> = (0..sandbox.pools.len()).map(|_| OnceLock::new()).collect();
        let prepared = Prepared {
            source: self.clone(),
            room: sandbox.pools.room(loaded.memories()),
            code: Code::Component(component),
            imports,
            instances,
            workers: Vec::new(),
            constructors: None,
            places: HashMap::new(),
            found: Default::default(),
            listed: Listed::new(loaded.workers()),
            main: MAIN,
            has_main: loaded.is_command(),
            reseeds: false,
            capture: None,
        };
        prepared.is_loaded(0, Loaded::Component(loaded));
        Ok(prepared)
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
    /// A component's worker of this name, and how it is called.
    Named {
        name: String,
        mode: i32,
    },
    /// Any function, and whether `_initialize` precedes it.
    Function {
        call: Exported,
        is_second: bool,
    },
}

/// A program that is ready to be instantiated.
pub(crate) struct Prepared {
    source: Program,
    code: Code,
    imports: Imports,
    /// How many places a process of it takes.
    room: usize,
    /// Ready for each pool in which it has run.
    instances: Vec<OnceLock<Loaded>>,
    workers: Vec<String>,
    /// Where each of them is. A module exports a name once only.
    places: HashMap<String, usize>,
    /// The first names, other than those, by which some of them were found.
    found: [OnceLock<(String, usize)>; NAMES],
    listed: Listed,
    /// The export that is its `main`.
    main: &'static str,
    has_main: bool,
    /// Which exports its `_initialize` does not precede; `None` if it precedes none.
    constructors: Option<OwnConstructors>,
    /// It is told when a process begins with its image.
    reseeds: bool,
    /// Where the image of its first process goes.
    capture: Option<Arc<Capture>>,
}

impl Prepared {
    pub(crate) fn name(&self) -> &str {
        &self.source.name
    }

    /// How many places a process of it takes: as many as it has memories, or tables if it has more.
    pub(crate) fn places(&self) -> usize {
        self.room
    }

    /// What it may import besides.
    pub(crate) fn imports(&self) -> &Imports {
        &self.imports
    }

    pub(crate) fn source(&self) -> &Program {
        &self.source
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
            // The program finds out itself whether there is such a one.
            if matches!(self.code, Code::Component(_)) && !self.listed.workers.is_empty() {
                return Ok(Export::Named { name: name.to_string(), mode });
            }
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
                program: self.source.name.clone(),
                why: format!("it has no `{MAIN}`: not a WASI command"),
            }),
            Entry::Call(name) => worker(name, mode::CALL),
            Entry::Serve(name) => worker(name, mode::SERVE),
            Entry::Export(name, words) => {
                let Code::Module(module) = &self.code else {
                    let why = "a component's functions are called as workers, by their names";
                    return Err(self.source.refuse(why.into()));
                };
                let call = Exported::of(module, name, words)?;
                let initializes = module.get_export_index(INITIALIZE).is_some()
                    && name != INITIALIZE
                    && self.constructors.as_ref().is_some_and(|own| !own.has(name));
                Ok(Export::Function { call, is_second: initializes })
            }
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
        let loaded = match compile::again(&self.code, &made.engine).map_err(full)? {
            Code::Module(module) => {
                let instance = self.imports.link(made, &module).map_err(full)?;
                Loaded::Module(self.loaded_module(instance))
            }
            Code::Component(component) => {
                let loaded = component::Loaded::new(&component, made.components()?);
                Loaded::Component(loaded.map_err(|why| self.source.refuse(why))?)
            }
        };
        self.is_loaded(pool, loaded);
        Ok(())
    }

    fn loaded_module(&self, instance: InstancePre<State>) -> module::Loaded {
        module::Loaded::new(
            instance,
            &Sought {
                main: self.main,
                workers: &self.workers,
                constructors: self.constructors.as_ref(),
                reseeds: self.reseeds,
            },
        )
    }

    /// It is ready for a pool, unless another has done the same.
    fn is_loaded(&self, pool: usize, loaded: Loaded) {
        let _ = self.instances[pool].set(loaded);
    }

    /// Where the image of its first process goes, if it is to become one.
    pub(crate) fn capture(&self) -> Option<&Capture> {
        self.capture.as_deref()
    }

    /// It, ready to run in a pool for which it was loaded.
    pub(crate) fn loaded(&self, pool: usize) -> Option<&Loaded> {
        self.instances[pool].get()
    }

    pub(crate) fn listed(&self) -> &Listed {
        &self.listed
    }
}

/// A program in a pool.
pub(crate) enum Loaded {
    Module(module::Loaded),
    Component(component::Loaded),
}

impl Loaded {
    /// The pool's engine.
    pub(crate) fn engine(&self) -> &Engine {
        match self {
            Loaded::Module(module) => module.engine(),
            Loaded::Component(component) => component.engine(),
        }
    }

    /// Makes an instance in a store and calls its entry: what that returned. Where there is a `capture`,
    /// it is to get the image of the first process.
    ///
    /// # Errors
    /// A trap, an exit, or why there is no instance.
    pub(crate) async fn call(
        &self,
        store: &mut Store<State>,
        export: &Export,
        capture: Option<&Capture>,
    ) -> wasmtime::Result<i32> {
        match (self, export) {
            (Loaded::Module(module), _) => module.call(store, export, capture).await,
            (Loaded::Component(component), Export::Named { name, mode }) => {
                // A process of a component takes more of the stack than one of a module.
                Box::pin(component.call(store, Entrance::Worker(name, *mode))).await
            }
            (Loaded::Component(component), _) => {
                Box::pin(component.call(store, Entrance::Command)).await
            }
        }
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
