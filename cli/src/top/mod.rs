//! `procbox top`: what runs, and what it is at, seen from another terminal.

mod grid;
mod screen;

use crate::signals;
use crate::status::{FAILURE, say};
use clap::Args;
use grid::Seen;
use procbox::watch::{Running, Snapshot, running};
use std::io::{IsTerminal, Write};
use terminal_size::terminal_size_of;

#[derive(Args)]
#[command(after_help = "\
Sees what lets itself be seen: `run` and `map` with --watch or with PROCBOX_WATCH=1 in the
environment, and programs that call `procbox::watch::offer()`. Of your own user, that is; root sees
all. Without PID it lists them, and Enter opens one.

Keys: q ends it, up and down move, Enter opens, Esc goes back; p n c m w sort processes by pid,
name, CPU, memory, and by how long they have waited.

Examples:
  procbox map --watch worker.wasm < lines     # in one terminal
  procbox top                                 # in another
  procbox top --once 4711 | grep waits")]
pub(crate) struct TopArgs {
    /// Print a table once, and end: also what is done where there is no terminal
    #[arg(long)]
    once: bool,
    /// The process to look into
    #[arg(value_name = "PID", value_parser = pid)]
    pid: Option<u32>,
}

fn pid(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "the number of a process: without one, top lists them".into())
}

/// What to say where there is nothing.
const NOTHING: &str =
    "nothing can be seen: start `run` or `map` with --watch, or set PROCBOX_WATCH=1";

pub(crate) fn top(args: &TopArgs) -> anyhow::Result<u8> {
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if args.pid.is_some_and(|pid| find(pid).is_none()) {
        let pid = args.pid.unwrap_or_default();
        say(&format!(
            "{pid}: no such process that can be seen: it has ended, or was started without --watch"
        ));
        return Ok(FAILURE);
    }
    if is_terminal && !args.once {
        signals::answer()?;
        return screen::show(args.pid);
    }
    let columns = terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    match args.pid.and_then(find) {
        Some(there) => print(&one(&there.snapshot()?, columns)),
        None => {
            let all = all()?;
            if all.is_empty() {
                say(NOTHING);
                return Ok(0);
            }
            print(&grid::contexts(&all, columns.unwrap_or(usize::MAX)).text(columns))
        }
    }
}

fn print(text: &str) -> anyhow::Result<u8> {
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(0)
}

fn find(pid: u32) -> Option<Running> {
    running().ok()?.into_iter().find(|there| there.pid() == pid)
}

/// All that can be seen, or why not.
fn all() -> anyhow::Result<Vec<(u32, Result<Snapshot, String>)>> {
    let look = |there: Running| (there.pid(), there.snapshot().map_err(|e| e.to_string()));
    Ok(running()?.into_iter().map(look).collect())
}

/// One as plain text.
fn one(snapshot: &Snapshot, columns: Option<usize>) -> String {
    let width = columns.unwrap_or(usize::MAX);
    let lines = grid::summary(snapshot, width).join("\n");
    let seen = snapshot.processes.iter().cloned();
    let seen: Vec<_> = seen.map(|process| Seen { process, share: None }).collect();
    let processes = grid::processes(&seen, width).text(columns);
    let things = match &snapshot.things[..] {
        [] => String::new(),
        things => format!("\n{}", grid::things(things).text(columns)),
    };
    format!("{lines}\n\n{processes}{things}")
}
