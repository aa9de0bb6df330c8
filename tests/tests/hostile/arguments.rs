//! Bad arguments in every function that a guest may import: an error code, never a trap. The tables
//! have which: codes without their sign, 0 where nothing is bad about it.

use crate::frame::{Attack, Gets, make, worker};
use procbox_abi::{IMPORTS, Import, MODULE, ValueType, code};

/// Nothing, less than nothing, a pointer behind the memory, one that is odd at its end, and the
/// largest length that has a sign.
const BAD: [i32; 5] = [0, -1, 65_536, 65_533, i32::MIN];

/// The functions without a handle, with what each of [`BAD`] comes to.
const OTHERS: [(&str, [i32; 5]); 19] = [
    ("lock_new", [0, 0, 0, 0, 0]),
    ("semaphore_new", [0, 15, 0, 0, 15]),
    ("event_new", [0, 0, 0, 0, 0]),
    ("queue_new", [15, 15, 15, 15, 15]),
    ("pipe_new", [0, 9, 9, 9, 9]),
    ("ledger_new", [0, 0, 0, 0, 0]),
    // The last is more than its tree may have.
    ("region_new", [15, 15, 0, 0, 15]),
    ("connection_listen", [15, 15, 15, 15, 15]),
    ("connection_try_connect", [15, 15, 15, 15, 15]),
    ("connection_connect", [15, 15, 15, 15, 15]),
    ("message_read", [0, 9, 0, 0, 9]),
    ("process_start", [17, 9, 9, 9, 9]),
    ("wait_any", [1, 15, 9, 9, 15]),
    ("self_arguments", [0, 9, 9, 9, 9]),
    ("self_identity", [0, 9, 9, 9, 9]),
    ("self_workers", [0, 9, 9, 9, 9]),
    ("self_interrupt", [0, 15, 15, 15, 15]),
    ("cpu_count", [0, 0, 0, 0, 0]),
    ("snapshot", [0, 0, 0, 0, 0]),
];

/// The functions that take a handle, with the one of [`KINDS`] that each takes, and what they come to
/// with the numbers of [`WITH_A_HANDLE`] beside it. Every other handle is a bad one.
const TAKES: [(&str, usize, [i32; 2]); 32] = [
    ("lock_try_acquire", 0, [0, 0]),
    ("lock_acquire", 0, [0, 0]),
    ("lock_release", 0, [6, 6]),
    ("semaphore_try_acquire", 1, [0, 0]),
    ("semaphore_acquire", 1, [0, 0]),
    ("semaphore_release", 1, [0, 0]),
    ("semaphore_forget", 1, [0, 0]),
    ("semaphore_available", 1, [0, 0]),
    ("event_set", 2, [0, 0]),
    ("event_clear", 2, [0, 0]),
    ("event_is_set", 2, [0, 0]),
    ("event_wait", 2, [1, 1]),
    ("queue_len", 3, [0, 0]),
    ("queue_bounds", 3, [9, 9]),
    ("queue_close", 3, [0, 0]),
    ("message_try_put", 3, [13, 13]),
    ("message_try_put", 4, [13, 9]),
    ("message_put", 3, [13, 13]),
    ("message_put", 4, [13, 9]),
    ("message_try_get", 3, [3, 3]),
    ("message_try_get", 4, [1, 1]),
    ("message_get", 3, [3, 3]),
    ("message_get", 4, [1, 1]),
    ("ledger_read", 5, [9, 9]),
    ("ledger_write", 5, [9, 9]),
    ("ledger_wait", 5, [15, 15]),
    ("region_len", 6, [0, 0]),
    ("region_read", 6, [9, 9]),
    ("region_write", 6, [9, 9]),
    ("region_atomic", 6, [15, 15]),
    ("region_wait", 6, [15, 15]),
    ("region_notify", 6, [0, 0]),
];

/// Numbers beside a handle that is right.
const WITH_A_HANDLE: [i32; 2] = [-1, 65_533];
/// No such handle, or one of another kind.
const BAD_HANDLE: i32 = -code::BAD_HANDLE;

/// What makes something, so that `$handle` is a handle of its kind.
const KINDS: [(&str, &str, &str); 7] = [
    ("a lock", "lock_new", ""),
    ("a semaphore", "semaphore_new", "(i32.const 1)"),
    ("an event", "event_new", ""),
    ("a queue", "queue_new", "(i64.const 10) (i64.const 1000)"),
    ("an end of a pipe", "pipe_new", "(i32.const 1) (i32.const 1024)"),
    ("a ledger", "ledger_new", ""),
    ("a region", "region_new", "(i32.const 64)"),
];

fn declared(import: &Import, name: &str) -> String {
    let types = import.parameters.iter().map(|parameter| match parameter.ty {
        ValueType::I32 => " i32",
        ValueType::I64 => " i64",
    });
    format!(
        r#"(import "{MODULE}" "{}" (func ${name} (param{}) (result i32)))"#,
        import.name,
        types.collect::<String>()
    )
}

/// The call with this number everywhere but in the handle, and with a time that does not wait.
fn call(import: &Import, handle: &str, bad: i32) -> String {
    let arguments = import.parameters.iter().map(|parameter| match parameter.ty {
        ValueType::I64 => " (i64.const 0)".to_owned(),
        ValueType::I32 if parameter.name == "handle" => format!(" {handle}"),
        ValueType::I32 => format!(" (i32.const {bad})"),
    });
    format!("(call $attacked{})", arguments.collect::<String>())
}

fn program(imports: &str, body: &str) -> String {
    format!(
        r#"(module {imports} (memory (export "memory") 1)
(func (export "procbox_worker_attack") (param i32) (result i32) (local $handle i32) {body}))"#
    )
}

fn takes_handle(import: &Import) -> bool {
    import.parameters.iter().any(|parameter| parameter.name == "handle")
}

/// The error that the call makes, as an exit status: 0 if it makes none, or else the code without its
/// sign.
fn exits_with_error(call: &str) -> String {
    format!(
        "(local $code i32) (local.set $code {call})
         (select (i32.const 0) (i32.sub (i32.const 0) (local.get $code))
           (i32.ge_s (local.get $code) (i32.const 0)))"
    )
}

/// One that calls with no handle at all.
fn with_no_handle(import: &Import, bad: i32, error: i32) -> Attack {
    let call = call(import, &format!("(i32.const {bad})"), bad);
    let text = program(&declared(import, "attacked"), &exits_with_error(&call));
    worker(format!("{} with {bad}", import.name), text, Gets::Exits(error))
}

/// One that calls with a handle of this kind and nothing else that is right.
fn with_a_handle(import: &Import, kind: (&str, &str, &str), bad: i32, error: i32) -> Attack {
    let (kind, new, arguments) = kind;
    let new = IMPORTS.iter().find(|import| import.name == new).unwrap();
    let imports = declared(import, "attacked") + &declared(new, "new");
    // A pipe's handles are in the memory, the others are the result.
    let handle = match new.name == "pipe_new" {
        true => format!(
            "(drop (call $new {arguments})) (local.set $handle (i32.load (i32.const 1024)))"
        ),
        false => format!("(local.set $handle (call $new {arguments}))"),
    };
    let call = call(import, "(local.get $handle)", bad);
    // One that is made or not makes no other difference.
    let body = exits_with_error(&call).replacen(
        "(local.set $code",
        &format!(
            "{handle} (if (i32.le_s (local.get $handle) (i32.const 0)) (then (return (i32.const 99))))
             (local.set $code"
        ),
        1,
    );
    let tries = format!("{} of {kind} with {bad}", import.name);
    worker(tries, program(&imports, &body), Gets::Exits(error))
}

/// Those of each function with no handle at all.
pub(crate) fn without_a_handle() -> impl Iterator<Item = Attack> {
    let errors = |import: &Import| match OTHERS.iter().find(|(name, _)| *name == import.name) {
        Some((_, errors)) => *errors,
        None => [BAD_HANDLE; 5],
    };
    let attacks = move |import: &'static Import| {
        let with_error = BAD.into_iter().zip(errors(import));
        with_error.map(|(bad, error)| with_no_handle(import, bad, error))
    };
    IMPORTS.iter().flat_map(attacks)
}

#[test]
fn no_bad_argument_is_a_trap_and_no_bad_handle_is_taken() {
    make(without_a_handle());
    assert!(OTHERS.iter().all(|(name, _)| IMPORTS.iter().any(|import| import.name == *name)));
}

/// Those of each function that takes a handle, with one of each kind.
pub(crate) fn with_any_handle() -> impl Iterator<Item = Attack> {
    let errors = |import: &Import, kind: usize| match import.name {
        "handle_close" => [0; 2],
        name => TAKES
            .iter()
            .find(|(taker, takes, _)| *taker == name && *takes == kind)
            .map_or([BAD_HANDLE; 2], |(_, _, errors)| *errors),
    };
    let attacks = move |import: &'static Import| {
        KINDS.iter().enumerate().flat_map(move |(n, kind)| {
            let with_error = WITH_A_HANDLE.into_iter().zip(errors(import, n));
            with_error.map(|(bad, error)| with_a_handle(import, *kind, bad, error))
        })
    };
    IMPORTS.iter().filter(|import| takes_handle(import)).flat_map(attacks)
}

#[test]
fn a_handle_of_any_kind_with_bad_arguments_is_no_trap_and_one_of_another_kind_is_not_taken() {
    make(with_any_handle());
}
