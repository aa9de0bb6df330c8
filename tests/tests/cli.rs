//! The real `procbox` command, run as a user runs it.

use procbox_tests::{Backend, PATIENCE, procbox, program};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

const BOTH: [Backend; 2] = [Backend::Native, Backend::Sandbox];

/// How a command ended and what it said.
#[derive(Debug)]
struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

/// A command line, its words split at spaces, and paths behind it.
fn command(words: &str, paths: &[&Path]) -> Command {
    let mut command = Command::new(procbox());
    command.args(words.split_whitespace()).args(paths);
    command
}

/// Waits for its end; kills it and fails when that does not come.
fn wait(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status,
            Ok(None) if began.elapsed() < PATIENCE => sleep(Duration::from_millis(2)),
            other => {
                let _ = child.kill();
                panic!("it hangs: {other:?}");
            }
        }
    }
}

fn text(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Runs a command on this input.
fn run_on(command: &mut Command, input: impl Into<Vec<u8>>) -> Ran {
    let input = input.into();
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Whoever does not read it all is right too.
    let writer = spawn(move || drop(stdin.write_all(&input)));
    let (stdout, stderr) = (text(child.stdout.take().unwrap()), text(child.stderr.take().unwrap()));
    let status = wait(&mut child);
    writer.join().unwrap();
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    Ran { status: status.code().unwrap_or(-1), stdout, stderr }
}

fn run(command: &mut Command) -> Ran {
    run_on(command, "")
}

#[track_caller]
fn check(ran: &Ran, status: i32, stdout: &str) {
    assert_eq!((ran.status, &ran.stdout[..]), (status, stdout), "stderr: {}", ran.stderr);
}

/// Fails unless stderr has each of these.
#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in: {}", ran.stderr);
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn licenses() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/usr/share/common-licenses").unwrap();
    let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5, "no texts to count");
    files
}

#[test]
fn map_counts_the_words_of_files_as_wc_does_in_their_order() {
    let files = licenses();
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let mut due = String::new();
    for file in &files {
        let wc = Command::new("wc").arg(file).env("LC_ALL", "C").output().unwrap().stdout;
        let wc = String::from_utf8(wc).unwrap();
        let n: Vec<&str> = wc.split_whitespace().collect();
        due += &format!("{} {} {}\n", n[1], n[0], n[2]);
    }
    for backend in BOTH {
        for options in ["map -j 2", "map -j 4 --chunk-size 3", "map -j 1 --fresh --quiet"] {
            let program = program("word-count", backend);
            check(&run(command(options, &[&program]).args(&paths)), 0, &due);
        }
    }
}

#[test]
fn map_unordered_gives_the_same_lines() {
    let files = licenses();
    let sorted = |ran: Ran| {
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let mut lines: Vec<_> = ran.stdout.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    let [a, b] = BOTH.map(|backend| {
        let program = program("word-count", backend);
        sorted(run(command("map --unordered -j 3", &[&program]).args(&files)))
    });
    assert_eq!((&a, a.len()), (&b, files.len()));
}

#[test]
fn map_takes_a_hundred_thousand_lines() {
    let lines: String = (0..100_000).map(|n| format!("{}{n}\n", "word ".repeat(n % 4))).collect();
    let due: String =
        lines.lines().map(|l| format!("{} 0 {}\n", l.split(' ').count(), l.len())).collect();
    for backend in BOTH {
        let ran =
            run_on(&mut command("map --quiet", &[&program("word-count", backend)]), &lines[..]);
        assert_eq!((ran.status, &ran.stderr[..]), (0, ""));
        assert!(ran.stdout == due, "{backend:?}: other results, {} bytes", ran.stdout.len());
    }
}

#[test]
fn the_last_line_needs_no_newline_and_an_empty_input_is_no_task() {
    for backend in BOTH {
        let program = program("word-count", backend);
        let on = |input: &str| run_on(&mut command("map", &[&program]), input);
        check(&on("a b\nc"), 0, "2 0 3\n1 0 1\n");
        check(&on("\n\n"), 0, "0 0 0\n0 0 0\n");
        check(&on(""), 0, "");
    }
}

#[test]
fn map_ends_quietly_when_its_reader_has_gone() {
    for backend in BOTH {
        let mut child = command("map --quiet", &[&program("word-count", backend)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It writes until nobody reads any more: `yes | procbox map ... | head -1`.
        let writer = spawn(move || while stdin.write_all(b"a line of words\n").is_ok() {});
        let stderr = text(child.stderr.take().unwrap());
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert_eq!(first, "4 0 15\n");
        assert_eq!(wait(&mut child).code(), Some(0));
        writer.join().unwrap();
        assert_eq!(stderr.join().unwrap(), "");
    }
}

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
fn map_makes_a_filter_of_a_plain_program() {
    for backend in BOTH {
        let program = program("plain", backend);
        check(
            &run_on(&mut command("map -j 2", &[&program]), "one\ntwo\nthree"),
            0,
            "ONE\nTWO\nTHREE\n",
        );
    }
    let dir = folder();
    let files: Vec<_> = (0..20).map(|n| dir.path().join(format!("{n}"))).collect();
    let mut due = String::new();
    for (n, file) in files.iter().enumerate() {
        let text = format!("file {n}\n").repeat(n * 100);
        std::fs::write(file, &text).unwrap();
        due += &text;
    }
    check(&run(command("map -j 2", &[Path::new("/bin/cat")]).args(&files)), 0, &due);
}

#[test]
fn a_plain_program_that_fails_fails_its_task_by_name() {
    // `false` fails on everything.
    let ran = run_on(&mut command("map", &[Path::new("/bin/false")]), "a\nb\n");
    check(&ran, 1, "");
    says(&ran, &["line 1", "line 2", "code 1"]);
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
fn an_endless_task_is_ended_and_the_others_go_on() {
    for backend in BOTH {
        let mut command = command(
            "map -j 2 --worker does_as_told --task-timeout 1s",
            &[&program("conformance", backend)],
        );
        let ran = run_on(&mut command, "a\nspin\nb\nc\n");
        check(&ran, 1, "A\nB\nC\n");
        says(&ran, &["line 2", "wall-clock"]);
    }
}

#[test]
fn map_as_a_whole_can_be_out_of_time() {
    for backend in BOTH {
        let mut command = command(
            "map -j 1 --chunk-size 1 --worker does_as_told --timeout 1s",
            &[&program("conformance", backend)],
        );
        check(&run_on(&mut command, "a\nspin\nb\n"), 124, "A\n");
    }
}

#[test]
fn failed_tasks_are_named_and_the_others_go_on() {
    for backend in BOTH {
        let mut command =
            command("map -j 2 --worker does_as_told", &[&program("conformance", backend)]);
        let ran = run_on(&mut command, "a\nfail\nb\npanic\nc\nexit 3\nd\nabort\ne\n");
        check(&ran, 1, "A\nB\nC\nD\nE\n");
        says(&ran, &["line 2: as it should", "line 4:", "line 6:", "code 3", "line 8:", "SIGABRT"]);
    }
}

#[test]
fn an_unreadable_input_is_named_and_the_others_go_on() {
    let dir = folder();
    let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
    std::fs::write(&a, "one two\n").unwrap();
    std::fs::write(&b, "three\n").unwrap();
    let missing = dir.path().join("missing");
    for backend in BOTH {
        let program = program("word-count", backend);
        let ran = run(&mut command("map", &[&program, &a, &missing, dir.path(), &b]));
        check(&ran, 1, "2 1 8\n1 1 6\n");
        says(&ran, &[&missing.display().to_string(), &format!("{}: ", dir.path().display())]);
    }
}

/// The running processes whose parent this is.
fn children_of(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// The parent of a running process; `None` if there is no such process, or a zombie.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state ppid`, and the name may have anything in it.
    let mut rest = stat.rsplit(')').next()?.split_whitespace();
    if matches!(rest.next()?, "Z" | "X") { None } else { rest.next()?.parse().ok() }
}

/// Its children, theirs, and so on.
fn descendants(of: u32) -> Vec<u32> {
    let mut all = children_of(of);
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let more = children_of(*pid);
        all.extend(more);
        next += 1;
    }
    all
}

/// Whom a SIGINT goes to.
#[derive(Clone, Copy)]
enum To {
    /// The command and all that it started, as a terminal's Ctrl-C.
    All,
    /// The command alone, as `kill -INT`.
    ItAlone,
}

/// Starts a command, waits until it or a worker says `started`, sends it a SIGINT. It is to end with
/// 130 soon, and no process of its is to be left.
fn interrupt(mut command: Command, input: &'static str, to: To) {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.process_group(0).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let (said, heard) = std::sync::mpsc::channel();
    let out = child.stdout.take().map(|out| Box::new(out) as Box<dyn Read + Send>);
    let err = child.stderr.take().map(|err| Box::new(err) as Box<dyn Read + Send>);
    for stream in out.into_iter().chain(err) {
        let said = said.clone();
        spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
    }
    drop(said);
    while heard.recv_timeout(PATIENCE).expect("it never says that it started") != "started" {}
    let below = descendants(child.id());
    let began = Instant::now();
    let sign = if matches!(to, To::All) { "-" } else { "" };
    let kill = format!("kill -INT {sign}{}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let status = wait(&mut child);
    let took = began.elapsed();
    let left = still_there_after(below, Duration::from_secs(5));
    assert_eq!(status.code(), Some(130), "{status}");
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert_eq!(left, [] as [String; 0], "it leaves processes behind");
    let rest: Vec<String> = heard.iter().collect();
    assert!(!rest.iter().any(|line| line.contains("panicked")), "{rest:?}");
}

/// Which of these processes have not ended by then: what they are. They are killed.
fn still_there_after(pids: Vec<u32>, patience: Duration) -> Vec<String> {
    let late = Instant::now() + patience;
    while pids.iter().any(|pid| parent_of(*pid).is_some()) && Instant::now() < late {
        sleep(Duration::from_millis(2));
    }
    let left = pids.into_iter().filter(|pid| parent_of(*pid).is_some());
    let tell = |pid: u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let _ = Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).status();
        format!("{pid} {} {}", name.trim(), String::from_utf8_lossy(&line).replace('\0', " "))
    };
    left.map(tell).collect()
}

fn interrupt_run(backend: Backend, word: &str, to: To) {
    let mut command = command("run", &[&program("conformance", backend)]);
    command.arg(word);
    interrupt(command, "", to);
}

fn interrupt_map(backend: Backend, to: To) {
    let program = program("conformance", backend);
    let command = command("map -j 2 --worker does_as_told", &[&program]);
    interrupt(command, "a\nspin\nb\n", to);
}

macro_rules! ctrl_c {
    ($($name:ident: $call:ident($backend:ident $(, $word:literal)?);)*) => {
        mod ctrl_c {
            use super::*;
            $(#[test] fn $name() { $call(Backend::$backend, $($word,)? To::All); })*
        }
        mod sigint_to_procbox_alone {
            use super::*;
            $(#[test] fn $name() { $call(Backend::$backend, $($word,)? To::ItAlone); })*
        }
    };
}

ctrl_c! {
    ends_a_busy_native_program: interrupt_run(Native, "spin");
    ends_a_blocked_native_program: interrupt_run(Native, "block");
    ends_a_native_program_and_the_worker_that_it_joins: interrupt_run(Native, "block-in-join");
    ends_a_native_map: interrupt_map(Native);
    ends_a_busy_sandboxed_program: interrupt_run(Sandbox, "spin");
    ends_a_blocked_sandboxed_program: interrupt_run(Sandbox, "block");
    ends_a_sandboxed_program_and_the_worker_that_it_joins: interrupt_run(Sandbox, "block-in-join");
    ends_a_sandboxed_map: interrupt_map(Sandbox);
}

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
    assert!(list("conformance", Backend::Native).contains(&"exits(code: i32)".to_string()));
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
        std::fs::copy(from, to).unwrap();
    }
    for path in &copies {
        for backend in ["native", "sandbox"] {
            let ran = run_on(&mut command(&format!("map --backend {backend}"), &[path]), "a b\n");
            check(&ran, 0, "2 0 3\n");
        }
    }
    let alone = folder();
    let (only_native, only_wasm) = (alone.path().join("program"), alone.path().join("other.wasm"));
    std::fs::copy(native, &only_native).unwrap();
    std::fs::copy(wasm, &only_wasm).unwrap();
    for (backend, path) in [("native", &only_wasm), ("sandbox", &only_native)] {
        let ran = run_on(&mut command(&format!("map --backend {backend}"), &[path]), "a b\n");
        assert_eq!((ran.status, &ran.stdout[..]), (126, ""), "{backend}: {ran:?}");
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
