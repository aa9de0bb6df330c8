//! Whole modules that are valid: each is refused by a reason or compiled, and then runs to some end.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use procbox::sandbox::{Grants, Program};
use procbox::{Error, Sandbox};
use std::sync::LazyLock;
use std::time::Duration;
use wasm_smith::{Config, Module};

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    let builder = Sandbox::builder().max_processes(4).memory(16 << 20).fuel(1_000_000);
    match builder.cache(false).build() {
        Ok(sandbox) => sandbox,
        Err(e) => panic!("{e}"),
    }
});

/// Modules that could be a program's.
fn config() -> Config {
    let command =
        wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#);
    Config {
        exports: Some(command.unwrap_or_default()),
        max_imports: 0,
        max_memories: 1,
        max_tables: 1,
        exceptions_enabled: true,
        gc_enabled: true,
        memory64_enabled: false,
        threads_enabled: false,
        ..Config::default()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(module) = Module::new(config(), &mut Unstructured::new(bytes)) else { return };
    let Ok(program) = Program::from_bytes("smith", module.to_bytes()) else { panic!("no module") };
    match SANDBOX.context_with(program, Grants::default().quiet(true)) {
        Ok(ctx) => {
            let process = ctx.main([""; 0]).timeout(Duration::from_secs(10)).start();
            let status = process.and_then(|process| process.join());
            assert!(status.is_ok(), "{status:?}");
        }
        Err(Error::NotRunnable { .. }) => {}
        Err(e) => panic!("{e}"),
    }
    assert_eq!(SANDBOX.processes(), 0);
});
