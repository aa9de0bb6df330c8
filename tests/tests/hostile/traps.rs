//! A guest that crashes, spins or fills its own memory ends itself alone.

use crate::frame::{Attack, Gets, main, make, worker};
use procbox::Limit;
use std::time::Duration;

/// A whole program whose `_start` does this.
fn does(tries: &str, body: &str, gets: Gets) -> Attack {
    let text = format!(
        r#"(module (memory (export "memory") 1) (table 1 funcref)
(global $n (mut i32) (i32.const 0)) (func (export "_start") {body}))"#
    );
    main(tries, text, gets)
}

/// One of each kind of crash.
pub(crate) fn crashes() -> [Attack; 6] {
    [
        does("unreachable", "unreachable", Gets::Exits(-6)),
        does(
            "a division by zero",
            "(drop (i32.div_s (i32.const 1) (global.get $n)))",
            Gets::Exits(-8),
        ),
        does("a load outside", "(drop (i32.load (i32.const -4)))", Gets::Exits(-11)),
        does("a store outside", "(i32.store (i32.const 65533) (i32.const 1))", Gets::Exits(-11)),
        does("a call of no function", "(call_indirect (global.get $n))", Gets::Exits(-11)),
        does("a call outside the table", "(call_indirect (i32.const 7))", Gets::Exits(-11)),
    ]
}

#[test]
fn a_crash_is_the_exit_code_of_who_crashed() {
    make(crashes());
}

/// Recursions without an end, with stack frames of all sizes.
pub(crate) fn recursions() -> [Attack; 5] {
    [0, 1, 10, 100, 1000].map(|n| {
        let text = format!(
            r#"(module (memory (export "memory") 1) (func $f (export "_start") (local {}) (call $f)))"#,
            "i64 ".repeat(n)
        );
        main(format!("recursion with {n} locals"), text, Gets::Exits(-11))
    })
}

#[test]
fn endless_recursion_ends_at_the_end_of_its_own_stack() {
    make(recursions());
}

#[test]
fn the_stack_is_as_deep_as_it_was_said_to_be() {
    let text = r#"(module (memory (export "memory") 1)
        (func $f (param i32) (result i32) (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
          (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
        (func (export "_start") (drop (call $f (i32.const 3000)))))"#;
    let with = |stack: usize, gets| {
        let tries = format!("3000 calls deep in {stack} bytes");
        main(tries, text, gets).within(move |builder| builder.stack(stack))
    };
    make([with(16 << 10, Gets::Exits(-11)), with(1 << 20, Gets::Exits(0))]);
}

#[test]
fn a_busy_loop_lives_until_it_is_killed_or_out_of_time() {
    let spins = |tries, gets| does(tries, "(loop $l (br $l))", gets);
    make([
        spins("a busy loop", Gets::Killed),
        spins("a busy loop with a timeout", Gets::Breaks(Limit::WallClock))
            .timeout(Duration::from_millis(50)),
        spins("a busy loop with CPU time", Gets::Breaks(Limit::CpuTime))
            .cpu_time(Duration::from_millis(20)),
        spins("a busy loop with fuel", Gets::Breaks(Limit::Fuel)).within(|b| b.fuel(1_000_000)),
        worker(
            "a busy worker",
            r#"(module (memory (export "memory") 1)
(func (export "procbox_worker_attack") (param i32) (result i32) (loop $l (br $l)) (i32.const 0)))"#,
            Gets::Killed,
        ),
    ]);
}

#[test]
fn memory_grows_to_the_limit_and_no_further() {
    make([does(
        "all the memory there is",
        "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
         (if (i32.gt_u (memory.size) (i32.const 1024)) (then unreachable))",
        Gets::Exits(0),
    )]);
}
