//! What a program has used, for people (`--stats`) and for programs (`--meta`).

use crate::status::say;
use clap::Args;
use procbox::types::signal;
use procbox::{ExitStatus, Limit, Usage, native};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Where it is said.
#[derive(Args)]
pub(crate) struct StatsArgs {
    /// Say on stderr what it and all that it started have used
    #[arg(long)]
    pub(crate) stats: bool,
    /// Write what became of it to FILE, in the keys of `isolate`, a line each: time, time-wall (in
    /// seconds), max-rss (in KiB), exitcode, exitsig, killed, status (RE, SG, TO or XX), message
    #[arg(long, value_name = "FILE")]
    pub(crate) meta: Option<PathBuf>,
}

impl StatsArgs {
    /// True if it is of use to measure.
    pub(crate) fn any(&self) -> bool {
        self.stats || self.meta.is_some()
    }

    /// Says that nothing is known yet, in the place of what an earlier run has left: it stays if this one
    /// is killed.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn begin(&self) -> anyhow::Result<()> {
        self.tell_failure("procbox was ended before it could say more")
    }

    /// Says what a program has used that ended so.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn tell(&self, status: ExitStatus, usage: &Usage) -> anyhow::Result<()> {
        if self.stats {
            say(&sentence(usage));
        }
        self.write(&lines(status, usage))
    }

    /// Says that it was ended by Ctrl-C, or a signal that is answered like that, and what it had
    /// used if it had begun. That is nobody's fault: no `XX`.
    pub(crate) fn tell_interrupted(&self, used: Option<&Usage>) -> anyhow::Result<()> {
        if let (true, Some(usage)) = (self.stats, used) {
            say(&sentence(usage));
        }
        let signal = native::answered_signal().unwrap_or(signal::INT);
        let used = used.map(measured).unwrap_or_default();
        self.write(&format!("{used}exitsig:{signal}\nkilled:1\nstatus:SG\nmessage:interrupted\n"))
    }

    /// Says that it could not be run.
    pub(crate) fn tell_failure(&self, why: &str) -> anyhow::Result<()> {
        self.write(&format!("status:XX\nmessage:{}\n", one_line(why)))
    }

    fn write(&self, lines: &str) -> anyhow::Result<()> {
        let Some(path) = &self.meta else { return Ok(()) };
        let why = |e: std::io::Error| anyhow::anyhow!("--meta {}: {e}", path.display());
        std::fs::write(path, lines).map_err(why)
    }
}

/// Text of a program's making, as a line of its own.
fn one_line(text: &str) -> String {
    procbox::backend::printable(text.lines().next().unwrap_or_default())
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// For people.
fn sentence(usage: &Usage) -> String {
    let mut text = format!("took {} s", seconds(usage.wall_time));
    // Writing to a string does not fail.
    if let Some(time) = usage.cpu_time {
        let _ = write!(text, ", {} s of CPU time", seconds(time));
    }
    if let Some(fuel) = usage.fuel {
        let _ = write!(text, ", {fuel} units of fuel");
    }
    if let Some(bytes) = usage.peak_memory {
        let _ = write!(text, ", {:.1} MiB at most", bytes as f64 / f64::from(1 << 20));
    }
    if let Some(processes) = usage.processes {
        let _ = write!(text, ", {processes} process{}", if processes == 1 { "" } else { "es" });
    }
    if let Some(bytes) = usage.printed {
        let _ = write!(text, ", {bytes} bytes printed");
    }
    if let Some(bytes) = usage.written {
        let _ = write!(text, ", {bytes} bytes written");
    }
    if let Some(bytes) = usage.read {
        let _ = write!(text, ", {bytes} bytes read");
    }
    if usage.lacked_memory {
        text.push_str(", and was refused memory");
    }
    text
}

/// What it used, for programs.
fn measured(usage: &Usage) -> String {
    let mut lines = String::new();
    // Writing to a string does not fail.
    if let Some(time) = usage.cpu_time {
        let _ = writeln!(lines, "time:{}", seconds(time));
    }
    let _ = writeln!(lines, "time-wall:{}", seconds(usage.wall_time));
    if let Some(bytes) = usage.peak_memory {
        let _ = writeln!(lines, "max-rss:{}", bytes >> 10);
    }
    lines
}

/// All, for programs.
fn lines(status: ExitStatus, usage: &Usage) -> String {
    let mut lines = measured(usage);
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(lines, "{key}:{value}");
    };
    match status.signal() {
        Some(signal) => line("exitsig", &signal.to_string()),
        None => line("exitcode", &status.exitcode().to_string()),
    }
    if status.limit().is_some() {
        line("killed", "1");
    }
    let code = match status.limit() {
        Some(Limit::CpuTime | Limit::Fuel | Limit::WallClock) => Some("TO"),
        _ if status.signal().is_some() => Some("SG"),
        _ if !status.success() => Some("RE"),
        _ => None,
    };
    if let Some(code) = code {
        line("status", code);
        let lacked = if usage.lacked_memory && status.limit().is_none() {
            " after it was refused memory"
        } else {
            ""
        };
        line("message", &format!("{status}{lacked}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_those_of_isolate() {
        let mut usage = Usage::default();
        usage.wall_time = Duration::from_millis(1500);
        usage.cpu_time = Some(Duration::from_millis(250));
        usage.peak_memory = Some(3 << 20);
        let used = "time:0.250\ntime-wall:1.500\nmax-rss:3072\n";
        assert_eq!(lines(ExitStatus::SUCCESS, &usage), format!("{used}exitcode:0\n"));
        assert_eq!(
            lines(ExitStatus::exited(3), &usage),
            format!("{used}exitcode:3\nstatus:RE\nmessage:exited with code 3\n")
        );
        assert_eq!(
            lines(ExitStatus::limited(Limit::WallClock), &usage),
            format!("{used}exitsig:9\nkilled:1\nstatus:TO\nmessage:ran out of wall-clock time\n")
        );
        assert_eq!(
            lines(ExitStatus::limited(Limit::Memory), &usage),
            format!("{used}exitsig:9\nkilled:1\nstatus:SG\nmessage:ran out of memory\n")
        );
        usage.lacked_memory = true;
        let aborted = lines(ExitStatus::signaled(signal::ABRT), &usage);
        let message = "was killed by signal 6 (SIGABRT) after it was refused memory";
        assert_eq!(aborted, format!("{used}exitsig:6\nstatus:SG\nmessage:{message}\n"));
    }
}
