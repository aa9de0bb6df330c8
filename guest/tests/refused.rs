//! Programs that the compiler has to refuse, each with the message that its author reads: what is no
//! worker, and calls of workers with other arguments than theirs.
//!
//! A message is in the `.stderr` beside its program. `TRYBUILD=overwrite` writes them anew, for another
//! compiler: read the difference before it is committed.

#[test]
fn what_is_no_worker_is_refused_with_a_reason() {
    trybuild::TestCases::new().compile_fail("tests/refused/worker_*.rs");
}

#[test]
fn a_call_that_does_not_fit_its_worker_is_refused() {
    trybuild::TestCases::new().compile_fail("tests/refused/call_*.rs");
}
