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
