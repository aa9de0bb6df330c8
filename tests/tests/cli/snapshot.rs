//! Snapshots: programs that begin where another run of them has got to, and what is refused.

use super::*;

const PRINT: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write"
      (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "wasi_snapshot_preview1" "path_open"
      (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "procbox_1" "snapshot" (func $snapshot (result i32)))
    (import "procbox_1" "queue_new" (func $queue (param i64 i64) (result i32)))
    (memory (export "memory") 1)
    (global $n (mut i32) (i32.const 0))
    (global $big (mut i64) (i64.const 0))
    (global $float (mut f32) (f32.const 0))
    (global $double (mut f64) (f64.const 0))
    (global $vector (mut v128) (v128.const i64x2 0 0))
    (data (i32.const 8) "0\n")
    ;; One digit.
    (func $print (param $digit i32)
      (i32.store8 (i32.const 8) (i32.add (i32.const 48) (local.get $digit)))
      (i32.store (i32.const 0) (i32.const 8))
      (i32.store (i32.const 4) (i32.const 2))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))
"#;

/// A program of these functions.
fn written(folder: &Path, functions: &str) -> PathBuf {
    let path = folder.join("program.wat");
    std::fs::write(&path, format!("(module {PRINT} {functions})")).unwrap();
    path
}

fn snapshot(folder: &Path, options: &str, functions: &str) -> (Ran, PathBuf) {
    let (program, warm) = (written(folder, functions), folder.join("warm.wasm"));
    let ran = run(command(&format!("snapshot {options} -o"), &[&warm, &program])
        .env("XDG_CACHE_HOME", folder));
    (ran, warm)
}

/// What a run of it prints.
fn printed(folder: &Path, program: &Path) -> String {
    let ran = run(command("run", &[program]).env("XDG_CACHE_HOME", folder));
    assert_eq!((ran.status, &ran.stderr[..]), (0, ""), "{ran:?}");
    ran.stdout
}

#[test]
fn a_program_that_returns_goes_on_from_there_each_time() {
    let dir = folder();
    let (ran, warm) = snapshot(
        dir.path(),
        "",
        r#"(func (export "_start")
          (global.set $n (i32.add (global.get $n) (i32.const 1)))
          (i32.store8 (i32.const 60000) (i32.add (i32.load8_u (i32.const 60000)) (i32.const 2)))
          (call $print (i32.add (global.get $n) (i32.load8_u (i32.const 60000)))))"#,
    );
    assert_eq!((ran.status, &ran.stderr[..]), (0, ""), "{ran:?}");
    // What it printed itself, and then how large that is.
    assert!(ran.stdout.starts_with("3\n") && ran.stdout.lines().count() == 2, "{ran:?}");
    for _ in 0..3 {
        assert_eq!(printed(dir.path(), &warm), "6\n");
    }
}

#[test]
fn a_program_that_says_when_it_is_ready_goes_on_where_it_says() {
    let dir = folder();
    let functions = r#"
      (func (export "_start")
        (global.set $n (i32.const 7))
        (global.set $big (i64.const -1))
        (global.set $float (f32.const 1.5))
        (global.set $double (f64.const -2.5))
        (global.set $vector (v128.const i64x2 3 4))
        (drop (memory.grow (i32.const 3)))
        (i32.store8 (i32.const 250000) (i32.const 1))
        (drop (call $snapshot))
        (global.set $n (i32.const 0))
        (call $print (i32.const 9)))
      (func (export "procbox_resume")
        (if (i32.eqz (i32.and (i64.eq (global.get $big) (i64.const -1)) (i32.and
              (f32.eq (global.get $float) (f32.const 1.5)) (i32.and
              (f64.eq (global.get $double) (f64.const -2.5)) (i64.eq (i64.const 4)
              (i64x2.extract_lane 1 (global.get $vector)))))))
          (then (unreachable)))
        ;; It does nothing there any more.
        (drop (call $snapshot))
        (call $print (i32.add (i32.add (global.get $n) (memory.size))
          (i32.sub (i32.load8_u (i32.const 250000)) (i32.const 4)))))"#;
    let (ran, warm) = snapshot(dir.path(), "", functions);
    assert_eq!((ran.status, ran.stdout.lines().count()), (0, 1), "{ran:?}");
    assert_eq!(printed(dir.path(), &warm), "8\n");
    // Of which no image is made it does nothing either.
    assert_eq!(printed(dir.path(), &written(dir.path(), functions)), "9\n");
}

#[test]
fn what_an_image_cannot_have_is_refused_by_its_name() {
    let dir = folder();
    let granted = dir.path().join("granted");
    std::fs::create_dir(&granted).unwrap();
    std::fs::write(granted.join("file"), "").unwrap();
    let start = |what: &str| format!(r#"(func (export "_start") {what})"#);
    let grants = format!("--dir {}::/d", granted.display());
    for (functions, why) in [
        (start("(drop (call $queue (i64.const -1) (i64.const 100)))"), "it still has a queue"),
        (start("(drop (call $snapshot))"), "exports no `procbox_resume`"),
        (
            start(
                "(i32.store (i32.const 100) (i32.const 0x656c6966))
                 (if (call $open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 4) (i32.const 0)
                   (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 200)) (then (unreachable)))",
            ),
            "it still has a file open",
        ),
        (
            format!("(table 1 funcref) {}", start("(table.set (i32.const 0) (ref.null func))")),
            "it has a `table.set` instruction",
        ),
        (
            format!("(global $r (mut funcref) (ref.null func)) {}", start("")),
            "it has a mutable global containing a reference",
        ),
        (
            format!(r#"(global (export "__wizer_x") i32 (i32.const 0)) {}"#, start("")),
            "`__wizer_*`",
        ),
        (
            format!(r#"(func (export "procbox_reseed") (param i32)) {}"#, start("")),
            "its `procbox_reseed` is no function of nothing",
        ),
    ] {
        let (ran, warm) = snapshot(dir.path(), &grants, &functions);
        check(&ran, 126, "");
        says(&ran, &[why]);
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert!(!warm.exists(), "{why}");
    }
    let (ran, _) = snapshot(dir.path(), "", &start(""));
    assert_eq!(ran.status, 0, "{ran:?}");
    let again =
        run(&mut command("snapshot -o", &[&dir.path().join("x"), &dir.path().join("warm.wasm")]));
    check(&again, 126, "");
    says(&again, &["it is one already"]);
}

#[test]
fn a_program_that_does_not_get_ready_leaves_nothing() {
    let dir = folder();
    let start = |what: &str| format!(r#"(func (export "_start") {what})"#);
    for (options, functions, status, why) in [
        ("", start("(call $exit (i32.const 3))"), 3, "before it was ready"),
        ("", start("(unreachable)"), 134, "before it was ready"),
        ("--timeout 5s", start("(loop $l (br $l))"), 124, "before it was ready"),
        ("--cpu 100ms", start("(loop $l (br $l))"), 152, "before it was ready"),
    ] {
        let (ran, warm) = snapshot(dir.path(), options, &functions);
        assert_eq!((ran.status, &ran.stdout[..]), (status, ""), "{ran:?}");
        says(&ran, &[why]);
        assert!(!warm.exists());
    }
    // As a `main` of C returns.
    let (ran, _) = snapshot(dir.path(), "", &start("(call $exit (i32.const 0))"));
    assert_eq!(ran.status, 0, "{ran:?}");
    let native = run(&mut command("snapshot -o", &[&dir.path().join("x"), Path::new("/bin/true")]));
    assert_eq!(native.status, 2, "{native:?}");
}

#[test]
fn a_program_with_the_sdk_goes_on_where_it_says_and_its_workers_begin_warm() {
    let dir = folder();
    let conformance = program("conformance", Backend::Sandbox);
    let warm = dir.path().join("warm.wasm");
    let of = |words: &str| {
        let words: Vec<&Path> = words.split_whitespace().map(Path::new).collect();
        let made = [&[Path::new("-o"), &warm, &conformance], &words[..]].concat();
        run(&mut command("snapshot", &made))
    };
    let ran = of("get-ready");
    assert_eq!((ran.status, ran.stdout.lines().count()), (0, 1), "{ran:?}");
    for program in [&warm, &conformance] {
        check(&run(&mut command("run", &[program, Path::new("get-ready")])), 0, "ready\n");
    }
    let asked = [&*warm, Path::new("7")];
    let hashes: Vec<String> = (0..3)
        .map(|_| run(&mut command("run --invoke hash_and_random", &asked)))
        .inspect(|ran| assert_eq!(ran.status, 0, "{ran:?}"))
        .map(|ran| ran.stdout.split(',').next().unwrap_or_default().to_string())
        .collect();
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2], "{hashes:?}");
    // One that is over has nowhere to go on.
    assert_eq!(of("echo hi").status, 0);
    let over = run(&mut command("run", &[&warm]));
    check(&over, 1, "");
    says(&over, &["did not call `snapshot`"]);
}

#[test]
fn a_program_makes_its_seeds_anew_in_each_process() {
    let dir = folder();
    let (ran, warm) = snapshot(
        dir.path(),
        "",
        r#"(func (export "_start") (global.set $n (i32.const 3)))
           (func (export "procbox_reseed") (global.set $n (i32.add (global.get $n) (i32.const 1))))
           (func (export "procbox_resume") (call $print (global.get $n)))"#,
    );
    assert_eq!(ran.status, 0, "{ran:?}");
    // Once before the image was made, and once in it.
    for _ in 0..2 {
        assert_eq!(printed(dir.path(), &warm), "5\n");
    }
}
