//! Cases of the contract on a bridge, where processes run natively and sandboxed by turns:
//! `native_first::parent::NAME` and so on. A worker that runs a case itself is on one side, with all that
//! it starts; what it makes and hands out is the bridge's all the same.

use procbox::Backend;
use procbox_cases::{Trial, conformance};
use procbox_tests::mixed::by_turns;
use procbox_tests::watched_in;

/// Runs a case, beginning on one side.
fn run(first: Backend, trial: Trial) {
    watched_in(by_turns(first), move |ctx| trial.run(ctx));
}

conformance!(native_first, |trial| run(Backend::Native, trial));
conformance!(sandboxed_first, |trial| run(Backend::Sandbox, trial), guests);
