//! What a program may import besides WASI and the functions of procbox: functions of the embedding
//! program's, and, if that is wished, what nobody has.
//!
//! ```no_run
//! use procbox_host::imports::Guest;
//! use procbox_host::{Grants, Program, Sandbox};
//!
//! // The program has: `#[link(wasm_import_module = "calendar")] unsafe extern "C" { fn days(year: i32) -> i32; }`
//! let days = |_: &mut Guest<'_>, year: i32| if year % 4 == 0 { 366 } else { 365 };
//! let grants = Grants::default().import("calendar", "days", days);
//! let ctx = Sandbox::builder().build()?.context_with(Program::wasm("planner.wasm")?, grants)?;
//! assert!(ctx.main(["2028"]).start()?.join()?.success());
//! # Ok::<(), procbox_core::Error>(())
//! ```

mod function;
mod guest;

pub use function::{HostFunction, Outcome, Value};
pub use guest::Guest;

use crate::check::{self, Letters};
use crate::pools::Made;
use crate::state::State;
use function::Linking;
use procbox_core::{Error, Result, printable};
use std::fmt;
use std::sync::Arc;
use wasmtime::{ExternType, InstancePre, Linker, Module};

/// What becomes of an import that nobody has: see [`Grants::unknown_imports`](crate::Grants::unknown_imports).
///
/// ```
/// use procbox_host::imports::UnknownImports;
/// assert_eq!(UnknownImports::default(), UnknownImports::Refuse);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownImports {
    /// The program is not runnable.
    #[default]
    Refuse,
    /// A function that nobody has ends the process that calls it: by
    /// [SIGABRT](procbox_core::ExitStatus::signal), and it is said which it was. A memory, a table, a
    /// global or a tag that nobody has is refused all the same.
    Trap,
}

/// A function of the embedding program's.
#[derive(Clone)]
struct Own {
    module: Arc<str>,
    name: Arc<str>,
    letters: Letters,
    link: Arc<dyn Linking>,
}

/// What a context's program may import besides.
#[derive(Clone, Default)]
pub(crate) struct Imports {
    pub(crate) unknown: UnknownImports,
    own: Vec<Own>,
}

impl fmt::Debug for Imports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.own.iter().map(|own| format!("{}::{}", own.module, own.name));
        f.debug_list().entry(&self.unknown).entries(names).finish()
    }
}

impl Imports {
    pub(crate) fn add<P, R>(&mut self, module: &str, name: &str, f: impl HostFunction<P, R>) {
        let (letters, link) = (f.letters(), f.into_linking());
        self.own.push(Own { module: module.into(), name: name.into(), letters, link });
    }

    pub(crate) fn with_unknown(self, unknown: UnknownImports) -> Imports {
        Imports { unknown, ..self }
    }

    /// Refuses names that are ours, and those that are there twice.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub(crate) fn check(&self) -> Result<()> {
        for (at, Own { module, name, .. }) in self.own.iter().enumerate() {
            let called = || format!("{}::{}", printable(module), printable(name));
            let why = if check::is_ours(module, name) {
                "has a name that is procbox's own; give it another"
            } else if self.own[..at].iter().any(|own| own.module == *module && own.name == *name) {
                "is there twice"
            } else {
                continue;
            };
            return Err(Error::Invalid(format!("the import `{}` {why}", called())));
        }
        Ok(())
    }

    /// The type of a function of the embedding program's.
    pub(crate) fn letters_of(&self, module: &str, name: &str) -> Option<&Letters> {
        let mut own = self.own.iter();
        own.find(|own| *own.module == *module && *own.name == *name).map(|own| &own.letters)
    }

    /// A module with all that it imports.
    ///
    /// # Errors
    /// Those of wasmtime: what is not there, or is of another type.
    pub(crate) fn link(
        &self,
        made: &Made,
        module: &Module,
    ) -> wasmtime::Result<InstancePre<State>> {
        if self.own.is_empty() && self.unknown == UnknownImports::Refuse {
            return made.linker.instantiate_pre(module);
        }
        let mut linker = made.linker.clone();
        for own in &self.own {
            own.link.clone().link(&mut linker, &own.module, &own.name)?;
        }
        if self.unknown == UnknownImports::Trap {
            linker.allow_shadowing(true);
            self.trap_unknown(&mut linker, module)?;
        }
        linker.instantiate_pre(module)
    }

    /// Has each function that nobody has end who calls it; one that somebody has with another type too.
    fn trap_unknown(&self, linker: &mut Linker<State>, module: &Module) -> wasmtime::Result<()> {
        for import in module.imports() {
            let ExternType::Func(ty) = import.ty() else { continue };
            let (from, name) = (import.module(), import.name());
            let letters = check::letters_of_linked(&ty);
            if letters.is_some_and(|letters| check::is_granted(from, name, &letters, self)) {
                continue;
            }
            let failed = Failed::new(from, name, "which it imports and nobody has granted");
            linker.func_new(from, name, ty, move |_, _, _| Err(failed.clone().into()))?;
        }
        Ok(())
    }
}

/// A call of an import came to nothing, and ends the process.
#[derive(Clone, Debug)]
pub(crate) struct Failed(Arc<str>);

impl Failed {
    fn new(module: &str, name: &str, why: &str) -> Failed {
        let text = format!("it called `{}::{}`, {why}", printable(module), printable(name));
        Failed(text.into())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}
