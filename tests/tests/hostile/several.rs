//! Several memories and tables as a way to more than one process gets.

use crate::frame::{Attack, Gets, main, make};

/// A program with eight memories, one of them with 64-bit addresses, and eight tables.
fn does(tries: &str, body: &str, gets: Gets) -> Attack {
    let memories = "(memory 0)".repeat(6);
    let tables = "(table 0 funcref)".repeat(7);
    let text = format!(
        r#"(module (memory (export "memory") 1) (memory $wide i64 0) {memories}
        (table $first 0 externref) {tables} (func (export "_start") {body}))"#
    );
    main(tries, text, gets)
}

#[test]
fn all_memories_together_have_what_one_may_have() {
    // Sixty-three megabytes are left: a page of each in turn comes to them, and not to more.
    let grow = |n: usize| match n {
        1 => "(i32.wrap_i64 (memory.grow $wide (i64.const 1)))".to_string(),
        n => format!("(memory.grow {n} (i32.const 1))"),
    };
    let turn: String = (0..8)
        .map(|n| {
            format!(
                "(if (i32.eq {} (i32.const -1)) (then (br $full)))
                 (local.set $pages (i32.add (local.get $pages) (i32.const 1)))",
                grow(n)
            )
        })
        .collect();
    let body = format!(
        "(local $pages i32) (block $full (loop $l {turn} (br $l)))
         (if (i32.ne (local.get $pages) (i32.const 1023)) (then unreachable))"
    );
    let fill = "(local $at i64)
        (if (i32.ne (memory.grow 3 (i32.const 500)) (i32.const 0)) (then unreachable))
        (drop (memory.grow $wide (i64.const 500)))
        (loop $l (i64.store $wide (local.get $at) (i64.const -1))
          (local.set $at (i64.add (local.get $at) (i64.const 4096)))
          (br $l))";
    make([
        does("a page of each in turn", &body, Gets::Exits(0)),
        does("what lies behind a memory", fill, Gets::Exits(-11)),
        does(
            "an address beyond all",
            "(drop (i64.load $wide (i64.const 0x7fff000000000000)))",
            Gets::Exits(-11),
        ),
        does(
            "more than there is",
            "(loop $l (br_if $l (i64.ge_s (memory.grow $wide (i64.const 64)) (i64.const 0))))
             unreachable",
            Gets::Exits(-6),
        ),
    ]);
}

#[test]
fn all_tables_together_have_what_one_may_have() {
    let turn: String = (0..8)
        .map(|n| {
            let nothing = if n == 0 { "(ref.null extern)" } else { "(ref.null func)" };
            format!(
                "(if (i32.eq (table.grow {n} {nothing} (i32.const 100)) (i32.const -1))
                   (then (br $full)))
                 (local.set $all (i32.add (local.get $all) (i32.const 100)))"
            )
        })
        .collect();
    let body = format!(
        "(local $all i32) (block $full (loop $l {turn} (br $l)))
         (if (i32.ne (local.get $all) (i32.const 100000)) (then unreachable))"
    );
    make([does("a hundred elements of each in turn", &body, Gets::Exits(0))]);
}
