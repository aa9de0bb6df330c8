//! A sandbox as a simulation: how it is made one, and what only such a one has.

use crate::sandbox::{Sandbox, SandboxBuilder};
use procbox_core::{Error, Result};
use std::num::NonZeroU64;

impl SandboxBuilder {
    /// Simulation: one process runs at a time, on the thread that waits in a call of procbox, and who
    /// goes on at each switch point is chosen at random by `seed`. So are random bytes. Time is
    /// virtual: it passes as guests compute, and jumps to the next timer when all wait, so a sleep of
    /// an hour takes none. The same seed gives the same run on every machine: see
    /// [`Sandbox::trace_hash`]. Default: no simulation.
    ///
    /// This is a first version:
    /// - the sandbox is for one thread, and its processes run only while that is in a call that may
    ///   wait: `try_get` and `join_timeout` let them, `is_empty` and `is_alive` do not;
    /// - a wait that nothing can end any more is [`Error::Deadlock`];
    /// - CPU time is counted in fuel, a nanosecond a unit, and [`cpu_count`](procbox_core::Context::cpu_count) is 1 unless
    ///   [`SandboxBuilder::parallelism`] says otherwise;
    /// - what comes from outside is not simulated: standard input, and the files of directories that
    ///   are granted.
    ///
    /// ```no_run
    /// # use procbox_host::{Program, Sandbox};
    /// for seed in 0..200 {
    ///     let sandbox = Sandbox::builder().simulate(seed).build()?;
    ///     let ctx = sandbox.context(Program::wasm("workers.wasm")?)?;
    ///     let p = ctx.process("greet").args(("world",)).start()?;
    ///     assert!(p.join()?.success(), "not with seed {seed}");
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn simulate(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Simulation: the fuel after which a guest is interrupted, so that another may go on. With 1 it
    /// is so at each place where that is possible, which are the heads of its functions and loops.
    /// Default: between 1,000 and 10,000, by the seed.
    ///
    /// ```no_run
    /// # use procbox_host::Sandbox;
    /// # use std::num::NonZeroU64;
    /// let sandbox = Sandbox::builder().simulate(7).switch_every(NonZeroU64::MIN).build()?;
    /// # drop(sandbox);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn switch_every(mut self, fuel: NonZeroU64) -> Self {
        self.interval = Some(fuel);
        self
    }
}

impl Sandbox {
    /// A fault, in a simulation: the process of this pid ends as if it was killed, when it has gone on
    /// so many more times; with 0, before it goes on at all. It goes on after each switch point of its
    /// own: after a wait, and wherever it was interrupted. Nothing happens if it ends by itself before.
    /// It may start later than this is said: pids are given in order. Said again, the last counts.
    ///
    /// With [`SandboxBuilder::switch_every`] 1 these are all the places at which a sandboxed process
    /// can end that is killed. So a test goes through them: what holds for whoever is left, if a
    /// process dies here, or here?
    ///
    /// ```no_run
    /// # use procbox_core::Result;
    /// # use procbox_host::{Program, Sandbox};
    /// # use std::num::NonZeroU64;
    /// # fn example() -> Result<()> {
    /// let sandbox = Sandbox::builder().simulate(7).switch_every(NonZeroU64::MIN).build()?;
    /// let ctx = sandbox.context(Program::wasm("workers.wasm")?)?;
    /// let orders = ctx.queue::<String>(4)?;
    /// for times in 0.. {
    ///     let p = ctx.process("takes_an_order").args((&orders,)).start()?;
    ///     sandbox.kill_after(p.pid()?, times)?;
    ///     if p.join()?.success() {
    ///         break; // it was quicker: that were all places
    ///     }
    ///     // What it has left behind is as it should be?
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] if this is no simulation.
    pub fn kill_after(&self, pid: u32, times: u64) -> Result<()> {
        if self.0.0.runtime.kill_after(pid, times) {
            Ok(())
        } else {
            Err(Error::Unsupported("faults outside of a simulation"))
        }
    }

    /// A number that stands for all that a simulation has done so far: who went on at each switch
    /// point, and when by its clock. `None` if this is no simulation.
    ///
    /// ```
    /// # use procbox_host::Sandbox;
    /// let simulated = || Sandbox::builder().max_processes(8).simulate(7).build();
    /// assert_eq!(simulated()?.trace_hash(), simulated()?.trace_hash());
    /// assert_eq!(Sandbox::builder().max_processes(8).build()?.trace_hash(), None);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn trace_hash(&self) -> Option<u64> {
        self.0.0.runtime.trace_hash()
    }
}
