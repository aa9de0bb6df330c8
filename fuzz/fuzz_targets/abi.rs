//! Guests that call every import in any order with any numbers: none harms the host, and none ends
//! otherwise than it should.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procbox_tests::abi::Liar;
use std::sync::LazyLock;

static LIAR: LazyLock<Liar> = LazyLock::new(|| match Liar::new() {
    Ok(liar) => liar,
    Err(e) => panic!("{e}"),
});

fuzz_target!(|script: &[u8]| {
    let status = LIAR.run(script);
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{status:?}");
    assert_eq!(LIAR.host_works(), Ok(true));
});
