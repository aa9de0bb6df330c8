//! Calls that take long, or for ever: none of them holds a thread of the host, and each ends when its
//! process is ended.

use crate::frame::{Attack, Gets, beside_an_honest_one, main, make};
use procbox::Limit;
use procbox::sandbox::{Grants, Program};
use procbox_tests::PATIENCE;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(200);

/// A program with what it needs of WASI, whose `_start` is this; `$path` is where its path is.
fn program(path: &str, body: &str) -> String {
    format!(
        r#"(module
(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
(import "wasi_snapshot_preview1" "path_open"
  (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_symlink"
  (func $path_symlink (param i32 i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_sync" (func $fd_sync (param i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_readdir"
  (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
(import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
(memory (export "memory") 900)
(data (i32.const 1024) "{path}")
(func $open (param $oflags i32) (param $rights i64) (result i32)
  (call $path_open (i32.const 3) (i32.const 1) (i32.const 1024) (i32.const {len})
    (local.get $oflags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 16)))
(func (export "_start") {body}))"#,
        len = path.len()
    )
}

/// One that opens a path for reading and exits with the error number.
fn opens(tries: &str, path: &str, dir: &Path, gets: i32) -> Attack {
    let body = "(call $exit (call $open (i32.const 0) (i64.const 2)))";
    main(tries, program(path, body), Gets::Exits(gets)).granted(Grants::default().dir(dir, "/dir"))
}

/// One that does this for ever, and is out of time.
fn for_ever(tries: &str, path: &str, first: &str, again: &str) -> Attack {
    let body = format!("{first} (loop $l {again} (br $l))");
    main(tries, program(path, &body), Gets::Breaks(Limit::WallClock)).timeout(SOON)
}

#[test]
fn only_files_and_directories_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "text").unwrap();
    std::fs::create_dir(dir.path().join("dir")).unwrap();
    let fifo = dir.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::os::unix::fs::symlink("fifo", dir.path().join("link")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap());
    make([
        opens("to open a file", "file", dir.path(), 0),
        opens("to open a directory", "dir", dir.path(), 0),
        opens("to open what is not there", "nothing", dir.path(), 44),
        opens("to wait in the opening of a FIFO", "fifo", dir.path(), 2),
        opens("to wait there by a link", "link", dir.path(), 2),
        opens("to open a socket", "socket", dir.path(), 2),
    ]);
}

#[test]
fn a_link_that_leads_out_of_its_directory_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let link = |tries: &str, target: &str, gets| {
        let body = format!(
            r#"(call $exit (call $path_symlink (i32.const 1024) (i32.const {}) (i32.const 3)
                 (i32.const 1024) (i32.const 1)))"#,
            target.len()
        );
        main(tries, program(target, &body), Gets::Exits(gets))
            .granted(Grants::default().dir(dir.path(), "/dir"))
    };
    make([
        link("to leave a link to a file of the host", "/etc/passwd", 63),
        link("to leave a link to what is above", "../secret", 63),
        link("to leave a link to what is above, later", "a/../../secret", 63),
        link("to make a link to what is beside it", "beside", 0),
    ]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_timeout_holds_in_calls_that_take_long() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..500 {
        std::fs::write(dir.path().join(format!("{n}")), "").unwrap();
    }
    let granted = || Grants::default().dir(dir.path(), "/dir");
    let sync = "(drop (call $fd_sync (i32.load (i32.const 16))))";
    let read = "(drop (call $fd_readdir (i32.const 3) (i32.const 65536) (i32.const 8388608)
        (i64.const 0) (i32.const 16)))";
    let open = "(drop (call $open (i32.const 1) (i64.const 64)))";
    let random = "(drop (call $random_get (i32.const 65536) (i32.const 52428800)))";
    // A clock subscription of the most nanoseconds there are.
    let sleep = "(i64.store (i32.const 64) (i64.const 0)) (i64.store (i32.const 80) (i64.const 1))
        (i64.store (i32.const 88) (i64.const -1))
        (drop (call $poll_oneoff (i32.const 64) (i32.const 4096) (i32.const 1) (i32.const 16)))";
    make([
        for_ever("to write through for ever", "0", open, sync).granted(granted()),
        for_ever("to list a directory for ever", "0", "", read).granted(granted()),
        for_ever("to make random bytes for ever", "0", "", random),
        for_ever("to sleep for ever", "0", "", sleep),
    ]);
}

#[test]
fn many_random_bytes_are_the_work_of_who_wants_them() {
    let random =
        "(loop $l (drop (call $random_get (i32.const 65536) (i32.const 52428800))) (br $l))";
    let attack = |tries: &str, limit| main(tries, program("", random), Gets::Breaks(limit));
    attack("to have them made for no CPU time", Limit::CpuTime).cpu_time(SOON).make();
    attack("to have them made for no fuel", Limit::Fuel).fuel(10_000_000).make();
}

#[test]
fn a_poll_of_more_than_there_can_be_is_refused() {
    let body = "(call $exit (call $poll_oneoff (i32.const 0) (i32.const 4096) (i32.const 1000000)
        (i32.const 16)))";
    main("to wait for a million things", program("", body), Gets::Exits(28)).make();
}

#[test]
fn a_program_knows_its_name_and_not_where_it_lies() {
    let body = "(drop (call $args_sizes_get (i32.const 16) (i32.const 20)))
        (call $exit (i32.load (i32.const 20)))";
    let module = wat::parse_str(program("", body)).unwrap();
    let program = Program::from_bytes("/home/somebody/secret/a.wasm", module).unwrap();
    beside_an_honest_one(
        "to know a path of the host",
        |builder| builder,
        |sandbox, _| {
            let ctx = sandbox.context(program.clone()).unwrap();
            let status = ctx.main([""; 0]).start().unwrap().join_timeout(PATIENCE).unwrap();
            assert_eq!(status.exitcode() as usize, "a.wasm\0".len());
        },
    );
}
