//! Ctrl-C: the real command, interrupted wherever it may be blocked.

use super::*;

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
pub(super) fn descendants(of: u32) -> Vec<u32> {
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
pub(super) enum To {
    /// The command and all that it started, as a terminal's Ctrl-C.
    All,
    /// The command alone, as `kill -INT`.
    ItAlone,
}

/// Sends a command a SIGINT: see [`end_by`].
fn interrupt(command: Command, input: &'static str, to: To) -> Vec<String> {
    end_by("INT", 130, command, input, to)
}

/// Starts a command, waits until it or a worker says `started`, sends it a signal. It is to end with
/// that status soon, and no process of its is to be left. What it says then.
pub(super) fn end_by(
    signal: &str,
    due: i32,
    mut command: Command,
    input: &'static str,
    to: To,
) -> Vec<String> {
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
    let kill = format!("kill -{signal} {sign}{}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let status = wait(&mut child);
    let took = began.elapsed();
    let left = still_there_after(below.clone(), Duration::from_secs(5));
    assert_eq!(status.code(), Some(due), "{status}: {below:?}");
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert_eq!(left, [] as [String; 0], "it leaves processes behind");
    let rest: Vec<String> = heard.iter().collect();
    assert!(!rest.iter().any(|line| line.contains("panicked")), "{rest:?}");
    rest
}

/// Which of these processes have not ended by then: what they are. They are killed.
pub(super) fn still_there_after(pids: Vec<u32>, patience: Duration) -> Vec<String> {
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
    end_run_by("INT", 130, backend, word, to);
}

/// What graders read then says that a signal has ended it, and what it had used.
pub(super) fn end_run_by(signal: &str, due: i32, backend: Backend, word: &str, to: To) {
    let dir = folder();
    let meta = dir.path().join("meta");
    let mut command = command(&format!("run --meta {}", meta.display()), &[]);
    command.arg(program("conformance", backend)).arg(word);
    end_by(signal, due, command, "", to);
    let meta = std::fs::read_to_string(meta).unwrap();
    assert!(meta.starts_with("time"), "{meta}");
    let signal = due - 128;
    let interrupted = format!("\nexitsig:{signal}\nkilled:1\nstatus:SG\nmessage:interrupted\n");
    // One that had the signal too may have died of it before procbox came to end it.
    let died = format!("\nexitsig:{signal}\nstatus:SG\nmessage:was killed by signal {signal} ");
    let had_it = matches!((backend, to), (Backend::Native, To::All));
    assert!(meta.ends_with(&interrupted) || had_it && meta.contains(&died), "{meta}");
}

/// The program answers: what it was blocked in says that it was interrupted.
fn answered(backend: Backend, what: &str, to: To) {
    let mut command = command("run", &[&program("conformance", backend)]);
    command.args(["answer-in", what]);
    let said = interrupt(command, "", to);
    let due = format!("{what}: Err(Interrupted)");
    assert!(said.contains(&due), "{due} is not in {said:?}");
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

macro_rules! answered {
    ($($name:ident $what:literal;)*) => {
        mod answered_by_a_native_program {
            use super::*;
            mod ctrl_c {
                use super::*;
                $(#[test] fn $name() { answered(Backend::Native, $what, To::All); })*
            }
            mod sigint_to_procbox_alone {
                use super::*;
                $(#[test] fn $name() { answered(Backend::Native, $what, To::ItAlone); })*
            }
        }
        mod answered_by_a_sandboxed_program {
            use super::*;
            mod ctrl_c {
                use super::*;
                $(#[test] fn $name() { answered(Backend::Sandbox, $what, To::All); })*
            }
            mod sigint_to_procbox_alone {
                use super::*;
                $(#[test] fn $name() { answered(Backend::Sandbox, $what, To::ItAlone); })*
            }
        }
    };
}

answered! {
    in_join "join";
    in_join_timeout "join-timeout";
    in_get "get";
    in_put "put";
    in_acquire_of_a_lock "acquire-lock";
    in_acquire_of_a_permit "acquire-permit";
    in_wait "wait";
    in_recv "recv";
    in_poll "poll";
    in_ready "ready";
    in_accept "accept";
    in_the_main_loop "main-loop";
    in_the_result_of_a_pool "pool-result";
    in_a_map "map";
}

/// In a terminal of its own, by the key: the signal comes from the kernel, to all that run there.
fn answered_in_a_terminal(backend: Backend, words: &[&str], due: &str) {
    let line = [
        &[procbox().to_str().unwrap(), "run", program("conformance", backend).to_str().unwrap()],
        words,
    ]
    .concat()
    .join(" ");
    let mut script = Command::new("script")
        .args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = script.stdin.take().unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("started")), "{backend:?}: it never says so");
    keys.write_all(b"\x03").unwrap();
    let rest: Vec<String> = lines.collect();
    assert_eq!(wait(&mut script).code(), Some(130), "{backend:?}: {rest:?}");
    assert!(rest.iter().any(|line| line.contains(due)), "{backend:?}: {rest:?}");
}

#[test]
fn the_key_in_a_terminal_is_answered_too() {
    for backend in BOTH {
        for what in ["join", "get", "pool-result"] {
            let due = format!("{what}: Err(Interrupted)");
            answered_in_a_terminal(backend, &["answer-in", what], &due);
        }
    }
}

/// Whenever it comes: while the command starts, while its program's zygote does, or later.
#[test]
fn ctrl_c_while_it_starts_is_130_and_nothing_else() {
    for backend in BOTH {
        for delay in 0..20 {
            let mut command = command("map -j 2 --quiet", &[&program("word-count", backend)]);
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .process_group(0)
                .spawn()
                .unwrap();
            // No input comes and none is at its end: only the signal ends it.
            let _stdin = child.stdin.take();
            // Until then it is still the one that gives it its signals back.
            let comm = format!("/proc/{}/comm", child.id());
            while std::fs::read_to_string(&comm).is_ok_and(|name| name.trim() != "procbox") {
                std::thread::yield_now();
            }
            sleep(Duration::from_micros(500 * delay));
            let kill = format!("kill -INT -{}", child.id());
            assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
            let status = wait(&mut child);
            let said = text(child.stderr.take().unwrap()).join().unwrap();
            // Before it answers Ctrl-C, the signal itself ends it.
            let by_signal = status.code().is_none();
            assert!(by_signal || status.code() == Some(130), "after {delay}: {status}: {said}");
            assert!(said.is_empty(), "after {delay}: {said}");
        }
    }
}
