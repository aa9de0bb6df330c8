//! Guests that have the host keep things for them: whatever it is, it is counted, and ends at the
//! limit of their tree, with the host far below the frame's bound.

use crate::frame::{Attack, Gets, make, worker};
use procbox::{Limit, Output};
use procbox_abi::{IMPORTS, MODULE, ValueType, code};

/// Where a start's description is, and a text.
const START: u32 = 64;
const TEXT: u32 = 1024;
/// Where there are handles, and bytes to send.
const HANDLES: u32 = 4096;
const BYTES: u32 = 1 << 20;
/// Pages of the guest's memory: half of what it may have.
const PAGES: u32 = 512;

/// Every import, under its own name.
fn imports() -> String {
    let ty = |ty: ValueType| if ty == ValueType::I32 { "i32" } else { "i64" };
    let line = |import: &procbox_abi::Import| {
        let parameters: Vec<_> = import.parameters.iter().map(|p| ty(p.ty)).collect();
        format!(
            r#"(import "{MODULE}" "{name}" (func ${name} (param {}) (result {})))"#,
            parameters.join(" "),
            ty(import.result),
            name = import.name,
        )
    };
    IMPORTS.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A program whose worker `attack` does `first` and then `again`, a code, until that is an error; it
/// exits with 0 if this is that there is no more of something. It has a worker `child` too.
fn program(first: &str, again: &str, child: &str) -> String {
    format!(
        r#"(module
{imports}
(memory (export "memory") {PAGES})
(data (i32.const {START}) "\01\00\00\00\00\04\00\00\05\00\00\00\00\08")
(data (i32.const {TEXT}) "child")
(data (i32.const 2048) "00000000")
(global $q (mut i32) (i32.const 0))
(global $n (mut i32) (i32.const 0))
(func $next (global.set $n (i32.add (global.get $n) (i32.const 1)))
  ;; Seven bits a byte, so that it is a text.
  (i32.store (i32.const 2048) (i32.or (i32.and (global.get $n) (i32.const 0x7f)) (i32.or
    (i32.shl (i32.and (global.get $n) (i32.const 0x3f80)) (i32.const 1))
    (i32.shl (i32.and (global.get $n) (i32.const 0x1fc000)) (i32.const 2))))))
(func $queue (result i32)
  (global.set $q (call $queue_new (i64.const -1) (i64.const 268435456))) (global.get $q))
(func $put (param $len i32) (param $n i32) (result i32) (local $code i32)
  (local.set $code (call $message_try_put (global.get $q) (i32.const {BYTES}) (local.get $len)
    (i32.const {HANDLES}) (local.get $n)))
  (if (i32.eq (local.get $code) (i32.const {full})) (then (return (call $queue))))
  (local.get $code))
(func $start (result i32)
  (call $process_start (i32.const {START}) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
(func (export "procbox_worker_attack") (param i32) (result i32) (local $code i32)
  {first}
  (loop $again
    (local.set $code {again})
    (br_if $again (i32.ge_s (local.get $code) (i32.const 0))))
  (if (i32.eq (local.get $code) (i32.const {exhausted})) (then (return (i32.const 0))))
  (local.get $code))
(func (export "procbox_worker_child") (param i32) (result i32) {child}))"#,
        imports = imports(),
        full = code::FULL,
        exhausted = code::EXHAUSTED,
    )
}

/// One that goes on until there is no more.
fn fills(tries: &str, first: &str, again: &str) -> Attack {
    worker(tries, program(first, again, "(i32.const 0)"), Gets::Exits(0))
}

/// One that goes on for ever, because it gives back what it takes.
fn keeps_nothing(tries: &str, first: &str, again: &str) -> Attack {
    worker(tries, program(first, again, "(i32.const 0)"), Gets::Killed)
}

const QUEUE: &str = "(drop (call $queue))";

#[test]
fn messages_end_at_the_limit_of_their_tree_whatever_is_in_them() {
    let handles = |n: u32| {
        let store = format!(
            "(loop $l (i32.store (i32.add (i32.const {HANDLES}) (global.get $n)) (global.get $q))
               (global.set $n (i32.add (global.get $n) (i32.const 4)))
               (br_if $l (i32.lt_u (global.get $n) (i32.const {}))))",
            n * 4
        );
        format!("{QUEUE} {store}")
    };
    let put = |len: u32, n: u32| format!("(call $put (i32.const {len}) (i32.const {n}))");
    make([
        fills("messages of no bytes", QUEUE, &put(0, 0)),
        fills("small messages", QUEUE, &put(78, 0)),
        fills("messages that just are not small", QUEUE, &put(79, 0)),
        fills("large messages", QUEUE, &put(1 << 20, 0)),
        fills("the largest messages", QUEUE, &put(30 << 20, 0)),
        fills("messages with a handle", &handles(1), &put(0, 1)),
        fills("messages with a few handles", &handles(16), &put(0, 16)),
        fills("messages with very many handles", &handles(100_000), &put(0, 100_000)),
    ]);
}

#[test]
fn objects_count_until_they_are_dropped() {
    // Its handle is closed, and it lives in a message.
    let hidden = |new: &str| {
        format!(
            "(i32.store (i32.const {HANDLES}) {new})
             (if (i32.lt_s (i32.load (i32.const {HANDLES})) (i32.const 0))
               (then (return (i32.ne (i32.load (i32.const {HANDLES})) (i32.const {}))))
               (else (local.set $code (call $put (i32.const 0) (i32.const 1)))
                 (drop (call $handle_close (i32.load (i32.const {HANDLES}))))))
             (local.get $code)",
            code::EXHAUSTED
        )
    };
    let new = [
        ("locks", "(call $lock_new)"),
        ("semaphores", "(call $semaphore_new (i32.const 1))"),
        ("events", "(call $event_new)"),
        ("queues", "(call $queue_new (i64.const -1) (i64.const 100))"),
    ];
    for (what, new) in new {
        make([
            fills(&format!("{what} with handles"), "", new),
            fills(
                &format!("{what} in messages"),
                QUEUE,
                &format!("(block (result i32) {})", hidden(new)),
            ),
            keeps_nothing(
                &format!("{what} that are closed"),
                "",
                &format!("(call $handle_close {new})"),
            ),
        ]);
    }
    make([
        fills("pipes", "", "(call $pipe_new (i32.const 1) (i32.const 16))"),
        fills(
            "listeners",
            "",
            "(block (result i32) (call $next)
               (call $connection_listen (i32.const 2048) (i32.const 255)))",
        ),
        fills(
            "connections that nobody accepts",
            "(drop (call $connection_listen (i32.const 2048) (i32.const 4)))",
            &format!(
                "(block (result i32)
                   (local.set $code (call $connection_try_connect (i32.const 2048) (i32.const 4)))
                   (if (i32.eq (local.get $code) (i32.const {})) (then (call $next)
                     (local.set $code (call $connection_listen (i32.const 2048) (i32.const 4)))))
                   (local.get $code))",
                code::TIMED_OUT
            ),
        ),
    ]);
}

/// Small structures that the host keeps for a guest, and what each of them ends with.
pub(crate) fn small() -> Vec<Attack> {
    let makes = |tries: &str, body: &str| {
        worker(tries, program(body, "(i32.const -1)", "(i32.const 0)"), Gets::Exits(255))
    };
    // A handle of what is new, in a message in a queue of a guest's.
    let hidden = |new: &str| {
        format!(
            "{QUEUE} (i32.store (i32.const {HANDLES}) {new})
             (drop (call $put (i32.const 100) (i32.const 1)))
             (drop (call $put (i32.const 100000) (i32.const 1)))"
        )
    };
    vec![
        makes("messages of all sizes", &hidden("(call $event_new)")),
        makes("a lock in messages", &hidden("(call $lock_new)")),
        makes("a queue in its own messages", &hidden("(global.get $q)")),
        makes("queues in queues", &format!("{0} {0} {0}", hidden("(global.get $q)"))),
        makes(
            "an end of a pipe in its own messages",
            &format!(
                "(drop (call $pipe_new (i32.const 1) (i32.const {HANDLES})))
                 (drop (call $message_try_put (i32.load (i32.const {HANDLES})) (i32.const {BYTES})
                   (i32.const 10) (i32.const {HANDLES}) (i32.const 2)))"
            ),
        ),
        makes(
            "a listener and a client that is not accepted",
            "(drop (call $connection_listen (i32.const 2048) (i32.const 4)))
             (drop (call $connection_try_connect (i32.const 2048) (i32.const 4)))",
        ),
        makes("a lock that is held to the end", "(drop (call $lock_try_acquire (call $lock_new)))"),
        makes(
            "permits that are held to the end",
            "(drop (call $semaphore_try_acquire (call $semaphore_new (i32.const 1))))",
        ),
        makes("children that are left behind", "(drop (call $start)) (drop (call $start))"),
    ]
}

#[test]
fn what_is_held_without_a_handle_is_noted_once() {
    // It is received again and again, and its handle closed while it is held.
    let closed = format!(
        "(block (result i32)
           (drop (call $handle_close (i32.load (i32.const {HANDLES}))))
           (drop (call $message_try_get (global.get $q) (i32.const 0) (i32.const 0) (i32.const 16)))
           (drop (call $message_read (i32.const 0) (i32.const {HANDLES})))
           (call $put (i32.const 0) (i32.const 1)))"
    );
    let lock = format!(
        "{QUEUE} (i32.store (i32.const {HANDLES}) (call $lock_new))
         (drop (call $lock_try_acquire (i32.load (i32.const {HANDLES}))))
         (drop (call $put (i32.const 0) (i32.const 1)))"
    );
    make([keeps_nothing("a lock that is closed while it is held, for ever", &lock, &closed)]);
}

#[test]
fn sixty_thousand_permits_cost_no_more_each_than_one() {
    // Quadratic work here would be minutes.
    let taken = "(block (result i32)
        (local.set $code (call $semaphore_new (i32.const 1)))
        (drop (call $semaphore_try_acquire (local.get $code)))
        (call $next)
        (if (i32.gt_u (global.get $n) (i32.const 60000)) (then
          (loop $l
            (drop (call $semaphore_release (local.get $code)))
            (drop (call $semaphore_try_acquire (local.get $code)))
            (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (br_if $l (i32.lt_u (global.get $n) (i32.const 2000000))))
          (return (i32.const 0))))
        (local.get $code))";
    make([fills("very many permits", "", taken)]);
}

#[test]
fn circles_that_nobody_can_reach_make_room() {
    let circle = format!(
        "(block (result i32)
           (i32.store (i32.const {HANDLES}) (call $queue))
           (local.set $code (call $put (i32.const 25165824) (i32.const 1)))
           (drop (call $handle_close (global.get $q)))
           (local.get $code))"
    );
    make([keeps_nothing("queues of 24 MiB that hold themselves", "", &circle)]);
}

#[test]
fn processes_are_their_trees_memory() {
    let grows = "(drop (memory.grow (i32.const 512)))
        (memory.fill (i32.const 33554432) (i32.const 1) (i32.const 33554432))
        (drop (call $queue))
        (call $message_get (global.get $q) (i32.const 0) (i32.const 0) (i32.const 16) (i64.const -1))";
    let sleeps = "(drop (call $queue))
        (call $message_get (global.get $q) (i32.const 0) (i32.const 0) (i32.const 16) (i64.const -1))";
    let long = |len: u32| format!("(i32.store (i32.const {}) (i32.const {len}))", START + 16);
    make([
        worker(
            "children that have all they may have",
            program("", "(call $start)", grows),
            Gets::Exits(0),
        ),
        worker("children that sleep", program("", "(call $start)", sleeps), Gets::Exits(0)),
        worker(
            "children with long names that have ended",
            program(
                &long(4096),
                "(block (result i32) (local.set $code (call $start))
                   (if (i32.ge_s (local.get $code) (i32.const 0)) (then (local.set $code
                     (call $process_join (local.get $code) (i32.const 16) (i64.const -1)))))
                   (local.get $code))",
                "(i32.const 0)",
            ),
            Gets::Exits(0),
        ),
    ]);
    let refused = |tries: &str, first: &str, code: i32| {
        worker(tries, program(first, "(call $start)", "(i32.const 0)"), Gets::Exits(code & 0xff))
    };
    let arguments = |len: u32| {
        format!(
            "(i32.store (i32.const {START}) (i32.const 0))
             (i32.store (i32.const {}) (i32.const {BYTES}))
             (i32.store (i32.const {}) (i32.const {len}))",
            START + 4,
            START + 8
        )
    };
    make([
        refused("a name without an end", &long(30 << 20), code::TOO_LARGE),
        refused("a million arguments", &arguments(1 << 20), code::TOO_LARGE),
        refused("thirty million arguments", &arguments(30 << 20), code::TOO_LARGE),
    ]);
}

#[test]
fn a_wait_for_very_many_things_is_paid_for() {
    let wait = format!(
        "(call $wait_any (i32.const {HANDLES}) (i32.const 65536) (i32.const {BYTES}) (i64.const 0))"
    );
    let first = format!(
        "{QUEUE} (loop $l (i32.store (i32.add (i32.const {HANDLES}) (global.get $n)) (global.get $q))
           (global.set $n (i32.add (global.get $n) (i32.const 4)))
           (br_if $l (i32.lt_u (global.get $n) (i32.const 262144))))"
    );
    let text = program(&first, &wait, "(i32.const 0)");
    make([worker("to wait for 65,536 things", text, Gets::Exits(code::TIMED_OUT & 0xff))]);
}

#[test]
fn output_that_is_kept_is_its_trees_memory() {
    let text = format!(
        r#"(module (import "wasi_snapshot_preview1" "fd_write"
             (func $write (param i32 i32 i32 i32) (result i32)))
           (memory (export "memory") {PAGES})
           (func (export "procbox_worker_attack") (param i32) (result i32)
             (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 65536))
             (loop $l
               (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
               (br $l))
             (i32.const 0)))"#
    );
    let attack = worker("to have all it prints kept", text, Gets::Breaks(Limit::Memory));
    make([attack.stdout(Output::Capture)]);
}

#[test]
fn the_stacks_of_its_processes_are_their_trees_memory() {
    // Each child fills most of its stack once, and then waits in a call that is not deep at all.
    let text = r#"(module
(import "procbox_1" "process_start" (func $start (param i32 i32 i32 i32 i32) (result i32)))
(import "procbox_1" "event_new" (func $event (result i32)))
(import "procbox_1" "event_wait" (func $wait (param i32 i64) (result i32)))
(memory (export "memory") 1)
(data (i32.const 64) "child")
(data (i32.const 80) "\01\00\00\00\40\00\00\00\05\00\00\00")
(func $deep (param $n i32) (param i64 i64 i64) (result i32)
  (if (i32.eqz (local.get $n)) (then (return (i32.const 0))))
  (i32.add (local.get $n) (call $deep (i32.sub (local.get $n) (i32.const 1))
    (local.get 2) (local.get 3) (local.get 1))))
(func (export "procbox_worker_child") (param i32) (result i32)
  (drop (call $deep (i32.const 5000) (i64.const 1) (i64.const 2) (i64.const 3)))
  (call $wait (call $event) (i64.const -1)))
(func (export "procbox_worker_attack") (param i32) (result i32) (local $code i32)
  (loop $again
    (local.set $code
      (call $start (i32.const 80) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    (br_if $again (i32.gt_s (local.get $code) (i32.const 0))))
  (i32.add (local.get $code) (i32.const 12))))"#;
    worker("to have deep stacks in many processes", text, Gets::Exits(0))
        .within(|builder| builder.max_processes(2000))
        .make();
}
