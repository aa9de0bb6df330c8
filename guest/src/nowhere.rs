//! Where there is neither backend: the compiler says what there is instead, once.

use procbox_core::{Context, Error, Result};

compile_error!(
    "procbox-guest has workers as OS processes on Linux only. On this system its programs run in the \
     sandbox: build them for `wasm32-wasip1`, and run them by `procbox` with \
     `default-features = false, features = [\"sandbox\"]`"
);

pub(crate) fn init() {}

pub(crate) fn context() -> Result<Context> {
    Err(Error::Unsupported("process"))
}

pub(crate) fn answer_ctrl_c() -> Result<()> {
    Err(Error::Unsupported("process"))
}

pub(crate) fn clear_interrupt() {}

pub(crate) fn interrupted() -> bool {
    false
}
