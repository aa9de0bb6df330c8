//! Work that a guest has the host do: it costs fuel as its own does, and what was used does not come
//! back.

use crate::frame::{Attack, Gets, make, worker};
use procbox::backend::Message;
use procbox::sandbox::{Grants, Program, TreeLimits};
use procbox::{Limit, Output, Sandbox};
use procbox_tests::PATIENCE;

/// What each process has.
const FUEL: u64 = 200_000;

/// A program that does something so many times. It has a queue, whose handle is 1, a lock, whose handle
/// is 2, and a list of a hundred times the queue.
fn program(times: u32, body: &str) -> String {
    format!(
        r#"(module
(import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_pread" (func $pread (param i32 i32 i32 i64 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_open"
  (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
(import "procbox_1" "cpu_count" (func $cpu_count (result i32)))
(import "procbox_1" "lock_new" (func $lock (result i32)))
(import "procbox_1" "lock_acquire" (func $acquire (param i32 i64) (result i32)))
(import "procbox_1" "lock_release" (func $release (param i32) (result i32)))
(import "procbox_1" "queue_new" (func $queue (param i64 i64) (result i32)))
(import "procbox_1" "message_try_put" (func $put (param i32 i32 i32 i32 i32) (result i32)))
(import "procbox_1" "message_try_get" (func $get (param i32 i32 i32 i32) (result i32)))
(import "procbox_1" "process_start" (func $start (param i32 i32 i32 i32 i32) (result i32)))
(import "procbox_1" "wait_any" (func $any (param i32 i32 i32 i64) (result i32)))
(memory (export "memory") 64)
(data (i32.const 256) "file")
(data (i32.const 512) "idle")
(data (i32.const 528) "\01\00\00\00\00\02\00\00\04\00\00\00")
(data (i32.const 1024) "{}")
(data (i32.const 2048) "\00\00\10\00\00\00\08\00")
(func (export "procbox_worker_idle") (param i32) (result i32) (i32.const 0))
(func (export "procbox_worker_attack") (param i32) (result i32) (local $n i32)
  (drop (call $queue (i64.const -1) (i64.const -1)))
  (drop (call $lock))
  (local.set $n (i32.const {times}))
  (loop $again
    {body}
    (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (i32.const 0)))"#,
        r"\01\00\00\00".repeat(100)
    )
}

/// One whose own instructions are far within its fuel: with what the host does it is out of that, and
/// half as many times are fine.
fn costs(tries: &str, times: u32, body: &str) -> [Attack; 2] {
    let attack = |times, gets| worker(tries, program(times, body), gets).fuel(FUEL);
    [attack(times, Gets::Breaks(Limit::Fuel)), attack(times / 2, Gets::Exits(0))]
}

#[test]
fn what_the_host_does_costs_fuel() {
    let lock = "(drop (call $acquire (i32.const 2) (i64.const -1)))
        (drop (call $release (i32.const 2)))";
    let message = "(drop (call $put (i32.const 1) (i32.const 65536) (i32.const 65536)
          (i32.const 0) (i32.const 0)))
        (drop (call $get (i32.const 1) (i32.const 65536) (i32.const 65536) (i32.const 0)))";
    let handles = "(drop (call $put (i32.const 1) (i32.const 0) (i32.const 0)
        (i32.const 1024) (i32.const 100)))";
    let start = "(drop (call $start (i32.const 528) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0)))";
    let any = "(drop (call $any (i32.const 1024) (i32.const 100) (i32.const 4096) (i64.const 0)))";
    let clock = "(drop (call $clock (i32.const 0) (i64.const 1) (i32.const 0)))";
    // Clocks that have run out already, as many as one call takes.
    let poll = "(drop (call $poll (i32.const 1048576) (i32.const 2097152) (i32.const 4096)
        (i32.const 0)))";
    let random = "(drop (call $random (i32.const 65536) (i32.const 8)))";
    for pair in [
        costs("calls for nothing", 5_000, "(drop (call $cpu_count))"),
        costs("a lock for nothing", 2_600, lock),
        costs("large messages for nothing", 16, message),
        costs("handles in messages for nothing", 120, handles),
        costs("processes for nothing", 24, start),
        costs("to wait for many for nothing", 120, any),
        costs("the time for nothing", 240, clock),
        costs("to look for many things for nothing", 4, poll),
        costs("a few random bytes for nothing", 240, random),
    ] {
        make(pair);
    }
}

#[test]
fn what_is_read_and_written_costs_fuel() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), vec![b'a'; 1 << 20]).unwrap();
    let write = "(drop (call $write (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 0)))";
    for attack in costs("to print for nothing", 4, write) {
        attack.stdout(Output::Null).make();
    }
    let read = "(drop (call $open (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 4)
          (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 64)))
        (drop (call $pread (i32.load (i32.const 64)) (i32.const 2048) (i32.const 1) (i64.const 0)
          (i32.const 0)))";
    for attack in costs("to read for nothing", 24, read) {
        attack.granted(Grants::default().dir(dir.path(), "/dir")).make();
    }
}

/// A program whose worker `attack` starts a worker `child` again and again, each after the one before,
/// until none can be started for want of something, and exits with how many there were. `child` does
/// this.
fn parent(child: &str) -> Program {
    let text = format!(
        r#"(module
(import "procbox_1" "process_start" (func $start (param i32 i32 i32 i32 i32) (result i32)))
(import "procbox_1" "process_join" (func $join (param i32 i32 i64) (result i32)))
(import "procbox_1" "process_kill" (func $kill (param i32) (result i32)))
(import "procbox_1" "handle_close" (func $close (param i32) (result i32)))
(memory (export "memory") 1)
(data (i32.const 64) "child")
(data (i32.const 80) "\01\00\00\00\40\00\00\00\05\00\00\00")
(func (export "procbox_worker_child") (param i32) (result i32) (local $n i32) {child})
(func (export "procbox_worker_attack") (param i32) (result i32) (local $n i32) (local $child i32)
  (loop $again
    (local.set $child
      (call $start (i32.const 80) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    (if (i32.gt_s (local.get $child) (i32.const 0)) (then
      (drop (call $join (local.get $child) (i32.const 128) (i64.const 50000000)))
      (drop (call $kill (local.get $child)))
      (drop (call $join (local.get $child) (i32.const 128) (i64.const -1)))
      (drop (call $close (local.get $child)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $n) (i32.const 50))))))
  (local.get $n)))"#
    );
    Program::from_bytes("parent", wat::parse_str(text).unwrap()).unwrap()
}

/// So much that a child which spins is killed before it has used it.
const GIVEN: u64 = 2_000_000_000;

/// How many such children can be started one after another, of at most 50, if each is given that, and
/// the tree five and a half times as much; and what the tree has used.
fn children(child: &str) -> (i32, u64) {
    let tree = TreeLimits::new().fuel(GIVEN / 2 * 11);
    let sandbox = Sandbox::builder().max_processes(5).fuel(GIVEN).tree(tree).build().unwrap();
    let ctx = sandbox.context_with(parent(child), Grants::default().quiet(true)).unwrap();
    let process = ctx.process("attack").raw_args(Message::default()).start().unwrap();
    let status = process.join_timeout(PATIENCE).unwrap();
    (status.exitcode(), process.usage().unwrap().fuel.unwrap())
}

#[test]
fn fuel_that_was_used_does_not_come_back_however_its_process_ends() {
    let busy = "(loop $l (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))
        (i32.const 100000))))";
    let traps = format!("{busy} (i32.div_s (i32.const 1) (i32.const 0))");
    let outside = format!("{busy} (i32.load (i32.const -1))");
    let spins = "(loop $l (br $l)) (i32.const 0)";
    // Its parent has as much, four children too, and one what is left.
    for (child, what) in [(&*traps, "traps"), (&outside, "reads outside"), (spins, "is killed")] {
        let (children, used) = children(child);
        assert_eq!(children, 5, "one that {what}");
        assert!((GIVEN / 2 * 9..GIVEN / 2 * 11).contains(&used), "one that {what}: {used}");
    }
    let (children, used) = children("(i32.const 0)");
    assert_eq!(children, 50, "one that returns");
    assert!((500_000..700_000).contains(&used), "{used}");
}
