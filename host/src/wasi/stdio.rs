//! Where a sandboxed process's output goes.

use crate::sync::lock;
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError};

/// The most bytes that one write takes; a longer one is several.
const PER_WRITE: usize = 64 << 10;

#[derive(Clone)]
pub(super) enum Sink {
    Stdout,
    Stderr,
    Null,
    Kept(Arc<Mutex<Vec<u8>>>),
}

impl Sink {
    /// Writes all of it. A write of a guest is one write here, so lines stay whole.
    fn put(&self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Sink::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Sink::Stderr => std::io::stderr().lock().write_all(bytes),
            Sink::Null => Ok(()),
            Sink::Kept(kept) => {
                lock(kept).extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

impl IsTerminal for Sink {
    fn is_terminal(&self) -> bool {
        match self {
            Sink::Stdout => std::io::IsTerminal::is_terminal(&std::io::stdout()),
            Sink::Stderr => std::io::IsTerminal::is_terminal(&std::io::stderr()),
            Sink::Null | Sink::Kept(_) => false,
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

impl OutputStream for Sink {
    fn write(&mut self, bytes: bytes::Bytes) -> Result<(), StreamError> {
        self.put(&bytes).map_err(|e| match e.kind() {
            std::io::ErrorKind::BrokenPipe => StreamError::Closed,
            _ => StreamError::LastOperationFailed(e.into()),
        })
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(PER_WRITE)
    }
}

impl tokio::io::AsyncWrite for Sink {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(self.put(bytes).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
