//! The log of `procbox map --joblog`: GNU parallel's columns, a line per task that has ended, and
//! what `--resume` learns from it.
//!
//! The log says what was *printed*, not what was computed: a line is written only after its result
//! has left for stdout. So a run that was killed can be resumed, and no input is missing. Between
//! the two writes there is a window of some microseconds: a task whose result was printed in it has
//! no line, and is done and printed once more. A last line that was torn is cut off. Lines are
//! written with one `write` and not synced: they outlive procbox, not the machine.

use super::ends::End;
use super::inputs::Input;
use procbox::backend::printable;
use procbox::{Error, TaskUsage};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::SystemTime;

const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand";
/// Columns behind those, in a log of tasks that were measured: CPU time in seconds, bytes of memory at
/// most, times that it was begun. What is not known is `-`.
const MEASURED: &str = "\tCputime\tMaxmem\tAttempts";
/// GNU parallel's word for this machine.
const HOST: &str = ":";
const EXITVAL: usize = 6;
const SIGNAL: usize = 7;
const COLUMNS: usize = 9;
const MEASURED_COLUMNS: usize = 12;

/// A log that is being written.
pub(super) struct JobLog {
    file: File,
    /// Whether it has the columns of what was measured.
    measured: bool,
    /// Lines that wait for their results to be printed.
    lines: String,
}

impl JobLog {
    /// Begins a log, or goes on with it and says what has ended. One that is begun has columns for what
    /// was `measured`; one that is gone on with has those that it has.
    ///
    /// # Errors
    /// If it cannot be read or written, is not such a log, or another procbox writes it.
    pub(super) fn open(
        path: &Path,
        resume: bool,
        measured: bool,
    ) -> anyhow::Result<(JobLog, Ended)> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        // The lock goes with the file: also when procbox is killed.
        if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
            anyhow::bail!("another procbox is writing it");
        }
        let mut ended = Ended::default();
        let mut measured = measured;
        let whole = if resume { read(&file, &mut ended, &mut measured)? } else { 0 };
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        if whole == 0 {
            let more = if measured { MEASURED } else { "" };
            file.write_all(format!("{HEADER}{more}\n").as_bytes())?;
        }
        Ok((JobLog { file, measured, lines: String::new() }, ended))
    }

    /// Makes the line of a task whose result has so many bytes, to be written by
    /// [`JobLog::commit`].
    pub(super) fn note(&mut self, input: &Input, end: &End, received: usize) {
        let since_epoch = input.taken.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let runtime = end.at.duration_since(input.taken).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(
            self.lines,
            "{}\t{HOST}\t{:.3}\t{:.3}\t{}\t{}\t{}\t{}\t{}",
            input.seq,
            since_epoch.as_secs_f64(),
            runtime.as_secs_f64(),
            input.bytes,
            received,
            end.exitval,
            end.signal,
            command(&input.logged()),
        );
        if self.measured {
            self.lines += &measured(end.used.unwrap_or_default());
        }
        self.lines.push('\n');
    }

    /// Writes out the lines that were made. To be called once their results are printed.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn commit(&mut self) -> std::io::Result<()> {
        self.file.write_all(self.lines.as_bytes())?;
        self.lines.clear();
        Ok(())
    }
}

/// What was measured, as the log has it.
fn measured(used: TaskUsage) -> String {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let cpu = or_none(used.cpu_time.map(|time| format!("{:.6}", time.as_secs_f64())));
    let memory = or_none(used.peak_memory.map(|bytes| bytes.to_string()));
    let attempts = or_none((used.attempts > 0).then(|| used.attempts.to_string()));
    format!("\t{cpu}\t{memory}\t{attempts}")
}

/// A name as the log has it.
fn command(name: &str) -> String {
    // Each by itself: a long command is not cut.
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_graphic() || c == ' ' {
            text.push(c)
        } else {
            text += &printable(&c.to_string())
        }
    }
    text
}

/// Reads a log up to its last whole line, and says how many bytes that is. If it has any, `measured`
/// says whether it has those columns.
fn read(file: &File, ended: &mut Ended, measured: &mut bool) -> anyhow::Result<u64> {
    let mut lines = BufReader::new(file);
    let (mut whole, mut line, mut number) = (0, Vec::new(), 0u64);
    loop {
        line.clear();
        let length = lines.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Ok(whole); // The end, or a torn line.
        }
        number += 1;
        if number == 1 {
            let more = line.strip_prefix(HEADER.as_bytes());
            *measured = more == Some(MEASURED.as_bytes());
            anyhow::ensure!(*measured || more.is_some_and(<[u8]>::is_empty), "it is not a joblog");
        } else {
            let columns = if *measured { MEASURED_COLUMNS } else { COLUMNS };
            let (seq, success, name) = parse(&line, columns)
                .ok_or_else(|| anyhow::anyhow!("its line {number} is not that of a joblog"))?;
            ended.note(seq, success);
            // GNU parallel's own may have in it what ours escapes.
            let logged = command(&String::from_utf8_lossy(name));
            ended.names.insert(seq, (hash(logged.as_bytes()), is_with_hash(name)));
        }
        whole += length as u64;
    }
}

/// The number of a line's task, whether it went well, and its name.
fn parse(line: &[u8], most: usize) -> Option<(u64, bool, &[u8])> {
    let columns: Vec<&[u8]> = line.splitn(most, |byte| *byte == b'\t').collect();
    let number = |at: usize| std::str::from_utf8(columns.get(at)?).ok()?.trim().parse::<i64>().ok();
    let (exitval, signal) = (number(EXITVAL)?, number(SIGNAL)?);
    let seq = u64::try_from(number(0)?).ok().filter(|seq| *seq > 0)?;
    (columns.len() == most).then(|| (seq, exitval == 0 && signal == 0, columns[COLUMNS - 1]))
}

/// A number for a name or a line, the same for the same bytes always: 64-bit FNV-1a.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The name of an input that is known by its content. To GNU parallel, which hands commands to a
/// shell, the hash is a comment.
pub(super) fn with_hash(name: &str, hash: u64) -> String {
    format!("{name} # {hash:016x}")
}

fn is_with_hash(name: &[u8]) -> bool {
    let mut ends = name.rsplitn(2, |byte| *byte == b' ');
    let hash = ends.next().unwrap_or_default();
    let before = ends.next().unwrap_or_default();
    hash.len() == 16 && hash.iter().all(u8::is_ascii_hexdigit) && before.ends_with(b" #")
}

fn other_inputs(seq: u64, is: &str) -> Error {
    Error::Invalid(format!(
        "--resume: the joblog is of other inputs: number {seq} {is}; give the same in the same order, \
         or begin anew without --resume"
    ))
}

/// The tasks that have ended. A million in a row are one range: it needs next to no memory.
#[derive(Default)]
pub(super) struct Ended {
    /// First and last number of each range.
    ranges: BTreeMap<u64, u64>,
    /// Those that failed, and did not go well later.
    failed: BTreeSet<u64>,
    retry_failed: bool,
    /// The hash of each one's name, and whether that name says what a line is.
    names: HashMap<u64, (u64, bool)>,
    /// Whether the names are commands, which say that too.
    commands: bool,
}

impl Ended {
    /// Those that failed have not ended.
    pub(super) fn retry_failed(mut self, yes: bool) -> Ended {
        self.retry_failed = yes;
        self
    }

    /// The names are of commands.
    pub(super) fn of_commands(mut self, yes: bool) -> Ended {
        self.commands = yes;
        self
    }

    /// Makes sure that these are the inputs that the log is about, by their names there.
    ///
    /// # Errors
    /// [`Error::Invalid`], which names the first that is not.
    pub(super) fn check_all(&self, names: &[String]) -> procbox::Result<()> {
        let mut logged: Vec<_> = self.names.keys().copied().collect();
        logged.sort_unstable();
        for seq in logged {
            match usize::try_from(seq - 1).ok().and_then(|at| names.get(at)) {
                Some(name) => self.compare(seq, name)?,
                None => return Err(other_inputs(seq, "is missing now")),
            }
        }
        Ok(())
    }

    /// Makes sure that an input of a stream is that of the log, if the log can tell.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not.
    pub(super) fn check(&self, seq: u64, name: impl FnOnce() -> String) -> procbox::Result<()> {
        match self.names.get(&seq) {
            Some((_, tells)) if *tells || self.commands => self.compare(seq, &name()),
            _ => Ok(()),
        }
    }

    /// Makes sure that a stream had as many inputs as the log says.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it had not.
    pub(super) fn check_number(&self, number: u64) -> procbox::Result<()> {
        let tells = |(seq, (_, tells)): (&u64, &(u64, bool))| {
            (*seq > number && (*tells || self.commands)).then_some(*seq)
        };
        let missing = self.names.iter().filter_map(tells).min();
        missing.map_or(Ok(()), |seq| Err(other_inputs(seq, "is missing now")))
    }

    fn compare(&self, seq: u64, name: &str) -> procbox::Result<()> {
        match self.names.get(&seq) {
            Some((logged, _)) if *logged != hash(command(name).as_bytes()) => {
                let is = match is_with_hash(name.as_bytes()) {
                    true => "has another content now".to_string(),
                    false => format!("is {name} now, and was another input"),
                };
                Err(other_inputs(seq, &is))
            }
            _ => Ok(()),
        }
    }

    /// Whether the task of this number is not to be run.
    pub(super) fn skips(&self, seq: u64) -> bool {
        let before = self.ranges.range(..=seq).next_back();
        before.is_some_and(|(_, last)| *last >= seq)
            && !(self.retry_failed && self.failed.contains(&seq))
    }

    fn note(&mut self, seq: u64, success: bool) {
        if success {
            self.failed.remove(&seq);
        } else {
            self.failed.insert(seq);
        }
        let before = self.ranges.range_mut(..=seq).next_back();
        let first = match before {
            Some((_, last)) if *last >= seq => return,
            Some((first, last)) if *last + 1 == seq => {
                *last = seq;
                *first
            }
            _ => {
                self.ranges.insert(seq, seq);
                seq
            }
        };
        // It may have closed a gap.
        if let Some(last) = seq.checked_add(1).and_then(|next| self.ranges.remove(&next)) {
            self.ranges.insert(first, last);
        }
    }
}

impl FromIterator<u64> for Ended {
    /// All went well.
    fn from_iter<I: IntoIterator<Item = u64>>(those: I) -> Ended {
        let mut ended = Ended::default();
        those.into_iter().for_each(|seq| ended.note(seq, true));
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use procbox::ExitStatus;
    use proptest::prelude::*;
    use std::path::PathBuf;

    /// A path for a log, removed in the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, text: &str) -> Scratch {
            let name = format!("procbox-joblog-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, text).unwrap();
            Scratch(path)
        }

        fn text(&self) -> String {
            std::fs::read_to_string(&self.0).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn line(seq: u64, exitval: i32, signal: i32) -> String {
        format!("{seq}\t:\t1700000000.000\t0.001\t1\t2\t{exitval}\t{signal}\tline {seq}\n")
    }

    fn died(status: ExitStatus) -> Error {
        Error::WorkerDied { worker: "Worker-1".into(), status, attempts: 1, printed: None }
    }

    fn skipped(ended: &Ended) -> Vec<u64> {
        (1..10).filter(|seq| ended.skips(*seq)).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let scratch = Scratch::new("written", "");
        let (mut log, _) = JobLog::open(&scratch.0, false, false).unwrap();
        let ends = [
            None,
            Some(Error::Task("no".into())),
            Some(died(ExitStatus::exited(3))),
            Some(died(ExitStatus::signaled(9))),
            Some(died(ExitStatus::exited(0))),
        ];
        for (seq, error) in (1..).zip(&ends) {
            log.note(&Input::for_test(seq, "a\tb\nc", 7), &End::now(error.as_ref()), 5);
        }
        assert_eq!(scratch.text(), format!("{HEADER}\n"), "nothing is written before commit");
        log.commit().unwrap();
        drop(log);
        let text = scratch.text();
        let columns: Vec<Vec<&str>> = text.lines().map(|l| l.split('\t').collect()).collect();
        assert!(columns.iter().all(|columns| columns.len() == COLUMNS), "{text}");
        let ends: Vec<_> = columns[1..].iter().map(|c| (c[0], c[EXITVAL], c[SIGNAL])).collect();
        let due =
            [("1", "0", "0"), ("2", "1", "0"), ("3", "3", "0"), ("4", "0", "9"), ("5", "1", "0")];
        assert_eq!(ends, due);
        assert_eq!((columns[1][4], columns[1][5], columns[1][8]), ("7", "5", "a\\tb\\nc"));
        let (_, ended) = JobLog::open(&scratch.0, true, false).unwrap();
        assert_eq!(skipped(&ended), [1, 2, 3, 4, 5]);
        assert_eq!(skipped(&ended.retry_failed(true)), [1]);
    }

    #[test]
    fn a_torn_last_line_is_cut_off() {
        let whole = format!("{HEADER}\n{}", line(1, 0, 0));
        let torn = line(2, 0, 0);
        for cut in 0..torn.len() {
            let scratch = Scratch::new("torn", &format!("{whole}{}", &torn[..cut]));
            let (_, ended) = JobLog::open(&scratch.0, true, false).unwrap();
            assert_eq!((skipped(&ended), scratch.text()), (vec![1], whole.clone()));
        }
        let scratch = Scratch::new("torn", &HEADER[..5]);
        drop(JobLog::open(&scratch.0, true, false).unwrap());
        assert_eq!(scratch.text(), format!("{HEADER}\n"));
    }

    #[test]
    fn the_last_line_of_a_task_counts() {
        let lines = [line(1, 1, 0), line(2, 0, 9), line(1, 0, 0)].concat();
        let scratch = Scratch::new("last", &format!("{HEADER}\n{lines}"));
        let (_, ended) = JobLog::open(&scratch.0, true, false).unwrap();
        assert_eq!(skipped(&ended.retry_failed(true)), [1]);
    }

    #[test]
    fn without_resume_a_log_begins_anew() {
        let scratch = Scratch::new("anew", &format!("{HEADER}\n{}", line(1, 0, 0)));
        let (_, ended) = JobLog::open(&scratch.0, false, false).unwrap();
        assert_eq!((skipped(&ended), scratch.text()), (vec![], format!("{HEADER}\n")));
    }

    #[test]
    fn what_is_no_joblog_is_refused_and_left_alone() {
        for text in [
            "my novel\n".to_string(),
            format!("{HEADER}\nmy novel\n"),
            format!("{HEADER}\n{}", line(0, 0, 0)),
        ] {
            let scratch = Scratch::new("novel", &text);
            assert!(JobLog::open(&scratch.0, true, false).is_err(), "{text}");
            assert_eq!(scratch.text(), text);
        }
    }

    #[test]
    fn a_line_is_known_by_its_hash() {
        let named = |content: &str| with_hash("line 1", hash(content.as_bytes()));
        let line = format!("1\t:\t1.000\t0.001\t1\t2\t0\t0\t{}\n", named("a"));
        let scratch = Scratch::new("hash", &format!("{HEADER}\n{line}"));
        let (_, ended) = JobLog::open(&scratch.0, true, false).unwrap();
        assert!(ended.check(1, || named("a")).is_ok() && ended.check(2, || named("b")).is_ok());
        assert!(ended.check(1, || named("b")).is_err());
        assert!(ended.check_number(1).is_ok() && ended.check_number(0).is_err());
    }

    #[test]
    fn a_log_without_hashes_is_of_any_lines() {
        let scratch = Scratch::new("old", &format!("{HEADER}\n{}", line(1, 0, 0)));
        let (_, ended) = JobLog::open(&scratch.0, true, false).unwrap();
        assert!(ended.check(1, || with_hash("line 1", 7)).is_ok() && ended.check_number(0).is_ok());
    }

    #[test]
    fn what_was_measured_is_in_columns_of_its_own() {
        let scratch = Scratch::new("measured", "");
        let (mut log, _) = JobLog::open(&scratch.0, false, true).unwrap();
        let mut used = TaskUsage::default();
        (used.attempts, used.cpu_time) = (2, Some(std::time::Duration::from_millis(1500)));
        used.peak_memory = Some(4096);
        let end = End { used: Some(used), ..End::now(None) };
        log.note(&Input::for_test(1, "a\tb", 7), &end, 5);
        log.note(&Input::for_test(2, "c", 7), &End::unread(), 0);
        log.commit().unwrap();
        drop(log);
        let text = scratch.text();
        let columns: Vec<Vec<&str>> = text.lines().map(|l| l.split('\t').collect()).collect();
        assert_eq!(columns[0][8..], ["Command", "Cputime", "Maxmem", "Attempts"]);
        assert_eq!(columns[1][8..], ["a\\tb", "1.500000", "4096", "2"]);
        assert_eq!(columns[2][8..], ["c", "-", "-", "-"]);
        // Gone on with as it is, whatever is measured now.
        let (mut log, ended) = JobLog::open(&scratch.0, true, false).unwrap();
        assert_eq!(skipped(&ended), [1, 2]);
        assert!(ended.check_all(&["a\tb".into(), "c".into()]).is_ok());
        log.note(&Input::for_test(3, "d", 7), &End::now(None), 5);
        log.commit().unwrap();
        drop(log);
        assert!(scratch.text().ends_with("\td\t-\t-\t-\n"), "{}", scratch.text());
        let (_, ended) = JobLog::open(&scratch.0, true, true).unwrap();
        assert_eq!(skipped(&ended), [1, 2, 3]);
    }

    #[test]
    fn a_log_of_before_is_gone_on_with_in_its_columns() {
        let scratch = Scratch::new("before", &format!("{HEADER}\n{}", line(1, 0, 0)));
        let (mut log, ended) = JobLog::open(&scratch.0, true, true).unwrap();
        assert_eq!(skipped(&ended), [1]);
        log.note(&Input::for_test(2, "c", 7), &End::now(None), 5);
        log.commit().unwrap();
        assert!(scratch.text().ends_with("\t0\t0\tc\n"), "{}", scratch.text());
    }

    #[test]
    fn two_do_not_write_one_log() {
        let scratch = Scratch::new("two", "");
        let _first = JobLog::open(&scratch.0, true, false).unwrap();
        assert!(JobLog::open(&scratch.0, true, false).is_err());
    }

    proptest! {
        #[test]
        fn what_has_ended_is_a_set(noted in prop::collection::vec((1u64..40, any::<bool>()), 0..80)) {
            let (mut ended, mut model) = (Ended::default(), BTreeMap::new());
            for (seq, success) in noted {
                ended.note(seq, success);
                model.insert(seq, success);
            }
            prop_assert!((0..45).all(|seq| ended.skips(seq) == model.contains_key(&seq)));
            let again = ended.retry_failed(true);
            prop_assert!((0..45).all(|seq| again.skips(seq) == (model.get(&seq) == Some(&true))));
        }
    }

    #[test]
    fn a_million_in_a_row_are_one_range() {
        let ended: Ended = (1..=1000).step_by(2).chain((2..=1000).rev().step_by(2)).collect();
        assert_eq!(ended.ranges, BTreeMap::from([(1, 1000)]));
        assert!(ended.skips(1000) && !ended.skips(1001) && !ended.skips(0));
        assert!([u64::MAX].into_iter().collect::<Ended>().skips(u64::MAX));
    }
}
