//! A program's arguments with replacement strings, as GNU parallel has them: `{}` is the input,
//! `{.}` without its extension, `{/}` its last part, `{//}` its directory, `{/.}` its last part without
//! the extension, `{#}` the task's number. Without any of them the input is the last argument.

use procbox::Bytes;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// The words that separate a program's arguments from its inputs.
pub(super) const INPUTS: &str = ":::";
/// The same, with a file whose lines are the inputs.
pub(super) const FILE: &str = "::::";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Replacement {
    Input,
    NoExtension,
    Last,
    Directory,
    LastNoExtension,
    Number,
}

const REPLACEMENTS: [(&[u8], Replacement); 6] = [
    (b"{}", Replacement::Input),
    (b"{.}", Replacement::NoExtension),
    (b"{/}", Replacement::Last),
    (b"{//}", Replacement::Directory),
    (b"{/.}", Replacement::LastNoExtension),
    (b"{#}", Replacement::Number),
];

enum Part {
    Text(Vec<u8>),
    Replaced(Replacement),
}

/// A program and its arguments, of which each task makes its own.
pub(super) struct Command {
    program: Vec<u8>,
    args: Vec<Vec<Part>>,
}

/// The first replacement string in a text, and where it is.
fn first(text: &[u8]) -> Option<(usize, usize, Replacement)> {
    let at = |start: usize| {
        let rest = &text[start..];
        let found = REPLACEMENTS.iter().find(|(string, _)| rest.starts_with(string));
        found.map(|(string, meaning)| (start, start + string.len(), *meaning))
    };
    (0..text.len()).find_map(at)
}

/// Whether a word makes what follows the program its arguments.
pub(super) fn is_of_command(word: &OsStr) -> bool {
    word == INPUTS || word == FILE || first(word.as_bytes()).is_some()
}

fn parts(mut text: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some((from, to, replacement)) = first(text) {
        parts.push(Part::Text(text[..from].to_vec()));
        parts.push(Part::Replaced(replacement));
        text = &text[to..];
    }
    parts.push(Part::Text(text.to_vec()));
    parts
}

impl Command {
    /// With `append`, the input is the last argument if no other takes it.
    pub(super) fn new(program: &OsStr, args: &[OsString], append: bool) -> Command {
        let mut args: Vec<Vec<Part>> = args.iter().map(|arg| parts(arg.as_bytes())).collect();
        let takes = |part: &Part| matches!(part, Part::Replaced(replacement) if *replacement != Replacement::Number);
        if append && !args.iter().flatten().any(takes) {
            args.push(vec![Part::Replaced(Replacement::Input)]);
        }
        Command { program: program.as_bytes().to_vec(), args }
    }

    /// The arguments for one input.
    pub(super) fn args(&self, seq: u64, input: &[u8]) -> Vec<Bytes> {
        let arg = |parts: &Vec<Part>| {
            let mut arg = Vec::new();
            for part in parts {
                match part {
                    Part::Text(text) => arg.extend_from_slice(text),
                    Part::Replaced(what) => arg.extend_from_slice(&replaced(*what, seq, input)),
                }
            }
            Bytes(arg)
        };
        self.args.iter().map(arg).collect()
    }

    /// The whole command for one input, as a shell would take it.
    pub(super) fn line(&self, seq: u64, input: &[u8]) -> String {
        let mut line = quoted(&self.program);
        for arg in self.args(seq, input) {
            line.push(' ');
            line += &quoted(&arg);
        }
        line
    }
}

/// Where a path's last part begins, and where its extension does.
fn last_and_extension(path: &[u8]) -> (usize, usize) {
    let last = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let dot = path[last..].iter().rposition(|byte| *byte == b'.');
    // A hidden file has its dot in front.
    (last, dot.filter(|dot| *dot > 0).map_or(path.len(), |dot| last + dot))
}

fn replaced(what: Replacement, seq: u64, input: &[u8]) -> Vec<u8> {
    let (last, extension) = last_and_extension(input);
    match what {
        Replacement::Input => input.to_vec(),
        Replacement::NoExtension => input[..extension].to_vec(),
        Replacement::Last => input[last..].to_vec(),
        Replacement::LastNoExtension => input[last..extension].to_vec(),
        Replacement::Directory => match last {
            0 => b".".to_vec(),
            1 => b"/".to_vec(),
            _ => input[..last - 1].to_vec(),
        },
        Replacement::Number => seq.to_string().into_bytes(),
    }
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &[u8]) -> String {
    let text = String::from_utf8_lossy(word);
    let is_plain = |c: char| c.is_alphanumeric() || "_/.=:,@%+-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(args: &[&str], input: &str) -> String {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        Command::new(OsStr::new("prog"), &args, true).line(7, input.as_bytes())
    }

    #[test]
    fn replacement_strings_are_those_of_gnu_parallel() {
        let all = ["{}", "{.}", "{/}", "{//}", "{/.}", "{#}"];
        for (input, due) in [
            ("dir/file.tar.gz", "dir/file.tar.gz dir/file.tar file.tar.gz dir file.tar 7"),
            ("file", "file file file . file 7"),
            ("/file.c", "/file.c /file file.c / file 7"),
            ("a.b/c", "a.b/c a.b/c c a.b c 7"),
            (".hidden", ".hidden .hidden .hidden . .hidden 7"),
        ] {
            assert_eq!(line(&all, input), format!("prog {due}"), "{input}");
        }
    }

    #[test]
    fn an_input_that_no_argument_takes_comes_last() {
        assert_eq!(line(&["-c", "foo"], "a"), "prog -c foo a");
        assert_eq!(line(&["-n{#}"], "a"), "prog -n7 a");
        assert_eq!(line(&["--in={}.txt", "x{.}y"], "a.b"), "prog --in=a.b.txt xay");
    }

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        assert_eq!(line(&[], "it's a b"), r"prog 'it'\''s a b'");
        assert_eq!(line(&["{}"], ""), "prog ''");
        assert_eq!(line(&["$HOME", "{ }", "{x}"], "a"), "prog '$HOME' '{ }' '{x}' a");
    }
}
