//! Guests that do the same over and over, long enough to build structures: queues in queues, circles,
//! children of children. None harms the host, and all that they made goes with them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procbox_tests::abi::Liar;
use std::sync::LazyLock;

/// Bytes of a script, some ten thousand calls.
const LENGTH: usize = 65_536;
/// The longest part that is repeated.
const PART: usize = 512;

static LIAR: LazyLock<Liar> = LazyLock::new(|| match Liar::new() {
    Ok(liar) => liar,
    Err(e) => panic!("{e}"),
});

fuzz_target!(|part: &[u8]| {
    if part.is_empty() || part.len() > PART {
        return;
    }
    let script: Vec<u8> = part.iter().copied().cycle().take(LENGTH).collect();
    let status = LIAR.run(&script);
    // One that is out of a limit is ended for that.
    assert!(status.as_ref().is_ok_and(|s| s.success() || s.limit().is_some()), "{status:?}");
    assert_eq!(LIAR.host_works(), Ok(true));
});
