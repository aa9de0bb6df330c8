//! What stock runtimes run, runs in the sandbox: exceptions, garbage-collected values, reactors.

use procbox::backend::Message;
use procbox::sandbox::{Grants, Program, SandboxBuilder};
use procbox::{ExitStatus, Result, Sandbox};

fn sandbox() -> SandboxBuilder {
    Sandbox::builder().max_processes(4).memory(8 << 20).cache(false)
}

fn status(sandbox: SandboxBuilder, text: &str, worker: Option<&str>) -> Result<ExitStatus> {
    let program = Program::from_bytes("stock", wat::parse_str(text).unwrap())?;
    let ctx = sandbox.build()?.context_with(program, Grants::default().quiet(true))?;
    match worker {
        Some(name) => ctx.process(name).raw_args(Message::default()).start()?.join(),
        None => ctx.main([""; 0]).start()?.join(),
    }
}

/// What a worker `w` with this body, in a module with these declarations, exits with.
fn exits(declarations: &str, body: &str) -> i32 {
    let text = format!(
        r#"(module {declarations} (memory (export "memory") 1)
        (func (export "procbox_worker_w") (param i32) (result i32) {body}))"#
    );
    status(sandbox(), &text, Some("w")).unwrap().exitcode()
}

#[test]
fn exceptions_are_thrown_and_caught() {
    let caught = "(block $caught (result i32)
        (try_table (catch $tag $caught) (throw $tag (i32.const 7))) (i32.const 1))";
    assert_eq!(exits("(tag $tag (param i32))", caught), 7);
}

#[test]
fn an_exception_that_nothing_catches_aborts() {
    assert_eq!(exits("(tag $tag)", "(throw $tag)"), -6);
}

#[test]
fn structures_and_arrays_are_made_and_used() {
    let types =
        "(type $pair (struct (field i32) (field (mut i32)))) (type $list (array (mut i32)))";
    let body = "(local $pair (ref null $pair)) (local $list (ref null $list))
        (local.set $pair (struct.new $pair (i32.const 3) (i32.const 0)))
        (struct.set $pair 1 (local.get $pair) (i32.const 4))
        (local.set $list (array.new $list (i32.const 5) (i32.const 1000)))
        (i32.add (array.get $list (local.get $list) (i32.const 999))
          (i32.add (struct.get $pair 0 (local.get $pair)) (struct.get $pair 1 (local.get $pair))))";
    assert_eq!(exits(types, body), 12);
}

/// A hundred times as much as the limit, of which at no time more than one in ten is in use.
#[test]
fn values_that_nobody_has_any_more_are_collected() {
    let body = "(local $n i32) (loop $again
        (drop (array.new $bytes (i32.const 0) (i32.const 800000)))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $n) (i32.const 1000)))) (i32.const 9)";
    assert_eq!(exits("(type $bytes (array i8))", body), 9);
}

#[test]
fn a_reactor_is_initialized_before_its_worker_is_called() {
    let initialized = r#"(global $g (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $g (i32.add (global.get $g) (i32.const 5))))"#;
    assert_eq!(exits(initialized, "(global.get $g)"), 5);
    let trap = r#"(func (export "_initialize") unreachable)"#;
    assert_eq!(exits(trap, "(i32.const 0)"), -6);
}

/// What `_start` exits with: `$g`, which each run of the constructors makes one more.
fn main_exits(start: &str) -> i32 {
    let text = format!(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (global $g (mut i32) (i32.const 0))
        (func $constructors (global.set $g (i32.add (global.get $g) (i32.const 1))))
        (func $initialize (export "_initialize") (call $constructors))
        (func (export "_start") {start} (call $exit (global.get $g))))"#
    );
    status(sandbox(), &text, None).unwrap().exitcode()
}

#[test]
fn a_main_is_initialized_once_whoever_does_it() {
    assert_eq!(main_exits(""), 1);
    assert_eq!(main_exits("(call $constructors)"), 1);
    assert_eq!(main_exits("(call $initialize)"), 1);
}

#[test]
fn a_worker_that_runs_the_constructors_itself_is_not_initialized_before() {
    let initialized = r#"(global $g (mut i32) (i32.const 0))
        (func $constructors (global.set $g (i32.add (global.get $g) (i32.const 5))))
        (func (export "_initialize") (call $constructors))"#;
    assert_eq!(exits(initialized, "(call $constructors) (global.get $g)"), 5);
    assert_eq!(exits(initialized, "(global.get $g)"), 5);
}

#[test]
fn what_an_image_was_made_of_is_not_initialized_again() {
    let text = r#"(module (memory (export "memory") 1)
        (global $g (mut i32) (i32.const 0))
        (func (export "_initialize")
          (if (global.get $g) (then unreachable)) (global.set $g (i32.const 1)))
        (func (export "procbox_worker_w") (param i32) (result i32)
          (global.set $g (i32.add (global.get $g) (i32.const 1)))
          (if (i32.eq (global.get $g) (i32.const 2)) (then (return (i32.const 0))))
          (global.get $g)))"#;
    let program = Program::from_bytes("stock", wat::parse_str(text).unwrap()).unwrap();
    let ctx = sandbox().build().unwrap().context(program).unwrap();
    let warm = ctx.process("w").raw_args(Message::default()).warm().unwrap();
    for _ in 0..2 {
        let process = warm.process("w").raw_args(Message::default()).start().unwrap();
        assert_eq!(process.join().unwrap().exitcode(), 3);
    }
}

#[test]
fn several_memories_and_tables_are_a_processs_own() {
    let declarations = r#"(memory $second 1 3) (memory $wide i64 1) (memory $none 0)
        (table $one 2 funcref) (table $two 90000 externref) (table $three 3 10 funcref)
        (data (memory $second) (i32.const 7) "\05")
        (func $seven (result i32) (i32.const 7))
        (elem (table $three) (i32.const 1) func $seven)"#;
    let body = "
        (memory.copy 0 $second (i32.const 100) (i32.const 7) (i32.const 1))
        (i64.store8 $wide (i64.const 65535) (i64.const 9))
        (if (i32.ne (memory.grow $second (i32.const 1)) (i32.const 1)) (then unreachable))
        (if (i64.ne (memory.grow $wide (i64.const 5)) (i64.const 1)) (then unreachable))
        (if (i32.ne (table.grow $three (ref.null func) (i32.const 7)) (i32.const 3))
          (then unreachable))
        (i32.add (i32.load8_u (i32.const 100))
          (i32.add (i32.load8_u $wide (i64.const 65535))
            (call_indirect $three (result i32) (i32.const 1))))";
    // One after the other, in the same places: what one has written the next does not see.
    let all = format!("(if (i32.load8_u (i32.const 100)) (then unreachable)) {body}");
    let text = format!(
        r#"(module (memory (export "memory") 1) {declarations}
        (func (export "procbox_worker_w") (param i32) (result i32) {all}))"#
    );
    let program = Program::from_bytes("stock", wat::parse_str(&text).unwrap()).unwrap();
    // A process of it takes four places: here there is one, and it gets all.
    for most in [1, 4, 9] {
        let sandbox = Sandbox::builder().max_processes(most).memory(8 << 20).cache(false);
        let ctx = sandbox.build().unwrap().context(program.clone()).unwrap();
        for _ in 0..10 {
            let process = ctx.process("w").raw_args(Message::default()).start().unwrap();
            assert_eq!(process.join().unwrap().exitcode(), 5 + 9 + 7);
        }
    }
}

#[test]
fn a_process_with_more_than_two_memories_is_several_of_the_processes_that_there_may_be() {
    let text = r#"(module (import "wasi_snapshot_preview1" "poll_oneoff"
          (func $poll (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (memory 1) (memory 1) (memory 1)
        (func (export "_start")
          (i64.store (i32.const 24) (i64.const 3600000000000))
          (drop (call $poll (i32.const 0) (i32.const 48) (i32.const 1) (i32.const 96)))))"#;
    let program = Program::from_bytes("stock", wat::parse_str(text).unwrap()).unwrap();
    let ctx = Sandbox::builder().max_processes(7).cache(false).build().unwrap();
    let ctx = ctx.context(program).unwrap();
    let start = || ctx.main([""; 0]).start();
    let (first, second) = (start().unwrap(), start().unwrap());
    assert!(matches!(start(), Err(procbox::Error::Exhausted(_))));
    first.kill().unwrap();
    first.join().unwrap();
    let third = start().unwrap();
    for process in [second, third] {
        process.kill().unwrap();
        process.join().unwrap();
    }
}

#[test]
fn an_initialization_that_cannot_be_called_is_refused() {
    let text = r#"(module (func (export "_initialize") (param i32)) (func (export "_start")))"#;
    let refused = status(sandbox(), text, None).unwrap_err().to_string();
    assert!(refused.contains("`_initialize`"), "{refused}");
}

#[test]
fn more_processes_than_heaps_have_room_for_run_all_the_same() {
    let room = || Sandbox::builder().max_processes(20_000).cache(false);
    let plain = r#"(module (memory 1) (func (export "_start")))"#;
    assert_eq!(status(room(), plain, None).unwrap(), ExitStatus::SUCCESS);
    let heap = r#"(module (type $s (struct)) (func (export "_start") (drop (struct.new $s))))"#;
    assert_eq!(status(room(), heap, None).unwrap().exitcode(), -9);
    let small = || Sandbox::builder().max_processes(20_000).memory(1 << 20).cache(false);
    assert_eq!(status(small(), heap, None).unwrap().exitcode(), -9);
    let fewer = || Sandbox::builder().max_processes(15_000).cache(false);
    assert_eq!(status(fewer(), heap, None).unwrap(), ExitStatus::SUCCESS);
}
