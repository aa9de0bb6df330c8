//! The suite as a whole, for a backend: a test of each case, in the parent and in a worker.

use crate::{CASES, Case, find};
use anyhow::{anyhow, bail};
use procbox_guest::{Context, Queue};

/// Place where a case runs: the process whose context it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the process of the tests, which is the parent of all others.
    Parent,
    /// In a worker of the program `conformance`.
    Worker,
}

/// One case at one place. [`conformance!`](crate::conformance) makes a test of each, whose body is
/// what the backend does with a trial: it gives [`Trial::run`] a context.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    name: &'static str,
    place: Place,
}

impl Trial {
    /// The case of this name at this place.
    pub const fn new(name: &'static str, place: Place) -> Trial {
        Trial { name, place }
    }

    /// The case of this name, if there is one.
    pub fn find(name: &str, place: Place) -> Option<Trial> {
        let (name, _) = CASES.iter().find(|(known, _)| *known == name)?;
        Some(Trial { name, place })
    }

    /// The name of the case.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The place where it runs.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Runs it, and fails with what is not as it should be. The context is a new one, of the program
    /// `conformance`.
    ///
    /// # Errors
    /// What the case says.
    pub fn run(&self, ctx: &Context) -> anyhow::Result<()> {
        match (self.place, find(self.name)) {
            (_, None) => Err(anyhow!("no case of this name")),
            (Place::Parent, Some(case)) => case(ctx),
            (Place::Worker, Some(_)) => in_worker(ctx, self.name),
        }
    }
}

/// Runs a case in a worker, which says what failed.
fn in_worker(ctx: &Context, name: &str) -> anyhow::Result<()> {
    let failure: Queue<String> = ctx.queue(1)?;
    let p = ctx.process(RUN_CASE).args((name, &failure)).start()?;
    let status = p.join()?;
    match failure.try_get() {
        Ok(why) => bail!("{why}"),
        Err(_) if status.success() => Ok(()),
        Err(_) => bail!("the worker {status}"),
    }
}

/// The worker that runs a case.
const RUN_CASE: &str = "run_case";

/// Runs a case here, and puts what failed into the queue: the worker `run_case` does.
///
/// # Errors
/// What the case says.
pub fn run_case(ctx: &Context, name: &str, failure: &Queue<String>) -> anyhow::Result<()> {
    let case: Case = find(name).ok_or_else(|| anyhow!("no case {name}"))?;
    let result = case(ctx);
    if let Err(e) = &result {
        failure.put(&format!("{e:#}"))?;
        // They would be joined, and a case that failed may have left them blocked.
        if ctx.active_children().iter().any(|child| child.kill().is_err()) {
            // Where nobody can end them nobody is to wait for them.
            std::mem::forget(ctx.clone());
        }
    }
    result
}

/// Makes a test of every case for one backend: `NAME::parent::CASE` and `NAME::worker::CASE`.
///
/// - `NAME` is the module that the tests are in;
/// - then follows what the backend does with a [`Trial`], a function or a closure: it makes a context
///   of the program `conformance`, calls [`Trial::run`] with it, and panics if that fails, or takes
///   too long;
/// - `guests` at the end says that the backend's workers are sandboxed guests, which have one thread
///   and cannot redirect their children: what they cannot do is ignored then, with the reason;
/// - `threads` there says that they are threads of this process: cases in which the program itself would
///   crash or hang, or in which its statics are looked at, are ignored then, with the reason.
///
/// ```
/// use procbox_cases::{Trial, conformance};
///
/// fn run(trial: Trial) {
///     let name = trial.name();
///     let outcome = procbox_guest::context().map_err(Into::into).and_then(|ctx| trial.run(&ctx));
///     outcome.unwrap_or_else(|e| panic!("{name}: {e:#}"));
/// }
///
/// conformance!(mine, run);
/// conformance!(mine_in_a_sandbox, |trial| run(trial), guests);
/// conformance!(mine_on_threads, run, threads);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance {
    ($backend:ident, $run:expr) => {
        $crate::conformance! { @ $backend processes $run }
    };
    ($backend:ident, $run:expr, guests) => {
        $crate::conformance! { @ $backend guests $run }
    };
    ($backend:ident, $run:expr, threads) => {
        $crate::conformance! { @ $backend threads $run }
    };
    (@ $backend:ident $workers:ident $run:expr) => {
        mod $backend {
            #[allow(unused_imports, reason = "what the expression names may be in there")]
            use super::*;

            #[allow(dead_code, reason = "its callers are tests")]
            fn on_this_backend(trial: $crate::Trial) {
                ($run)(trial)
            }

            mod parent {
                $crate::for_each_case! { [$crate::conformance_test] $workers Parent }
            }
            mod worker {
                $crate::for_each_case! { [$crate::conformance_test] $workers Worker }
            }
        }
    };
}

/// The test of one case, for [`conformance!`](crate::conformance): ignored if the case does not run
/// there.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_test {
    ($workers:ident Worker $name:ident except worker $why:literal) => {
        $crate::conformance_test! { ignored $name $why }
    };
    (guests Worker $name:ident except guest $why:literal) => {
        $crate::conformance_test! { ignored $name $why }
    };
    (threads $place:ident $name:ident except thread $why:literal) => {
        $crate::conformance_test! { ignored $name $why }
    };
    (ignored $name:ident $why:literal) => {
        #[test]
        #[ignore = $why]
        fn $name() {}
    };
    ($workers:ident $place:ident $name:ident $($exception:tt)*) => {
        #[test]
        fn $name() {
            super::on_this_backend($crate::Trial::new(stringify!($name), $crate::Place::$place));
        }
    };
}
