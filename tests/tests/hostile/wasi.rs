//! Bad arguments in every function of WASI, and paths that lead out of a granted directory.

use crate::frame::{Attack, Gets, main, make};
use procbox::sandbox::Grants;
use std::path::Path;

/// The functions but `proc_exit`, with their parameters, `i` of 32 bits and `l` of 64, and what they come
/// to, an error number or a trap: with each of [`BAD`] everywhere; beside the granted directory 3 and
/// stdout, with -1 everywhere else.
const FUNCTIONS: [(&str, &str, [i32; 3], i32, i32); 45] = [
    ("args_get", "ii", [-11, -11, -11], -11, -11),
    ("args_sizes_get", "ii", [-11, -11, -11], -11, -11),
    ("environ_get", "ii", [0, 0, 0], 0, 0),
    ("environ_sizes_get", "ii", [-11, -11, -11], -11, -11),
    ("clock_res_get", "ii", [-11, -11, -11], 8, -11),
    ("clock_time_get", "ili", [-11, -11, -11], 8, -11),
    ("fd_advise", "illi", [-11, -11, -11], -11, -11),
    ("fd_allocate", "ill", [8, 8, 8], 8, 8),
    ("fd_close", "i", [8, 8, 8], 0, 0),
    ("fd_datasync", "i", [8, 8, 8], 8, 8),
    ("fd_fdstat_get", "ii", [8, 8, 8], -11, -11),
    ("fd_fdstat_set_flags", "ii", [-11, -11, -11], -11, -11),
    ("fd_fdstat_set_rights", "ill", [-11, 8, -11], -11, -11),
    ("fd_filestat_get", "ii", [8, 8, 8], -11, -11),
    ("fd_filestat_set_size", "il", [8, 8, 8], 8, 8),
    ("fd_filestat_set_times", "illi", [-11, -11, -11], -11, -11),
    ("fd_pread", "iiili", [48, -11, 48], 48, 48),
    ("fd_prestat_get", "ii", [8, 8, 8], -11, 8),
    ("fd_prestat_dir_name", "iii", [8, 8, 8], -11, 54),
    ("fd_pwrite", "iiili", [48, -11, 48], 48, 48),
    ("fd_read", "iiii", [48, -11, 48], 48, 48),
    ("fd_readdir", "iiili", [8, 8, 8], -11, 8),
    ("fd_renumber", "ii", [8, 8, 8], 8, 8),
    ("fd_seek", "ilii", [-11, -11, -11], -11, -11),
    ("fd_sync", "i", [8, 8, 8], 8, 8),
    ("fd_tell", "ii", [8, 8, 8], 8, 70),
    ("fd_write", "iiii", [48, -11, 48], 48, 48),
    ("path_create_directory", "iii", [8, 8, 8], 48, 8),
    ("path_filestat_get", "iiiii", [-11, -11, -11], -11, -11),
    ("path_filestat_set_times", "iiiilli", [-11, -11, -11], -11, -11),
    ("path_link", "iiiiiii", [-11, -11, -11], -11, -11),
    ("path_open", "iiiiillii", [37, 37, 37], 37, 37),
    ("path_readlink", "iiiiii", [8, 8, 8], 48, 8),
    ("path_remove_directory", "iii", [8, 8, 8], 48, 8),
    ("path_rename", "iiiiii", [8, 8, 8], 8, 8),
    ("path_symlink", "iiiii", [37, 37, 37], 37, 37),
    ("path_unlink_file", "iii", [8, 8, 8], -11, 8),
    ("poll_oneoff", "iiii", [28, 28, 28], 28, 28),
    ("proc_raise", "i", [-11, -11, -11], 58, 58),
    ("random_get", "ii", [28, 21, 28], 28, 28),
    ("sched_yield", "", [0, 0, 0], 0, 0),
    ("sock_accept", "iii", [-11, -11, -11], -11, -11),
    ("sock_recv", "iiiiii", [-11, -11, -11], -11, -11),
    ("sock_send", "iiiii", [-11, 8, -11], -11, -11),
    ("sock_shutdown", "ii", [-11, -11, -11], -11, -11),
];

const BAD: [i32; 3] = [-1, 65_533, i32::MIN];

/// One that calls this with a first argument, and this number as every other, and exits with the error.
fn calls(name: &str, parameters: &str, first: i32, bad: i32, error: i32) -> Attack {
    let types = parameters.chars().map(|c| if c == 'l' { " i64" } else { " i32" });
    let arguments = parameters.chars().enumerate().map(|(i, c)| match (i, c) {
        (0, _) => format!(" (i32.const {first})"),
        (_, 'l') => format!(" (i64.const {bad})"),
        _ => format!(" (i32.const {bad})"),
    });
    let text = format!(
        r#"(module (import "wasi_snapshot_preview1" "{name}" (func $f (param{}) (result i32)))
(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
(memory (export "memory") 1)
(func (export "_start") (call $exit (call $f{}))))"#,
        types.collect::<String>(),
        arguments.collect::<String>()
    );
    main(format!("{name} with {first} and {bad}"), text, Gets::Exits(error))
}

#[test]
fn a_bad_argument_is_an_error_number_or_the_trap_of_who_gave_it() {
    make(FUNCTIONS.into_iter().flat_map(|(name, parameters, errors, _, _)| {
        let with_error = BAD.into_iter().zip(errors);
        with_error.map(move |(bad, error)| calls(name, parameters, bad, bad, error))
    }));
}

#[test]
fn a_bad_argument_beside_a_descriptor_that_is_right_is_too() {
    let dir = tempfile::tempdir().unwrap();
    let granted = || Grants::default().dir(dir.path(), "/dir");
    make(FUNCTIONS.into_iter().flat_map(|(name, parameters, _, directory, stdout)| {
        [
            calls(name, parameters, 3, -1, directory).granted(granted()),
            calls(name, parameters, 1, -1, stdout),
        ]
    }));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// One that calls a function of a path and exits with 1 if that is done.
fn goes(function: &str, parameters: &str, arguments: &str, path: &str, dir: &Path) -> Attack {
    let text = format!(
        r#"(module
(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
(import "wasi_snapshot_preview1" "{function}" (func $f (param {parameters}) (result i32)))
(memory (export "memory") 1) (data (i32.const 1024) "{path}")
(func (export "_start") (call $exit (i32.eqz (call $f {arguments})))))"#
    );
    main(format!("{function} of {path}"), text, Gets::Exits(0))
        .granted(Grants::default().dir(dir, "/dir"))
}

#[test]
fn no_path_leads_out_of_a_granted_directory() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("granted");
    std::fs::create_dir(&dir).unwrap();
    std::fs::create_dir(dir.join("a")).unwrap();
    std::fs::create_dir(outer.path().join("empty")).unwrap();
    std::fs::write(outer.path().join("secret"), "secret").unwrap();
    let secret = outer.path().join("secret");
    std::os::unix::fs::symlink(&secret, dir.join("absolute")).unwrap();
    std::os::unix::fs::symlink("../secret", dir.join("relative")).unwrap();
    std::os::unix::fs::symlink("..", dir.join("up")).unwrap();
    let secret = secret.to_str().unwrap();
    let paths =
        ["../secret", "a/../../secret", "./../secret", "a/./../../secret", "up/secret", secret];
    for path in paths.into_iter().chain(["absolute", "relative", "/etc/passwd"]) {
        let at = format!("(i32.const 1024) (i32.const {})", path.len());
        let open = format!(
            "(i32.const 3) (i32.const 1) {at} (i32.const 0) (i64.const 2) (i64.const 0)
             (i32.const 0) (i32.const 16)"
        );
        let stat = format!("(i32.const 3) (i32.const 1) {at} (i32.const 64)");
        make([
            goes("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32", &open, path, &dir),
            goes("path_filestat_get", "i32 i32 i32 i32 i32", &stat, path, &dir),
        ]);
    }
    for path in ["../secret", "up/secret", "../empty", "up/empty", "../new", "up/new"] {
        let at = format!("(i32.const 3) (i32.const 1024) (i32.const {})", path.len());
        for function in ["path_unlink_file", "path_remove_directory", "path_create_directory"] {
            make([goes(function, "i32 i32 i32", &at, path, &dir)]);
        }
    }
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "secret");
    assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 3);
}

/// One that polls these subscriptions: their kind, and the 24 bytes behind it as three numbers. It exits
/// with `then`, which sees how many events there are in `$n` and has `$event`, the error number of one.
fn polls(tries: &str, subscriptions: &[(u8, [u64; 3])], then: &str, exits: i32) -> Attack {
    let mut stores = String::new();
    for (n, (kind, numbers)) in subscriptions.iter().enumerate() {
        let at = 1024 + n * 48;
        stores += &format!("(i64.store (i32.const {at}) (i64.const {n}))");
        stores += &format!("(i32.store8 (i32.const {}) (i32.const {kind}))", at + 8);
        for (i, number) in numbers.iter().enumerate() {
            let at = at + [16, 24, 40][i];
            stores += &format!("(i64.store (i32.const {at}) (i64.const {number}))");
        }
    }
    let count = subscriptions.len();
    let text = format!(
        r#"(module
(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
(memory (export "memory") 1)
(func $event (param $n i32) (result i32)
  (i32.load16_u offset=4104 (i32.mul (local.get $n) (i32.const 32))))
(func (export "_start") (local $n i32) {stores}
  (local.set $n (call $poll (i32.const 1024) (i32.const 4096) (i32.const {count}) (i32.const 16)))
  (if (i32.eqz (local.get $n)) (then (local.set $n (i32.load (i32.const 16)))))
  (call $exit {then})))"#
    );
    main(tries, text, Gets::Exits(exits))
}

#[test]
fn a_poll_says_what_is_not_open_and_waits_for_nothing_else_then() {
    const CLOCK: u8 = 0;
    const READ: u8 = 1;
    const WRITE: u8 = 2;
    const HOUR: u64 = 3_600_000_000_000;
    let for_an_hour = (CLOCK, [1, HOUR, 0]);
    let first = "(i32.add (i32.mul (local.get $n) (i32.const 10)) (call $event (i32.const 0)))";
    for (tries, kind, fd, due) in [
        ("what was never open", READ, 77, 18),
        ("a negative descriptor", READ, u64::from(u32::MAX), 18),
        ("the largest there is", WRITE, i32::MAX as u64, 18),
        ("to read stdout", READ, 1, 18),
        ("to write to stdin", WRITE, 0, 18),
        ("an empty stdin", READ, 0, 10),
        ("stdout", WRITE, 1, 10),
        ("stderr", WRITE, 2, 10),
    ] {
        make([polls(tries, &[for_an_hour, (kind, [fd, 0, 0])], first, due)]);
    }
    let closed = "(drop (call $close (i32.const 0))) (drop (call $poll (i32.const 1024)
        (i32.const 4096) (i32.const 2) (i32.const 16))) (call $event (i32.const 0))";
    let renumbered = "(drop (call $renumber (i32.const 0) (i32.const 1))) (drop (call $poll
        (i32.const 1024) (i32.const 4096) (i32.const 2) (i32.const 16)))
        (i32.add (i32.mul (call $event (i32.const 0)) (i32.const 10)) (call $event (i32.const 1)))";
    let both = [(READ, [0, 0, 0]), (READ, [1, 0, 0])];
    make([
        polls("what was closed", &[(READ, [0, 0, 0]), (CLOCK, [0, 0, 0])], closed, 8),
        polls("what has another number now", &both, renumbered, 80),
        polls("a clock that there is not", &[for_an_hour, (CLOCK, [7, 1, 0])], first, 38),
        polls("a moment long ago", &[for_an_hour, (CLOCK, [0, 1, 1])], first, 10),
        polls("a moment of the monotonic clock", &[(CLOCK, [1, 0, 1])], first, 10),
        polls("what is of no kind", &[(3, [0, 0, 0])], "(local.get $n)", 28),
        polls("what is of no kind at all", &[for_an_hour, (255, [0, 0, 0])], "(local.get $n)", 28),
    ]);
    // Out of the memory: before it waits for an hour.
    for (subs, events, count, due) in [
        (65_500, 4096, 16, 21),
        (-1, 4096, 16, 21),
        (1024, 65_535, 16, 21),
        (1024, -1, 16, 21),
        (1024, 4096, -1, 21),
    ] {
        let call = format!(
            "(i64.store (i32.const 1048) (i64.const {})) (call $poll (i32.const {subs})
             (i32.const {events}) (i32.const 1) (i32.const {count}))",
            if count < 0 { 1 } else { HOUR }
        );
        make([polls("to have an answer elsewhere", &[(CLOCK, [1, 0, 0])], &call, due)]);
    }
}

#[test]
fn a_file_is_always_ready_and_says_how_much_is_left() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "seven..").unwrap();
    let text = r#"(module
(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
(import "wasi_snapshot_preview1" "path_open"
  (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
(memory (export "memory") 1) (data (i32.const 8) "f")
(func $left (param $fd i32) (result i32)
  (i32.store8 (i32.const 1032) (i32.const 1)) (i32.store (i32.const 1040) (local.get $fd))
  (i64.store (i32.const 1096) (i64.const 3600000000000))
  (if (call $poll (i32.const 1024) (i32.const 4096) (i32.const 2) (i32.const 16)) (then unreachable))
  (if (i32.ne (i32.load (i32.const 16)) (i32.const 1)) (then unreachable))
  (if (i32.load16_u (i32.const 4104)) (then unreachable))
  (i32.load (i32.const 4112)))
(func (export "_start") (local $all i32)
  (if (call $open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 0)
    (i64.const 6) (i64.const 6) (i32.const 0) (i32.const 32)) (then unreachable))
  (local.set $all (call $left (i32.load (i32.const 32))))
  (drop (call $seek (i32.load (i32.const 32)) (i64.const 5) (i32.const 0) (i32.const 64)))
  (call $exit (i32.add (i32.mul (local.get $all) (i32.const 10))
    (call $left (i32.load (i32.const 32)))))))"#;
    let granted = Grants::default().dir_read_only(dir.path(), "/dir");
    make([main("to wait for a file", text, Gets::Exits(72)).granted(granted)]);
}
