//! Answers of an untrusted worker to its pool: whatever the bytes, each task ends, and the pool goes on.
//!
//! To be run with `ASAN_OPTIONS=detect_leaks=0`: what the stack of a suspended worker refers to is
//! taken for leaked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procbox::sandbox::{Grants, Program};
use procbox::{Bytes, Error, Pool, Sandbox};
use std::sync::LazyLock;

/// Answers with the chunk's number and so many bytes of its task as these say themselves: behind the
/// number (8), the part's lengths (8), and the length of the task in two bytes.
const WORKER: &str = r#"(module
(import "procbox_1" "self_arguments" (func $arguments (param i32) (result i32)))
(import "procbox_1" "message_read" (func $read (param i32 i32) (result i32)))
(import "procbox_1" "message_get" (func $get (param i32 i32 i32 i32 i64) (result i32)))
(import "procbox_1" "message_put" (func $put (param i32 i32 i32 i32 i32 i64) (result i32)))
(memory (export "memory") 2)
(func (export "procbox_worker_w") (param i32) (result i32) (local $length i32)
  (drop (call $arguments (i32.const 0)))
  (drop (call $read (i32.const 64) (i32.const 16)))
  (loop $next
    (if (call $get (i32.load (i32.const 16)) (i32.const 64) (i32.const 65536) (i32.const 0) (i64.const -1))
      (then (return (i32.const 0))))
    (local.set $length (i32.load16_u (i32.const 82)))
    (memory.copy (i32.const 72) (i32.const 84) (local.get $length))
    (drop (call $put (i32.load (i32.const 24)) (i32.const 64)
      (i32.add (local.get $length) (i32.const 8)) (i32.const 0) (i32.const 0) (i64.const -1)))
    (br $next))
  (i32.const 0)))"#;

static POOL: LazyLock<Pool<(Bytes,), Bytes>> = LazyLock::new(|| {
    let pool = || {
        let sandbox = Sandbox::builder().max_processes(4).cache(false).build()?;
        let program = Program::from_bytes("w", wat::parse_str(WORKER).unwrap_or_default())?;
        let ctx = sandbox.context_with(program, Grants::default().quiet(true))?;
        ctx.pool::<(Bytes,), Bytes>("w").workers(1).chunk_size(1).build()
    };
    match pool() {
        Ok(pool) => pool,
        Err(e) => panic!("{e}"),
    }
});

/// The lengths of a task whose own length takes two bytes.
const LENGTHS: std::ops::Range<usize> = 128..16_000;

fn answered(answer: &[u8]) -> procbox::Result<Bytes> {
    let mut task = (answer.len() as u16).to_le_bytes().to_vec();
    task.extend(answer);
    task.resize(task.len().max(LENGTHS.start), 0);
    POOL.apply((Bytes(task),))
}

fuzz_target!(|answer: &[u8]| {
    if answer.len() + 2 >= LENGTHS.end {
        return;
    }
    match answered(answer) {
        Ok(_) | Err(Error::Task(_) | Error::Decode { .. }) => {}
        Err(e) => panic!("{e:?}"),
    }
    // The end of a task with a result, in an answer that is as it should be.
    let whole = [&[0, 3, 0, 0, 0, 0, 0, 0, 0][..], &[2, 7, 7]].concat();
    assert_eq!(answered(&whole), Ok(Bytes(vec![7, 7])));
});
