//! Text that somebody else made, for a terminal or a log.

/// The most bytes that are left of it.
const MOST: usize = 4096;

/// The text as it can be printed in one line: what would move a cursor, begin another line or turn
/// the direction of writing is escaped, and what is longer than about four thousand bytes is cut.
///
/// ```
/// use procbox_core::printable;
/// assert_eq!(printable("wörter.wasm"), "wörter.wasm");
/// assert_eq!(printable("\x1b[2Jall is well\nprocbox: yes"), r"\u{1b}[2Jall is well\nprocbox: yes");
/// assert!(printable(&"x".repeat(1 << 20)).ends_with("..."));
/// ```
pub fn printable(text: &str) -> String {
    let mut line = String::new();
    for char in text.chars() {
        if line.len() >= MOST {
            line.push_str("...");
            break;
        }
        if char.is_control() || is_formatting(char) {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    line
}

/// Characters that are seen only by what they do to others: line and paragraph separators, marks and
/// overrides of direction, joiners, tags.
fn is_formatting(char: char) -> bool {
    matches!(
        char,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        for char in (0..=char::MAX as u32).filter_map(char::from_u32) {
            let shown = printable(&char.to_string());
            assert!(!shown.chars().any(|c| c.is_control() || is_formatting(c)), "{shown:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert!(printable(&"\u{7}".repeat(1 << 20)).len() < MOST + 16);
    }
}
