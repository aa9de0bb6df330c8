//! The front end for core modules: the imports `procbox_1` of a sandboxed program.
//!
//! Normative text: `guest/include/procbox.h`; names and numbers: the crate `procbox-abi`; explained in
//! `docs/guest-abi.md`. Every operation that can wait has a synchronous try-form (cheap, on the
//! guest's own stack) and a waiting form (it suspends the guest's fiber). Every handle, pointer,
//! length and number from a guest is checked; a bad one is an error code.
//!
//! A function here reads the guest's memory, calls the operation in `ops`, and turns what that comes
//! to into a code. This file has the table of all functions; they are in one file per family.

mod code;
mod connection;
mod event;
mod handle;
mod ledger;
mod lock;
mod memory;
mod message;
mod own;
mod pipe;
mod process;
mod queue;
mod region;
mod semaphore;

pub(crate) use memory::Memory;

use crate::state::State;
use procbox_abi::MODULE;
use wasmtime::Linker;

/// Makes the table, and `link`, which adds all functions to what a guest may import. A function is
/// called on the guest's stack (`now`) or on its fiber, which it may suspend (`waits`).
macro_rules! functions {
    ($($kind:ident $name:literal $function:path;)*) => {
        /// Adds all functions of the ABI to what a guest may import.
        pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
            $(functions!(@$kind linker, $name, $function)?;)*
            Ok(())
        }

        /// Every function of the table, and whether it may suspend the guest.
        #[cfg(test)]
        const FUNCTIONS: &[(&str, bool)] = &[$(($name, functions!(@$kind)),)*];
    };
    (@now $linker:ident, $name:literal, $function:path) => {
        $linker.func_wrap(MODULE, $name, $function)
    };
    (@waits $linker:ident, $name:literal, $function:path) => {
        $linker.func_wrap_async(MODULE, $name, $function)
    };
    (@now) => { false };
    (@waits) => { true };
}

functions! {
    now   "handle_close" handle::close;

    now   "lock_new" lock::new;
    now   "lock_try_acquire" lock::try_acquire;
    waits "lock_acquire" lock::acquire;
    now   "lock_release" lock::release;

    now   "semaphore_new" semaphore::new;
    now   "semaphore_try_acquire" semaphore::try_acquire;
    waits "semaphore_acquire" semaphore::acquire;
    now   "semaphore_release" semaphore::release;
    now   "semaphore_forget" semaphore::forget;
    now   "semaphore_available" semaphore::available;

    now   "event_new" event::new;
    now   "event_set" event::set;
    now   "event_clear" event::clear;
    now   "event_is_set" event::is_set;
    waits "event_wait" event::wait;

    now   "queue_new" queue::new;
    now   "queue_len" queue::len;
    now   "queue_bounds" queue::bounds;
    now   "queue_close" queue::close;
    now   "pipe_new" pipe::new;

    now   "ledger_new" ledger::new;
    now   "ledger_read" ledger::read;
    now   "ledger_write" ledger::write;
    waits "ledger_wait" ledger::wait;

    now   "region_new" region::new;
    now   "region_len" region::len;
    now   "region_read" region::read;
    now   "region_write" region::write;
    now   "region_atomic" region::atomic;
    waits "region_wait" region::wait;
    now   "region_notify" region::notify;

    now   "connection_listen" connection::listen;
    now   "connection_try_connect" connection::try_connect;
    waits "connection_connect" connection::connect;

    now   "message_try_put" message::try_put;
    waits "message_put" message::put;
    now   "message_try_get" message::try_get;
    waits "message_get" message::get;
    now   "message_read" message::read;

    now   "process_start" process::start;
    now   "process_pid" process::pid;
    now   "process_status" process::status;
    waits "process_join" process::join;
    now   "process_terminate" process::terminate;
    now   "process_kill" process::kill;
    now   "process_interrupt" process::interrupt;
    waits "wait_any" process::wait_any;

    now   "self_arguments" own::arguments;
    now   "self_identity" own::identity;
    now   "self_workers" own::workers;
    now   "self_interrupt" own::interrupt;
    now   "cpu_count" own::cpu_count;
    now   "snapshot" own::snapshot;
}

#[cfg(test)]
mod tests {
    use super::*;
    use procbox_abi::{IMPORTS, Import, ValueType};
    use wasmtime::{Engine, Module};

    #[test]
    fn the_table_has_the_functions_of_the_abi_and_no_others() {
        let expected: Vec<_> = IMPORTS.iter().map(|i| (i.name, i.waits())).collect();
        assert_eq!(FUNCTIONS, expected);
    }

    fn word(ty: ValueType) -> &'static str {
        match ty {
            ValueType::I32 => "i32",
            ValueType::I64 => "i64",
        }
    }

    /// The import as a module declares it.
    fn declared(import: &Import) -> String {
        let parameters: Vec<_> = import.parameters.iter().map(|p| word(p.ty)).collect();
        format!(
            "(import \"{MODULE}\" \"{}\" (func (param {}) (result {})))",
            import.name,
            parameters.join(" "),
            word(import.result),
        )
    }

    #[test]
    fn every_function_has_the_signature_of_the_abi() {
        let engine = Engine::default();
        let mut linker = Linker::new(&engine);
        link(&mut linker).unwrap();
        for import in IMPORTS {
            let text = format!("(module {})", declared(import));
            let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
            let linked = linker.instantiate_pre(&module);
            assert!(linked.is_ok(), "{}: {:?}", import.name, linked.err());
        }
    }
}
