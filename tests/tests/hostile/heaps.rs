//! Garbage-collected values as a way to more memory than there is.

use crate::frame::{Attack, Gets, main, make};
use procbox::Limit;

/// A program with a list of arrays, whose `_start` is this. `$more` puts one of so many bytes into it.
fn does(tries: &str, body: &str, gets: Gets) -> Attack {
    let text = format!(
        r#"(module (memory (export "memory") 1)
(type $bytes (array (mut i8)))
(rec (type $list (struct (field (mut (ref null $list))) (field (ref $bytes)))))
(tag $tag (param (ref null $list)))
(global $all (mut (ref null $list)) (ref.null $list))
(func $more (param $bytes i32)
  (global.set $all (struct.new $list (global.get $all)
    (array.new $bytes (i32.const 1) (local.get $bytes)))))
(func $thrown (throw $tag (global.get $all)))
(func (export "_start") {body}))"#
    );
    main(tries, text, gets)
}

#[test]
fn a_heap_has_no_more_than_the_memory_of_its_process() {
    for bytes in [0, 1000, 100_000, 10_000_000] {
        let body = format!("(loop $l (call $more (i32.const {bytes})) (br $l))");
        make([does(&format!("arrays of {bytes} bytes"), &body, Gets::Breaks(Limit::Memory))]);
    }
    // Memory and heap together: forty megabytes of the one, thirty of the other.
    make([
        does(
            "memory first, and a heap then",
            "(drop (memory.grow (i32.const 640))) (call $more (i32.const 31457280))",
            Gets::Breaks(Limit::Memory),
        ),
        does(
            "a heap first, and memory then",
            "(call $more (i32.const 31457280))
             (if (i32.ne (memory.grow (i32.const 640)) (i32.const -1)) (then unreachable))",
            Gets::Exits(0),
        ),
        does("a larger one than there can be", "(call $more (i32.const -1))", Gets::Exits(-11)),
    ]);
}

#[test]
fn a_list_as_long_as_the_heap_goes_without_recursion() {
    let fill = |n: u32| {
        format!(
            "(local $n i32) (loop $l (call $more (i32.const 0))
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $l (i32.lt_u (local.get $n) (i32.const {n}))))"
        )
    };
    let let_go = "(global.set $all (ref.null $list)) (call $more (i32.const 20000000))";
    let circle = "(struct.set $list 0 (global.get $all) (global.get $all))
        (global.set $all (ref.null $list))";
    make([
        does("a long list to its end", &fill(500_000), Gets::Exits(0)),
        does("a long list that is let go", &(fill(500_000) + let_go), Gets::Exits(0)),
        does("a list that holds itself", &(fill(1) + circle), Gets::Exits(0)),
    ]);
}

/// A list that is let go, one that holds itself, and an exception that nobody catches.
pub(crate) fn small() -> [Attack; 3] {
    let circle = "(call $more (i32.const 1000))
        (struct.set $list 0 (global.get $all) (global.get $all))
        (global.set $all (ref.null $list))";
    [
        does("a short list to its end", "(call $more (i32.const 1000))", Gets::Exits(0)),
        does("a short one that holds itself", circle, Gets::Exits(0)),
        does("an exception that nobody catches", "(call $thrown)", Gets::Exits(-6)),
    ]
}

#[test]
fn exceptions_without_an_end_end_their_process_alone() {
    make([
        does("one that nothing catches", "(call $thrown)", Gets::Exits(-6)),
        does(
            "one after the other for ever",
            "(loop $l (block $caught (result (ref null $list) exnref)
               (try_table (catch_ref $tag $caught) (call $thrown)) (br $l)) drop drop (br $l))",
            Gets::Killed,
        ),
    ]);
}
