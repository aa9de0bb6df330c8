//! Every case of the contract, four times: on both backends, and there in the parent and in a
//! worker. `native::parent::NAME`, `native::worker::NAME`, `sandbox::parent::NAME`,
//! `sandbox::worker::NAME`.

use procbox_cases::{Trial, conformance};
use procbox_tests::{Backend, watched};

/// Runs a case on a backend.
fn run(backend: Backend, trial: Trial) {
    watched(backend, move |ctx| trial.run(ctx));
}

conformance!(native, |trial| run(Backend::Native, trial));
conformance!(sandbox, |trial| run(Backend::Sandbox, trial), guests);
