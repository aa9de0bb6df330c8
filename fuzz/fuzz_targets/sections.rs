//! What a module says of its workers, in a custom section of any content, and modules of any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procbox::sandbox::Program;
use procbox::{Error, Sandbox};
use std::sync::LazyLock;

static SANDBOX: LazyLock<Sandbox> =
    LazyLock::new(|| match Sandbox::builder().max_processes(4).cache(false).build() {
        Ok(sandbox) => sandbox,
        Err(e) => panic!("{e}"),
    });

/// A module with a worker and a `main`.
static MODULE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let text = r#"(module (func (export "_start"))
        (func (export "procbox_worker_w") (param i32) (result i32) (i32.const 0)))"#;
    wat::parse_str(text).unwrap_or_default()
});

const NAME: &[u8] = b".procbox";

fn leb128(mut n: usize, to: &mut Vec<u8>) {
    while n > 0x7f {
        to.push(n as u8 | 0x80);
        n >>= 7;
    }
    to.push(n as u8);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let mut module = MODULE.clone();
    let is_section = kind % 2 == 0;
    if is_section {
        module.push(0);
        leb128(1 + NAME.len() + bytes.len(), &mut module);
        module.push(NAME.len() as u8);
        module.extend(NAME);
    } else {
        module.truncate(8);
    }
    module.extend(bytes);
    let Ok(program) = Program::from_bytes("sections", module) else { panic!("no module") };
    match SANDBOX.context(program).and_then(|ctx| ctx.workers()) {
        Ok(workers) if is_section => assert_eq!(workers.len(), 1),
        Ok(_) => {}
        Err(Error::NotRunnable { .. }) if !is_section => {}
        Err(e) => panic!("{e}"),
    }
});
