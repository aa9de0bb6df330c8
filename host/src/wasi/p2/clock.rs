//! `wasi:clocks/monotonic-clock`: the runtime's clock, and its timers.
//!
//! Written here because wasmtime-wasi's timers need a tokio runtime.

use crate::runtime::Runtime;
use crate::state::State;
use procbox_core::Wait;
use procbox_core::time::Deadline;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    monotonic_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

/// A moment that is waited for.
struct Alarm {
    runtime: Arc<Runtime>,
    deadline: Deadline,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Alarm {
    async fn ready(&mut self) {
        self.runtime.sleep_until(self.deadline).await;
    }
}

fn now(state: &State) -> u64 {
    u64::try_from(state.runtime().elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn after(state: &mut State, nanos: u64) -> wasmtime::Result<Resource<DynPollable>> {
    let runtime = state.runtime().clone();
    let deadline = Wait::AtMost(Duration::from_nanos(nanos)).deadline(&**runtime.clock());
    let table = state.ctx().table;
    let alarm = table.push(Alarm { runtime, deadline })?;
    subscribe(table, alarm)
}

impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.work.wasi();
        Ok(now(self))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let left = when.saturating_sub(now(self));
        after(self, left)
    }

    fn subscribe_duration(&mut self, nanos: u64) -> wasmtime::Result<Resource<DynPollable>> {
        after(self, nanos)
    }
}
