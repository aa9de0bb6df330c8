//! SIGTERM, SIGHUP and SIGKILL: the real command, ended by others than its user.

use super::ctrl_c::{To, descendants, end_by, end_run_by, still_there_after};
use super::*;

/// Each with the status that is due.
const SIGNALS: [(&str, i32); 2] = [("TERM", 143), ("HUP", 129)];

/// What a plain program is to be that starts processes: one of them heeds no signal.
const FAMILY: &str = "sh -c 'trap \"\" INT TERM HUP; sleep 1000 & wait' & sleep 1000 & \
                      echo started; wait; sleep 1000";

fn family(words: &str) -> Command {
    let mut command = command(words, &[Path::new("/bin/sh")]);
    command.args(["-c", FAMILY]);
    command
}

#[test]
fn they_end_run_and_all_that_it_started() {
    for (signal, due) in SIGNALS {
        for to in [To::All, To::ItAlone] {
            end_by(signal, due, family("run"), "", to);
            for backend in BOTH {
                for word in ["spin", "block", "block-in-join"] {
                    end_run_by(signal, due, backend, word, to);
                }
            }
        }
    }
}

#[test]
fn they_end_map_and_all_that_it_started() {
    for (signal, due) in SIGNALS {
        for to in [To::All, To::ItAlone] {
            for backend in BOTH {
                let program = program("conformance", backend);
                let command = command("map -j 2 --worker does_as_told", &[&program]);
                let said = end_by(signal, due, command, "a\nspin\nb\n", to);
                // That its worker was ended is not the task's fault.
                assert!(!said.iter().any(|line| line.contains("line 2")), "{said:?}");
            }
        }
    }
}

#[test]
fn a_program_that_was_ended_by_such_a_signal_has_its_status_too() {
    let mut command = command("run", &[Path::new("/bin/sh")]);
    check(&run(command.args(["-c", "kill -TERM $$"])), 143, "");
}

#[test]
fn what_nohup_ignores_stays_ignored() {
    let mut command = Command::new("nohup");
    command.arg(procbox()).args(["run", "/bin/sh", "-c", "kill -HUP $PPID; kill -HUP $$; echo on"]);
    check(&run(&mut command), 0, "on\n");
}

#[test]
fn timeout_leaves_nothing_behind() {
    let dir = folder();
    let pids = dir.path().join("pids");
    let script = format!("sleep 1000 & echo $! $$ > {}; wait; sleep 1000", pids.display());
    let mut command = Command::new("timeout");
    command.arg("2").arg(procbox()).args(["run", "/bin/sh", "-c", &script]);
    assert_eq!(run(&mut command).status, 124);
    let pids = std::fs::read_to_string(&pids).unwrap();
    let pids: Vec<u32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!((pids.len(), still_there_after(pids, PATIENCE)), (2, vec![]));
}

#[test]
fn a_killed_procbox_takes_its_native_program_and_its_workers_with_it() {
    let sleeper = ["-c", "echo started >&2; exec sleep 1000"];
    let mut map = command("map -j 2 --worker does_as_told", &[]);
    map.arg(program("conformance", Backend::Native));
    let mut run = command("run", &[Path::new("/bin/sh")]);
    run.args(sleeper);
    for mut command in [run, map] {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"spin\nspin\n").unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "started"));
        let below = descendants(child.id());
        assert!(!below.is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(still_there_after(below, PATIENCE), [] as [String; 0]);
    }
}

/// stdout is a pipe that nobody reads: the main thread is in a `write` that nothing interrupts.
#[test]
fn a_command_that_is_stuck_in_writing_ends_all_the_same() {
    let mut child = command("map --quiet --reuse", &[&program("word-count", Backend::Sandbox)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let full = Arc::new(AtomicU64::new(0));
    let writer = spawn({
        let full = full.clone();
        move || {
            while stdin.write_all(b"a line of words\n").is_ok() {
                full.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    // No more is taken: the pipe behind it is full, and all between.
    let (mut before, mut since) = (0, Instant::now());
    while before == 0 || since.elapsed() < Duration::from_millis(500) {
        sleep(Duration::from_millis(10));
        let now = full.load(Ordering::SeqCst);
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
    let kill = format!("kill -TERM {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    assert_eq!(wait(&mut child).code(), Some(143));
    writer.join().unwrap();
}
