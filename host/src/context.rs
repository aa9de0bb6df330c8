//! The sandbox's context: a program, what it is granted, and the sandbox that runs it.

use crate::connection::{self, Names};
use crate::event::HostEvent;
use crate::lock::HostLock;
use crate::pipe::PipeEnd;
use crate::process;
use crate::program::Prepared;
use crate::queue::HostQueue;
use crate::ready;
use crate::runtime::Runtime;
use crate::sandbox::{Owner, SandboxInner};
use crate::semaphore::HostSemaphore;
use procbox_core::{
    Address, Backend, Bounds, Bytes, Clock, Error, Identity, ProcessSpec, Random, RawConnection,
    RawContext, RawEvent, RawListener, RawLock, RawPipe, RawProcess, RawQueue, RawSemaphore,
    Result, Wait, Waitable, WorkerInfo,
};
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime_wasi::WasiCtxBuilder;

pub use wasmtime_wasi::FsPerms;

/// What a program gets beyond stdio, clock and randomness. By default nothing but the right to start
/// processes of its own program.
///
/// ```no_run
/// use procbox_host::{FsPerms, Grants, Program, Sandbox};
/// let sandbox = Sandbox::builder().build()?;
/// let grants = Grants::default().dir("texts", "/texts", FsPerms::ReadOnly).env("LANG", "C");
/// let ctx = sandbox.context_with(Program::wasm("workers.wasm")?, grants)?;
/// # drop(ctx);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Grants {
    dirs: Vec<(PathBuf, String, FsPerms)>,
    env: Vec<(String, String)>,
    deny_processes: bool,
    shared_names: bool,
    quiet: bool,
    identity: Option<Identity>,
}

impl Grants {
    /// A directory of the host, as the guest sees it.
    ///
    /// ```
    /// use procbox_host::{FsPerms, Grants};
    /// let grants = Grants::default()
    ///     .dir("/usr/share/dict", "/words", FsPerms::ReadOnly)
    ///     .dir("results", "/results", FsPerms::ReadWrite); // relative to the host's directory
    /// # drop(grants);
    /// ```
    pub fn dir(
        mut self,
        host: impl Into<PathBuf>,
        guest: impl Into<String>,
        perms: FsPerms,
    ) -> Self {
        self.dirs.push((host.into(), guest.into(), perms));
        self
    }

    /// An environment variable.
    ///
    /// ```
    /// use procbox_host::Grants;
    /// let grants = Grants::default().env("LANG", "C").env("WHO", "world"); // nothing else is set
    /// # drop(grants);
    /// ```
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Whether its processes may start processes. Default: yes, of the same program.
    ///
    /// ```no_run
    /// # use procbox_host::{Grants, Program, Sandbox};
    /// # let sandbox = Sandbox::builder().build()?;
    /// let alone = Grants::default().processes(false);
    /// let ctx = sandbox.context_with(Program::wasm("plugin.wasm")?, alone)?;
    /// let p = ctx.main([""; 0]).start()?; // it is one process, and stays one
    /// # drop(p);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn processes(mut self, allowed: bool) -> Self {
        self.deny_processes = !allowed;
        self
    }

    /// Whether its listeners and clients meet those of the sandbox's other contexts that have this
    /// too. Default: no, they meet only those of their own context.
    ///
    /// ```no_run
    /// # use procbox_host::{Grants, Program, Sandbox};
    /// # let sandbox = Sandbox::builder().build()?;
    /// # let (server, client) = (Program::wasm("server.wasm")?, Program::wasm("client.wasm")?);
    /// let shared = Grants::default().shared_names(true);
    /// let there = sandbox.context_with(server, shared.clone())?;
    /// let here = sandbox.context_with(client, shared)?; // it finds who listens there
    /// # drop((there, here));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn shared_names(mut self, shared: bool) -> Self {
        self.shared_names = shared;
        self
    }

    /// Whether traps are left unmentioned on stderr. Default: they are mentioned.
    ///
    /// ```no_run
    /// # use procbox_host::{Grants, Program, Sandbox};
    /// # let sandbox = Sandbox::builder().build()?;
    /// let quiet = Grants::default().quiet(true);
    /// let ctx = sandbox.context_with(Program::wasm("plugin.wasm")?, quiet)?;
    /// let status = ctx.main([""; 0]).start()?.join()?;
    /// println!("the plug-in {status}"); // the host's to tell
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn quiet(mut self, quiet: bool) -> Self {
        self.quiet = quiet;
        self
    }

    /// Who the embedding program is to its processes. Default: `MainProcess`, pid 1.
    ///
    /// ```no_run
    /// # use procbox_core::Identity;
    /// # use procbox_host::{Grants, Program, Sandbox};
    /// # fn example(sandbox: Sandbox, me: Identity) -> procbox_core::Result<()> {
    /// let me = Identity { name: "editor".into(), ..me };
    /// let grants = Grants::default().identity(me);
    /// let ctx = sandbox.context_with(Program::wasm("workers.wasm")?, grants)?;
    /// assert_eq!(ctx.current_process().name, "editor");
    /// # Ok(()) }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Opens every directory once, to say early which one cannot be.
    pub(crate) fn check(&self) -> Result<()> {
        let mut builder = WasiCtxBuilder::new();
        for (host, guest, perms) in &self.dirs {
            builder
                .preopened_dir(host, guest, *perms)
                .map_err(|e| Error::os("open directory", format!("{}: {e:#}", host.display())))?;
        }
        Ok(())
    }

    pub(crate) fn apply(&self, builder: &mut WasiCtxBuilder) {
        for (host, guest, perms) in &self.dirs {
            // It could be opened before; if it is gone since, the guest finds that out.
            let _ = builder.preopened_dir(host, guest, *perms);
        }
        for (key, value) in &self.env {
            builder.env(key, value);
        }
    }

    pub(crate) fn may_start(&self) -> bool {
        !self.deny_processes
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }
}

/// What all processes of a context share.
pub(crate) struct HostContext {
    pub(crate) sandbox: Arc<SandboxInner>,
    pub(crate) program: Arc<Prepared>,
    pub(crate) grants: Grants,
    /// Whom its processes can reach by name.
    pub(crate) names: Arc<Names>,
}

/// The context as the embedding program holds it.
pub(crate) struct Root {
    shared: Arc<HostContext>,
    identity: Identity,
    _owner: Arc<Owner>,
}

impl Root {
    pub(crate) fn new(
        owner: Arc<Owner>,
        program: Arc<Prepared>,
        mut grants: Grants,
    ) -> Result<Root> {
        let identity = match grants.identity.take() {
            Some(identity) => identity,
            None => Identity {
                name: "MainProcess".into(),
                pid: 1,
                daemon: false,
                authkey: random_key(&owner.0.runtime)?,
                parent: None,
            },
        };
        let sandbox = owner.0.clone();
        let names =
            if grants.shared_names { sandbox.names.clone() } else { Arc::new(Names::default()) };
        let shared = Arc::new(HostContext { sandbox, program, grants, names });
        Ok(Root { shared, identity, _owner: owner })
    }
}

/// 32 random bytes.
fn random_key(runtime: &Runtime) -> Result<Bytes> {
    let mut key = vec![0; 32];
    runtime.random().fill(&mut key)?;
    Ok(Bytes(key))
}

impl HostContext {
    pub(crate) fn new_lock(&self) -> Arc<HostLock> {
        Arc::new(HostLock::new(self.sandbox.runtime.clone()))
    }

    pub(crate) fn new_semaphore(&self, permits: usize) -> Arc<HostSemaphore> {
        Arc::new(HostSemaphore::new(self.sandbox.runtime.clone(), permits))
    }

    pub(crate) fn new_event(&self) -> Arc<HostEvent> {
        Arc::new(HostEvent::new(self.sandbox.runtime.clone()))
    }

    pub(crate) fn new_queue(&self, bounds: Bounds) -> Arc<HostQueue> {
        Arc::new(HostQueue::new(self.sandbox.runtime.clone(), bounds))
    }

    pub(crate) fn new_pipe(&self, duplex: bool) -> (Arc<PipeEnd>, Arc<PipeEnd>) {
        let (a, b) = PipeEnd::pair(&self.sandbox.runtime, duplex);
        (Arc::new(a), Arc::new(b))
    }
}

impl RawContext for Root {
    fn backend(&self) -> Backend {
        Backend::Sandbox
    }

    fn lock(&self) -> Result<Arc<dyn RawLock>> {
        Ok(self.shared.new_lock())
    }

    fn semaphore(&self, permits: usize) -> Result<Arc<dyn RawSemaphore>> {
        Ok(self.shared.new_semaphore(permits))
    }

    fn event(&self) -> Result<Arc<dyn RawEvent>> {
        Ok(self.shared.new_event())
    }

    fn queue(&self, bounds: Bounds) -> Result<Arc<dyn RawQueue>> {
        Ok(self.shared.new_queue(bounds))
    }

    fn pipe(&self, duplex: bool) -> Result<(Arc<dyn RawPipe>, Arc<dyn RawPipe>)> {
        let (a, b) = self.shared.new_pipe(duplex);
        Ok((a, b))
    }

    fn listen(&self, address: &Address) -> Result<Arc<dyn RawListener>> {
        let name = connection::name_of(address)?;
        Ok(Arc::new(self.shared.names.listen(&self.shared.sandbox.runtime, name)?))
    }

    fn connect(&self, address: &Address, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        let name = connection::name_of(address)?;
        self.shared.names.connect(&self.shared.sandbox.runtime, name, wait)
    }

    fn start(&self, spec: ProcessSpec) -> Result<Arc<dyn RawProcess>> {
        process::start(&self.shared, spec, Arc::default()).map(|p| p as Arc<dyn RawProcess>)
    }

    fn ready(&self, those: &[Waitable], wait: Wait) -> Result<Vec<usize>> {
        ready::block_until_ready(&self.shared.sandbox.runtime, those, wait)
    }

    fn workers(&self) -> Result<Vec<WorkerInfo>> {
        Ok(self.shared.program.workers())
    }

    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn cpu_count(&self) -> usize {
        self.shared.sandbox.parallelism
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.shared.sandbox.runtime.clock().clone()
    }

    fn random(&self) -> Arc<dyn Random> {
        self.shared.sandbox.runtime.random().clone()
    }
}
