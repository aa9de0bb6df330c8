//! Where a sandboxed process's output goes.

use crate::print::Stream;
use crate::process::HostProcess;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError};

/// The most bytes that one write takes; a longer one is several.
const PER_WRITE: usize = 64 << 10;

#[derive(Clone)]
pub(crate) enum Sink {
    Host(Stream, Arc<HostProcess>),
    Null,
    Kept(Stream, Arc<HostProcess>),
}

impl Sink {
    /// Writes all of it.
    pub(crate) async fn put(&self, bytes: &[u8]) -> std::io::Result<()> {
        let process = match self {
            Sink::Host(_, process) | Sink::Kept(_, process) => process,
            Sink::Null => return Ok(()),
        };
        let bytes = &bytes[..process.tree.print(bytes.len())];
        match self {
            Sink::Kept(stream, _) => process.keep_output(*stream, bytes),
            Sink::Host(stream, _) => stream.print(&process.runtime, bytes).await,
            Sink::Null => Ok(()),
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
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Sink {
    async fn ready(&mut self) {}
}

/// WASI preview 1 writes in one way only, which suspends the guest; the others there are for others.
#[wasmtime_wasi::async_trait]
impl OutputStream for Sink {
    async fn blocking_write_and_flush(&mut self, bytes: bytes::Bytes) -> Result<(), StreamError> {
        self.put(&bytes).await.map_err(|e| match e.kind() {
            std::io::ErrorKind::BrokenPipe => StreamError::Closed,
            _ => StreamError::LastOperationFailed(e.into()),
        })
    }

    fn write(&mut self, _: bytes::Bytes) -> Result<(), StreamError> {
        Err(StreamError::LastOperationFailed(unsupported().into()))
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(PER_WRITE)
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
