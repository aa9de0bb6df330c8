//! What a native program's file says of its workers: any bytes behind an ELF file's first ones.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procbox::{Error, native};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;

static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("procbox-fuzz-{}", std::process::id())));

/// The beginning of a 64-bit file, little-endian, so that the fuzzer need not find it.
const BEGINNING: [u8; 7] = *b"\x7fELF\x02\x01\x01";

fuzz_target!(|bytes: &[u8]| {
    let whole = [&BEGINNING, bytes].concat();
    let written = std::fs::write(&*FILE, whole);
    let made =
        written.and_then(|()| std::fs::set_permissions(&*FILE, Permissions::from_mode(0o755)));
    assert!(made.is_ok(), "{made:?}");
    match native::Program::open(&*FILE) {
        Ok(program) => drop(program.workers()),
        Err(Error::NotRunnable { .. }) => {}
        Err(e) => panic!("{e}"),
    }
});
