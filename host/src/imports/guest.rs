//! What a function of the embedding program's sees of the process that calls it.

use crate::fuel::Work;
use crate::guest::core_module::Memory;
use crate::state::State;
use procbox_core::{Error, Result};
use std::fmt;
use wasmtime::Caller;

/// The process that calls a function of the embedding program's, during that call: its memory, and who
/// it is.
///
/// Every place and length is checked. Bytes that are read or written cost the process fuel, where that is
/// counted, as they do in procbox's own functions.
///
/// ```
/// use procbox_core::Result;
/// use procbox_host::Grants;
/// use procbox_host::imports::Guest;
///
/// // What `fn upper(at: *mut u8, len: usize)` imports from `texts`.
/// fn upper(guest: &mut Guest<'_>, at: u32, len: u32) -> Result<()> {
///     let text = guest.text(at, len)?.to_ascii_uppercase();
///     guest.write(at, text.as_bytes())
/// }
/// let grants = Grants::default().import("texts", "upper", upper);
/// # drop(grants);
/// ```
pub struct Guest<'a> {
    memory: Memory<'a>,
    state: &'a mut State,
}

impl<'a> Guest<'a> {
    pub(super) fn of(caller: &'a mut Caller<'_, State>) -> Guest<'a> {
        let (memory, state) = Memory::of(caller);
        Guest { memory, state }
    }

    fn work(&self) -> &Work {
        &self.state.work
    }

    /// Bytes of its memory, `len` of them from `at` on.
    ///
    /// ```
    /// # use procbox_host::{Grants, imports::Guest};
    /// let sum = |guest: &mut Guest<'_>, at: u32, len: u32| {
    ///     guest.bytes(at, len).map(|bytes| bytes.iter().map(|byte| i64::from(*byte)).sum::<i64>())
    /// };
    /// # drop(Grants::default().import("sums", "of_bytes", sum));
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if they are not all in it.
    pub fn bytes(&self, at: u32, len: u32) -> Result<&[u8]> {
        let bytes = self.memory.get(at as usize, len as usize).ok_or_else(|| outside(at, len))?;
        self.work().bytes(bytes.len());
        Ok(bytes)
    }

    /// The same as a text.
    ///
    /// ```
    /// # use procbox_host::{Grants, imports::Guest};
    /// let say = |guest: &mut Guest<'_>, at: u32, len: u32| {
    ///     guest.text(at, len).map(|text| println!("{} says {text:?}", guest.name()))
    /// };
    /// # drop(Grants::default().import("log", "say", say));
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not in its memory, or not UTF-8.
    pub fn text(&self, at: u32, len: u32) -> Result<&str> {
        let bytes = self.bytes(at, len)?;
        std::str::from_utf8(bytes)
            .map_err(|e| Error::Invalid(format!("a text of {len} bytes at {at}: {e}")))
    }

    /// Writes bytes into its memory, from `at` on: all of them, or none.
    ///
    /// ```
    /// # use procbox_host::{Grants, imports::Guest};
    /// let answer = |guest: &mut Guest<'_>, at: u32| guest.write(at, &42u64.to_le_bytes());
    /// # drop(Grants::default().import("answers", "write", answer));
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if they do not all fit there.
    pub fn write(&mut self, at: u32, bytes: &[u8]) -> Result<()> {
        if !self.memory.put(at as usize, bytes) {
            return Err(outside(at, bytes.len()));
        }
        self.work().bytes(bytes.len());
        Ok(())
    }

    /// Bytes of its memory now.
    ///
    /// ```
    /// # use procbox_host::{Grants, imports::Guest};
    /// let pages = |guest: &mut Guest<'_>| (guest.memory_size() >> 16) as i32;
    /// # drop(Grants::default().import("memory", "pages", pages));
    /// ```
    pub fn memory_size(&self) -> usize {
        self.memory.len()
    }

    /// Takes so much fuel, where that is counted, for what the function does; when it returns, and besides
    /// that for the call and for bytes. A unit is about an instruction of WebAssembly.
    ///
    /// ```
    /// # use procbox_host::{Grants, imports::Guest};
    /// let hash = |guest: &mut Guest<'_>, rounds: u32| {
    ///     guest.pay(1000 * u64::from(rounds));
    ///     (0..rounds).fold(7u64, |hash, n| hash.rotate_left(5) ^ u64::from(n))
    /// };
    /// # drop(Grants::default().import("hashes", "slow", hash));
    /// ```
    pub fn pay(&self, units: u64) {
        self.work().units(units);
    }

    /// The process's pid in its sandbox.
    ///
    /// ```
    /// # use procbox_host::{Grants, imports::Guest};
    /// let pid = |guest: &mut Guest<'_>| guest.pid();
    /// # drop(Grants::default().import("own", "pid", pid));
    /// ```
    pub fn pid(&self) -> u32 {
        self.state.process.identity.pid
    }

    /// The process's name.
    ///
    /// ```
    /// # use procbox_host::{Grants, imports::Guest};
    /// let is_first = |guest: &mut Guest<'_>| i32::from(guest.name() == "first");
    /// # drop(Grants::default().import("own", "is_first", is_first));
    /// ```
    pub fn name(&self) -> &str {
        &self.state.process.identity.name
    }
}

impl fmt::Debug for Guest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guest({} {:?})", self.pid(), self.name())
    }
}

fn outside(at: u32, len: impl fmt::Display) -> Error {
    Error::Invalid(format!("{len} bytes at {at}, which are not in its memory"))
}
