//! What the processes of a context share, and how one of them starts.

use crate::account::Account;
use crate::connection::Names;
use crate::fuel::{self, Given};
use crate::grants::Grants;
use crate::inner::Inner;
use crate::listed::Listed;
use crate::object::Stored;
use crate::pools::Place;
use crate::print::{self, Stream};
use crate::process::{Captured, HostProcess};
use crate::program::{Export, Prepared};
use crate::runtime::Share;
use crate::state::{Environment, State};
use crate::task::{FAULT, Life, Task};
use crate::trap;
use crate::tree::Tree;
use crate::wasi::{self, Files};
use procbox_core::observe::{self, Event};
use procbox_core::raw::{Entry, Output, ProcessSpec, RawContext};
use procbox_core::time::Deadline;
use procbox_core::{ExitStatus, Identity, Limit, Result, Wait};
use std::sync::Arc;
use wasmtime::Store;
use wasmtime_wasi::WasiCtxBuilder;

/// All that the processes of a context have in common.
pub(crate) struct Shared {
    pub(crate) sandbox: Arc<Inner>,
    pub(crate) program: Arc<Prepared>,
    pub(crate) grants: Grants,
    /// That of the small things that the embedding program makes itself.
    pub(crate) account: Arc<Account>,
    /// Whom its processes can reach by name.
    pub(crate) names: Arc<Names>,
    /// The threads for their file calls, if directories are granted.
    pub(crate) files: Option<Arc<Files>>,
    /// Its share of the CPUs, of which each of its trees has one.
    pub(crate) share: Arc<Share>,
    /// Where its processes make primitives, if that is another context: on a bridge.
    pub(crate) maker: Option<Arc<dyn RawContext>>,
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
        parent: Deadline,
    ) -> Result<Arc<HostProcess>> {
        let sandbox = &self.sandbox;
        let places = self.program.places();
        let place = sandbox.pools.take(places)?;
        self.program.load(&sandbox.pools, place.pool())?;
        let bytes = sandbox.limits.stack + size_of(&spec.entry);
        let member = tree.enter(places, bytes, self.grants.directories().count())?;
        let mut identity = std::mem::replace(&mut spec.identity, Identity::new("", 0));
        identity.pid = sandbox.registry.next_pid();
        let runtime = sandbox.runtime.clone();
        let own = spec.timeout.map_or(Wait::Forever, Wait::AtMost).deadline(&**runtime.clock());
        let deadline = own.min(parent);
        let counts_fuel = sandbox.limits.fuel.is_some();
        let process = HostProcess::new(runtime, identity, tree, output, deadline, counts_fuel)?;
        let fuel = process.tree.take_fuel(sandbox.limits.fuel)?;
        sandbox.registry.enter(&process);
        observe::show(&process);
        observe::emit(|| Event::ProcessStarted {
            pid: process.identity.pid,
            name: &process.identity.name,
            parent: process.identity.parent.as_ref().map_or(0, |(pid, _)| *pid),
        });
        let cpu_time = spec.cpu_time;
        let environment = self.clone();
        let limits = sandbox.limits.of_store(&process.tree.account, spec.memory);
        let state = State::new(process.clone(), environment, spec, arguments, limits, member);
        let life = lives(self.clone(), state, export, fuel, place);
        let registry = sandbox.registry.clone();
        let task = Task::new(life, process.clone(), registry, deadline, cpu_time);
        sandbox.runtime.spawn(process.seat.clone(), task);
        Ok(process)
    }
}

impl Shared {
    /// The same around another program.
    pub(crate) fn with(&self, program: Arc<Prepared>) -> Shared {
        Shared {
            sandbox: self.sandbox.clone(),
            program,
            grants: self.grants.clone(),
            account: self.account.clone(),
            names: self.names.clone(),
            files: self.files.clone(),
            share: self.share.clone(),
            maker: self.maker.clone(),
        }
    }
}

impl Environment for Shared {
    fn start(
        self: Arc<Self>,
        spec: ProcessSpec,
        arguments: Stored,
        parent: &HostProcess,
    ) -> Result<Arc<HostProcess>> {
        let export = self.program.export_of_briefly(&spec.entry)?;
        let (tree, output) = (parent.tree.clone(), parent.output.clone());
        self.begin(export, spec, arguments, tree, output, parent.deadline)
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

    fn directories(&self) -> usize {
        self.grants.directories().count()
    }

    fn maker(&self) -> Option<&Arc<dyn RawContext>> {
        self.maker.as_ref()
    }

    fn grant(&self, wasi: &mut WasiCtxBuilder) -> Result<()> {
        self.grants.apply(wasi)
    }
}

/// The whole life of a process, beside the threads for its file calls.
fn lives(shared: Arc<Shared>, state: State, export: Export, fuel: Given, place: Place) -> Life {
    let files = shared.files.clone();
    let life = live(shared, state, export, fuel, place);
    match files {
        None => Box::pin(life),
        Some(files) => Box::pin(async move { files.serve(life).await }),
    }
}

/// The least that a word takes where it is kept.
const WORD: usize = 48;

/// The bytes of what a process is told to do. A program's arguments are kept twice: as they came, and
/// as WASI has them.
fn size_of(entry: &Entry) -> usize {
    match entry {
        Entry::Main(words) => words.iter().map(|word| 2 * (word.len() + WORD)).sum(),
        Entry::Call(name) | Entry::Serve(name) => name.len(),
        Entry::Export(name, words) => {
            name.len() + words.iter().map(|word| 2 * (word.len() + WORD)).sum::<usize>()
        }
        _ => 0,
    }
}

/// The whole life of a process, in its place in a pool for which the program was loaded.
async fn live(
    shared: Arc<Shared>,
    state: State,
    export: Export,
    mut fuel: Given,
    place: Place,
) -> ExitStatus {
    let units = fuel.begin();
    let cpu_time = state.spec.cpu_time;
    let Some(program) = shared.program.loaded(place.pool()) else { return FAULT };
    // The place is given back after the store.
    let mut store = Store::new(program.engine(), state);
    store.limiter(|state| &mut state.limits);
    if units.is_some() {
        fuel::charge_host_calls(&mut store);
    }
    let mut out_of_fuel = Limit::Fuel;
    let ended = async {
        out_of_fuel = shared.sandbox.runtime.meter(&mut store, units, cpu_time)?;
        if shared.grants.has_directories() {
            wasi::begin(store.data_mut()).map_err(wasmtime::Error::new)?;
        }
        program.call(&mut store, &export, shared.program.capture()).await
    }
    .await;
    let refused = store.data().limits.has_refused();
    if refused {
        store.data().process.tree.lacked_memory();
    }
    // Where fuel is not counted this would be an error, which takes longer to make than a process.
    if units.is_some() && trap::is_regular(&ended) {
        fuel.settle(store.get_fuel().unwrap_or(0));
    }
    let ended = trap::status(ended, out_of_fuel, refused);
    if let Some(message) = ended.message
        && !shared.grants.is_quiet()
    {
        let process = store.data().process.clone();
        let name = &process.identity.name;
        if store.data().spec.stderr == Output::Capture {
            let said = print::last_words(name, &message);
            // Out of memory or not, it has ended.
            let _ = process.keep_output(Stream::Stderr, said.as_bytes());
        } else {
            print::complain(&process.runtime, name, &message).await;
        }
    }
    ended.status
}
