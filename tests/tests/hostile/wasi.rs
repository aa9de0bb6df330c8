//! Bad arguments in every function of WASI, and paths that lead out of a granted directory.

use crate::frame::{Attack, Gets, main, make};
use procbox::sandbox::Grants;
use std::path::Path;

/// The functions but `proc_exit`, with their parameters: `i` has 32 bits, `l` 64.
const FUNCTIONS: [(&str, &str); 45] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "ili"),
    ("fd_advise", "illi"),
    ("fd_allocate", "ill"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "ill"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"),
    ("fd_pread", "iiili"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiili"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"),
    ("fd_seek", "ilii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiillii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// One that calls this with a first argument, and this number as every other.
fn calls((name, parameters): (&str, &str), first: i32, bad: i32) -> Attack {
    let types = parameters.chars().map(|c| if c == 'l' { " i64" } else { " i32" });
    let arguments = parameters.chars().enumerate().map(|(i, c)| match (i, c) {
        (0, _) => format!(" (i32.const {first})"),
        (_, 'l') => format!(" (i64.const {bad})"),
        _ => format!(" (i32.const {bad})"),
    });
    let text = format!(
        r#"(module (import "wasi_snapshot_preview1" "{name}" (func $f (param{}) (result i32)))
(memory (export "memory") 1) (func (export "_start") (drop (call $f{}))))"#,
        types.collect::<String>(),
        arguments.collect::<String>()
    );
    main(format!("{name} with {first} and {bad}"), text, Gets::Ends)
}

#[test]
fn a_bad_argument_ends_nobody_but_who_gave_it() {
    for bad in [-1, 65_533, i32::MIN] {
        make(FUNCTIONS.map(|function| calls(function, bad, bad)));
    }
}

#[test]
fn a_bad_argument_beside_a_granted_directory_ends_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let granted = |attack: Attack| attack.granted(Grants::default().dir(dir.path(), "/dir"));
    make(FUNCTIONS.map(|function| granted(calls(function, 3, -1))));
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
