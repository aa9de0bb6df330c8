//! Programs that are core modules: where their exports are, and how a process of one is entered.

use crate::exported;
use crate::initialize::{INITIALIZE, OwnConstructors};
use crate::print::Stream;
use crate::program::Export;
use crate::state::State;
use crate::warm::{Capture, Ready};
use crate::wasi;
use procbox_abi::{MEMORY, RESEED, WORKER_PREFIX};
use wasmtime::{Engine, Extern, Func, Instance, InstancePre, ModuleExport, Store, Val};

/// What is looked for in a core module.
pub(crate) struct Sought<'a> {
    /// The name of its `main`.
    pub(crate) main: &'a str,
    pub(crate) workers: &'a [String],
    /// The exports that do themselves what `_initialize` does; `None` if all do.
    pub(crate) constructors: Option<&'a OwnConstructors>,
    /// Whether it is told when a process begins with its image.
    pub(crate) reseeds: bool,
}

/// A core module in a pool, and where its exports are.
pub(crate) struct Loaded {
    instance: InstancePre<State>,
    memory: Option<ModuleExport>,
    main: Option<Callable>,
    /// If it is a reactor: called before all else.
    initialize: Option<ModuleExport>,
    /// Called first in a process that begins with an image.
    reseed: Option<ModuleExport>,
    workers: Vec<Option<Callable>>,
}

/// An export that an entry calls.
#[derive(Clone, Copy)]
struct Callable {
    at: ModuleExport,
    /// `_initialize` is called before it.
    is_second: bool,
}

impl Loaded {
    /// Of an instance that is linked.
    pub(crate) fn new(instance: InstancePre<State>, sought: &Sought<'_>) -> Loaded {
        let module = instance.module();
        let export = |name: &str| module.get_export_index(name);
        let constructors = sought.constructors.filter(|_| export(INITIALIZE).is_some());
        let callable = |name: &str| {
            let is_second = constructors.is_some_and(|own| !own.has(name));
            export(name).map(|at| Callable { at, is_second })
        };
        let worker = |name: &String| callable(&format!("{WORKER_PREFIX}{name}"));
        Loaded {
            memory: export(MEMORY),
            main: callable(sought.main),
            initialize: export(INITIALIZE),
            reseed: export(RESEED).filter(|_| sought.reseeds),
            workers: sought.workers.iter().map(worker).collect(),
            instance,
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.instance.module().engine()
    }

    /// See [`crate::program::Loaded::call`].
    pub(crate) async fn call(
        &self,
        store: &mut Store<State>,
        export: &Export,
        capture: Option<&Capture>,
    ) -> wasmtime::Result<i32> {
        let instance = self.instance.instantiate_async(&mut *store).await?;
        let memory = self.memory.and_then(|at| instance.get_module_export(&mut *store, &at));
        store.data_mut().memory = memory.and_then(Extern::into_memory);
        let first = capture.filter(|capture| capture.begin());
        store.data_mut().is_first = first.is_some();
        if capture.is_none() {
            self.reseed(store, instance).await?;
        }
        let called = self.enter(store, instance, export).await;
        let Some(capture) = first else { return called };
        let Some(ready) = Ready::of(&called, export) else { return called };
        store.data_mut().is_first = false;
        self.reseed(store, instance).await?;
        capture.read(store, &instance, ready);
        Ok(0)
    }

    /// Has the program make its seeds anew, if it can.
    async fn reseed(&self, store: &mut Store<State>, instance: Instance) -> wasmtime::Result<()> {
        if self.reseed.is_none() {
            return Ok(());
        }
        let reseed = function(instance, store, self.reseed)?.typed::<(), ()>(&*store)?;
        reseed.call_async(store, ()).await
    }

    async fn enter(
        &self,
        store: &mut Store<State>,
        instance: Instance,
        export: &Export,
    ) -> wasmtime::Result<i32> {
        let entry = match export {
            Export::Main | Export::Named { .. } => self.main,
            Export::Worker { index, .. } => self.workers.get(*index).copied().flatten(),
            Export::Function { call, is_second } => {
                let at = self.instance.module().get_export_index(&call.name);
                at.map(|at| Callable { at, is_second: *is_second })
            }
        };
        if entry.is_some_and(|entry| entry.is_second) {
            let initialize =
                function(instance, store, self.initialize)?.typed::<(), ()>(&*store)?;
            initialize.call_async(&mut *store, ()).await?;
        }
        let entry = function(instance, store, entry.map(|entry| entry.at))?;
        match export {
            Export::Named { .. } => Err(wasmtime::Error::msg("it is no component")),
            Export::Main => entry.typed::<(), ()>(&*store)?.call_async(store, ()).await.map(|()| 0),
            Export::Worker { mode, .. } => {
                entry.typed::<i32, i32>(&*store)?.call_async(store, *mode).await
            }
            Export::Function { call, .. } => {
                let mut results = vec![Val::I32(0); call.results];
                entry.call_async(&mut *store, &call.arguments, &mut results).await?;
                let lines = exported::lines(&results);
                let printed = wasi::print(store.data(), Stream::Stdout, lines).await;
                // As a program ends that cannot print.
                Ok(i32::from(printed.is_err()))
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
