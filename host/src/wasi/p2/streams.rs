//! `wasi:io`: streams and what is polled, with what goes through them counted.
//!
//! What a stream is (standard input, a file) its own implementation knows; here bytes cost fuel, and
//! what is read makes up what the tree has used.

use crate::state::State;
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::bindings::io::{error, poll, streams};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, IoError, StreamError, StreamResult,
};

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    error::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    poll::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    streams::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

/// The most things that are polled at once: it is done in one piece.
const POLLED: usize = 4096;

type Input = Resource<DynInputStream>;
type Output = Resource<DynOutputStream>;

/// The resources of a process, whose use costs fuel as any call of WASI.
fn table(state: &mut State) -> &mut ResourceTable {
    state.ctx().table
}

/// It has read so many bytes.
fn read(state: &State, bytes: usize) {
    state.work.bytes(bytes);
    state.process.tree.read(bytes as u64);
}

impl error::Host for State {}

impl error::HostError for State {
    fn to_debug_string(&mut self, error: Resource<IoError>) -> wasmtime::Result<String> {
        error::HostError::to_debug_string(table(self), error)
    }

    fn drop(&mut self, error: Resource<IoError>) -> wasmtime::Result<()> {
        error::HostError::drop(table(self), error)
    }
}

impl poll::Host for State {
    async fn poll(&mut self, those: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        if those.len() > POLLED {
            let why = format!("it polls {} things at once, and {POLLED} are the most", those.len());
            return Err(wasmtime::Error::msg(why));
        }
        self.work.handles(those.len());
        poll::Host::poll(table(self), those).await
    }
}

impl poll::HostPollable for State {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::block(table(self), pollable).await
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        poll::HostPollable::ready(table(self), pollable).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(table(self), pollable)
    }
}

impl streams::Host for State {
    fn convert_stream_error(
        &mut self,
        error: StreamError,
    ) -> wasmtime::Result<streams::StreamError> {
        streams::Host::convert_stream_error(table(self), error)
    }
}

impl streams::HostInputStream for State {
    fn read(&mut self, stream: Input, len: u64) -> StreamResult<Vec<u8>> {
        let bytes = streams::HostInputStream::read(table(self), stream, len)?;
        read(self, bytes.len());
        Ok(bytes)
    }

    async fn blocking_read(&mut self, stream: Input, len: u64) -> StreamResult<Vec<u8>> {
        let bytes = streams::HostInputStream::blocking_read(table(self), stream, len).await?;
        read(self, bytes.len());
        Ok(bytes)
    }

    fn skip(&mut self, stream: Input, len: u64) -> StreamResult<u64> {
        let skipped = streams::HostInputStream::skip(table(self), stream, len)?;
        read(self, skipped as usize);
        Ok(skipped)
    }

    async fn blocking_skip(&mut self, stream: Input, len: u64) -> StreamResult<u64> {
        let skipped = streams::HostInputStream::blocking_skip(table(self), stream, len).await?;
        read(self, skipped as usize);
        Ok(skipped)
    }

    fn subscribe(&mut self, stream: Input) -> wasmtime::Result<Resource<DynPollable>> {
        streams::HostInputStream::subscribe(table(self), stream)
    }

    async fn drop(&mut self, stream: Input) -> wasmtime::Result<()> {
        streams::HostInputStream::drop(table(self), stream).await
    }
}

impl streams::HostOutputStream for State {
    fn check_write(&mut self, stream: Output) -> StreamResult<u64> {
        streams::HostOutputStream::check_write(table(self), stream)
    }

    fn write(&mut self, stream: Output, bytes: Vec<u8>) -> StreamResult<()> {
        self.work.bytes(bytes.len());
        streams::HostOutputStream::write(table(self), stream, bytes)
    }

    async fn blocking_write_and_flush(
        &mut self,
        stream: Output,
        bytes: Vec<u8>,
    ) -> StreamResult<()> {
        self.work.bytes(bytes.len());
        streams::HostOutputStream::blocking_write_and_flush(table(self), stream, bytes).await
    }

    fn flush(&mut self, stream: Output) -> StreamResult<()> {
        streams::HostOutputStream::flush(table(self), stream)
    }

    async fn blocking_flush(&mut self, stream: Output) -> StreamResult<()> {
        streams::HostOutputStream::blocking_flush(table(self), stream).await
    }

    fn subscribe(&mut self, stream: Output) -> wasmtime::Result<Resource<DynPollable>> {
        streams::HostOutputStream::subscribe(table(self), stream)
    }

    fn write_zeroes(&mut self, stream: Output, len: u64) -> StreamResult<()> {
        streams::HostOutputStream::write_zeroes(table(self), stream, len)
    }

    async fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Output,
        len: u64,
    ) -> StreamResult<()> {
        streams::HostOutputStream::blocking_write_zeroes_and_flush(table(self), stream, len).await
    }

    fn splice(&mut self, to: Output, from: Input, len: u64) -> StreamResult<u64> {
        let moved = streams::HostOutputStream::splice(table(self), to, from, len)?;
        read(self, moved as usize);
        Ok(moved)
    }

    async fn blocking_splice(&mut self, to: Output, from: Input, len: u64) -> StreamResult<u64> {
        let moved = streams::HostOutputStream::blocking_splice(table(self), to, from, len).await?;
        read(self, moved as usize);
        Ok(moved)
    }

    async fn drop(&mut self, stream: Output) -> wasmtime::Result<()> {
        streams::HostOutputStream::drop(table(self), stream).await
    }
}
