//! Images of processes: what one process writes no other finds, and programs that lie about theirs.

use crate::frame::{HOST_MEMORY, Peak, turn};
use procbox::sandbox::{Grants, Program};
use procbox::{Bytes, Context, Error, ExitStatus, Limit, Sandbox};
use std::collections::HashSet;
use std::time::Duration;

fn sandbox() -> Sandbox {
    Sandbox::builder().memory(64 << 20).max_processes(100).cache(false).build().unwrap()
}

fn context(sandbox: &Sandbox, module: Vec<u8>) -> Context {
    let program = Program::from_bytes("attack", module).unwrap();
    sandbox.context_with(program, Grants::default().quiet(true)).unwrap()
}

/// A context of the image that this program makes.
fn warm(sandbox: &Sandbox, text: &str) -> procbox::Result<Context> {
    let first = context(sandbox, wat::parse_str(text).unwrap());
    let module = first.main([""; 0]).timeout(Duration::from_secs(20)).snapshot()?;
    Ok(context(sandbox, module))
}

/// It fills its memory; and each process of the image looks whether all is as it was left, by a sum over
/// every word, its globals and its table, and then writes a random number wherever it can.
const WRITES_EVERYWHERE: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (table 3 3 funcref)
    (elem (i32.const 1) $seven)
    (type $number (func (result i32)))
    (global $sum (mut i64) (i64.const 0))
    (global $small (mut i32) (i32.const 0))
    (global $float (mut f64) (f64.const 0))
    (func $seven (result i32) (i32.const 7))
    (func $total (result i64) (local $at i32) (local $sum i64)
      (local.set $at (i32.const 4096))
      (loop $next
        (local.set $sum (i64.add (i64.load (local.get $at))
          (i64.rotl (i64.xor (local.get $sum) (i64.extend_i32_u (local.get $at))) (i64.const 7))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
      (local.get $sum))
    (func (export "_start") (local $at i32)
      (drop (memory.grow (i32.const 15)))
      (local.set $at (i32.const 8192))
      ;; With pages between that hold nothing.
      (loop $next
        (i64.store (local.get $at) (i64.mul (i64.extend_i32_u (local.get $at)) (i64.const 2654435761)))
        (local.set $at (i32.add (local.get $at) (i32.const 1000)))
        (br_if $next (i32.lt_u (local.get $at) (i32.const 500000))))
      (global.set $small (i32.const 42))
      (global.set $float (f64.const 0.5))
      (global.set $sum (call $total)))
    (func (export "procbox_resume")
      (if (i64.ne (call $total) (global.get $sum)) (then (unreachable)))
      (if (i32.ne (global.get $small) (i32.const 42)) (then (unreachable)))
      (if (f64.ne (global.get $float) (f64.const 0.5)) (then (unreachable)))
      (if (i32.ne (memory.size) (i32.const 16)) (then (unreachable)))
      (if (i32.ne (call_indirect (type $number) (i32.const 1)) (i32.const 7)) (then (unreachable)))
      (drop (call $random (i32.const 64) (i32.const 8)))
      (global.set $small (i32.load (i32.const 64)))
      (global.set $float (f64.load (i32.const 64)))
      (global.set $sum (i64.load (i32.const 64)))
      (drop (memory.grow (i32.const 2)))
      (memory.fill (i32.const 4096) (i32.or (i32.load8_u (i32.const 64)) (i32.const 1))
        (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4096)))
      (i32.store (i32.const 0) (i32.const 64))
      (i32.store (i32.const 4) (i32.const 8))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"#;

#[test]
fn a_thousand_processes_of_an_image_find_it_as_it_was_and_have_random_numbers_of_their_own() {
    const PROCESSES: usize = 1000;
    let _turn = turn();
    let sandbox = sandbox();
    let warm = warm(&sandbox, WRITES_EVERYWHERE).unwrap();
    let pool = warm.pool_of_main([""; 0]).workers(8).build().unwrap();
    let numbers = pool.map((0..PROCESSES).map(|_| Bytes::default())).unwrap();
    assert!(numbers.iter().all(|number| number.len() == 8));
    assert_eq!(numbers.into_iter().collect::<HashSet<Bytes>>().len(), PROCESSES);
}

/// A program whose image is of these functions.
fn program(what: &str) -> String {
    format!(
        r#"(module (import "procbox_1" "snapshot" (func $snapshot (result i32))) (memory (export "memory") 1 1024)
        {what})"#
    )
}

/// How a process of the image ends.
fn ends(sandbox: &Sandbox, text: &str) -> ExitStatus {
    warm(sandbox, text).unwrap().main([""; 0]).start().unwrap().join().unwrap()
}

#[test]
fn a_heap_with_gaps_is_neither_copied_nor_kept_whole() {
    let _turn = turn();
    let sandbox = sandbox();
    let memory = Peak::begin();
    // 64 MiB, of which one byte at each end holds something.
    let text = program(
        r#"(func (export "_start") (drop (memory.grow (i32.const 1023)))
          (i32.store8 (i32.const 0) (i32.const 1)) (i32.store8 (i32.const 67108863) (i32.const 2)))
        (func (export "procbox_resume")
          (if (i32.ne (memory.size) (i32.const 1024)) (then (unreachable)))
          (if (i32.ne (i32.load8_u (i32.const 67108863)) (i32.const 2)) (then (unreachable))))"#,
    );
    let warm = warm(&sandbox, &text).unwrap();
    for _ in 0..100 {
        assert!(warm.main([""; 0]).start().unwrap().join().unwrap().success());
    }
    let grown = memory.end();
    assert!(grown < HOST_MEMORY, "it grew by {} MiB", grown >> 20);
}

#[test]
fn programs_that_lie_are_refused_or_fail_alone() {
    let _turn = turn();
    let sandbox = sandbox();
    let refused = |what: &str, words: &str| match warm(&sandbox, &program(what)) {
        Err(Error::NotRunnable { why, .. }) => assert!(why.contains(words), "{what}: {why}"),
        other => panic!("{what}: {other:?}"),
    };
    let start = |what: &str| format!(r#"(func (export "_start") {what})"#);
    refused(&start("(drop (call $snapshot))"), "exports no `procbox_resume`");
    let no_function = r#"(global (export "procbox_resume") i32 (i32.const 0))"#;
    refused(&format!("{no_function} {}", start("(drop (call $snapshot))")), "`procbox_resume`");
    for name in ["__wizer_global_0", "__wizer_memory_0"] {
        let lies = format!(r#"(global (export "{name}") (mut i32) (i32.const 0)) {}"#, start(""));
        refused(&lies, "`__wizer_*`");
    }
    for mutation in [
        "(table.set (i32.const 0) (ref.null func))",
        "(drop (table.grow (ref.null func) (i32.const 1)))",
        "(table.fill (i32.const 0) (ref.null func) (i32.const 1))",
        "(table.copy (i32.const 0) (i32.const 0) (i32.const 1))",
        "(elem.drop $e)",
        "(data.drop $d)",
    ] {
        let tables = "(table 1 funcref) (elem $e func) (data $d \"x\")";
        refused(&format!("{tables} {}", start(mutation)), "an image of it cannot be made");
    }
    // Its own calls and its own loops end it, and nothing else.
    let ended = |what: &str| match warm(&sandbox, &program(what)) {
        Err(Error::WorkerDied { status, .. }) => status,
        other => panic!("{what}: {other:?}"),
    };
    assert_eq!(ended(&start("(unreachable)")), ExitStatus::signaled(6));
    assert_eq!(ended(&start("(i32.store (i32.const -4) (i32.const 0))")), ExitStatus::signaled(11));
    let first = context(&sandbox, wat::parse_str(program(&start("(loop $l (br $l))"))).unwrap());
    match first.main([""; 0]).timeout(Duration::from_millis(50)).snapshot() {
        Err(Error::WorkerDied { status, .. }) => assert_eq!(status.limit(), Some(Limit::WallClock)),
        other => panic!("{other:?}"),
    }
    // Passive segments, a start function, and a `snapshot` in each process of the image.
    let status = ends(
        &sandbox,
        &program(
            r#"(data $d "\07") (global $n (mut i32) (i32.const 0)) (start $begin)
            (func $begin (global.set $n (i32.add (global.get $n) (i32.const 1))))
            (func (export "_start") (drop (call $snapshot)) (unreachable))
            (func (export "procbox_resume")
              (if (i32.ne (global.get $n) (i32.const 1)) (then (unreachable)))
              (memory.init $d (i32.const 9) (i32.const 0) (i32.const 1))
              (if (i32.ne (i32.load8_u (i32.const 9)) (i32.const 7)) (then (unreachable)))
              (if (call $snapshot) (then (unreachable))) (if (call $snapshot) (then (unreachable))))"#,
        ),
    );
    assert!(status.success(), "{status}");
    // Without a memory and without anything.
    let nothing = r#"(module (func (export "_start")))"#;
    assert!(ends(&sandbox, nothing).success());
    // One that says of itself that it is an image is run as what it is, and is none.
    let mut claims = wat::parse_str(nothing).unwrap();
    claims.extend(b"\0\x0e\x0cprocbox.warm\x01");
    assert!(
        context(&sandbox, claims.clone()).main([""; 0]).start().unwrap().join().unwrap().success()
    );
    let again = context(&sandbox, claims).main([""; 0]).snapshot();
    assert!(matches!(again, Err(Error::NotRunnable { .. })), "{again:?}");
}
