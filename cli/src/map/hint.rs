//! What to write instead, where an option of the program was taken for one of procbox's.

use super::command::quoted;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Makes the tip of an error about an unknown option one that leads on, if the option stands behind the
/// program. `words` are those behind `map`.
pub(crate) fn hint(error: &mut clap::Error, words: &[OsString]) {
    if error.kind() != ErrorKind::UnknownArgument {
        return;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return };
    if let Some(instead) = instead(unknown, words) {
        let tip =
            format!("if '{unknown}' is the program's own, say where its input goes: {instead}");
        let tips = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        error.insert(ContextKind::Suggested, tips);
    }
}

/// The command line as it may have been meant.
fn instead(unknown: &str, words: &[OsString]) -> Option<String> {
    let is_option = |word: &OsString| word.as_bytes().starts_with(b"-");
    // Of several short options in a word, the error names the one.
    let at = words.iter().position(|word| {
        let word = word.as_bytes();
        word == unknown.as_bytes()
            || word.starts_with(unknown.as_bytes())
            || unknown.len() == 2 && is_cluster(word) && word.contains(&unknown.as_bytes()[1])
    })?;
    let (before, after) = words.split_at(at);
    // It may be the value of an option of procbox's: then there was no program, and no way to tell.
    before.last().filter(|word| !is_option(word))?;
    let own: Vec<&OsString> = after.iter().take_while(|word| is_option(word)).collect();
    let inputs = &after[own.len()..];
    let line = before.iter().chain(own).map(|word| quoted(word.as_bytes()));
    let inputs: Vec<_> = inputs.iter().map(|word| quoted(word.as_bytes())).collect();
    let inputs = if inputs.is_empty() { "INPUT...".to_string() } else { inputs.join(" ") };
    Some(format!("procbox map {} {{}} ::: {inputs}", line.collect::<Vec<_>>().join(" ")))
}

/// What to write instead, if the first of these inputs of a program without workers are no files and others
/// are: they look like arguments.
pub(super) fn misplaced(program: &Path, files: &[PathBuf]) -> Option<String> {
    let missing = files.iter().take_while(|path| !path.exists()).count();
    let (args, inputs) = files.split_at(missing);
    let first = args.first().filter(|_| !inputs.is_empty())?;
    let word = |path: &PathBuf| quoted(path.as_os_str().as_bytes());
    let words = |paths: &[PathBuf]| paths.iter().map(word).collect::<Vec<_>>().join(" ");
    Some(format!(
        "{}: there is no such input; if it is an argument of the program: procbox map {} {} {{}} ::: {}",
        first.display(),
        quoted(program.as_os_str().as_bytes()),
        words(args),
        words(inputs)
    ))
}

fn is_cluster(word: &[u8]) -> bool {
    word.starts_with(b"-") && !word.starts_with(b"--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_option_stands_before_the_place_of_the_input() {
        let of = |unknown: &str, line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            instead(unknown, &words)
        };
        let due = |line: &str| Some(format!("procbox map {line}"));
        assert_eq!(of("-n", "cat -n file"), due("cat -n {} ::: file"));
        assert_eq!(of("-n", "-j 2 cat -n a b"), due("-j 2 cat -n {} ::: a b"));
        assert_eq!(of("--all", "du --all -x"), due("du --all -x {} ::: INPUT..."));
        assert_eq!(of("-x", "tar -xf a.tar"), due("tar -xf {} ::: a.tar"));
        // One of procbox's own that there is not.
        assert_eq!(of("--jbos", "--jbos 2 cat"), None);
    }
}
