//! Where a sandboxed process's output goes.

use crate::account::Charge;
use crate::print::Stream;
use crate::process::HostProcess;
use bytes::Buf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// The most bytes that one write takes; a longer one is several.
const PER_WRITE: usize = 64 << 10;

#[derive(Clone)]
pub(crate) enum Sink {
    Host(Stream, Arc<HostProcess>),
    Null,
    Kept(Stream, Arc<HostProcess>),
}

impl Sink {
    /// What may be printed of these bytes. If that is not all, the process ends.
    fn admit(&self, mut bytes: bytes::Bytes) -> bytes::Bytes {
        if let Sink::Host(_, process) | Sink::Kept(_, process) = self {
            bytes.truncate(process.tree.print(bytes.len()));
        }
        bytes
    }

    /// Writes as much of it as there is room for: how much.
    fn put_now(&self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Sink::Null => {}
            Sink::Kept(stream, process) => process.keep_output(*stream, bytes)?,
            Sink::Host(stream, _) => return stream.print_now(bytes),
        }
        Ok(bytes.len())
    }

    /// Writes some of it, waiting for room: how much.
    async fn put_some(&self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Sink::Host(stream, process) => stream.print_some(&process.runtime, bytes).await,
            Sink::Kept(..) | Sink::Null => self.put_now(bytes),
        }
    }
}

impl IsTerminal for Sink {
    fn is_terminal(&self) -> bool {
        match self {
            Sink::Host(stream, _) => stream.is_terminal(),
            Sink::Null | Sink::Kept(..) => false,
        }
    }
}

impl StdoutStream for Sink {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        let left = bytes::Bytes::new();
        Box::new(Printing { sink: self.clone(), left, charge: None, failed: None })
    }
}

/// Output of a process on its way. WASI preview 1 writes in one way only, which suspends the guest; of
/// WASI 0.2, a guest may also leave some here and see later whether it is gone.
struct Printing {
    sink: Sink,
    /// What is not written yet.
    left: bytes::Bytes,
    /// What the process pays for that, if it may leave it here.
    charge: Option<Charge>,
    /// Why not.
    failed: Option<std::io::Error>,
}

impl Printing {
    fn fail(&mut self) -> StreamResult<()> {
        match self.failed.take() {
            None => Ok(()),
            Some(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Err(StreamError::Closed),
            Some(e) => Err(StreamError::LastOperationFailed(e.into())),
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Printing {
    async fn ready(&mut self) {
        while !self.left.is_empty() && self.failed.is_none() {
            match self.sink.put_some(&self.left).await {
                Ok(written) => {
                    self.left.advance(written);
                    self.charge = self.charge.take().filter(|_| !self.left.is_empty());
                }
                Err(e) => self.failed = Some(e),
            }
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Printing {
    async fn blocking_write_and_flush(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.ready().await;
        self.fail()?;
        self.left = self.sink.admit(bytes);
        self.ready().await;
        self.fail()
    }

    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.fail()?;
        if bytes.len() > PER_WRITE || !self.left.is_empty() {
            return Err(StreamError::trap("it writes more than there is room for"));
        }
        self.left = self.sink.admit(bytes);
        // At once as much as there is room for: whoever is over its limit is not asked again.
        match self.sink.put_now(&self.left) {
            Ok(written) => self.left.advance(written),
            Err(e) => self.failed = Some(e),
        }
        if let Sink::Host(_, process) = &self.sink
            && !self.left.is_empty()
        {
            let charge = process.tree.account.charge(self.left.len());
            self.charge = Some(charge.map_err(|e| StreamError::trap(&e.to_string()))?);
        }
        self.fail()
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.fail()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.fail()?;
        Ok(if self.left.is_empty() { PER_WRITE } else { 0 })
    }

    /// The guest drops it: what it has written is still to be printed.
    async fn cancel(&mut self) {
        self.ready().await;
    }
}

fn unsupported() -> std::io::Error {
    std::io::ErrorKind::Unsupported.into()
}

impl tokio::io::AsyncWrite for Sink {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Err(unsupported()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
