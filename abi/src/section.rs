//! The section in which a program says what it offers: text, a line per worker.

use core::fmt;

/// [`SECTION`](crate::SECTION) as a literal, for attributes, which take no constants.
///
/// ```
/// # #[cfg(target_os = "linux")]
/// #[used]
/// // SAFETY: the section is read from the file only; any bytes may stand in it.
/// #[unsafe(link_section = procbox_abi::section!())]
/// static ABOUT: [u8; 20] = *b"greet\t(name: String)";
/// ```
#[macro_export]
macro_rules! section {
    () => {
        ".procbox"
    };
}

/// One line of the section: a worker. It is displayed as the line that says so.
///
/// ```
/// use procbox_abi::Line;
/// let line = Line { name: "double", signature: Some("double(n: u64) -> u64") };
/// assert_eq!(line.to_string(), "double\tdouble(n: u64) -> u64\n");
/// assert_eq!(Line { name: "plain", signature: None }.to_string(), "plain\t\n");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The worker's name.
    pub name: &'a str,
    /// The signature as a person reads it, if the line has one.
    pub signature: Option<&'a str>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\t{}", self.name, self.signature.unwrap_or_default())
    }
}

/// The lines of a section's contents: each a name, a tab and a signature, or a name alone. A line
/// ends with a line feed, or with the zeroes with which a linker fills up. Empty lines, lines
/// without a name and such that are not UTF-8 are passed over.
///
/// ```
/// let found: Vec<_> = procbox_abi::lines(b"\nresize\tresize(w: u32)\n\0\0plain\n").collect();
/// assert_eq!(found.len(), 2);
/// assert_eq!((found[0].name, found[0].signature), ("resize", Some("resize(w: u32)")));
/// assert_eq!((found[1].name, found[1].signature), ("plain", None));
/// ```
pub fn lines(section: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\0');
    section.split(is_end).filter_map(|line| {
        let line = core::str::from_utf8(line).ok()?;
        let (name, signature) = line.split_once('\t').unwrap_or((line, ""));
        let signature = Some(signature).filter(|text| !text.is_empty());
        (!name.is_empty()).then_some(Line { name, signature })
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn a_line_reads_as_it_was_written() {
        for line in [
            Line { name: "w", signature: None },
            Line { name: "w", signature: Some("w(a: &str,\tb: u8)") },
        ] {
            let text = line.to_string();
            assert_eq!(lines(text.as_bytes()).collect::<Vec<_>>(), [line]);
        }
    }

    #[test]
    fn lines_of_another_form_are_passed_over() {
        assert_eq!(lines(b"\n\0\0\tno name\n\xff\xfe\tw\n").count(), 0);
        assert_eq!(lines(b"a\tb\0\0\0c\n").count(), 2);
        assert_eq!(lines(b"").count(), 0);
    }
}
