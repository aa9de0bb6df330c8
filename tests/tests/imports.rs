//! What a program imports besides: functions of the embedding program's, and what nobody has.

use procbox::backend::Message;
use procbox::sandbox::imports::{Guest, UnknownImports};
use procbox::sandbox::{Grants, Program, SandboxBuilder};
use procbox::{Context, Error, ExitStatus, Limit, Output, Result, Sandbox};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn sandbox() -> SandboxBuilder {
    Sandbox::builder().max_processes(16).memory(8 << 20).cache(false)
}

/// A program that imports this, and whose `_start` is this.
fn program(imports: &str, start: &str) -> Program {
    let text = format!(
        r#"(module {imports}
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (data (i32.const 8) "a text")
        (func $start (export "_start") {start})
        (func (export "procbox_worker_w") (param i32) (result i32) (call $start) (i32.const 0)))"#
    );
    Program::from_bytes("importer", wat::parse_str(text).unwrap()).unwrap()
}

fn context(grants: Grants, imports: &str, start: &str) -> Result<Context> {
    sandbox().build()?.context_with(program(imports, start), grants)
}

/// How it ends, and what is said of it.
fn ended(ctx: &Context) -> (ExitStatus, String) {
    let process = ctx.main([""; 0]).stderr(Output::Capture).start().unwrap();
    let status = process.join().unwrap();
    (status, String::from_utf8(process.error_output().unwrap()).unwrap())
}

fn ends(grants: Grants, imports: &str, start: &str) -> (ExitStatus, String) {
    ended(&context(grants, imports, start).unwrap())
}

const SYSTEM: &str = r#"(import "env" "system" (func $system (param i32) (result i32)))"#;

#[test]
fn what_nobody_has_is_refused_unless_it_is_to_trap() {
    let refused = context(Grants::default(), SYSTEM, "").unwrap_err();
    assert!(refused.to_string().contains("`env::system`, which is not granted"), "{refused}");
    let trap = || Grants::default().unknown_imports(UnknownImports::Trap);
    assert!(ends(trap(), SYSTEM, "").0.success());
    let (status, said) = ends(trap(), SYSTEM, "(drop (call $system (i32.const 1)))");
    assert_eq!(status.exitcode(), -6);
    assert!(said.contains("it called `env::system`, which it imports and nobody has"), "{said}");
    // Of types that nothing of ours has, with a name that leads a terminal astray, and one of ours with
    // another type.
    for (import, named) in [
        (r#"(import "e\1b[2J" "f\n" (func $f (result externref v128)))"#, "e\\u{1b}[2J::f\\n"),
        (r#"(import "procbox_1" "lock_new" (func $f (result externref v128)))"#, "lock_new"),
        (
            r#"(import "wasi_snapshot_preview1" "fd_read" (func $f (result externref v128)))"#,
            "fd_read",
        ),
    ] {
        let (status, said) = ends(trap(), import, "(call $f) (drop) (drop)");
        assert!(status.exitcode() == -6 && said.contains(named), "{said}");
    }
    for import in [r#"(import "env" "m" (global i32))"#, r#"(import "env" "t" (table 1 funcref))"#]
    {
        assert!(matches!(context(trap(), import, ""), Err(Error::NotRunnable { .. })), "{import}");
    }
}

#[test]
fn a_function_of_the_embedding_program_takes_and_gives_numbers() {
    let all = |_: &mut Guest<'_>, a: i32, b: u64, c: f32, d: f64, e: u32, f: i64| {
        a as f64 + b as f64 + f64::from(c) + d + f64::from(e) + f as f64
    };
    let import = r#"(import "m" "all" (func $all (param i32 i64 f32 f64 i32 i64) (result f64)))"#;
    let start = "(call $exit (i32.trunc_f64_s (call $all (i32.const -1) (i64.const 20)
        (f32.const 0.5) (f64.const 0.5) (i32.const 3) (i64.const -2))))";
    assert_eq!(ends(Grants::default().import("m", "all", all), import, start).0.exitcode(), 21);
    // Of another type it is not there, and it is seen by no context that was not given it.
    let import = r#"(import "m" "all" (func (param i32) (result f64)))"#;
    let refused = context(Grants::default().import("m", "all", all), import, "").unwrap_err();
    assert!(refused.to_string().contains("`m::all` with another type"), "{refused}");
    assert!(context(Grants::default(), import, "").is_err());
}

#[test]
fn it_reads_and_writes_the_memory_of_its_caller_and_no_more() {
    let upper = |guest: &mut Guest<'_>, at: u32, len: u32| -> Result<u32> {
        let text = guest.text(at, len)?.to_uppercase();
        guest.write(at, text.as_bytes())?;
        Ok(guest.memory_size() as u32 >> 16)
    };
    let grants = || Grants::default().import("texts", "upper", upper);
    let import = r#"(import "texts" "upper" (func $upper (param i32 i32) (result i32)))"#;
    let start = "(if (i32.ne (call $upper (i32.const 8) (i32.const 6)) (i32.const 1))
        (then unreachable)) (call $exit (i32.load8_u (i32.const 13)))";
    assert_eq!(ends(grants(), import, start).0.exitcode(), i32::from(b'T'));
    for (at, len) in [(65_536, 1), (65_535, 2), (-1, 1), (8, -1), (-1, -1)] {
        let start = format!("(drop (call $upper (i32.const {at}) (i32.const {len})))");
        let (status, said) = ends(grants(), import, &start);
        assert_eq!(status.exitcode(), -6, "{at} {len}");
        assert!(said.contains("texts::upper") && said.contains("not in its memory"), "{said}");
    }
    let start = "(i32.store8 (i32.const 8) (i32.const 255))
        (drop (call $upper (i32.const 8) (i32.const 1)))";
    assert!(ends(grants(), import, start).1.contains("utf-8"));
}

#[test]
fn a_panic_in_it_ends_its_process_alone() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    let bad = move |_: &mut Guest<'_>, n: i32| {
        counted.fetch_add(1, Ordering::Relaxed);
        assert!(n != 7, "a test's");
        n
    };
    let import = r#"(import "m" "bad" (func $bad (param i32) (result i32)))"#;
    let seven = program(import, "(drop (call $bad (i32.const 7)))");
    let eight = program(import, "(call $exit (call $bad (i32.const 8)))");
    let sandbox = sandbox().build().unwrap();
    let grants = Grants::default().import("m", "bad", bad);
    let [seven, eight] =
        [seven, eight].map(|program| sandbox.context_with(program, grants.clone()).unwrap());
    for _ in 0..20 {
        let (status, said) = ended(&seven);
        assert_eq!(status.exitcode(), -6);
        assert!(said.contains("it called `m::bad`, which has panicked"), "{said}");
        assert_eq!(ended(&eight).0.exitcode(), 8);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 40);
    assert_eq!(sandbox.processes(), 0);
}

#[test]
fn an_error_of_it_is_said_and_a_unit_is_nothing() {
    let fails = |_: &mut Guest<'_>| -> std::result::Result<(), String> { Err("no\nway".into()) };
    let nothing = |guest: &mut Guest<'_>| assert!(guest.pid() > 1 && !guest.name().is_empty());
    let grants = Grants::default().import("m", "fails", fails).import("m", "nothing", nothing);
    let imports = r#"(import "m" "fails" (func $fails)) (import "m" "nothing" (func $nothing))"#;
    let (status, said) = ends(grants, imports, "(call $nothing) (call $fails)");
    assert_eq!(status.exitcode(), -6);
    assert!(said.contains(r"it called `m::fails`, which says: no\nway"), "{said}");
}

#[test]
fn names_of_ours_and_names_given_twice_are_refused() {
    let nothing = |_: &mut Guest<'_>| {};
    for (module, name) in [
        ("procbox_1", "lock_new"),
        ("procbox_1", "no_such_thing_yet"),
        ("procbox_2", "anything"),
        ("wasi_snapshot_preview1", "fd_write"),
    ] {
        let grants = Grants::default().import(module, name, nothing);
        let refused = context(grants, "", "").unwrap_err();
        assert!(matches!(&refused, Error::Invalid(why) if why.contains(name)), "{refused}");
    }
    let twice = Grants::default().import("m", "f", nothing).import("m", "f", nothing);
    assert!(matches!(context(twice, "", ""), Err(Error::Invalid(why)) if why.contains("twice")));
    // WASI has no such function: who knows what it means may give it.
    let own = Grants::default().import("wasi_snapshot_preview1", "sock_open", nothing);
    let import = r#"(import "wasi_snapshot_preview1" "sock_open" (func $f))"#;
    assert!(ends(own, import, "(call $f)").0.success());
}

#[test]
fn calls_bytes_and_what_it_asks_for_cost_fuel() {
    let ends = |start: &str, fuel: u64| {
        let sum = |guest: &mut Guest<'_>, at: u32, len: u32| -> Result<u32> {
            Ok(guest.bytes(at, len)?.iter().map(|byte| u32::from(*byte)).sum())
        };
        let pays = |guest: &mut Guest<'_>, units: u64| guest.pay(units);
        let grants = Grants::default().import("m", "sum", sum).import("m", "pays", pays);
        let imports = r#"(import "m" "sum" (func $sum (param i32 i32) (result i32)))
            (import "m" "pays" (func $pays (param i64)))"#;
        let sandbox = sandbox().fuel(fuel).build().unwrap();
        let ctx = sandbox.context_with(program(imports, start), grants.quiet(true)).unwrap();
        ended(&ctx).0
    };
    let reads = "(drop (call $sum (i32.const 0) (i32.const 65536)))";
    assert!(ends(reads, 9_000).success());
    assert_eq!(ends(reads, 8_000).limit(), Some(Limit::Fuel));
    let pays = "(call $pays (i64.const 100000))";
    assert!(ends(pays, 101_000).success());
    assert_eq!(ends(pays, 100_000).limit(), Some(Limit::Fuel));
    assert_eq!(ends("(call $pays (i64.const -1))", 1 << 40).limit(), Some(Limit::Fuel));
    let calls = "(loop $l (call $pays (i64.const 0)) (br $l))";
    assert_eq!(ends(calls, 10_000_000).limit(), Some(Limit::Fuel));
}

#[test]
fn all_processes_of_the_context_have_it_those_of_an_image_too() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    let count = move |_: &mut Guest<'_>| {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let grants =
        Grants::default().import("m", "count", count).unknown_imports(UnknownImports::Trap);
    let imports = format!(r#"{SYSTEM} (import "m" "count" (func $count))"#);
    // More of them than there are places in the first pool.
    let sandbox = Sandbox::builder().max_processes(100).cache(false).build().unwrap();
    let ctx = sandbox.context_with(program(&imports, "(call $count)"), grants).unwrap();
    let warm = ctx.process("w").raw_args(Message::default()).warm().unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    for ctx in [&ctx, &warm] {
        let processes: Vec<_> = (0..80).map(|_| ctx.main([""; 0]).start().unwrap()).collect();
        assert!(processes.iter().all(|process| process.join().unwrap().success()));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 161);
}
