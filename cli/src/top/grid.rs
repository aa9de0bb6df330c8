//! Tables of what is seen: their cells, and how they look as plain text.
//!
//! Names come from programs, which may not be trusted: each cell is escaped here.

use procbox::backend::printable;
use procbox::watch::{ProcessView, Snapshot, ThingView};
use std::time::Duration;

/// Where there is room for all columns.
pub(super) const WIDE: usize = 64;

/// The part of a line that a column may take.
const SHARE: usize = 4;

/// A table: what stands over each column, and whether its numbers stand at the right.
pub(super) struct Grid {
    pub(super) heads: Vec<(&'static str, bool)>,
    pub(super) rows: Vec<Vec<String>>,
}

/// A process, and the share of a CPU that it has used since it was last looked at.
pub(super) struct Seen {
    pub(super) process: ProcessView,
    pub(super) share: Option<f64>,
}

impl Grid {
    fn new(heads: &[(&'static str, bool)]) -> Grid {
        Grid { heads: heads.to_vec(), rows: Vec::new() }
    }

    fn add(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// The width of each column: the last takes what is left, and none more than its share.
    pub(super) fn widths(&self, columns: Option<usize>) -> Vec<usize> {
        let most = columns.map_or(usize::MAX, |columns| columns / SHARE);
        let width = |text: &str| text.chars().count();
        let column = |at: usize| {
            let cells = self.rows.iter().map(|row| width(&row[at]));
            cells.max().unwrap_or(0).max(width(self.heads[at].0)).min(most)
        };
        (0..self.heads.len()).map(column).collect()
    }

    /// As text, of lines no longer than `columns`, if that is said.
    pub(super) fn text(&self, columns: Option<usize>) -> String {
        let widths = self.widths(columns);
        let heads: Vec<String> = self.heads.iter().map(|(head, _)| (*head).into()).collect();
        let mut text = String::new();
        for row in [&heads].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, right)) in row.iter().zip(&widths).zip(&self.heads) {
                let cell = cut(cell, *width);
                match right {
                    true => line += &format!("{cell:>width$} "),
                    false => line += &format!("{cell:<width$} "),
                }
            }
            // The last column has what room there is.
            if let (Some(last), Some(width)) = (row.last(), widths.last()) {
                let begin: String = line.chars().take(line.chars().count() - width - 1).collect();
                line = begin + last;
            }
            let line = columns.map_or(line.clone(), |columns| cut(&line, columns));
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// A text of at most so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    text.chars().take(most.saturating_sub(1)).chain(['~']).collect()
}

/// The OS processes that can be looked at.
pub(super) fn contexts(all: &[(u32, Result<Snapshot, String>)], columns: usize) -> Grid {
    let wide = columns >= WIDE;
    let mut heads = vec![("PID", true), ("UP", true), ("ALIVE", true)];
    if wide {
        heads.extend([("DONE", true), ("FAILED", true)]);
    }
    heads.push(("COMMAND", false));
    let mut grid = Grid::new(&heads);
    for (pid, snapshot) in all {
        let mut row = vec![pid.to_string()];
        match snapshot {
            Ok(it) => {
                row.extend([time(it.up), it.alive.to_string()]);
                if wide {
                    row.extend([it.tasks.done.to_string(), it.tasks.failed.to_string()]);
                }
                row.push(it.command.clone());
            }
            Err(why) => {
                row.resize(heads.len() - 1, "-".into());
                row.push(why.clone());
            }
        }
        grid.add(row);
    }
    grid
}

/// The processes of one.
pub(super) fn processes(all: &[Seen], columns: usize) -> Grid {
    let wide = columns >= WIDE;
    let cpu = if all.iter().any(|seen| seen.share.is_some()) { "CPU%" } else { "CPU" };
    let mut heads = vec![("PID", true), ("NAME", false), (cpu, true)];
    if wide {
        heads.extend([("MEM", true), ("AGE", true)]);
    }
    heads.push(("DOES", false));
    let mut grid = Grid::new(&heads);
    for Seen { process, share } in all {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let used = match (cpu, share) {
            ("CPU", _) => process.cpu.map(time),
            (_, share) => share.map(|share| format!("{:.0}", 100.0 * share)),
        };
        let mut row = vec![process.pid.to_string(), process.name.clone(), or_dash(used)];
        if wide {
            row.extend([or_dash(process.memory.map(bytes)), time(process.age)]);
        }
        row.push(does(process, wide));
        grid.add(row);
    }
    grid
}

/// What a process is at: its waits, its task, or that it runs.
fn does(process: &ProcessView, wide: bool) -> String {
    let task = process.task.map(|(task, count)| match count {
        1 => format!("task {task}"),
        _ => format!("task {task} of {count} given"),
    });
    let waits = process.waits.iter().map(|(on, since)| match wide {
        true => format!("waits {} for {on}", time(*since)),
        false => format!("{} {}", time(*since), briefly(on)),
    });
    let state = (process.waits.is_empty() && (task.is_none() || process.state != "runs"))
        .then(|| process.state.clone());
    waits.chain(task).chain(state).collect::<Vec<_>>().join(", ")
}

/// A wait in few letters.
fn briefly(on: &str) -> String {
    let words = [
        ("a message of ", "get "),
        ("room in ", "put "),
        ("a permit of ", ""),
        ("the end of process ", "join "),
    ];
    let found = words.iter().find_map(|(long, short)| Some((on.strip_prefix(long)?, short)));
    found.map_or(on.to_string(), |(rest, short)| format!("{short}{rest}"))
}

/// Locks and queues.
pub(super) fn things(all: &[ThingView]) -> Grid {
    let mut grid = Grid::new(&[("THING", false), ("STATE", false), ("WAITED FOR BY", false)]);
    for thing in all {
        let waiters: Vec<_> = thing.waiters.iter().map(u32::to_string).collect();
        grid.add([thing.name.clone(), thing.state.clone(), waiters.join(" ")]);
    }
    grid
}

/// The lines above the tables.
pub(super) fn summary(of: &Snapshot, columns: usize) -> Vec<String> {
    let tasks = of.tasks;
    let mut lines = vec![
        format!("{} up {}: {}", of.pid, time(of.up), printable(&of.command)),
        format!("{} alive, {} started", of.alive, of.started),
    ];
    let told = format!("{} given, {} done, {} failed", tasks.given, tasks.done, tasks.failed);
    if columns >= WIDE {
        lines[1] += &format!("; tasks: {told}, {} retried", tasks.retried);
    } else {
        lines.push(format!("tasks {told}"));
    }
    lines
}

/// A time in at most five characters, up to a hundred days.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        10..600 => format!("{seconds}s"),
        600..36_000 => format!("{}m", seconds / 60),
        36_000..360_000 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A number of bytes in at most five characters.
fn bytes(bytes: u64) -> String {
    let units = ["B", "K", "M", "G", "T"];
    let mut number = bytes as f64;
    let mut unit = 0;
    while number >= 1000.0 && unit + 1 < units.len() {
        number /= 1024.0;
        unit += 1;
    }
    match number {
        _ if unit == 0 => format!("{bytes}B"),
        n if n < 10.0 => format!("{n:.1}{}", units[unit]),
        n => format!("{n:.0}{}", units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_long_as_they_may_be_and_cells_are_escaped() {
        let mut grid = Grid::new(&[("PID", true), ("NAME", false), ("DOES", false)]);
        grid.add(["7", "a\x1b[2J", "waits for a message of queue 1"].map(String::from));
        grid.add(["12345", &"x".repeat(50), "runs"].map(String::from));
        let text = grid.text(Some(40));
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.contains("~") && !text.contains('\x1b'), "{text}");
        let text = grid.text(None);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with(r"    7 a\u{1b}[2J"), "{text}");
        assert!(lines[1].ends_with(" waits for a message of queue 1"), "{text}");
        assert!(lines[2].ends_with(&format!("{} runs", "x".repeat(50))), "{text}");
    }

    #[test]
    fn times_and_sizes_are_short() {
        let of = |seconds: f64| time(Duration::from_secs_f64(seconds));
        assert_eq!(
            [of(0.25), of(12.0), of(700.0), of(40_000.0), of(1e6)],
            ["0.2s", "12s", "11m", "11h", "11d"]
        );
        assert_eq!(
            [bytes(999), bytes(1000), bytes(1 << 20), bytes(123 << 20)],
            ["999B", "1.0K", "1.0M", "123M"]
        );
    }
}
