//! What a program is granted.

use crate::imports::{HostFunction, Imports, UnknownImports};
use crate::runtime::WEIGHT;
use procbox_core::raw::Identity;
use procbox_core::{Error, Result};
use std::path::{Path, PathBuf};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// Rights of a program beyond stdio, clock and randomness. By default none but the right to start
/// processes of its own program.
///
/// ```no_run
/// use procbox_host::{Grants, Program, Sandbox};
/// let sandbox = Sandbox::builder().build()?;
/// let grants = Grants::default().dir_read_only("texts", "/texts").env("LANG", "C");
/// let ctx = sandbox.context_with(Program::wasm("workers.wasm")?, grants)?;
/// # drop(ctx);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "grants are of use to a context that is made with them"]
pub struct Grants {
    dirs: Vec<(PathBuf, String, FsPerms)>,
    env: Vec<(String, String)>,
    deny_processes: bool,
    shared_names: bool,
    quiet: bool,
    weight: Option<u32>,
    identity: Option<Identity>,
    imports: Imports,
}

impl Grants {
    /// A directory of the host, as the guest sees it: to read and to write.
    ///
    /// ```
    /// use procbox_host::Grants;
    /// let grants = Grants::default().dir("results", "/results"); // relative to the host's directory
    /// # drop(grants);
    /// ```
    pub fn dir(self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.preopened(host.into(), guest.into(), FsPerms::ReadWrite)
    }

    /// A directory of the host, as the guest sees it: to read only.
    ///
    /// ```
    /// use procbox_host::Grants;
    /// let grants = Grants::default().dir_read_only("/usr/share/dict", "/words");
    /// # drop(grants);
    /// ```
    pub fn dir_read_only(self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.preopened(host.into(), guest.into(), FsPerms::ReadOnly)
    }

    fn preopened(mut self, host: PathBuf, guest: String, perms: FsPerms) -> Self {
        self.dirs.push((host, guest, perms));
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

    /// The right of its processes to start processes. Default: granted, for the same program.
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

    /// Names in common with the sandbox's other contexts that have this too: listeners and clients of
    /// all of them meet. Default: no, they meet only those of their own context.
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

    /// Silence about traps on stderr. Default: no, they are mentioned.
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

    /// A function of the embedding program's, which its processes may import by this name, and call: a
    /// closure of a [`Guest`](crate::imports::Guest) and numbers. See [`crate::imports`] for which closures
    /// can be one, and for what becomes of an error and of a panic.
    ///
    /// The names of WASI's functions and of procbox's own modules cannot be given; nor can one twice. A
    /// context with such a grant is not made.
    ///
    /// ```
    /// use procbox_host::Grants;
    /// use procbox_host::imports::Guest;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let counted = AtomicU64::new(0);
    /// let count = move |_: &mut Guest<'_>, n: u64| counted.fetch_add(n, Ordering::Relaxed);
    /// let grants = Grants::default().import("host", "count", count);
    /// # drop(grants);
    /// ```
    pub fn import<P, R>(
        mut self,
        module: impl AsRef<str>,
        name: impl AsRef<str>,
        function: impl HostFunction<P, R>,
    ) -> Self {
        self.imports.add(module.as_ref(), name.as_ref(), function);
        self
    }

    /// What becomes of a program that imports functions that nobody has. Default: it is refused.
    ///
    /// ```no_run
    /// # use procbox_host::imports::UnknownImports;
    /// # use procbox_host::{Grants, Program, Sandbox};
    /// let grants = Grants::default().unknown_imports(UnknownImports::Trap);
    /// let program = Program::wasm("made-for-browsers.wasm")?;
    /// let ctx = Sandbox::builder().build()?.context_with(program, grants)?; // whatever it imports
    /// # drop(ctx);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn unknown_imports(mut self, unknown: UnknownImports) -> Self {
        self.imports = self.imports.with_unknown(unknown);
        self
    }

    /// The weight of the context: those that compute at the same time share the CPUs in proportion
    /// to it, however many processes each has. In a context its trees share equally; a tree is what
    /// one start of the embedding program began: that process, and all that come of it. Default 100;
    /// 0 counts as 1.
    ///
    /// ```no_run
    /// # use procbox_host::{Grants, Program, Sandbox};
    /// # let sandbox = Sandbox::builder().build()?;
    /// let aside = Grants::default().weight(10); // a tenth of what another gets
    /// let ctx = sandbox.context_with(Program::wasm("indexer.wasm")?, aside)?;
    /// # drop(ctx);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
        self
    }

    /// The embedding program as its processes see it. Default: `MainProcess`, pid 1.
    ///
    /// ```no_run
    /// # use procbox_core::Identity;
    /// # use procbox_host::{Grants, Program, Sandbox};
    /// # fn example(sandbox: Sandbox) -> procbox_core::Result<()> {
    /// let grants = Grants::default().identity(Identity::new("editor", 1));
    /// let ctx = sandbox.context_with(Program::wasm("workers.wasm")?, grants)?;
    /// assert_eq!(ctx.current_process().name, "editor");
    /// # Ok(()) }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// What the program may import besides.
    pub(crate) fn imports(&self) -> &Imports {
        &self.imports
    }

    /// Opens every directory once, to say early which one cannot be; and looks at the names of imports.
    pub(crate) fn check(&self) -> Result<()> {
        self.imports.check()?;
        self.apply(&mut WasiCtxBuilder::new())
    }

    /// Adds them to what a process has.
    ///
    /// # Errors
    /// [`Error::Os`] if a directory cannot be opened: no process is without what it was granted.
    pub(crate) fn apply(&self, builder: &mut WasiCtxBuilder) -> Result<()> {
        for (host, guest, perms) in &self.dirs {
            builder
                .preopened_dir(host, guest, *perms)
                .map_err(|e| Error::os("open directory", format!("{}: {e:#}", host.display())))?;
        }
        for (key, value) in &self.env {
            builder.env(key, value);
        }
        Ok(())
    }

    /// The directories of the host, and which of them can be written to.
    pub(crate) fn directories(&self) -> impl Iterator<Item = (&Path, bool)> {
        let writable = |perms: &FsPerms| matches!(perms, FsPerms::ReadWrite);
        self.dirs.iter().map(move |(host, _, perms)| (host.as_path(), writable(perms)))
    }

    pub(crate) fn has_directories(&self) -> bool {
        !self.dirs.is_empty()
    }

    pub(crate) fn weight_of_context(&self) -> u32 {
        self.weight.unwrap_or(WEIGHT)
    }

    pub(crate) fn may_start(&self) -> bool {
        !self.deny_processes
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// True if names are those of the sandbox.
    pub(crate) fn shares_names(&self) -> bool {
        self.shared_names
    }

    /// Takes out who the embedding program is said to be.
    pub(crate) fn take_identity(&mut self) -> Option<Identity> {
        self.identity.take()
    }
}
