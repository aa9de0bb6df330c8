//! What the processes of a context share, and how one of them starts.

use crate::account::Account;
use crate::connection::Names;
use crate::grants::Grants;
use crate::inner::Inner;
use crate::listed::Listed;
use crate::object::Stored;
use crate::print;
use crate::process::{Captured, HostProcess};
use crate::program::{Export, Prepared};
use crate::runtime::Share;
use crate::state::{Environment, State};
use crate::sync::lock;
use crate::task::{Life, Task};
use crate::trap;
use crate::tree::Tree;
use crate::wasi::{self, Files};
use procbox_core::observe::{self, Event};
use procbox_core::raw::{Output, ProcessSpec};
use procbox_core::{ExitStatus, Limit, Result, Wait};
use std::sync::Arc;
use wasmtime::Store;
use wasmtime_wasi::WasiCtxBuilder;

/// All that the processes of a context have in common.
pub(crate) struct Shared {
    pub(crate) sandbox: Arc<Inner>,
    pub(crate) program: Prepared,
    pub(crate) grants: Grants,
    /// That of what the embedding program makes itself.
    pub(crate) account: Arc<Account>,
    /// Whom its processes can reach by name.
    pub(crate) names: Arc<Names>,
    /// The threads for their file calls, if directories are granted.
    pub(crate) files: Option<Arc<Files>>,
    /// Its share of the CPUs, of which each of its trees has one.
    pub(crate) share: Arc<Share>,
}

impl Shared {
    /// Starts the process that calls an export.
    ///
    /// # Errors
    /// [`procbox_core::Error::Exhausted`].
    pub(crate) fn begin(
        self: Arc<Self>,
        export: Export,
        mut spec: ProcessSpec,
        arguments: Stored,
        tree: Arc<Tree>,
        output: Captured,
    ) -> Result<Arc<HostProcess>> {
        let sandbox = &self.sandbox;
        let place = sandbox.room.take()?;
        let member = tree.account.enter();
        spec.identity.pid = sandbox.registry.next_pid();
        let runtime = sandbox.runtime.clone();
        let process = HostProcess::new(runtime, spec.identity.clone(), tree, output);
        sandbox.registry.enter(&process);
        observe::show(&process);
        observe::emit(|| Event::ProcessStarted {
            pid: process.identity.pid,
            name: &process.identity.name,
            parent: process.identity.parent.as_ref().map_or(0, |(pid, _)| *pid),
        });
        let clock = sandbox.runtime.clock();
        let deadline = spec.timeout.map_or(Wait::Forever, Wait::AtMost).deadline(&**clock);
        let cpu_time = spec.cpu_time;
        let environment = self.clone();
        let limits = sandbox.limits.of_store();
        let state =
            State::new(process.clone(), environment, spec, arguments, limits, member, place);
        let life = lives(self.clone(), state, export);
        let registry = sandbox.registry.clone();
        let task = Task::new(life, process.clone(), registry, deadline, cpu_time);
        sandbox.runtime.spawn(process.seat.clone(), task);
        Ok(process)
    }
}

impl Environment for Shared {
    fn start(
        self: Arc<Self>,
        spec: ProcessSpec,
        arguments: Stored,
        tree: Arc<Tree>,
        output: Captured,
    ) -> Result<Arc<HostProcess>> {
        let export = self.program.export_of_briefly(&spec.entry)?;
        self.begin(export, spec, arguments, tree, output)
    }

    fn may_start(&self) -> bool {
        self.grants.may_start()
    }

    fn program(&self) -> &str {
        self.program.name()
    }

    fn workers(&self) -> &Listed {
        self.program.listed()
    }

    fn cpu_count(&self) -> usize {
        self.sandbox.parallelism
    }

    fn grant(&self, wasi: &mut WasiCtxBuilder) -> Result<()> {
        self.grants.apply(wasi)
    }
}

/// The whole life of a process, beside the threads for its file calls.
fn lives(shared: Arc<Shared>, state: State, export: Export) -> Life {
    match shared.files.clone() {
        None => Box::pin(live(shared, state, export)),
        Some(files) => Box::pin(async move { files.serve(live(shared, state, export)).await }),
    }
}

/// The whole life of a process.
async fn live(shared: Arc<Shared>, state: State, export: Export) -> ExitStatus {
    let cpu_time = state.spec.cpu_time;
    let mut store = Store::new(&shared.sandbox.engine, state);
    store.limiter(|state| &mut state.limits);
    let mut out_of_fuel = Limit::Fuel;
    let ended = async {
        let Inner { runtime, limits, .. } = &*shared.sandbox;
        out_of_fuel = runtime.meter(&mut store, limits.fuel, cpu_time)?;
        if shared.grants.has_directories() {
            wasi::begin(store.data_mut()).map_err(wasmtime::Error::new)?;
        }
        shared.program.call(&mut store, &export).await
    }
    .await;
    let ended = trap::status(ended, out_of_fuel);
    if let Some(message) = ended.message
        && !shared.grants.is_quiet()
    {
        let process = store.data().process.clone();
        let name = &process.identity.name;
        if store.data().spec.stderr == Output::Capture {
            let said = print::last_words(name, &message);
            lock(&process.output.stderr).extend_from_slice(said.as_bytes());
        } else {
            print::complain(&process.runtime, name, &message).await;
        }
    }
    ended.status
}
