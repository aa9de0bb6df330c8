//! Several things to wait for, of any kind.

use super::connection::GuestListener;
use super::primitives::number;
use super::process::GuestProcess;
use super::sys;
use procbox_core::raw::{Handle, PipeConnection};
use procbox_core::{Error, Result, Wait, Waitable};
use std::any::Any;

fn own<T: Any>(any: &dyn Any, number: fn(&T) -> i32) -> Result<i32> {
    any.downcast_ref().map(number).ok_or(Error::ForeignHandle)
}

/// The number of something to wait for.
fn waitable_number(waitable: &Waitable) -> Result<i32> {
    match waitable {
        Waitable::Queue(raw) => number(&Handle::Queue(raw.clone())),
        Waitable::Pipe(raw) => number(&Handle::Pipe(raw.clone())),
        Waitable::Process(raw) => own(&**raw, GuestProcess::number),
        Waitable::Connection(raw) => match (&**raw as &dyn Any).downcast_ref() {
            Some(PipeConnection(end)) => number(&Handle::Pipe(end.clone())),
            None => Err(Error::ForeignHandle),
        },
        Waitable::Listener(raw) => own(&**raw, GuestListener::number),
        _ => Err(Error::ForeignHandle),
    }
}

/// The places of those that are ready, as soon as there is one.
pub(super) fn ready(those: &[Waitable], wait: Wait) -> Result<Vec<usize>> {
    let numbers = those.iter().map(waitable_number).collect::<Result<Vec<_>>>()?;
    sys::wait_any(&numbers, wait)
}
