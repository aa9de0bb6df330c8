//! Output that nobody reads: the command ends when it is to end, all the same.

use super::*;

/// Prints for ever, to this descriptor.
fn flood(folder: &Path, descriptor: u32) -> PathBuf {
    let text = format!(
        r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 2)
        (data (i32.const 16) "\80\00\00\00\00\80\00\00")
        (func (export "_start")
          (loop $l (drop (call $write (i32.const {descriptor}) (i32.const 16) (i32.const 1) (i32.const 32))) (br $l))))"#
    );
    let path = folder.join(format!("flood-{descriptor}.wat"));
    std::fs::write(&path, text).unwrap();
    path
}

fn unread(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_timeout_holds_while_nobody_reads_what_is_printed() {
    let folder = folder();
    for descriptor in [1, 2] {
        let program = flood(folder.path(), descriptor);
        let mut child = unread(&mut command("run --quiet --timeout 200ms", &[&program]));
        assert_eq!(wait(&mut child).code(), Some(124), "descriptor {descriptor}");
    }
}

#[test]
fn ctrl_c_holds_while_nobody_reads_what_is_printed() {
    let folder = folder();
    let mut child = unread(&mut command("run", &[&flood(folder.path(), 1)]));
    // It runs when the first byte comes; no other is read.
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(wait(&mut child).code(), Some(130));
}

#[test]
fn all_that_is_printed_comes_out_however_late_it_is_read() {
    let folder = folder();
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 20)
        (data (i32.const 16) "\80\00\00\00\00\00\10\00")
        (func (export "_start")
          (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)))))"#;
    let path = folder.path().join("much.wat");
    std::fs::write(&path, text).unwrap();
    let mut child = unread(&mut command("run", &[&path]));
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert_eq!((rest.len() + 1, wait(&mut child).code()), (1 << 20, Some(0)));
}
