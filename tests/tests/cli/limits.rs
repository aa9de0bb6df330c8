//! The limits that `run` and `map` share, and what `run` says of what was used.

use super::*;

#[test]
fn output_ends_where_its_limit_is() {
    let sandboxed = program("plain", Backend::Sandbox);
    let ran = run(command("run --max-output 3", &[&sandboxed]).args(["args", "abcdef"]));
    check(&ran, 137, "abc");
    says(&ran, &["out of output"]);
    check(&run(command("run --max-output 1K", &[&sandboxed]).args(["args", "a"])), 0, "a\n");
    // Of a task, each has its own.
    let mapped =
        run(command("map --max-output 3", &[&sandboxed]).args(["args", ":::", "a", "bcdef"]));
    assert_eq!(mapped.status, 1, "{}", mapped.stderr);
    // What a failed command has printed is printed.
    assert_eq!(mapped.stdout, "a\nbcd\n");
    says(&mapped, &["output"]);
}

#[test]
fn cpu_time_is_limited_in_map_too() {
    let dir = folder();
    let spinner = dir.path().join("spins.wat");
    let text =
        r#"(module (memory (export "memory") 1) (func (export "_start") (loop $l (br $l))))"#;
    std::fs::write(&spinner, text).unwrap();
    let mut sandboxed = command("map --cpu 200ms", &[&spinner]);
    sandboxed.args([":::", "a"]);
    let mut native = command("map --cpu 200ms sh -c", &[]);
    native.args(["while :; do :; done", "{}", ":::", "a"]);
    for mut map in [sandboxed, native] {
        let spins = run(&mut map);
        assert_eq!(spins.status, 1, "{}", spins.stderr);
        says(&spins, &["CPU time"]);
    }
}

#[test]
fn a_program_that_is_too_large_is_refused() {
    let sandboxed = program("plain", Backend::Sandbox);
    let ran = run(command("run --module-size 1K", &[&sandboxed]).arg("echo"));
    assert_eq!(ran.status, 126, "{}", ran.stderr);
}

#[test]
fn limits_of_the_sandbox_are_refused_natively() {
    let native = program("plain", Backend::Native);
    for option in [
        "--tree-memory=1M",
        "--tree-fuel=1",
        "--max-starts=1",
        "--max-output=1",
        "--max-handles=1",
        "--max-queued=1",
        "--max-open-files=1",
        "--max-written=1",
        "--max-created=1",
        "--stack=1M",
        "--module-size=1",
    ] {
        let name = option.split('=').next().unwrap_or_default();
        for of in ["run", "map"] {
            let refused = run(command(&format!("{of} {option}"), &[&native]).arg("echo"));
            assert_eq!(refused.status, 2, "{option}: {}", refused.stderr);
            says(&refused, &[name]);
        }
    }
}

/// What `--meta` says under a key.
fn value<'a>(meta: &'a str, key: &str) -> Option<&'a str> {
    meta.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
}

#[test]
fn what_became_of_a_program_is_written_for_graders() {
    let dir = folder();
    let file = dir.path().join("meta");
    for backend in BOTH {
        let meta = |options: &str, words: &[&str]| {
            let options = format!("run {options} --quiet --meta {}", file.display());
            run(command(&options, &[&program("plain", backend)]).args(words));
            std::fs::read_to_string(&file).unwrap()
        };
        let ended = meta("", &["exit", "3"]);
        assert_eq!((value(&ended, "exitcode"), value(&ended, "status")), (Some("3"), Some("RE")));
        for key in ["time", "time-wall"] {
            let seconds = value(&ended, key).and_then(|v| v.parse::<f64>().ok());
            assert!(seconds.is_some_and(|s| (0.0..60.0).contains(&s)), "{key}: {ended}");
        }
        let kib = value(&ended, "max-rss").and_then(|v| v.parse::<u64>().ok());
        assert!(kib.is_some_and(|kib| kib > 64), "{ended}");
        let well = meta("", &["exit", "0"]);
        assert_eq!((value(&well, "exitcode"), value(&well, "status")), (Some("0"), None), "{well}");
        let late = meta("--timeout 100ms", &["spin"]);
        assert_eq!((value(&late, "killed"), value(&late, "status")), (Some("1"), Some("TO")));
        let busy = meta("--cpu 100ms", &["spin"]);
        assert_eq!((value(&busy, "exitsig"), value(&busy, "status")), (Some("24"), Some("TO")));
        let time = value(&busy, "time").and_then(|v| v.parse::<f64>().ok());
        assert!(time.is_some_and(|s| s >= 0.1), "{busy}");
    }
    let missing = format!("run --meta {} no-such.wasm", file.display());
    assert_eq!(run(&mut command(&missing, &[])).status, 127);
    assert_eq!(value(&std::fs::read_to_string(&file).unwrap(), "status"), Some("XX"));
}

#[test]
fn what_an_earlier_run_has_written_for_graders_does_not_stay() {
    let dir = folder();
    let file = dir.path().join("meta");
    std::fs::write(&file, "exitcode:0\n").unwrap();
    let read = || std::fs::read_to_string(&file).unwrap();
    let options = format!("run --meta {}", file.display());
    let mut running =
        command(&options, &[&program("plain", Backend::Sandbox)]).arg("spin").spawn().unwrap();
    while value(&read(), "status") != Some("XX") {
        assert_eq!(running.try_wait().unwrap(), None, "{}", read());
        std::thread::yield_now();
    }
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!((value(&read(), "status"), value(&read(), "exitcode")), (Some("XX"), None));
    let nowhere = format!("run --meta {}", dir.path().join("none/meta").display());
    let refused =
        run(command(&nowhere, &[&program("plain", Backend::Sandbox)]).args(["exit", "0"]));
    assert_eq!(refused.status, 1, "{}", refused.stderr);
    says(&refused, &["--meta", "none/meta"]);
}

#[test]
fn what_was_used_is_said_on_stderr() {
    for backend in BOTH {
        let ran = run(command("run --stats", &[&program("plain", backend)]).args(["args", "a"]));
        check(&ran, 0, "a\n");
        says(&ran, &["took ", " s of CPU time", " MiB at most"]);
    }
    let sandboxed = program("plain", Backend::Sandbox);
    let ran = run(command("run --stats --fuel 10000000", &[&sandboxed]).args(["args", "a"]));
    says(&ran, &[" units of fuel", ", 1 process, 2 bytes printed"]);
    let copied = run_on(command("run --stats", &[&sandboxed]).arg("cat"), "123456789");
    says(&copied, &["9 bytes read"]);
}

#[test]
fn who_was_out_of_memory_is_named_as_that() {
    let dir = folder();
    let greedy = dir.path().join("greedy.wat");
    let text = r#"(module (memory (export "memory") 1) (func (export "_start")
        (if (i32.eq (memory.grow (i32.const 2048)) (i32.const -1)) (then unreachable))))"#;
    std::fs::write(&greedy, text).unwrap();
    let ran = run(&mut command("run --memory 64M", &[&greedy]));
    assert_eq!(ran.status, 134, "{}", ran.stderr);
    says(&ran, &["refused memory"]);
}
