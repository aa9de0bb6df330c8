//! A guest that lies: one that calls every import with numbers that make no sense.
//!
//! Whatever it passes, the host goes on and the guest gets a code. The table of imports that the guest
//! is made from also pins the ABI: a function with another name or signature could not be linked.
//! `fuzz/` has the same for a fuzzer.

use procbox::sandbox::Program;
use procbox::{ExitStatus, Sandbox};
use procbox_tests::abi::Liar;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn no_script_of_a_guest_harms_the_host(
        scripts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..4),
    ) {
        thread_local! {
            static LIAR: Liar = Liar::new().unwrap();
        }
        LIAR.with(|liar| {
            for script in scripts {
                prop_assert_eq!(liar.run(&script), Ok(ExitStatus::SUCCESS));
            }
            prop_assert_eq!(liar.host_works(), Ok(true));
            Ok(())
        })?;
    }
}

#[test]
fn a_guest_does_as_its_script_says() {
    assert_eq!(Liar::new().and_then(|liar| liar.does_as_told()), Ok(true));
}

#[test]
fn an_import_of_another_version_is_refused_by_name() {
    let sandbox = Sandbox::builder().max_processes(1).build().unwrap();
    let text = r#"(module (import "procbox_2" "lock_new" (func (result i32))))"#;
    let program = Program::from_bytes("new", wat::parse_str(text).unwrap()).unwrap();
    let error = sandbox.context(program).unwrap_err().to_string();
    assert!(error.contains("procbox_2::lock_new"), "{error}");
}
