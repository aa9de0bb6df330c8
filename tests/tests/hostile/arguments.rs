//! Bad arguments in every function that a guest may import: an error code, never a trap.

use crate::frame::{Attack, Gets, make, worker};
use procbox_abi::{IMPORTS, Import, MODULE, ValueType};

/// Nothing, less than nothing, a pointer behind the memory, one that is odd at its end, and the
/// largest length that has a sign.
const BAD: [i32; 5] = [0, -1, 65_536, 65_533, i32::MIN];

/// What makes something, so that `$handle` is a handle of its kind.
const KINDS: [(&str, &str, &str); 5] = [
    ("a lock", "lock_new", ""),
    ("a semaphore", "semaphore_new", "(i32.const 1)"),
    ("an event", "event_new", ""),
    ("a queue", "queue_new", "(i64.const 10) (i64.const 1000)"),
    ("an end of a pipe", "pipe_new", "(i32.const 1) (i32.const 1024)"),
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

/// One that calls with no handle at all, and exits with 1 if that is not an error.
fn with_no_handle(import: &Import, bad: i32) -> Attack {
    let call = call(import, &format!("(i32.const {bad})"), bad);
    let body = match takes_handle(import) {
        true => format!("(i32.ge_s {call} (i32.const 0))"),
        false => format!("(drop {call}) (i32.const 0)"),
    };
    let text = program(&declared(import, "attacked"), &body);
    worker(format!("{} with {bad}", import.name), text, Gets::Exits(0))
}

/// One that calls with a handle of this kind and nothing else that is right.
fn with_a_handle(import: &Import, (kind, new, arguments): (&str, &str, &str), bad: i32) -> Attack {
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
    let body = format!(
        "{handle} (if (i32.le_s (local.get $handle) (i32.const 0)) (then (return (i32.const 2))))
         (drop {call}) (i32.const 0)"
    );
    let tries = format!("{} of {kind} with {bad}", import.name);
    worker(tries, program(&imports, &body), Gets::Exits(0))
}

#[test]
fn no_bad_argument_is_a_trap_and_no_bad_handle_is_taken() {
    make(IMPORTS.iter().flat_map(|import| BAD.map(|bad| with_no_handle(import, bad))));
}

#[test]
fn a_handle_of_any_kind_with_bad_arguments_is_no_trap() {
    let imports = || IMPORTS.iter().filter(|import| takes_handle(import));
    make(imports().flat_map(|import| KINDS.map(|kind| with_a_handle(import, kind, -1))));
}
