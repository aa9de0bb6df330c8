//! Modules that are refused before anything of them runs.

use crate::frame::{Gets, main, make, module_main, turn};
use std::time::Duration;

#[test]
fn what_is_no_module_is_refused() {
    let module = |tries: &str, behind: &[u8]| {
        let bytes = [b"\0asm\x01\0\0\0", behind].concat();
        module_main(tries, bytes, Gets::Refused("not runnable"))
    };
    make([
        module("nothing but a head", b""),
        module("a section that is longer than the file", &[1, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        module("a section of no kind", &[77, 0]),
        module("a length without an end", &[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]),
        module("a function without a body", &[1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0]),
    ]);
}

#[test]
fn what_a_module_needs_is_looked_at_before_it_is_compiled() {
    let needs = |what: &str, why| {
        main(what, format!("(module {what} (func (export \"_start\")))"), Gets::Refused(why))
    };
    let _turn = turn();
    // Thirty megabytes that could be compiled, behind an import that nobody granted.
    let body = "(i32.store (i32.const 0) (i32.const 1))".repeat(100);
    let functions = format!("(func {body})").repeat(30_000);
    let large = format!(
        r#"(module (import "env" "system" (func)) (memory 1) {functions} (func (export "_start")))"#
    );
    make([
        needs("(memory 1025)", "more than the limit of 67108864"),
        needs("(memory 65536)", "more than the limit of 67108864"),
        needs("(memory i64 1025)", "more than the limit of 67108864"),
        needs("(memory i64 0xffffffffffff)", "more than the limit of 67108864"),
        needs("(memory 600) (memory 600)", "more than the limit of 67108864"),
        needs("(memory 1 1 shared)", "shared memory"),
        needs(&"(memory 0)".repeat(9), "more than 8 memories"),
        needs("(table 100001 funcref)", "more than the limit of 100000"),
        needs("(table 50001 funcref) (table 50000 funcref)", "more than the limit of 100000"),
        needs(&"(table 0 funcref)".repeat(9), "more than 8 tables"),
        main("a large module", large, Gets::Refused("`env::system`, which is not granted")),
        needs(&format!(r#"(memory 1) (data "{}")"#, "a".repeat(4096)), "limit of 4096")
            .within(|builder| builder.module_size(4096)),
    ]);
}

/// At each of so many loops each of so many variables may be another: small to write, and a gigabyte
/// and many seconds to compile.
fn loops(variables: usize, loops: usize) -> String {
    let each = |n: usize| {
        let of = |factor: usize| (n * factor + factor) % variables;
        let (one, other, to, next) = (of(7), of(13), n % variables, of(3));
        format!(
            "(loop (block (br_if 0 (local.get 0)) (local.set {to} (i32.add (local.get {one}) \
             (local.get {other})))) (br_if 0 (local.get {next})))"
        )
    };
    let locals = " i32".repeat(variables);
    let loops: String = (0..loops).map(each).collect();
    format!(r#"(module (func (export "_start") (local{locals}) {loops}))"#)
}

#[test]
fn what_costs_too_much_to_compile_is_refused_within_its_limits() {
    let memory = "compiling it takes more than 16";
    make([
        main("a gigabyte to compile", loops(2000, 1500), Gets::Refused(memory)),
        main("more variables", loops(10_000, 1500), Gets::Refused(memory)),
        main("seconds to compile", loops(2000, 1500), Gets::Refused("more than 1 s of CPU time"))
            .within(|builder| builder.compile_memory(8 << 30).compile_time(Duration::from_secs(1))),
    ]);
}

#[test]
fn an_import_that_nobody_granted_is_refused() {
    let imports = |what: &str| {
        let text = format!("(module {what} (func (export \"_start\")))");
        main(what, text, Gets::Refused("not runnable"))
    };
    make([
        imports(r#"(import "env" "system" (func (param i32) (result i32)))"#),
        imports(r#"(import "wasi_snapshot_preview1" "sock_open" (func))"#),
        imports(r#"(import "wasi_snapshot_preview1" "proc_exit" (func (param i64)))"#),
        imports(r#"(import "wasi_snapshot_preview1" "proc_exit" (global i32))"#),
        imports(r#"(import "procbox_1" "lock_new" (func (param i32)))"#),
        imports(r#"(import "procbox_0" "lock_new" (func (result i32)))"#),
        imports(r#"(import "env" "memory" (memory 1))"#),
        imports(r#"(import "env" "table" (table 1 funcref))"#),
    ]);
}
