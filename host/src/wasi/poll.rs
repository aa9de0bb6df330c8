//! `poll_oneoff`: how a WASI guest sleeps.
//!
//! Written here instead of taken from wasmtime-wasi, whose clock needs a tokio runtime: sleeping
//! goes through our runtime's timers. Files and streams of ours never make a guest wait for
//! readiness (a read of a terminal blocks in the read), so they are always ready.
//!
//! The layouts are those of WASI preview 1 (`wasi_snapshot_preview1.witx`): a subscription has 48
//! bytes, an event 32.

use crate::guest::core_module::Memory;
use crate::runtime::Runtime;
use crate::state::State;
use crate::wasi::clock::since_epoch;
use procbox_core::Wait;
use std::time::Duration;
use wasmtime::{Caller, Linker};

const SUBSCRIPTION: usize = 48;
const EVENT: usize = 32;
/// The most subscriptions in one call; the guest's memory would allow absurdly more.
const MOST: u32 = 4096;

const SUCCESS: i32 = 0;
const EFAULT: i32 = 21;
const EINVAL: i32 = 28;

const CLOCK: u8 = 0;
const CLOCK_REALTIME: u32 = 0;
const ABSOLUTE: u16 = 1;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        "wasi_snapshot_preview1",
        "poll_oneoff",
        |mut caller: Caller<'_, State>, (subs, events, n, count): (u32, u32, u32, u32)| {
            Box::new(async move { poll_oneoff(&mut caller, subs, events, n, count).await })
        },
    )?;
    Ok(())
}

struct Subscription {
    userdata: [u8; 8],
    kind: u8,
    /// How long to wait, for a clock.
    wait: Option<Duration>,
}

async fn poll_oneoff(
    caller: &mut Caller<'_, State>,
    subs: u32,
    events: u32,
    n: u32,
    count: u32,
) -> i32 {
    if n == 0 || n > MOST {
        return EINVAL;
    }
    let (memory, state) = Memory::of(caller);
    state.work.wasi();
    state.work.handles(n as usize);
    let runtime = state.process.runtime.clone();
    let mut wanted = Vec::with_capacity(n as usize);
    for i in 0..n as usize {
        let Some(bytes) = memory.get(subs as usize + i * SUBSCRIPTION, SUBSCRIPTION) else {
            return EFAULT;
        };
        wanted.push(read(bytes, &runtime));
    }
    let ready = |w: &Subscription| w.wait.is_none_or(|d| d.is_zero());
    if !wanted.iter().any(ready) {
        let shortest = wanted.iter().filter_map(|w| w.wait).min().unwrap_or_default();
        runtime.sleep_until(Wait::AtMost(shortest).deadline(&**runtime.clock())).await;
        for w in &mut wanted {
            w.wait = w.wait.map(|d| d.saturating_sub(shortest));
        }
    }
    let (mut memory, _) = Memory::of(caller);
    let mut written = 0;
    for w in wanted.iter().filter(|w| ready(w)) {
        let mut event = [0; EVENT];
        event[..8].copy_from_slice(&w.userdata);
        event[10] = w.kind;
        if !memory.put(events as usize + written * EVENT, &event) {
            return EFAULT;
        }
        written += 1;
    }
    if memory.put(count as usize, &(written as u32).to_le_bytes()) { SUCCESS } else { EFAULT }
}

fn read(bytes: &[u8], runtime: &Runtime) -> Subscription {
    let u64_at = |at: usize| {
        let mut raw = [0; 8];
        raw.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(raw)
    };
    let mut userdata = [0; 8];
    userdata.copy_from_slice(&bytes[..8]);
    let kind = bytes[8];
    let wait = (kind == CLOCK).then(|| {
        let id = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
        let timeout = Duration::from_nanos(u64_at(24));
        let absolute = u16::from_le_bytes([bytes[40], bytes[41]]) & ABSOLUTE != 0;
        match (absolute, id) {
            (false, _) => timeout,
            (true, CLOCK_REALTIME) => timeout.saturating_sub(since_epoch(runtime)),
            (true, _) => timeout.saturating_sub(runtime.elapsed()),
        }
    });
    Subscription { userdata, kind, wait }
}
