//! What is refused and how that reads; help, versions, lists.

use super::*;

#[test]
fn there_is_no_such_program() {
    for words in ["run", "map", "workers", "run --backend native", "run --backend sandbox"] {
        for path in ["/no/such/program", "/no/such/program.wasm", "no-such-program"] {
            let ran = run(&mut command(words, &[Path::new(path)]));
            assert_eq!((ran.status, &ran.stdout[..]), (127, ""), "{words} {path}: {ran:?}");
            says(&ran, &[path]);
        }
    }
}

#[test]
fn what_cannot_run_is_refused_with_126() {
    let dir = folder();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let whole = std::fs::read(program("word-count", Backend::Sandbox)).unwrap();
    let wasm = |text: &str| wat::parse_str(text).unwrap();
    let not_runnable = [
        file("truncated.wasm", &whole[..whole.len() / 2]),
        file("text.wasm", b"hello"),
        file("text", b"hello"),
        file("empty.wasm", b""),
        file("empty", b""),
        file("magic.wasm", b"\0asm"),
        file("component.wasm", b"\0asm\x0d\0\x01\0"),
        file("no-main.wasm", &wasm("(module)")),
        file(
            "import.wasm",
            &wasm(r#"(module (import "env" "launch" (func)) (func (export "_start")))"#),
        ),
        file(
            "type.wasm",
            &wasm(
                r#"(module (import "wasi_snapshot_preview1" "fd_write" (func))
                    (func (export "_start")))"#,
            ),
        ),
        dir.path().to_path_buf(),
    ];
    for path in &not_runnable {
        for words in ["run", "map"] {
            let ran = run_on(&mut command(words, &[path]), "a line\n");
            assert_eq!((ran.status, &ran.stdout[..]), (126, ""), "{words} {path:?}: {ran:?}");
            says(&ran, &[&path.display().to_string()]);
        }
    }
    let ran = run(&mut command("run", &[&dir.path().join("import.wasm")]));
    says(&ran, &["env", "launch"]);
}

#[test]
fn wasm_of_any_name_runs_in_the_sandbox() {
    let dir = folder();
    let path = dir.path().join("program");
    let exits = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "_start") (call $exit (i32.const 9))))"#;
    std::fs::write(&path, wat::parse_str(exits).unwrap()).unwrap();
    check(&run(&mut command("run", &[&path])), 9, "");
}

#[test]
fn an_unknown_worker_is_refused_with_those_that_there_are() {
    for backend in BOTH {
        let program = program("conformance", backend);
        for words in ["run --worker nobody", "map --worker nobody"] {
            let ran = run(&mut command(words, &[&program]));
            check(&ran, 2, "");
            says(&ran, &["nobody", "nothing", "double"]);
        }
        // Several workers, and none is chosen.
        let ran = run(&mut command("map", &[&program]));
        check(&ran, 2, "");
        says(&ran, &["--worker", "nothing", "double"]);
    }
}

#[test]
fn workers_lists_what_a_program_offers_the_same_on_both_backends() {
    let list = |name, backend| {
        let ran = run(&mut command("workers", &[&program(name, backend)]));
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let mut lines: Vec<_> = ran.stdout.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    for name in ["word-count", "conformance", "plain"] {
        assert_eq!(list(name, Backend::Native), list(name, Backend::Sandbox));
    }
    assert_eq!(list("word-count", Backend::Sandbox), ["count(text: Bytes) -> String"]);
    let lines = list("conformance", Backend::Native);
    for line in [
        "exits(code: i32)",
        "given-name() -> u32",
        "conformance::namesakes::left::namesake() -> u32",
        "conformance::namesakes::right::namesake() -> u32",
    ] {
        assert!(lines.contains(&line.to_string()), "{line}: {lines:#?}");
    }
}

#[test]
fn a_worker_that_others_have_the_name_of_is_asked_for_by_more_of_it() {
    for backend in BOTH {
        let program = program("conformance", backend);
        let ran = run(&mut command("run --worker namesake", &[&program]));
        check(&ran, 2, "");
        says(&ran, &["left::namesake", "right::namesake", "procbox_cases::naming::namesake"]);
        check(&run(&mut command("run --worker right::namesake", &[&program])), 0, "");
    }
}

#[test]
fn every_help_has_an_example() {
    let ran = run(&mut command("--help", &[]));
    assert!(ran.status == 0 && ran.stdout.contains("procbox run "), "{ran:?}");
    let commands = ran.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = commands.map_while(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert!(names.contains(&"run") && names.contains(&"map"), "{names:?}");
    for name in names {
        let ran = run(&mut command(&format!("{name} --help"), &[]));
        assert_eq!(ran.status, 0, "{name}");
        // The usage has the name in capitals around it; an example has something to run.
        let example = ran.stdout.lines().any(|line| {
            line.contains(&format!("procbox {name}")) && !line.contains("[") && !line.contains("<")
        });
        assert!(example, "no example in the help of {name}:\n{}", ran.stdout);
    }
}

#[test]
fn the_version_is_told() {
    let ran = run(&mut command("--version", &[]));
    assert!(ran.status == 0 && ran.stdout.starts_with("procbox "), "{ran:?}");
    // With what it runs WebAssembly, and for which machine it is.
    assert!(ran.stdout.contains("\nwasmtime 48") && ran.stdout.contains("linux-gnu"), "{ran:?}");
    assert_eq!(run(&mut command("-V", &[])).stdout.lines().count(), 1);
}

#[test]
fn no_command_panics_when_its_reader_has_gone() {
    let program = program("conformance", Backend::Sandbox);
    for words in ["workers", "--help", "run --help", "--version", "demo --list", "demo lock"] {
        let paths: &[&Path] = if words == "workers" { &[&program] } else { &[] };
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child =
            command(words, paths).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let said = text(child.stderr.take().unwrap());
        let status = wait(&mut child);
        let said = said.join().unwrap();
        assert!(status.code().is_some_and(|code| code < 2), "{words}: {status}: {said}");
        assert_eq!(said, "", "{words}");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused_with_2() {
    let program = program("word-count", Backend::Sandbox);
    for words in [
        "",
        "fly",
        "run",
        "map",
        "run --fly",
        "run --timeout soon",
        "run --timeout -1s",
        "run --timeout 5parsecs",
        "run --memory lots",
        "run --memory 99999999999G",
        "run --backend moon",
        "run --env NOVALUE",
        "run --env =x",
        "map -j 0",
        "map -j many",
        "map --chunk-size 0",
        "map --retries -1",
    ] {
        let paths: &[&Path] =
            if matches!(words, "" | "fly" | "run" | "map") { &[] } else { &[&program] };
        let ran = run_on(&mut command(words, paths), "a\n");
        assert_eq!((ran.status, &ran.stdout[..]), (2, ""), "{words:?}: {ran:?}");
        assert!(!ran.stderr.is_empty() && !ran.stderr.contains("panicked"), "{words:?}: {ran:?}");
    }
    // Grants are for the sandbox.
    let native = self::program("word-count", Backend::Native);
    check(&run(&mut command("run --dir .", &[&native])), 2, "");
    check(&run(&mut command("run --memory 64M", &[&native])), 2, "");
}

#[test]
fn a_backend_finds_the_build_that_is_for_it_or_refuses() {
    let [native, wasm] = BOTH.map(|backend| program("word-count", backend));
    let beside = folder();
    let copies = [beside.path().join("count"), beside.path().join("count.wasm")];
    for (from, to) in [&native, &wasm].into_iter().zip(&copies) {
        copy(from, to);
    }
    for path in &copies {
        for backend in ["native", "sandbox"] {
            let ran = run_on(&mut command(&format!("map --backend {backend}"), &[path]), "a b\n");
            check(&ran, 0, "2 0 3\n");
        }
    }
    let alone = folder();
    let (only_native, only_wasm) = (alone.path().join("program"), alone.path().join("other.wasm"));
    copy(&native, &only_native);
    copy(&wasm, &only_wasm);
    for (backend, path) in [("native", &only_wasm), ("sandbox", &only_native)] {
        let ran = run_on(&mut command(&format!("map --backend {backend}"), &[path]), "a b\n");
        assert_eq!((ran.status, &ran.stdout[..]), (126, ""), "{backend}: {ran:?}");
    }
}

#[test]
fn a_value_that_is_none_is_told_what_one_is() {
    let program = program("plain", Backend::Sandbox);
    for (words, told) in [
        ("run --fuel 0", "at least 1"),
        ("run --max-processes many", "at least 1"),
        ("map --chunk-size 0", "at least 1"),
        ("map --max-tasks-per-child few", "at least 1"),
        ("run --timeout 5x", "ms, s, m, h or d"),
    ] {
        let ran = run(&mut command(words, &[&program]));
        assert_eq!(ran.status, 2, "{words}: {ran:?}");
        says(&ran, &[told]);
        assert!(!ran.stderr.contains("non-zero type"), "{words}: {ran:?}");
    }
    for option in ["--dir", "--dir-ro"] {
        let ran = run(&mut command(&format!("run {option} no/such::x"), &[&program]));
        check(&ran, 1, "");
        says(&ran, &[&format!("{option}: no/such: there is no such directory")]);
    }
    let ran = run(&mut command("top everything", &[]));
    assert_eq!(ran.status, 2, "{ran:?}");
    says(&ran, &["number of a process"]);
}
