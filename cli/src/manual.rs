//! `procbox completions` and `procbox man`: what a shell and a reader are told of the options, from the
//! very definitions that parse them.

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use std::io::Write;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "\
Examples:
  procbox completions bash > ~/.local/share/bash-completion/completions/procbox
  procbox completions zsh > ~/.zfunc/_procbox
  procbox completions fish > ~/.config/fish/completions/procbox.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  procbox man ~/.local/share/man/man1 && man procbox-map")]
pub(crate) struct ManArgs {
    /// Where the pages go: one for the command and one for each subcommand
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "procbox", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(0)
}

pub(crate) fn man(args: &ManArgs, command: Command) -> anyhow::Result<u8> {
    let written = std::fs::create_dir_all(&args.directory)
        .and_then(|()| clap_mangen::generate_to(command, &args.directory));
    written.with_context(|| args.directory.display().to_string())?;
    Ok(0)
}
