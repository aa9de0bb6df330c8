//! What the system knows of a process.

use std::time::Duration;

/// How the system sees a process.
pub(super) struct Seen {
    pub(super) state: &'static str,
    pub(super) cpu: Duration,
    pub(super) memory: u64,
}

/// Clock ticks in a second, as /proc counts them: the same on every Linux that we run on.
const TICKS: f64 = 100.0;

/// What /proc says of it, if it is there.
pub(super) fn seen(pid: u32) -> Option<Seen> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may have any characters.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let state = match *fields.first()? {
        "R" => "runs",
        "T" | "t" => "stopped",
        "Z" | "X" => "ended",
        _ => "sleeps",
    };
    let cpu = Duration::from_secs_f64((field(14)? + field(15)?) as f64 / TICKS);
    Some(Seen { state, cpu, memory: memory(pid)? })
}

/// The bytes that it has in memory.
fn memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // A process that has ended and is not reaped has none.
    let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmRSS:")) else {
        return Some(0);
    };
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// The process that a thread is of.
pub(super) fn process_of(thread: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// The command line of this process.
pub(super) fn command_line() -> String {
    let words: Vec<_> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_itself_and_its_threads() {
        let me = std::process::id();
        let seen = seen(me).unwrap();
        assert!(seen.memory > 1 << 16);
        assert_eq!(process_of(me), Some(me));
        assert_eq!(process_of(0), None);
    }
}
