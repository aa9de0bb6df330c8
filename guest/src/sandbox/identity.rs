//! This process, as the host knows it: its arguments, its identity, the workers of its program.

use super::primitives::handles;
use super::sys::{self, About};
use procbox_core::raw::Message;
use procbox_core::{Bytes, Error, Identity, Result, WorkerInfo};

/// The arguments that this process was started with.
pub(super) fn arguments() -> Result<Message> {
    let sizes = sys::about(About::Arguments)?;
    let mut bytes = Vec::new();
    let list = sys::message_read(sizes, &mut bytes)?;
    Ok(Message { bytes, handles: handles(list)? })
}

fn read(what: About) -> Result<Vec<u8>> {
    let sizes = sys::about(what)?;
    let mut bytes = Vec::new();
    sys::message_read(sizes, &mut bytes)?;
    Ok(bytes)
}

/// This process's identity: numbers, then name, parent's name and authkey.
pub(super) fn identity() -> Result<Identity> {
    let torn = || Error::Invalid("the host's answer is too short".into());
    let bytes = read(About::Identity)?;
    let (numbers, mut rest) = bytes.split_first_chunk().ok_or_else(torn)?;
    let numbers = procbox_abi::Identity::from_bytes(numbers);
    let mut take = |n: u32| {
        let (taken, after) = rest.split_at_checked(n as usize).ok_or_else(torn)?;
        rest = after;
        Ok::<Vec<u8>, Error>(taken.to_vec())
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let mut me = Identity::new(text(take(numbers.name_len)?), numbers.pid);
    let parent_name = text(take(numbers.parent_name_len)?);
    me.authkey = Bytes(take(numbers.authkey_len)?);
    me.parent = (numbers.parent != 0).then_some((numbers.parent, parent_name));
    me.daemon = numbers.daemon != 0;
    Ok(me)
}

/// The program's workers.
pub(super) fn workers() -> Result<Vec<WorkerInfo>> {
    let worker = |line: procbox_abi::Line<'_>| {
        WorkerInfo::new(line.name, line.signature.map(str::to_string))
    };
    Ok(procbox_abi::lines(&read(About::Workers)?).map(worker).collect())
}
