//! A guest that lies: modules that call every import with numbers that make no sense.
//!
//! Whatever they pass, the host goes on and the guest gets a code or a trap. The table below also
//! pins the ABI: a function with another name or signature could not be linked.

use procbox::sandbox::Program;
use procbox::{Queue, Sandbox};
use std::fmt::Write;
use std::time::Duration;

/// Every function of `procbox_1`: `i` is an i32 parameter, `l` an i64, `t` a timeout (i64, which the
/// test keeps short). All return an i32.
const IMPORTS: &[(&str, &str)] = &[
    ("lock_new", ""),
    ("lock_try_acquire", "i"),
    ("lock_acquire", "it"),
    ("lock_release", "i"),
    ("semaphore_new", "i"),
    ("semaphore_try_acquire", "i"),
    ("semaphore_acquire", "it"),
    ("semaphore_release", "i"),
    ("semaphore_forget", "i"),
    ("semaphore_available", "i"),
    ("event_new", ""),
    ("event_set", "i"),
    ("event_clear", "i"),
    ("event_is_set", "i"),
    ("event_wait", "it"),
    ("queue_new", "ll"),
    ("queue_len", "i"),
    ("queue_bounds", "ii"),
    ("queue_close", "i"),
    ("pipe_new", "ii"),
    ("handle_close", "i"),
    ("message_try_put", "iiiii"),
    ("message_put", "iiiiit"),
    ("message_try_get", "iiii"),
    ("message_get", "iiiit"),
    ("message_read", "ii"),
    ("process_start", "iiiii"),
    ("process_pid", "i"),
    ("process_status", "ii"),
    ("process_join", "iit"),
    ("process_terminate", "i"),
    ("process_interrupt", "i"),
    ("process_kill", "i"),
    ("wait_any", "iiit"),
    ("self_arguments", "i"),
    ("self_identity", "i"),
    ("self_workers", "i"),
    ("self_interrupt", "i"),
    ("cpu_count", ""),
    ("connection_listen", "ii"),
    ("connection_try_connect", "ii"),
    ("connection_connect", "iit"),
];

/// A small generator of reproducible numbers (Marsaglia's xorshift64, 2003).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.next() % from.len() as u64) as usize]
    }
}

/// Numbers at which something could go wrong, and small ones that are valid handles.
const EDGES: [i64; 14] =
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 64, 65_532, 65_536, i32::MAX as i64, i32::MIN as i64];

fn module(seed: u64, calls: usize) -> String {
    let mut numbers = Numbers(seed);
    let mut text = String::from("(module\n");
    for (name, parameters) in IMPORTS {
        let types: String =
            parameters.chars().map(|c| if c == 'i' { " i32" } else { " i64" }).collect();
        let _ = writeln!(
            text,
            r#"(import "procbox_1" "{name}" (func ${name} (param{types}) (result i32)))"#
        );
    }
    text.push_str("(memory (export \"memory\") 1)\n");
    text.push_str("(func (export \"procbox_worker_w\") (param i32) (result i32) i32.const 0)\n");
    text.push_str("(func (export \"_start\")\n");
    for _ in 0..calls {
        let (name, parameters) = numbers.pick(IMPORTS);
        for parameter in parameters.chars() {
            let edge = if numbers.next().is_multiple_of(4) {
                numbers.next() as u32 as i32 as i64
            } else {
                numbers.pick(&EDGES)
            };
            let _ = match parameter {
                'i' => write!(text, "i32.const {edge} "),
                'l' => write!(text, "i64.const {edge} "),
                _ => write!(text, "i64.const {} ", numbers.next() % 1000),
            };
        }
        let _ = writeln!(text, "call ${name} drop");
    }
    text.push_str("))");
    text
}

#[test]
fn no_argument_of_a_guest_harms_the_host() {
    let sandbox =
        Sandbox::builder().max_processes(50).memory(1 << 20).cache(false).build().unwrap();
    for seed in 1..=300 {
        let wasm = wat::parse_str(module(seed, 60)).unwrap();
        let program = Program::from_bytes(format!("seed {seed}"), wasm).unwrap();
        let ctx = sandbox.context(program).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let limit = Duration::from_secs(20);
        let status = ctx.main([""; 0]).timeout(limit).start().unwrap().join().unwrap();
        assert!(status.limit().is_none(), "seed {seed}: {status}");
        drop(ctx);
    }
    // The host still works.
    let ctx = sandbox
        .context(Program::from_bytes("empty", wat::parse_str(module(1, 0)).unwrap()).unwrap());
    let ctx = ctx.unwrap();
    let q: Queue<u32> = ctx.queue(1).unwrap();
    q.put(&7).unwrap();
    assert_eq!(q.get(), Ok(7));
    assert!(ctx.main([""; 0]).start().unwrap().join().unwrap().success());
}

#[test]
fn an_import_of_another_version_is_refused_by_name() {
    let sandbox = Sandbox::builder().max_processes(1).build().unwrap();
    let text = r#"(module (import "procbox_2" "lock_new" (func (result i32))))"#;
    let program = Program::from_bytes("new", wat::parse_str(text).unwrap()).unwrap();
    let error = sandbox.context(program).unwrap_err().to_string();
    assert!(error.contains("procbox_2::lock_new"), "{error}");
}
