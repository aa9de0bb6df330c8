//! Front ends: how a guest reaches the operations of `ops`.

pub(crate) mod component;
pub(crate) mod core_module;
