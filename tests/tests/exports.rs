//! Any function that a program exports, called with numbers.

use procbox::sandbox::{Grants, Program, SandboxBuilder};
use procbox::{Context, Error, Limit, Output, Sandbox};

const MODULE: &str = r#"(module (memory (export "memory") 1)
    (global $ready (mut i32) (i32.const 0))
    (func (export "_initialize")
      (if (global.get $ready) (then unreachable)) (global.set $ready (i32.const 1)))
    (func (export "add") (param i32 i32) (result i32)
      (i32.add (local.get 0) (local.get 1)))
    (func (export "all") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
      (local.get 3) (local.get 2) (local.get 1) (local.get 0))
    (func (export "is_ready") (result i32) (global.get $ready))
    (func (export "nothing"))
    (func (export "spins") (loop $l (br $l)))
    (func (export "traps") unreachable)
    (func (export "reference") (param externref)))"#;

fn context(build: impl FnOnce(SandboxBuilder) -> SandboxBuilder) -> Context {
    let program = Program::from_bytes("exporter", wat::parse_str(MODULE).unwrap()).unwrap();
    let sandbox = build(Sandbox::builder().max_processes(4).cache(false)).build().unwrap();
    sandbox.context_with(program, Grants::default().quiet(true)).unwrap()
}

fn printed(ctx: &Context, name: &str, words: &[&str]) -> (i32, String) {
    let process = ctx.export(name, words).stdout(Output::Capture).start().unwrap();
    let status = process.join().unwrap();
    (status.exitcode(), String::from_utf8(process.output().unwrap()).unwrap())
}

#[test]
fn its_results_are_printed_a_line_each() {
    let ctx = context(|builder| builder);
    assert_eq!(printed(&ctx, "add", &["2", "-3"]), (0, "-1\n".into()));
    assert_eq!(
        printed(&ctx, "all", &["0xffffffff", "-9223372036854775808", "1.5", "-0.25"]),
        (0, "-0.25\n1.5\n-9223372036854775808\n-1\n".into())
    );
    assert_eq!(printed(&ctx, "nothing", &[]), (0, String::new()));
    let process = ctx.export("add", [40, 2]).stdout(Output::Capture).start().unwrap();
    process.join().unwrap();
    assert_eq!(process.output().unwrap(), b"42\n");
}

#[test]
fn a_reactor_is_initialized_before_it_once() {
    let ctx = context(|builder| builder);
    assert_eq!(printed(&ctx, "is_ready", &[]), (0, "1\n".into()));
    assert_eq!(printed(&ctx, "_initialize", &[]), (0, String::new()));
}

#[test]
fn it_has_the_limits_and_the_end_of_every_process() {
    let ctx = context(|builder| builder.fuel(1_000_000));
    assert_eq!(printed(&ctx, "traps", &[]).0, -6);
    let spins = ctx.export("spins", [""; 0]).start().unwrap();
    assert_eq!(spins.join().unwrap().limit(), Some(Limit::Fuel));
}

#[test]
fn what_cannot_be_called_so_is_refused_with_what_can() {
    let ctx = context(|builder| builder);
    for (name, words, why) in [
        ("sub", vec![], "no such function; there are _initialize, add, all"),
        ("memory", vec![], "no such function"),
        ("add", vec!["1"], "it takes 2 arguments, not 1"),
        ("add", vec!["1", "two"], "\"two\" is no i32"),
        ("add", vec!["1", "4294967296"], "is no i32"),
        ("reference", vec!["1"], "extern"),
    ] {
        let refused = ctx.export(name, words).start().unwrap_err();
        assert!(matches!(&refused, Error::Invalid(text) if text.contains(why)), "{refused}");
    }
    let native = procbox::Native::builder().build().unwrap();
    let refused = native.export("add", [1, 2]).start().unwrap_err();
    assert!(matches!(refused, Error::Unsupported(_)), "{refused}");
}
