//! Whether the command's own lines have colours: `--color`, NO_COLOR, CLICOLOR_FORCE, and what stderr is.

use clap::ValueEnum;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::sync::OnceLock;

/// When lines have colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set; elsewhere if CLICOLOR_FORCE is
    Auto,
    Always,
    Never,
}

static COLOURED: OnceLock<bool> = OnceLock::new();

/// Decides it, once.
pub(crate) fn choose(when: When) {
    let terminal = std::io::stderr().is_terminal();
    let _ = COLOURED.set(decide(when, terminal, |name| std::env::var_os(name)));
}

fn decide(when: When, terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let is_on = |name: &str| variable(name).is_some_and(|value| !value.is_empty() && value != "0");
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto if is_set("NO_COLOR") => false,
        When::Auto if is_on("CLICOLOR_FORCE") => true,
        When::Auto => terminal && variable("TERM").is_some_and(|term| term != "dumb"),
    }
}

/// Whether lines have them.
pub(crate) fn are_on() -> bool {
    COLOURED.get() == Some(&true)
}

/// A text in bold red, where there are colours.
pub(crate) fn alarming(text: &str) -> String {
    if are_on() { format!("\x1b[1;31m{text}\x1b[0m") } else { text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_goes_before_the_variables_and_these_before_the_terminal() {
        let term = ("TERM", "xterm");
        for (when, terminal, variables, due) in [
            (When::Auto, true, &[term][..], true),
            (When::Auto, false, &[term], false),
            (When::Auto, true, &[("TERM", "dumb")], false),
            (When::Auto, true, &[term, ("NO_COLOR", "1")], false),
            (When::Auto, true, &[term, ("NO_COLOR", "")], true),
            (When::Auto, false, &[("CLICOLOR_FORCE", "1")], true),
            (When::Auto, false, &[("CLICOLOR_FORCE", "0")], false),
            (When::Auto, false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
            (When::Always, false, &[("NO_COLOR", "1")], true),
            (When::Never, true, &[("CLICOLOR_FORCE", "1")], false),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            assert_eq!(decide(when, terminal, variable), due, "{when:?} {terminal} {variables:?}");
        }
    }
}
