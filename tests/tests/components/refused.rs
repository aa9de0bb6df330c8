//! What is no program: refused in a line that says why, before any of it runs.

use crate::builder;
use procbox::Error;
use procbox::sandbox::Program;
use procbox_tests::{Backend, program};

/// Why a component is refused.
fn refusal(bytes: Vec<u8>) -> String {
    let sandbox = builder().cache(false).build().expect("a sandbox");
    let made = Program::from_bytes("it", bytes).and_then(|program| sandbox.context(program));
    match made.map(drop) {
        Err(Error::NotRunnable { why, .. }) => {
            assert!(why.lines().count() == 1 && why.len() < 1000, "{why}");
            why
        }
        other => panic!("{other:?}"),
    }
}

fn text(component: &str) -> String {
    refusal(wat::parse_str(format!("(component {component})")).expect("a component"))
}

#[test]
fn one_that_imports_what_is_not_granted() {
    for (import, named) in [
        (r#"(import "wasi:http/types@0.2.0" (instance))"#, "`wasi:http/types@0.2.0`"),
        (r#"(import "wasi:cli/stdout@0.3.0" (instance))"#, "`wasi:cli/stdout@0.3.0`"),
        (r#"(import "procbox:worker/primitives@2.0.0" (instance))"#, "primitives@2.0.0`"),
        (r#"(import "mine:own/thing" (func))"#, "`mine:own/thing`"),
        (r#"(import "thing" (func))"#, "`thing`"),
    ] {
        let why = text(import);
        assert!(why.contains(named) && why.contains("not granted"), "{why}");
    }
    let other = r#"(import "wasi:cli/exit@0.2.0" (instance (export "leave" (func))))"#;
    assert!(
        text(other).contains("wasi:cli/exit") || text(other).contains("leave"),
        "{}",
        text(other)
    );
}

#[test]
fn one_of_another_world() {
    let why = text("");
    assert!(why.contains("another world") && why.contains("wasi:cli/run"), "{why}");
    let why = text(
        r#"(core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func (export "run") (result u32) (canon lift (core func $i "run")))"#,
    );
    assert!(why.contains("another function") && why.contains("list<u8>"), "{why}");
}

#[test]
fn a_command_whose_run_is_another_function() {
    let why = text(
        r#"(core module $m (func (export "run") (param i32) (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $run (param "a" u32) (result u32) (canon lift (core func $i "run")))
        (instance $it (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $it))"#,
    );
    assert!(why.contains("wasi:cli/run@0.2.0") && why.contains("func() -> result"), "{why}");
}

#[test]
fn one_that_is_cut_short_anywhere() {
    let whole = std::fs::read(program("command", Backend::Sandbox)).expect("a component");
    for cut in [8, 9, 100, 1000, whole.len() / 2, whole.len() - 1] {
        let why = refusal(whole[..cut].to_vec());
        assert!(!why.is_empty(), "{cut}");
    }
}

#[test]
fn one_with_too_much_in_it() {
    let why = text(&"(core module)".repeat(2000));
    assert!(why.contains("1000 modules"), "{why}");
    let why = text("(core module (memory 10000))");
    assert!(why.contains("more than the limit"), "{why}");
    let instances = "(core instance (instantiate $m))".repeat(300);
    let why = text(&format!("(core module $m) {instances}"));
    assert!(why.contains("core module instances"), "{why}");
}

#[test]
fn an_image_of_one_is_not_made() {
    let sandbox = builder().build().expect("a sandbox");
    let path = program("component", Backend::Sandbox);
    let ctx = sandbox.context(Program::wasm(path).expect("it")).expect("a context");
    let refused = ctx.process("count").args((procbox::Bytes::default(),)).snapshot();
    let why = refused.expect_err("an image").to_string();
    assert!(why.contains("component") && why.contains("when it is built"), "{why}");
}
