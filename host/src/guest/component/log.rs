//! Lines of a component for whoever runs it.

use super::bindings::procbox::worker::log::{Host, Level};
use crate::print::{PIECE, Stream};
use crate::state::State;
use crate::wasi;
use procbox_core::printable;

impl Host for State {
    async fn log(&mut self, level: Level, text: String) -> wasmtime::Result<()> {
        self.work.bytes(text.len());
        let level = match level {
            Level::Trace => "TRACE",
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        };
        let mut line = format!("{level} {}: ", printable(&self.process.identity.name));
        // One line, whole, whatever is in it.
        let room = PIECE - 1 - line.len().min(PIECE - 1);
        line.push_str(&printable(&text[..text.floor_char_boundary(room)]));
        line.truncate(line.floor_char_boundary(PIECE - 1));
        line.push('\n');
        // If stderr is gone there is nobody to tell.
        let _ = wasi::print(self, Stream::Stderr, line).await;
        Ok(())
    }
}
