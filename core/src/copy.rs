//! Copying many bytes, without the one case in which some processors are very slow at it.
//!
//! Where the C library copies by the processor's own instruction for it (`rep movsb`, from some KiB on),
//! several processors of AMD's take it for an overlap if the destination is a few bytes further into its
//! page than the source is into its own: they copy byte by byte then, 16 times as slowly. That is not
//! rare here: buffers begin at the same place of a page, and before the contents of a message stands its
//! length. In pieces too small for that instruction it takes as long as elsewhere.

/// Too small for that instruction.
const PIECE: usize = 2048;
/// The fewest bytes that it may be taken for.
const MANY: usize = 4096;
/// The distances of which it is slow, within a page of so many bytes.
const NEAR: usize = 16;
const PAGE: usize = 4096;

/// In how large pieces so many bytes are copied.
#[inline]
fn piece(to: *const u8, from: *const u8, length: usize) -> usize {
    let distance = to.addr().wrapping_sub(from.addr()) % PAGE;
    if length >= MANY && distance != 0 && distance < NEAR { PIECE } else { length.max(1) }
}

/// Copies a slice to one of the same length.
///
/// ```
/// let mut to = [0; 3];
/// procbox_core::copy::copy(&mut to, &[1, 2, 3]);
/// assert_eq!(to, [1, 2, 3]);
/// ```
///
/// # Panics
/// If they are not of the same length.
#[inline]
pub fn copy(to: &mut [u8], from: &[u8]) {
    if from.len() < MANY {
        return to.copy_from_slice(from);
    }
    assert_eq!(to.len(), from.len(), "slices of one length are copied");
    let piece = piece(to.as_ptr(), from.as_ptr(), from.len());
    to.chunks_mut(piece).zip(from.chunks(piece)).for_each(|(to, from)| to.copy_from_slice(from));
}

/// Appends a slice to a vector.
///
/// ```
/// let mut to = vec![1];
/// procbox_core::copy::append(&mut to, &[2, 3]);
/// assert_eq!(to, [1, 2, 3]);
/// ```
#[inline]
pub fn append(to: &mut Vec<u8>, from: &[u8]) {
    if from.len() < MANY {
        return to.extend_from_slice(from);
    }
    to.reserve(from.len());
    let piece = piece(to.as_ptr().wrapping_add(to.len()), from.as_ptr(), from.len());
    from.chunks(piece).for_each(|from| to.extend_from_slice(from));
}

/// A vector with the bytes of a slice.
///
/// ```
/// assert_eq!(procbox_core::copy::to_vec(&[1, 2]), [1, 2]);
/// ```
#[inline]
pub fn to_vec(from: &[u8]) -> Vec<u8> {
    let mut to = Vec::with_capacity(from.len());
    append(&mut to, from);
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_whole_at_any_distance() {
        let from: Vec<u8> = (0..20_000u32).map(|n| n as u8 ^ (n >> 8) as u8).collect();
        let mut to = vec![0; 40_000];
        let base = from.as_ptr().addr().wrapping_sub(to.as_ptr().addr()) % PAGE;
        for length in [0, 1, MANY - 1, MANY, MANY + 1, 10_001, 19_000] {
            for distance in 0..20 {
                let begin = base + distance;
                copy(&mut to[begin..begin + length], &from[..length]);
                assert!(to[begin..begin + length] == from[..length], "{length} at {distance}");
                let mut appended = vec![9; distance];
                append(&mut appended, &from[..length]);
                assert!(appended[distance..] == from[..length]);
            }
        }
        assert_eq!(to_vec(&from), from);
    }

    #[test]
    fn near_places_are_copied_in_pieces() {
        let at = |place: usize| std::ptr::without_provenance(place);
        assert_eq!(piece(at(PAGE * 7 + 3), at(PAGE), 10_000), PIECE);
        assert_eq!(piece(at(PAGE + 2), at(PAGE * 9 - 13), 10_000), PIECE);
        assert_eq!(piece(at(PAGE * 7 + 16), at(PAGE), 10_000), 10_000);
        assert_eq!(piece(at(PAGE), at(PAGE + 3), 10_000), 10_000);
        assert_eq!(piece(at(PAGE * 7 + 3), at(PAGE), 4000), 4000);
    }
}
