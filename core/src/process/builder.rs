//! What is said about a process before it starts.

use super::{Phase, Process, Shared, State};
use crate::context::ContextInner;
use crate::{Args, Error, Input, Message, Output, ProcessSpec, Result};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a process is about to be. Made by [`crate::Context::process`].
#[must_use = "nothing runs before start"]
pub struct ProcessBuilder<P> {
    pub(crate) context: Arc<ContextInner>,
    pub(crate) spec: ProcessSpec,
    pub(crate) error: Option<Error>,
    pub(crate) named: bool,
    pub(crate) args: PhantomData<fn(P)>,
}

impl<P> ProcessBuilder<P> {
    /// Its arguments, checked at compile time where the worker is named by its item.
    ///
    /// `&T` may stand for `T`, and `&str` for `String`.
    pub fn args<A: Args<P>>(mut self, args: A) -> Self {
        match Message::of(&args) {
            Ok(message) => self.spec.message = message,
            Err(e) => self.error = Some(e),
        }
        self
    }

    /// Its arguments, already encoded: for those that come from outside the language.
    pub fn raw_args(mut self, message: Message) -> Self {
        self.spec.message = message;
        self
    }

    /// Its name; the default is `Process-N`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.spec.identity.name = name.into();
        self.named = true;
        self
    }

    /// Whether it ends with its parent; the default is the parent's own flag, which is `false`.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.spec.identity.daemon = daemon;
        self
    }

    /// Its standard input; the default is the parent's.
    pub fn stdin(mut self, stdin: Input) -> Self {
        self.spec.stdin = stdin;
        self
    }

    /// Its standard output; the default is the parent's.
    pub fn stdout(mut self, stdout: Output) -> Self {
        self.spec.stdout = stdout;
        self
    }

    /// Ends it after this much wall-clock time; the default is never.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.spec.timeout = Some(timeout);
        self
    }

    /// Ends it once it has used this much CPU time, its own processes' not counted: exit code -24,
    /// and the status names the limit. The default is never. It may overrun by a few milliseconds.
    ///
    /// ```no_run
    /// # use procbox_core::{Context, Limit, Result};
    /// # fn example(ctx: Context) -> Result<()> {
    /// let p = ctx.worker("grade").cpu_time(std::time::Duration::from_secs(2)).start()?;
    /// if p.join()?.limit() == Some(Limit::CpuTime) {
    ///     println!("too slow");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn cpu_time(mut self, limit: Duration) -> Self {
        self.spec.cpu_time = Some(limit);
        self
    }

    /// The process, not yet started.
    pub fn build(mut self) -> Process {
        if !self.named {
            self.spec.identity.name = self.context.next_name();
        }
        Process(Arc::new(Shared {
            context: Arc::downgrade(&self.context),
            state: Mutex::new(State {
                identity: self.spec.identity.clone(),
                phase: Phase::Built(self.error.map_or(Ok(self.spec), Err)),
            }),
        }))
    }

    /// Builds the process and starts it.
    ///
    /// # Errors
    /// Those of [`Process::start`].
    pub fn start(self) -> Result<Process> {
        // The context must outlive the weak reference that `build` takes.
        let context = self.context.clone();
        let process = self.build();
        let started = process.start();
        drop(context);
        started.map(|()| process)
    }
}
