//! What both sides of a storm know: those who produce in it, and who looks at what came.

use procbox_guest::Bytes;

/// The bytes of a message of the storm, which can be told to be whole.
pub fn payload(who: u64, number: u64) -> Bytes {
    // Now and then one that is large.
    let size = if number % 61 == 60 { 70_000 } else { number * 977 % 3000 };
    Bytes(vec![(who ^ number) as u8; size as usize])
}
