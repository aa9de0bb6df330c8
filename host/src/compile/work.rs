//! What a compiler does, wherever it runs: from bytes to bytes, and nothing else.
//!
//! Both sides are *parts*, each a length and its bytes. The first is the module, or what comes of it.

use super::functions::{Kept, Seen};
use super::{Settings, first_line};
use crate::component::is_component;
use crate::warm::{Image, instrument, rewrite};
use std::sync::Arc;
use wasmtime::Engine;

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A module to machine code. With the functions of another compilation, if there are some, whose
    /// code is then not made again.
    Compile,
    /// The same of a component whose processes share what they begin with, each page until they write to
    /// it, however large that is and however many gaps it has.
    Share,
    /// A module to the machine code of one whose state can be read, and the functions of it.
    Instrument,
    /// A module and the image of a process of it to the module that begins with this image.
    Rewrite,
}

impl Work {
    pub(super) fn to_number(self) -> u64 {
        match self {
            Work::Compile => 0,
            Work::Instrument => 1,
            Work::Rewrite => 2,
            Work::Share => 3,
        }
    }

    pub(super) fn from_number(number: u64) -> Option<Work> {
        [Work::Compile, Work::Instrument, Work::Rewrite, Work::Share]
            .into_iter()
            .find(|w| w.to_number() == number)
    }
}

/// Two parts as bytes.
pub(super) fn join([first, second]: [&[u8]; 2]) -> Vec<u8> {
    let length = (first.len() as u64).to_le_bytes();
    [&length[..], first, second].concat()
}

/// The two parts again; `None` if they are none.
pub(super) fn split(bytes: &[u8]) -> Option<[&[u8]; 2]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    rest.split_at_checked(length).map(|(first, second)| [first, second])
}

/// Does it, for images of at most so many bytes.
///
/// # Errors
/// Why it cannot be done, in one line.
pub(super) fn perform(
    work: Work,
    settings: Settings,
    image: u64,
    input: &[u8],
) -> Result<Vec<u8>, String> {
    let [module, second] = split(input).ok_or("half of it is missing")?;
    match work {
        Work::Compile | Work::Share => {
            let mut config = settings.config_of(image);
            if !second.is_empty() {
                let kept = Arc::new(Kept::from_bytes(second.to_vec()));
                config.enable_incremental_compilation(kept).map_err(|e| first_line(&e))?;
            }
            let engine = Engine::new(&config).map_err(|e| first_line(&e))?;
            let compiled = match is_component(module) {
                true => engine.precompile_component(module),
                false => engine.precompile_module(module),
            };
            Ok(join([&compiled.map_err(|e| first_line(&e))?, &[]]))
        }
        Work::Instrument => {
            let seen = Arc::new(Seen::new(module.len()));
            let mut config = settings.config_of(image);
            config.enable_incremental_compilation(seen.clone()).map_err(|e| first_line(&e))?;
            let engine = Engine::new(&config).map_err(|e| first_line(&e))?;
            let readable = instrument(module)?;
            let compiled = engine.precompile_module(&readable).map_err(|e| first_line(&e))?;
            Ok(join([&compiled, &seen.to_bytes()]))
        }
        Work::Rewrite => {
            let image = Image::from_bytes(second.to_vec()).ok_or("its image is torn")?;
            Ok(join([&rewrite(module, image)?, &[]]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_split_as_they_were_joined_and_nothing_else_is() {
        for parts in [[&b""[..], &b""[..]], [b"module", b""], [b"", b"image"], [b"both", b"of"]] {
            assert_eq!(split(&join(parts)), Some(parts));
        }
        for torn in [vec![], vec![0; 7], vec![1, 0, 0, 0, 0, 0, 0, 0], vec![255; 20]] {
            assert_eq!(split(&torn), None, "{torn:?}");
        }
    }

    #[test]
    fn work_has_its_number() {
        for work in [Work::Compile, Work::Instrument, Work::Rewrite, Work::Share] {
            assert_eq!(Work::from_number(work.to_number()), Some(work));
        }
        assert_eq!(Work::from_number(4), None);
    }
}
