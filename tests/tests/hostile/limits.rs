//! Limits of a whole tree: what its processes do together ends at them, however they share the work.

use crate::frame::{Attack, Gets, beside_an_honest_one, main, make, until, worker};
use procbox::backend::Message;
use procbox::sandbox::{Grants, Program, TreeLimits};
use procbox::{Context, Limit, Output, Sandbox};
use procbox_tests::PATIENCE;
use std::path::Path;
use std::time::Duration;

const EDQUOT: i32 = 19;
const EMFILE: i32 = 33;

/// A program whose worker `attack` does this, with a worker `busy` that computes for ever and one
/// `idle` that does nothing; `$start` starts the one whose name is there.
fn starter(body: &str) -> String {
    format!(
        r#"(module
(import "procbox_1" "process_start" (func $process_start (param i32 i32 i32 i32 i32) (result i32)))
(import "procbox_1" "process_join" (func $join (param i32 i32 i64) (result i32)))
(memory (export "memory") 1)
(data (i32.const 64) "busyidle")
(func $start (param $name i32) (result i32)
  (i32.store (i32.const 0) (i32.const 1))
  (i32.store (i32.const 4) (local.get $name))
  (i32.store (i32.const 8) (i32.const 4))
  (call $process_start (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
(func $busy (result i32) (call $start (i32.const 64)))
(func $idle (result i32) (call $start (i32.const 68)))
(func (export "procbox_worker_busy") (param i32) (result i32) (loop $l (br $l)) (i32.const 0))
(func (export "procbox_worker_idle") (param i32) (result i32) (i32.const 0))
(func (export "procbox_worker_attack") (param i32) (result i32) (local $code i32)
  {body}
  (local.get $code)))"#
    )
}

/// Does this, a code, until it is an error, and exits with 0 if that is EXHAUSTED.
fn until_exhausted(again: &str) -> String {
    starter(&format!(
        "(loop $l (local.set $code {again})
           (br_if $l (i32.ge_s (local.get $code) (i32.const 0))))
         (local.set $code (i32.add (local.get $code) (i32.const 12)))"
    ))
}

/// Four busy children, and as busy itself.
fn busy_family() -> String {
    let four = "(drop (call $busy))".repeat(4);
    starter(&format!("{four} (loop $l (br $l))"))
}

fn family(sandbox: &Sandbox) -> Context {
    let program = Program::from_bytes("family", wat::parse_str(busy_family()).unwrap()).unwrap();
    sandbox.context_with(program, Grants::default().quiet(true)).unwrap()
}

/// Runs a busy family in a sandbox of its own, until something ends it: this limit, and all of it.
fn ends_as_a_whole(tries: &str, tree: TreeLimits, timeout: Option<Duration>, limit: Limit) {
    beside_an_honest_one(
        tries,
        |builder| builder,
        |_, honest| {
            let sandbox = Sandbox::builder().max_processes(10).tree(tree).build().unwrap();
            let ctx = family(&sandbox);
            let mut process = ctx.process("attack").raw_args(Message::default());
            if let Some(timeout) = timeout {
                process = process.timeout(timeout);
            }
            let status = process.start().unwrap().join_timeout(PATIENCE).unwrap();
            assert_eq!(status.limit(), Some(limit), "{tries}: {status}");
            until(tries, || sandbox.processes() == 0);
            honest.answers(1);
        },
    );
}

#[test]
fn busy_children_do_not_outlive_their_trees_time() {
    let soon = Duration::from_millis(300);
    let tree = TreeLimits::new();
    ends_as_a_whole("to outlive a timeout", tree, Some(soon), Limit::WallClock);
    ends_as_a_whole("to outlive the tree's", tree.time(soon), None, Limit::WallClock);
    ends_as_a_whole("to have CPU time each", tree.cpu_time(soon), None, Limit::CpuTime);
}

#[test]
fn children_that_their_parent_leaves_behind_do_not_outlive_its_timeout() {
    let tries = "to leave busy children behind";
    beside_an_honest_one(
        tries,
        |builder| builder,
        |sandbox, _| {
            let text = starter(&"(drop (call $busy))".repeat(4));
            let program = Program::from_bytes("leaves", wat::parse_str(text).unwrap()).unwrap();
            let ctx = sandbox.context(program).unwrap();
            let process = ctx.process("attack").raw_args(Message::default());
            let process = process.timeout(Duration::from_secs(1)).start().unwrap();
            process.join_timeout(PATIENCE).unwrap();
            until(tries, || sandbox.processes() == 1);
        },
    );
}

#[test]
fn a_tree_that_is_killed_ends_as_a_whole() {
    let tries = "to outlive a kill of the tree";
    beside_an_honest_one(
        tries,
        |builder| builder,
        |sandbox, _| {
            let ctx = family(sandbox);
            let process = ctx.process("attack").raw_args(Message::default()).start().unwrap();
            until(tries, || sandbox.processes() == 6);
            process.kill_tree().unwrap();
            assert_eq!(process.join_timeout(PATIENCE).unwrap().exitcode(), -9);
            until(tries, || sandbox.processes() == 1);
        },
    );
}

#[test]
fn processes_are_counted_for_the_tree() {
    let within =
        |tree: TreeLimits| move |builder: procbox::sandbox::SandboxBuilder| builder.tree(tree);
    let attack = |tries: &str, again: &str| worker(tries, until_exhausted(again), Gets::Exits(0));
    let one_after_another = "(block (result i32) (local.set $code (call $idle))
        (if (i32.ge_s (local.get $code) (i32.const 0)) (then (local.set $code
          (call $join (local.get $code) (i32.const 16) (i64.const -1)))))
        (local.get $code))";
    make([
        attack("a fork bomb", "(call $busy)"),
        attack("a small fork bomb", "(call $busy)").within(within(TreeLimits::new().processes(5))),
        attack("to start for ever", one_after_another).within(within(TreeLimits::new().starts(50))),
    ]);
    attack("to have children's fuel too", "(call $busy)")
        .within(within(TreeLimits::new().fuel(3_500_000)))
        .fuel(1_000_000)
        .make();
}

#[test]
fn a_fork_bomb_leaves_places_for_others() {
    let tries = "to take every place";
    beside_an_honest_one(
        tries,
        |builder| builder.max_processes(50),
        |sandbox, _| {
            let bomb = starter("(loop $l (drop (call $busy)) (br $l))");
            let program = Program::from_bytes("bomb", wat::parse_str(bomb).unwrap()).unwrap();
            let ctx = sandbox.context_with(program, Grants::default().quiet(true)).unwrap();
            let bomb = ctx.process("attack").raw_args(Message::default()).start().unwrap();
            until(tries, || sandbox.processes() == 45 + 1);
            for _ in 0..10 {
                let other = ctx.process("idle").raw_args(Message::default()).start().unwrap();
                assert_eq!(other.join_timeout(PATIENCE).unwrap().exitcode(), 0);
            }
            bomb.kill_tree().unwrap();
            until(tries, || sandbox.processes() == 1);
        },
    );
}

/// A program with what it needs of WASI, whose `_start` is this. `$open` makes and opens a file by the
/// number in `$n`, `$write` writes 64 KiB to a descriptor.
fn writer(body: &str) -> String {
    format!(
        r#"(module
(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
(import "wasi_snapshot_preview1" "path_open"
  (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_pwrite"
  (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $set_size (param i32 i64) (result i32)))
(import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_create_directory"
  (func $make_directory (param i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_symlink"
  (func $make_link (param i32 i32 i32 i32 i32) (result i32)))
(memory (export "memory") 2)
(data (i32.const 1024) "aaaa")
(global $n (mut i32) (i32.const 0))
(func $next (global.set $n (i32.add (global.get $n) (i32.const 1)))
  (i32.store8 (i32.const 1024) (i32.add (i32.const 97) (i32.and (global.get $n) (i32.const 15))))
  (i32.store8 (i32.const 1025) (i32.add (i32.const 97)
    (i32.and (i32.shr_u (global.get $n) (i32.const 4)) (i32.const 15))))
  (i32.store8 (i32.const 1026) (i32.add (i32.const 97)
    (i32.and (i32.shr_u (global.get $n) (i32.const 8)) (i32.const 15)))))
(func $open (result i32)
  (call $path_open (i32.const 3) (i32.const 0) (i32.const 1024) (i32.const 4) (i32.const 1)
    (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 16)))
(func $write (param $fd i32) (result i32)
  (i32.store (i32.const 32) (i32.const 65536)) (i32.store (i32.const 36) (i32.const 65536))
  (call $fd_write (local.get $fd) (i32.const 32) (i32.const 1) (i32.const 20)))
(func (export "_start") (local $code i32)
  {body}
  (call $exit (local.get $code))))"#
    )
}

/// One that does `first` and then `again`, an error number, until there is one, with which it exits.
fn writes(tries: &str, first: &str, again: &str, dir: &Path, gets: i32) -> Attack {
    let body = format!(
        "{first} (loop $l (local.set $code {again}) (br_if $l (i32.eqz (local.get $code))))"
    );
    main(tries, writer(&body), Gets::Exits(gets)).granted(Grants::default().dir(dir, "/dir"))
}

#[test]
fn files_are_counted_for_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    let next = |what: &str| format!("(block (result i32) (call $next) {what})");
    let few = |builder: procbox::sandbox::SandboxBuilder| {
        builder.tree(TreeLimits::new().open_files(20).created(10))
    };
    let made = || std::fs::read_dir(dir.path()).unwrap().count();
    make([
        writes("to open all files that there are", "", "(call $open)", dir.path(), EMFILE),
        writes(
            "to do so by closing standard streams twice",
            "(drop (call $close (i32.const 0))) (drop (call $close (i32.const 0)))",
            "(call $open)",
            dir.path(),
            EMFILE,
        )
        .within(few),
    ]);
    assert_eq!(made(), 1);
    let reopened = "(block (result i32) (local.set $code (call $open))
        (drop (call $close (i32.load (i32.const 16)))) (call $next) (local.get $code))";
    writes("to make very many files", "", reopened, dir.path(), EDQUOT).within(few).make();
    // The first was there.
    assert_eq!(made(), 11);
    let directory = next("(call $make_directory (i32.const 3) (i32.const 1024) (i32.const 3))");
    writes("to make very many directories", "", &directory, dir.path(), EDQUOT).within(few).make();
    assert_eq!(made(), 21);
    let link = next(
        "(call $make_link (i32.const 1024) (i32.const 4) (i32.const 3) (i32.const 1024) (i32.const 2))",
    );
    writes("to make very many links", "", &link, dir.path(), EDQUOT).within(few).make();
    assert_eq!(made(), 31);
}

#[test]
fn bytes_written_to_files_are_counted_for_the_tree() {
    let open = "(drop (call $open))";
    let file = "(i32.load (i32.const 16))";
    let write = format!("(call $write {file})");
    // Over and over the same place.
    let again = format!(
        "(block (result i32) (i32.store (i32.const 32) (i32.const 65536))
           (i32.store (i32.const 36) (i32.const 65536))
           (call $fd_pwrite {file} (i32.const 32) (i32.const 1) (i64.const 0) (i32.const 20)))"
    );
    let hidden = format!("{open} (drop (call $renumber {file} (i32.const 1)))");
    let large = format!("(call $set_size {file} (i64.const 1099511627776))");
    for (tries, first, again) in [
        ("to fill the disk", open, &write),
        ("to wear it out", open, &again),
        ("to do so as if it printed", &hidden, &"(call $write (i32.const 1))".to_string()),
        ("to have a file of a terabyte", open, &large),
    ] {
        let dir = tempfile::tempdir().unwrap();
        writes(tries, first, again, dir.path(), EDQUOT)
            .within(|builder| builder.tree(TreeLimits::new().written(1 << 20)))
            .make();
        let size = std::fs::metadata(dir.path().join("aaaa")).unwrap().len();
        assert!(size <= 1 << 20, "{tries}: {size}");
    }
}

#[test]
fn what_is_printed_is_counted_for_the_tree() {
    let limit = 100_000;
    let prints = writer("(loop $l (drop (call $write (i32.const 1))) (br $l))");
    main("to print for ever", &prints, Gets::Breaks(Limit::Output))
        .stdout(Output::Capture)
        .within(move |builder| builder.tree(TreeLimits::new().output(limit)))
        .make();
    let tries = "to print too much and to be gone before that is seen";
    let prints = writer("(drop (call $write (i32.const 1))) (drop (call $write (i32.const 1)))");
    beside_an_honest_one(
        tries,
        |builder| builder.tree(TreeLimits::new().output(limit)),
        |sandbox, _| {
            let program = Program::from_bytes("prints", wat::parse_str(&prints).unwrap()).unwrap();
            let ctx = sandbox.context(program).unwrap();
            let process = ctx.main([""; 0]).stdout(Output::Capture).start().unwrap();
            let status = process.join_timeout(PATIENCE).unwrap();
            assert_eq!(status.limit(), Some(Limit::Output), "{tries}: {status}");
            assert_eq!(process.output().unwrap().len() as u64, limit);
        },
    );
}

/// A program whose worker `attack` does this; its worker `child` has handles until there are no more,
/// and exits with how many that were.
fn holder(body: &str) -> String {
    format!(
        r#"(module
(import "procbox_1" "process_start" (func $process_start (param i32 i32 i32 i32 i32) (result i32)))
(import "procbox_1" "process_join" (func $join (param i32 i32 i64) (result i32)))
(import "procbox_1" "queue_new" (func $queue_new (param i64 i64) (result i32)))
(import "procbox_1" "handle_close" (func $close (param i32) (result i32)))
(import "procbox_1" "message_try_put" (func $put (param i32 i32 i32 i32 i32) (result i32)))
(import "procbox_1" "message_try_get" (func $get (param i32 i32 i32 i32) (result i32)))
(memory (export "memory") 1)
(data (i32.const 64) "child")
(data (i32.const 80) "\01\00\00\00\40\00\00\00\05\00\00\00")
(func $exhausted (param $code i32)
  (if (i32.ne (local.get $code) (i32.const -12)) (then (unreachable))))
(func $queue (result i32) (call $queue_new (i64.const -1) (i64.const -1)))
(func $queues (result i32) (local $n i32) (local $code i32)
  (loop $again
    (if (i32.gt_s (local.tee $code (call $queue)) (i32.const 0)) (then
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br $again))))
  (call $exhausted (local.get $code))
  (local.get $n))
(func $send (param $queue i32) (result i32)
  (call $put (local.get $queue) (i32.const 0) (i32.const 992) (i32.const 0) (i32.const 0)))
(func $fill (param $queue i32) (result i32) (local $n i32) (local $code i32)
  (loop $again
    (if (i32.eqz (local.tee $code (call $send (local.get $queue)))) (then
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br $again))))
  (call $exhausted (local.get $code))
  (local.get $n))
(func (export "procbox_worker_child") (param i32) (result i32) (call $queues))
(func (export "procbox_worker_attack") (param i32) (result i32)
  (local $child i32) (local $first i32) (local $second i32) (local $n i32)
  {body}))"#
    )
}

#[test]
fn handles_are_counted_for_the_tree() {
    // Two queues and the process are three: five are left for the child, and come back with its end.
    let body = "(drop (call $queue)) (drop (call $queue))
        (local.set $child (call $process_start (i32.const 80) (i32.const 0) (i32.const 0)
          (i32.const 0) (i32.const 0)))
        (drop (call $join (local.get $child) (i32.const 128) (i64.const -1)))
        (local.set $n (i32.mul (i32.load (i32.const 128)) (i32.const 100)))
        (local.set $n (i32.add (local.get $n) (i32.mul (call $queues) (i32.const 10))))
        (drop (call $close (i32.const 1)))
        (i32.ne (i32.add (local.get $n) (call $queues)) (i32.const 551))";
    worker("to have handles for ever", holder(body), Gets::Exits(0))
        .within(|builder| builder.tree(TreeLimits::new().handles(8)))
        .make();
}

#[test]
fn bytes_on_their_way_are_counted_for_the_tree() {
    // Each message is one of 1024 bytes, with its overhead: 64, then one for each that is taken, and 64
    // again when the first queue is gone.
    let body = "(local.set $first (call $queue)) (local.set $second (call $queue))
        (local.set $n (call $fill (local.get $first)))
        (call $exhausted (call $send (local.get $second)))
        (drop (call $get (local.get $first) (i32.const 0) (i32.const 4096) (i32.const 8192)))
        (local.set $n (i32.add (local.get $n) (call $fill (local.get $second))))
        (drop (call $close (local.get $first)))
        (i32.add (local.get $n) (call $fill (local.get $second)))";
    worker("to have messages on their way for ever", holder(body), Gets::Exits(64 + 1 + 63))
        .within(|builder| builder.tree(TreeLimits::new().queued(64 << 10)))
        .make();
}
