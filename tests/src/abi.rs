//! A guest that does whatever it is told: it calls every import of the ABI, in any order, with any
//! numbers.
//!
//! Its arguments are its script. A step is the number of an import and its parameters. A parameter
//! is a small number in one byte, as handles, lengths and low addresses are, or four or eight bytes
//! behind one that says so. So a random script has valid handles among nonsense, and what a fuzzer
//! changes in it stays a script.

use procbox::backend::{Handle, Message};
use procbox::sandbox::Program;
use procbox::{Context, ExitStatus, Result, Sandbox, Wait};
use procbox_abi::{IMPORTS, MAIN, MEMORY, MODULE, Parameter, ValueType, WORKER_PREFIX};
use std::fmt::Write;
use std::time::Duration;

/// No script is in the middle of something for longer than this, so one that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// The script's address in the guest's memory, and its greatest length: the second of two pages.
const SCRIPT: usize = 65_536;

/// The guest's text. `$i32` and `$i64` take the next parameter off the script; behind its end there
/// are zeroes.
fn text() -> String {
    let mut text = String::from("(module\n");
    for import in IMPORTS {
        let name = import.name;
        let types: String = import.parameters.iter().map(|p| type_of(p.ty)).collect();
        let result = type_of(import.result);
        let _ = writeln!(
            text,
            r#"(import "{MODULE}" "{name}" (func ${name} (param{types}) (result{result})))"#
        );
    }
    let _ = writeln!(
        text,
        r#"
(memory (export "{MEMORY}") 2)
(global $at (mut i32) (i32.const {SCRIPT}))
(global $end (mut i32) (i32.const {SCRIPT}))
(func $byte (result i32)
  (if (i32.ge_u (global.get $at) (global.get $end)) (then (return (i32.const 0))))
  (i32.load8_u (global.get $at))
  (global.set $at (i32.add (global.get $at) (i32.const 1))))
(func $i32 (result i32) (local $n i32)
  (local.set $n (call $byte))
  (if (i32.lt_u (local.get $n) (i32.const 128)) (then (return (local.get $n))))
  (i32.or (i32.or (call $byte) (i32.shl (call $byte) (i32.const 8)))
    (i32.or (i32.shl (call $byte) (i32.const 16)) (i32.shl (call $byte) (i32.const 24)))))
(func $i64 (result i64)
  (i64.or (i64.extend_i32_u (call $i32)) (i64.shl (i64.extend_i32_u (call $i32)) (i64.const 32))))
(func $run (local $step i32)
  (loop $next
    (if (i32.ge_u (global.get $at) (global.get $end)) (then (return)))
    (local.set $step (i32.rem_u (call $byte) (i32.const {})))"#,
        IMPORTS.len()
    );
    for (n, import) in IMPORTS.iter().enumerate() {
        let name = import.name;
        let parameters: String = import.parameters.iter().map(next).collect();
        let _ = writeln!(
            text,
            "(if (i32.eq (local.get $step) (i32.const {n})) \
               (then (drop (call ${name}{parameters})) (br $next)))"
        );
    }
    let _ = write!(
        text,
        r#"))
(func (export "{WORKER_PREFIX}w") (param i32) (result i32)
  (drop (call $self_arguments (i32.const 0)))
  (drop (call $message_read (global.get $at) (i32.const 8)))
  (global.set $end (i32.add (global.get $at) (i32.load (i32.const 0))))
  (call $run)
  (i32.const 0))
(func (export "{MAIN}")))"#,
    );
    text
}

fn type_of(ty: ValueType) -> &'static str {
    match ty {
        ValueType::I32 => " i32",
        ValueType::I64 => " i64",
    }
}

/// The next parameter off the script. A timeout is kept short: a microsecond at most.
fn next(parameter: &Parameter) -> &'static str {
    match (parameter.name, parameter.ty) {
        (_, ValueType::I32) => " (call $i32)",
        ("timeout", ValueType::I64) => " (i64.and (call $i64) (i64.const 1023))",
        (_, ValueType::I64) => " (call $i64)",
    }
}

/// A sandbox for such guests.
#[derive(Debug)]
pub struct Liar {
    sandbox: Sandbox,
    ctx: Context,
}

impl Liar {
    /// The guest is compiled once.
    ///
    /// # Errors
    /// If there can be no sandbox here, or an import has another signature than the table says.
    ///
    /// # Panics
    /// If the guest's text is no WebAssembly.
    pub fn new() -> Result<Liar> {
        let wasm = wat::parse_str(text()).unwrap_or_else(|e| panic!("{e}"));
        let sandbox = Sandbox::builder().max_processes(50).memory(4 << 20).cache(false).build()?;
        let ctx = sandbox.context(Program::from_bytes("liar", wasm)?)?;
        Ok(Liar { sandbox, ctx })
    }

    /// Runs a script, cut to what fits.
    ///
    /// # Errors
    /// What starting and joining say.
    pub fn run(&self, script: &[u8]) -> Result<ExitStatus> {
        self.run_with(script, Vec::new())
    }

    fn run_with(&self, script: &[u8], handles: Vec<Handle>) -> Result<ExitStatus> {
        let bytes = script[..script.len().min(SCRIPT)].to_vec();
        let arguments = Message { bytes, handles };
        self.ctx.process("w").raw_args(arguments).timeout(PATIENCE).start()?.join()
    }

    /// True if a guest does what its script says: here, that it puts two messages into a queue.
    ///
    /// # Errors
    /// What starting and joining say.
    pub fn does_as_told(&self) -> Result<bool> {
        let put = IMPORTS.iter().position(|import| import.name == "message_try_put");
        let put = put.unwrap_or_default() as u8;
        let q = self.ctx.queue::<()>(9)?;
        // Handle 1, and bytes of the script itself, whose address takes a byte that says so and four.
        let at = |offset: u32| [&[128][..], &(SCRIPT as u32 + offset).to_le_bytes()].concat();
        let step = |from: u32, len: u8| [&[put, 1][..], &at(from), &[len, 0, 0]].concat();
        let script = [step(0, 2), step(1, 1), step(1 << 20, 1)].concat();
        let status = self.run_with(&script, vec![Handle::Queue(q.raw().clone())])?;
        let mut said = Message::default();
        let mut get = || q.raw().get(&mut said, Wait::Never).map(|()| said.bytes.clone());
        let messages = [get()?, get()?];
        // The third was not in its memory.
        Ok(status.success() && messages == [vec![put, 1], vec![1]] && q.is_empty())
    }

    /// Waits until no process is left, and says whether the host still does what it should.
    ///
    /// # Errors
    /// What the host does not do.
    pub fn host_works(&self) -> Result<bool> {
        while self.sandbox.processes() > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let q = self.ctx.queue::<u32>(1)?;
        q.put(&7)?;
        Ok(q.get()? == 7 && self.run(&[])?.success())
    }
}
