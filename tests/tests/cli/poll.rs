//! Waiting for stdin with a timeout: what `select` and `poll` of every interpreter come to.

use super::*;

/// Says that it begins, polls stdin and a clock for so many nanoseconds, and exits with ten times the
/// number of events, and the kind of the first: 0 for the clock, 1 for stdin. One that was told of stdin
/// reads a byte of it and prints that.
fn poller(folder: &Path, nanoseconds: u64) -> PathBuf {
    let text = format!(
        r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff"
          (func $poll (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\01\00\00\00") (data (i32.const 16) ".")
        (func $print (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32))))
        (func (export "_start")
          (call $print)
          (i32.store8 (i32.const 1032) (i32.const 1))
          (i32.store (i32.const 1088) (i32.const 1))
          (i64.store (i32.const 1096) (i64.const {nanoseconds}))
          (if (call $poll (i32.const 1024) (i32.const 4096) (i32.const 2) (i32.const 64))
            (then unreachable))
          (if (i32.load8_u (i32.const 4106)) (then
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 32)))
            (if (i32.load (i32.const 32)) (then (call $print)))))
          (call $exit (i32.add (i32.mul (i32.load (i32.const 64)) (i32.const 10))
            (i32.load8_u (i32.const 4106))))))"#
    );
    let path = folder.join(format!("poller-{nanoseconds}.wat"));
    std::fs::write(&path, text).unwrap();
    path
}

const HOUR: u64 = 3_600_000_000_000;

fn spawned(program: &Path, stdin: Stdio) -> Child {
    let mut run = command("run", &[program]);
    run.stdin(stdin).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_stdin_from_which_nothing_comes_is_waited_for_until_the_time_is_over() {
    let folder = folder();
    for nanoseconds in [0, 20_000_000] {
        let mut child = spawned(&poller(folder.path(), nanoseconds), Stdio::piped());
        let _open = child.stdin.take();
        assert_eq!(wait(&mut child).code(), Some(10), "{nanoseconds}");
    }
}

#[test]
fn what_comes_ends_the_wait_and_is_there_to_be_read() {
    let folder = folder();
    let mut child = spawned(&poller(folder.path(), HOUR), Stdio::piped());
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    stdout.read_exact(&mut [0]).unwrap();
    stdin.write_all(b"xyz").unwrap();
    let mut printed = String::new();
    stdout.read_to_string(&mut printed).unwrap();
    assert_eq!((wait(&mut child).code(), &printed[..]), (Some(11), "x"));
}

#[test]
fn the_end_of_stdin_ends_the_wait_too() {
    let folder = folder();
    let mut child = spawned(&poller(folder.path(), HOUR), Stdio::null());
    assert_eq!(wait(&mut child).code(), Some(11));
    let mut child = spawned(&poller(folder.path(), HOUR), Stdio::piped());
    child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    drop(child.stdin.take());
    assert_eq!(wait(&mut child).code(), Some(11));
}

#[test]
fn what_is_there_already_needs_no_wait() {
    let folder = folder();
    let text = folder.path().join("text");
    std::fs::write(&text, "some").unwrap();
    let file = std::fs::File::open(&text).unwrap();
    let mut child = spawned(&poller(folder.path(), 0), file.into());
    assert_eq!(wait(&mut child).code(), Some(21));
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"some").unwrap();
    let mut child = spawned(&poller(folder.path(), 0), reader.into());
    assert_eq!(wait(&mut child).code(), Some(21));
}

#[test]
fn a_wait_for_stdin_ends_by_ctrl_c_and_by_a_timeout() {
    let folder = folder();
    let program = poller(folder.path(), HOUR);
    let mut child = spawned(&program, Stdio::piped());
    child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let _open = child.stdin.take();
    assert_eq!(wait(&mut child).code(), Some(130));
    let mut timed = command("run --quiet --timeout 200ms", &[&program]);
    let mut child = timed.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let _open = child.stdin.take();
    assert_eq!(wait(&mut child).code(), Some(124));
}
