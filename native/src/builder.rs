//! The builder of native contexts.

use crate::arena::Arena;
use crate::confine::Confinement;
use crate::context::NativeContext;
use crate::program::Program;
use crate::start::Setup;
use crate::{ambient, kinds};
use procbox_core::observe::Deadlocks;
use procbox_core::{Context, Result};
use std::sync::Arc;

/// The native backend: its processes are OS processes.
///
/// ```
/// use procbox_native::Native;
/// let ctx = Native::builder().build()?;
/// assert_eq!(ctx.backend().to_string(), "native");
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Native;

impl Native {
    /// Builder with every default.
    ///
    /// ```
    /// let ctx = procbox_native::Native::builder().build()?;
    /// assert!(ctx.parent_process().is_none());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn builder() -> NativeBuilder {
        NativeBuilder::default()
    }
}

/// Builder of native contexts with other defaults than [`crate::context`] has.
///
/// Defaults: the program is the current one; its environment is this process's.
///
/// ```no_run
/// use procbox_native::{Native, Program};
/// let ctx = Native::builder().program(Program::open("/bin/cat")?).env("LANG", "C").build()?;
/// let p = ctx.main(["/etc/hostname"]).start()?;
/// p.join()?;
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder makes nothing until `build`"]
pub struct NativeBuilder {
    program: Option<Program>,
    environment: Vec<(String, String)>,
    deadlocks: Deadlocks,
    confinement: Option<Confinement>,
    shared_memory: Option<u64>,
}

impl NativeBuilder {
    /// Program that the context's processes run; the default is the current program.
    ///
    /// ```
    /// use procbox_native::{Native, Program};
    /// let ctx = Native::builder().program(Program::open("/bin/sh")?).build()?;
    /// assert!(ctx.workers()?.is_empty()); // a shell never heard of procbox, but has a `main`
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn program(mut self, program: Program) -> NativeBuilder {
        self.program = Some(program);
        self
    }

    /// Variable to set in the environment of the context's processes.
    ///
    /// ```no_run
    /// use procbox_native::{Native, Program};
    /// let ctx = Native::builder().program(Program::open("/bin/sh")?).env("WHO", "world").build()?;
    /// let p = ctx.main(["-c", "echo hello, $WHO"]).start()?;
    /// assert!(p.join()?.success());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> NativeBuilder {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// What becomes of threads that wait for one another in a circle: each wait of it could be ended by
    /// no other than the circle, and has no bound. Default: their waits end with
    /// [`procbox_core::Error::Deadlock`], and those who watch, in the process that finds it, are told.
    ///
    /// A process of which any thread does something else could end each wait for what it has a handle of;
    /// so could a message that carries one. A thread that waits for an event which its process alone has is
    /// not in a circle: so one sleeps until one is ended. Where one of the circle answers Ctrl-C, that
    /// may end it: those who watch are told, and the waits go on. Waits for several things, connections
    /// and pools take no part.
    ///
    /// ```
    /// use procbox_core::observe::Deadlocks;
    /// use procbox_native::Native;
    /// let ctx = Native::builder().deadlocks(Deadlocks::Ignore).build()?; // nobody looks
    /// # drop(ctx);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn deadlocks(mut self, policy: Deadlocks) -> NativeBuilder {
        self.deadlocks = policy;
        self
    }

    /// Restrictions that the kernel puts on the context's processes, and on all that they start. By
    /// default they may do what this process may.
    ///
    /// ```
    /// use procbox_native::{Confinement, Native, Program};
    /// let sh = Program::open("/bin/sh")?;
    /// let ctx = Native::builder().program(sh).confine(Confinement::new().files()).build()?;
    /// let p = ctx.main(["-c", "read line < /etc/passwd"]).start()?; // it says "Permission denied"
    /// assert!(!p.join()?.success());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn confine(mut self, confinement: Confinement) -> NativeBuilder {
        self.confinement = Some(confinement);
        self
    }

    /// The most shared memory that the context's primitives, the messages in them and the table of its
    /// processes take, in bytes: from 4 MiB to 64 GiB. By default 64 GiB, or less where the
    /// address space is limited. What is not used takes addresses only. A call for which there is no
    /// room left fails with [`procbox_core::Error::Exhausted`], which says what the memory is full of;
    /// [`crate::shared_memory`] says so at any time.
    ///
    /// ```
    /// use procbox_core::Error;
    /// let ctx = procbox_native::Native::builder().shared_memory(8 << 20).build()?;
    /// let q = ctx.unbounded_queue::<Vec<u8>>()?;
    /// let full = (0..100).find_map(|_| q.put(&vec![0; 1 << 20]).err());
    /// assert!(matches!(full, Some(Error::Exhausted(_))));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn shared_memory(mut self, bytes: u64) -> NativeBuilder {
        self.shared_memory = Some(bytes);
        self
    }

    /// Context with these settings and an arena of its own.
    ///
    /// ```
    /// use procbox_core::{Error, Lock};
    /// use procbox_native::Native;
    /// let (a, b) = (Native::builder().build()?, Native::builder().build()?);
    /// let q = a.queue::<Lock>(1)?;
    /// assert_eq!(q.put(&b.lock()?), Err(Error::ForeignHandle)); // its arena is another
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`procbox_core::Error::Os`], also for what a confinement needs and this kernel does not offer;
    /// [`procbox_core::Error::Exhausted`].
    pub fn build(self) -> Result<Context> {
        let program = self.program.map_or_else(Program::current, Ok)?;
        let confined = self.confinement.map(|confinement| confinement.prepare(program.path()));
        let confined = confined.transpose()?.map(Arc::new);
        let arena = Arena::create(&kinds::ABOVE, self.shared_memory)?;
        arena.set_deadlocks(self.deadlocks);
        let environment = self.environment;
        let setup = Setup { program, environment, confined, first: None };
        let native = NativeContext::new(arena, ambient::identity()?, setup);
        Ok(Context::from_raw(Arc::new(native)))
    }
}
