//! A component of the world `procbox:worker/worker`, whose workers the tests call: each does one thing with
//! what it is handed, and says what came of it.
#![cfg_attr(target_family = "wasm", allow(missing_docs, unsafe_code))]

#[cfg(target_family = "wasm")]
mod workers;
