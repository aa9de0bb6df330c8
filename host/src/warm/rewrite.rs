//! From a module to one whose state can be read, and from that state to the module that begins with
//! it. Here a hostile module is read: it is done where modules are compiled, and may panic there.

use super::Image;
use crate::section::has_section;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmtime_wizer::Wizer;

/// The section that says of a module that it is warm. Who says so untruly has data that is mapped where
/// it would be copied, and is resumed where it would be started.
const SECTION: &str = "procbox.warm";
/// What is in it: its version.
const VERSION: u8 = 1;
/// The name of a function that no program exports: one is called by us, and none by wizer.
const NONE: &str = "__procbox_none";

fn wizer() -> Wizer {
    let mut wizer = Wizer::new();
    wizer.init_func(NONE);
    wizer
}

/// The module with its globals and memories exported.
///
/// # Errors
/// Why there can be no image of it, in one line.
pub(crate) fn instrument(module: &[u8]) -> Result<Vec<u8>, String> {
    wizer().instrument(module).map(|(_, readable)| readable).map_err(|e| reason(&e))
}

/// The module with this image as its beginning.
///
/// # Errors
/// Those of [`instrument`].
pub(crate) fn rewrite(module: &[u8], mut image: Image) -> Result<Vec<u8>, String> {
    let wizer = wizer();
    let (context, _) = wizer.instrument(module).map_err(|e| reason(&e))?;
    let rewritten = pin!(wizer.snapshot(&context, &mut image));
    let mut rewritten = match rewritten.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(rewritten) => rewritten.map_err(|e| reason(&e))?,
        Poll::Pending => return Err("its image waits for something".into()),
    };
    let name = SECTION.as_bytes();
    rewritten.push(0);
    rewritten.push((1 + name.len() + 1) as u8);
    rewritten.push(name.len() as u8);
    rewritten.extend(name);
    rewritten.push(VERSION);
    Ok(rewritten)
}

/// True for a module that was made by [`rewrite`], or says so.
pub(crate) fn is_warm(module: &[u8]) -> bool {
    has_section(module, SECTION)
}

/// Wizer's words in ours.
fn reason(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    let line = cause.lines().next().unwrap_or("invalid");
    match line.strip_prefix("unsupported ") {
        Some(what) => format!("an image of it cannot be made: it has a {what}"),
        None => format!("an image of it cannot be made: {line}"),
    }
}
