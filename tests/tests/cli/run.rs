//! `procbox run`: what a program gets, and what becomes of its end.

use super::*;

#[test]
fn a_plain_program_gets_its_arguments_and_its_status_is_ours() {
    for backend in BOTH {
        let program = program("plain", backend);
        let run = |words: &[&str]| run(command("run", &[&program]).args(words));
        check(&run(&["args", "a", "b c", "--flag", "", "-x"]), 0, "a\nb c\n--flag\n\n-x\n");
        check(&run(&["exit", "0"]), 0, "");
        check(&run(&["exit", "7"]), 7, "");
        check(&run(&["exit", "125"]), 125, "");
        check(&run(&["cat", "/does/not/exist"]), 1, "");
    }
}

#[test]
fn a_program_exits_with_any_status_up_to_255() {
    for backend in BOTH {
        for status in [126, 200, 255] {
            let mut command = command("run", &[&program("plain", backend)]);
            check(&run(command.args(["exit", &status.to_string()])), status, "");
        }
    }
}

#[test]
fn a_program_reads_stdin_and_writes_stdout() {
    let text = "line\n".repeat(50_000);
    for backend in BOTH {
        let mut command = command("run", &[&program("conformance", backend)]);
        let ran = run_on(command.arg("cat"), &text[..]);
        assert_eq!((ran.status, ran.stdout == text), (0, true), "{}", ran.stderr);
    }
}

#[test]
fn a_sandboxed_program_sees_only_the_environment_it_was_given() {
    let program = program("plain", Backend::Sandbox);
    let mut command = command("run --env A=1 --env B=x=y", &[&program]);
    check(&run(command.arg("env").env("SECRET", "s")), 0, "A=1\nB=x=y\n");
}

#[test]
fn a_native_program_gets_its_environment_too() {
    let mut command = command("run --env A=1", &[&program("plain", Backend::Native)]);
    let ran = run(command.arg("env").env("MINE", "m"));
    assert!(ran.stdout.contains("A=1\n") && ran.stdout.contains("MINE=m\n"), "{}", ran.stdout);
}

/// A folder with `open/in.txt` and `secret.txt`, and a link from the first to the second.
fn guarded() -> tempfile::TempDir {
    let dir = folder();
    std::fs::create_dir(dir.path().join("open")).unwrap();
    std::fs::write(dir.path().join("open/in.txt"), "inside").unwrap();
    std::fs::write(dir.path().join("secret.txt"), "outside").unwrap();
    std::os::unix::fs::symlink("../secret.txt", dir.path().join("open/link")).unwrap();
    let absolute = dir.path().join("open/absolute");
    std::os::unix::fs::symlink(dir.path().join("secret.txt"), absolute).unwrap();
    dir
}

/// Runs the plain program in the sandbox, with one option about this folder.
fn in_folder(dir: &Path, option: &str, words: &[&str]) -> Ran {
    let grant = format!("{}::/data", dir.join("open").display());
    let mut command = command("run", &[]);
    command.args([option, &grant]).arg(program("plain", Backend::Sandbox));
    run(command.args(words))
}

#[test]
fn a_granted_folder_can_be_used() {
    let dir = guarded();
    check(&in_folder(dir.path(), "--dir", &["cat", "/data/in.txt"]), 0, "inside");
    check(&in_folder(dir.path(), "--dir", &["write", "/data/out.txt", "new"]), 0, "");
    assert_eq!(std::fs::read_to_string(dir.path().join("open/out.txt")).unwrap(), "new");
    let ran = in_folder(dir.path(), "--dir-ro", &["list", "/data"]);
    assert!(ran.status == 0 && ran.stdout.contains("in.txt\n"), "{ran:?}");
}

#[test]
fn nothing_outside_a_granted_folder_can_be_opened() {
    let dir = guarded();
    let secret = dir.path().join("secret.txt");
    let outside =
        ["/data/../secret.txt", "/data/link", "/data/absolute", "/etc/passwd", "../secret.txt"];
    for path in outside.into_iter().chain(secret.to_str()) {
        let ran = in_folder(dir.path(), "--dir", &["cat", path]);
        assert!(ran.status == 1 && ran.stdout.is_empty(), "{path}: {ran:?}");
    }
    let ran = in_folder(dir.path(), "--dir", &["write", "/data/link", "overwritten"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "outside");
}

#[test]
fn a_folder_granted_for_reading_cannot_be_written() {
    let dir = guarded();
    check(&in_folder(dir.path(), "--dir-ro", &["cat", "/data/in.txt"]), 0, "inside");
    for path in ["/data/out.txt", "/data/in.txt"] {
        let ran = in_folder(dir.path(), "--dir-ro", &["write", path, "new"]);
        assert_eq!(ran.status, 1, "{path}: {ran:?}");
    }
    assert_eq!(std::fs::read_to_string(dir.path().join("open/in.txt")).unwrap(), "inside");
    assert!(!dir.path().join("open/out.txt").exists());
}

#[test]
fn without_a_grant_there_are_no_files_and_no_network() {
    let program = program("plain", Backend::Sandbox);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let out = [
        &["cat", "/etc/passwd"][..],
        &["cat", "Cargo.toml"],
        &["list", "."],
        &["list", "/"],
        &["write", "x", "y"],
        &["connect", &address],
    ];
    for words in out {
        let ran = run(command("run", &[&program]).args(words));
        assert!(ran.status == 1 && ran.stdout.is_empty(), "{words:?}: {ran:?}");
    }
}

#[test]
fn a_folder_that_cannot_be_granted_is_named() {
    let ran =
        run(&mut command("run --dir /no/such/folder", &[&program("plain", Backend::Sandbox)]));
    assert_eq!((ran.status, &ran.stdout[..]), (1, ""), "{ran:?}");
    says(&ran, &["/no/such/folder"]);
}

#[test]
fn the_status_table() {
    for backend in BOTH {
        let program = program("conformance", backend);
        for (word, status) in [
            ("echo", 0),
            ("fail", 1),
            ("panic", 101),
            ("abort", 134),
            ("divide", 136),
            ("access", 139),
        ] {
            let ran = run(command("run", &[&program]).arg(word));
            assert_eq!(ran.status, status, "{backend:?} {word}: {}", ran.stderr);
        }
        let ran = run(command("run", &[&program]).arg("fail"));
        says(&ran, &["as it should"]);
        let ran = run(command("run", &[&program]).arg("panic"));
        says(&ran, &["as it should"]);
    }
}

#[test]
fn a_stack_overflow_in_main_is_139() {
    for backend in BOTH {
        let ran = run(command("run", &[&program("conformance", backend)]).arg("overflow"));
        assert_eq!(ran.status, 139, "{backend:?}: {}", ran.stderr);
    }
}

#[test]
fn an_endless_program_is_out_of_time() {
    for backend in BOTH {
        for word in ["spin", "block"] {
            let began = Instant::now();
            let mut command = command("run --timeout 500ms", &[&program("conformance", backend)]);
            let ran = run(command.arg(word));
            check(&ran, 124, "started\n");
            says(&ran, &["wall-clock"]);
            assert!(began.elapsed() >= Duration::from_millis(500));
        }
    }
}

#[test]
fn an_endless_program_is_out_of_cpu_time() {
    for backend in BOTH {
        let program = program("conformance", backend);
        let ran = run(command("run --cpu 200ms", &[&program]).arg("spin"));
        check(&ran, 152, "started\n");
        says(&ran, &["CPU time"]);
    }
}

#[test]
fn an_endless_program_is_out_of_fuel() {
    let [native, sandboxed] = BOTH.map(|backend| program("conformance", backend));
    let ran = run(command("run --fuel 10000000", &[&sandboxed]).arg("spin"));
    check(&ran, 152, "started\n");
    says(&ran, &["fuel"]);
    check(&run(command("run --fuel 10000000", &[&sandboxed]).args(["echo", "a"])), 0, "a\n");
    // The same work needs the same fuel: what is just too little is so every time.
    let ends = |units: u64| {
        run(command(&format!("run --quiet --fuel {units}"), &[&sandboxed]).args(["exit", "0"]))
            .status
    };
    let (mut least, mut most) = (0, 10_000_000);
    while most - least > 1 {
        let middle = (least + most) / 2;
        match ends(middle) {
            0 => most = middle,
            152 => least = middle,
            other => panic!("{middle} units: {other}"),
        }
    }
    assert!((0..5).all(|_| ends(least) == 152 && ends(most) == 0));
    // A process that is kept for many tasks would run dry in one that is not to blame.
    let kept =
        run(&mut command("map --fuel 10000000 --reuse --worker does_as_told", &[&sandboxed]));
    check(&kept, 2, "");
    says(&kept, &["--fuel", "--reuse"]);
    let refused = run(command("run --fuel 1", &[&native]).arg("spin"));
    check(&refused, 2, "");
    says(&refused, &["--fuel"]);
}

#[test]
fn a_hand_written_module_traps_with_the_signals_numbers() {
    let dir = folder();
    for (body, status) in [
        ("unreachable", 134),
        ("(drop (i32.div_s (i32.const 1) (i32.const 0)))", 136),
        ("(drop (i32.load (i32.const -4)))", 139),
        ("(call $main)", 139),
        ("(call_indirect (i32.const 0))", 139),
        ("", 0),
    ] {
        let path = dir.path().join("trap.wasm");
        let text = format!(
            r#"(module (memory (export "memory") 1) (table 1 funcref)
                (func $main (export "_start") {body}))"#
        );
        std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
        let ran = run(&mut command("run", &[&path]));
        assert_eq!((ran.status, &ran.stdout[..]), (status, ""), "{body}: {}", ran.stderr);
    }
}

#[test]
fn a_worker_is_run_by_name_with_its_arguments() {
    for backend in BOTH {
        let program = program("conformance", backend);
        check(&run(&mut command("run --worker nothing", &[&program])), 0, "");
        check(&run(&mut command("run --worker fails", &[&program])), 1, "");
        check(&run(&mut command("run --worker panics", &[&program])), 101, "");
        // Arguments that it does not take.
        check(&run(command("run --worker nothing", &[&program]).arg("a")), 1, "");
    }
}

#[test]
fn memory_is_bounded() {
    let program = program("conformance", Backend::Sandbox);
    let ran = run(command("run --memory 64K", &[&program]).arg("exit").arg("0"));
    assert_ne!(ran.status, 0, "a Rust program starts in 64 KiB: {ran:?}");
    let mut enough = command("run --memory 64M", &[&program]);
    check(&run(enough.args(["exit", "0"])), 0, "");
}

#[test]
fn all_that_follows_the_program_is_its_own() {
    for backend in BOTH {
        let mut command = command("run --timeout 60s", &[&program("plain", backend)]);
        let words = ["args", "--timeout", "5s", "--quiet", "--", "--help", "-q"];
        let due = "--timeout\n5s\n--quiet\n--\n--help\n-q\n";
        check(&run(command.args(words)), 0, due);
    }
    let mut first = command("run", &[&program("plain", Backend::Sandbox)]);
    let ran = run(first.args(["--timeout", "1parsec"]));
    assert!(!ran.stderr.contains("parsec` is no unit"), "{ran:?}");
}

#[test]
fn a_module_in_the_text_format_runs() {
    let dir = folder();
    let path = dir.path().join("program.wat");
    let exits = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "_start") (call $exit (i32.const 9))))"#;
    std::fs::write(&path, exits).unwrap();
    check(&run(&mut command("run", &[&path])), 9, "");
    std::fs::write(&path, "(module (func").unwrap();
    let ran = run(&mut command("run", &[&path]));
    check(&ran, 126, "");
    says(&ran, &["program.wat", "expected"]);
}

#[test]
fn a_bare_name_is_looked_up_in_path_but_not_for_the_sandbox() {
    let dir = folder();
    let mut by_name = command("run sh -c", &[]);
    check(&run(by_name.arg("echo here").current_dir(dir.path())), 0, "here\n");
    let ran = run(command("run --backend sandbox sh", &[]).current_dir(dir.path()));
    check(&ran, 127, "");
}

#[test]
fn the_option_that_a_native_program_cannot_have_is_named() {
    let native = program("plain", Backend::Native);
    for (words, option) in [
        ("--dir .", "--dir"),
        ("--memory 64M", "--memory"),
        ("--fuel 5", "--fuel"),
        ("--no-processes", "--no-processes"),
        ("--no-cache", "--no-cache"),
        ("--compile-time 1s", "--compile-time"),
        ("--compile-memory 1G", "--compile-memory"),
    ] {
        let ran = run(&mut command(&format!("run {words}"), &[&native]));
        check(&ran, 2, "");
        says(&ran, &[&format!("{option} is for the sandbox")]);
    }
    for option in ["--jobs", "--chunk-size"] {
        let ran = run(&mut command(&format!("map {option} 0"), &[&native]));
        check(&ran, 2, "");
        says(&ran, &[option]);
    }
}

#[test]
fn a_confined_native_program_has_its_directories_and_no_more() {
    let (plain, dir, other) = (program("plain", Backend::Native), folder(), folder());
    for place in [&dir, &other] {
        std::fs::write(place.path().join("file"), "text").unwrap();
    }
    let cat = |words: &str, place: &Path| {
        run(command(&format!("run --confine {words}"), &[&plain])
            .arg("cat")
            .arg(place.join("file")))
    };
    let (mine, yours) = (dir.path(), other.path());
    for option in ["--dir", "--dir-ro"] {
        let words = format!("{option} {}", mine.display());
        check(&cat(&words, mine), 0, "text");
        check(&cat(&words, yours), 1, "");
    }
    check(&cat("", mine), 1, "");
    let renamed = run(&mut command("run --confine --dir /tmp::/data", &[&plain]));
    check(&renamed, 2, "");
    says(&renamed, &["--dir /tmp::/data"]);
    // Workers are as confined as the program that starts them; a whole map goes on as ever.
    check(
        &run(command("run --confine", &[&program("primes", Backend::Native)]).args(["100", "1"])),
        0,
        "25 primes below 100\n",
    );
    let limited = run(command("run --confine --memory 32M sh -c", &[]).arg("ulimit -d"));
    check(&limited, 0, "32768\n");
    let sandboxed = run(&mut command("run --confine", &[&program("plain", Backend::Sandbox)]));
    check(&sandboxed, 2, "");
    says(&sandboxed, &["--confine is for native programs"]);
}

#[test]
fn a_program_without_the_right_starts_no_process() {
    let sandboxed = program("primes", Backend::Sandbox);
    let mut granted = command("run", &[&sandboxed]);
    check(&run(granted.args(["100", "1"])), 0, "25 primes below 100\n");
    let mut denied = command("run --no-processes", &[&sandboxed]);
    let ran = run(denied.args(["100", "1"]));
    assert_ne!(ran.status, 0, "{ran:?}");
}

#[test]
fn an_argument_that_is_no_text_is_named_where_it_has_to_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"\xff");
    let ran =
        run(command("run", &[&program("plain", Backend::Sandbox)]).args(["args", "a"]).arg(odd));
    check(&ran, 2, "");
    says(&ran, &["argument 3 is not UTF-8"]);
    for backend in BOTH {
        let program = program("conformance", backend);
        let ran = run(command("run --worker does_as_told", &[&program]).arg(odd));
        check(&ran, 2, "");
        says(&ran, &["argument 1 is not UTF-8"]);
    }
}

#[test]
fn a_worker_is_invoked_with_arguments_of_its_types_and_its_result_is_printed() {
    for backend in BOTH {
        let program = program("conformance", backend);
        let invoke = |worker: &str, words: &[&str]| {
            run(command(&format!("run --invoke {worker}"), &[&program]).args(words))
        };
        check(&invoke("add", &["40", "2"]), 0, "42\n");
        check(&invoke("gives_back", &["some words"]), 0, "\"some words\"\n");
        check(&invoke("does_as_told", &["text"]), 0, "TEXT\n");
        let ran = invoke("does_as_told", &["fail"]);
        check(&ran, 1, "");
        says(&ran, &["does_as_told: as it should"]);
        check(&invoke("exits", &["7"]), 7, "");
        check(&invoke("aborts", &[]), 134, "");
        for (worker, words, named) in [
            ("add", &["1"][..], "takes 2 arguments, not 1"),
            ("add", &["1", "-2"], "b: not \"-2\""),
            ("consumes", &["1", "2"], "Queue<(u32, u64)>"),
            ("no_such", &[], "no_such"),
        ] {
            let ran = invoke(worker, words);
            check(&ran, 2, "");
            says(&ran, &[named]);
        }
    }
}

#[test]
fn an_invoked_worker_that_does_not_end_is_ended_in_time() {
    for backend in BOTH {
        let program = program("conformance", backend);
        let mut command = command("run --timeout 1s --invoke does_as_told", &[&program]);
        check(&run(command.arg("spin")), 124, "");
    }
}

#[test]
fn a_trap_says_in_which_functions_it_was() {
    let dir = folder();
    let text = "(module (func $inner unreachable) (func $outer call $inner)
        (func (export \"_start\") call $outer))";
    let path = dir.path().join("trap.wat");
    std::fs::write(&path, text).unwrap();
    let ran = run(&mut command("run", &[&path]));
    check(&ran, 134, "");
    says(&ran, &["unreachable", "!inner", "!outer"]);
    check(&run(&mut command("run --quiet", &[&path])), 134, "");
}

#[test]
fn what_a_trap_says_of_a_hostile_module_is_short_and_moves_no_cursor() {
    let dir = folder();
    let name = "\\1b[2J".repeat(1000);
    let text = format!(
        "(module (func $f (@name \"{name}\") (param i32) (local.get 0) (if (then unreachable))
            (call $f (i32.const 1)))
          (func $deep (param i32) (if (i32.eqz (local.get 0)) (then (call $f (i32.const 0))))
            (call $deep (i32.sub (local.get 0) (i32.const 1))))
          (func (export \"_start\") (call $deep (i32.const 1000))))"
    );
    let path = dir.path().join("hostile.wasm");
    std::fs::write(&path, wat::parse_str(&text).unwrap()).unwrap();
    let ran = run(&mut command("run", &[&path]));
    check(&ran, 134, "");
    assert!(!ran.stderr.contains('\x1b') && ran.stderr.len() < 8192, "{} bytes", ran.stderr.len());
}

#[test]
fn a_panic_says_whose_it_is() {
    for backend in BOTH {
        let ran = run(&mut command("run --worker panics", &[&program("conformance", backend)]));
        check(&ran, 101, "");
        says(&ran, &["process `panics` ("]);
    }
}

#[test]
fn a_native_program_gets_arguments_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"a\xff");
    let ran = run(command("run", &[Path::new("/usr/bin/printf")]).arg("%s.").arg(odd));
    check(&ran, 0, "a\u{fffd}.");
    let ran = run(command("run", &[&program("plain", Backend::Sandbox)]).arg(odd));
    check(&ran, 2, "");
    says(&ran, &["argument 1 is not UTF-8"]);
}

/// A module in the text format, in a file of its own.
fn wat(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("module.wat");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn invoke_calls_any_function_that_a_module_exports() {
    let folder = folder();
    let module = wat(
        folder.path(),
        r#"(module (func (export "add") (param i32 f64) (result f64 i32)
          (f64.add (f64.convert_i32_s (local.get 0)) (local.get 1)) (local.get 0)))"#,
    );
    let invoke = |name: &str, words: &[&str]| {
        run(command(&format!("run --invoke {name}"), &[&module]).args(words))
    };
    check(&invoke("add", &["-2", "0.5"]), 0, "-1.5\n-2\n");
    let ran = invoke("add", &["2"]);
    check(&ran, 2, "");
    says(&ran, &["it takes 2 arguments, not 1"]);
    let ran = invoke("sub", &[]);
    check(&ran, 2, "");
    says(&ran, &["`sub`", "there are add"]);
}

#[test]
fn what_nobody_has_traps_if_that_is_asked_for() {
    let folder = folder();
    let module = wat(
        folder.path(),
        r#"(module (import "env" "system" (func $system (param i32)))
        (import "wasi_snapshot_preview1" "args_sizes_get"
          (func $args (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (drop (call $args (i32.const 0) (i32.const 4)))
          (if (i32.gt_u (i32.load (i32.const 0)) (i32.const 1)) (then (call $system (i32.const 1))))))"#,
    );
    let ran = run(&mut command("run", &[&module]));
    check(&ran, 126, "");
    says(&ran, &["env::system"]);
    for subcommand in ["run --unknown-imports trap", "run --unknown-imports=trap --fuel 1000000"] {
        check(&run(&mut command(subcommand, &[&module])), 0, "");
        let ran = run(command(subcommand, &[&module]).arg("more"));
        check(&ran, 134, "");
        says(&ran, &["it called `env::system`, which it imports and nobody has granted"]);
    }
    let mut map = command("map --unknown-imports trap", &[&module]);
    let ran = run(map.args(["{}", ":::", "x"]));
    assert_eq!(ran.status, 1, "{ran:?}");
    says(&ran, &["env::system"]);
    let warm = folder.path().join("warm.wasm");
    let mut snapshot = command("snapshot --quiet --unknown-imports trap -o", &[&warm, &module]);
    check(&run(&mut snapshot), 0, "");
    check(&run(&mut command("run", &[&warm])), 126, "");
    check(&run(&mut command("run --unknown-imports trap", &[&warm])), 0, "");
    let cache = folder.path().join("cache");
    let compile = |options: &str| {
        run(command(&format!("compile {options}"), &[&module]).env("XDG_CACHE_HOME", &cache))
    };
    assert_eq!(compile("").status, 126);
    assert_eq!(compile("--unknown-imports trap").status, 0);
    // Its workers are listed all the same: nothing of it runs.
    assert_eq!(run(&mut command("workers", &[&module])).status, 0);
    let ran = run(&mut command("run --unknown-imports trap", &[Path::new("/bin/true")]));
    check(&ran, 2, "");
    says(&ran, &["--unknown-imports is for the sandbox"]);
}
