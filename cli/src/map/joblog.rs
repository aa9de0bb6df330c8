//! The log of `procbox map --joblog`: GNU parallel's columns, a line per task that has ended, and
//! what `--resume` learns from it.
//!
//! The log says what was *printed*, not what was computed: a line is written only after its result
//! has left for stdout. So a run that was killed can be resumed, and no input is missing. Between
//! the two writes there is a window of some microseconds: a task whose result was printed in it has
//! no line, and is done and printed once more. A last line that was torn is cut off. Lines are
//! written with one `write` and not synced: they outlive procbox, not the machine.

use super::inputs::Input;
use procbox::observe::{Event, Subscriber, Subscription, subscribe};
use procbox::{Error, ExitStatus};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand";
/// GNU parallel's word for this machine.
const HOST: &str = ":";
const EXITVAL: usize = 6;
const SIGNAL: usize = 7;
const COLUMNS: usize = 9;

/// The end of a task, as the log has it.
#[derive(Clone, Copy)]
struct End {
    at: SystemTime,
    exitval: i32,
    signal: i32,
}

impl End {
    /// Now: with a result, or with an error (how its worker ended, or 1 if that is alive).
    fn now(error: Option<&Error>) -> End {
        let (exitval, signal) = match error {
            None => (0, 0),
            Some(Error::WorkerDied { status, .. }) => codes(*status),
            Some(_) => (1, 0),
        };
        End { at: SystemTime::now(), exitval, signal }
    }

    /// Now, before it began.
    fn unread() -> End {
        End { at: SystemTime::now(), exitval: 1, signal: 0 }
    }
}

/// The ends of tasks whose results are not printed yet, by the pool's number of the task.
#[derive(Default)]
struct Ends(Mutex<HashMap<u64, End>>);

impl Ends {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, End>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Ends {
    fn event(&self, event: &Event<'_>) {
        let (task, end) = match event {
            Event::TaskDone { task, .. } => (task, End::now(None)),
            Event::TaskFailed { task, error, .. } => (task, End::now(Some(error))),
            _ => return,
        };
        self.lock().insert(*task, end);
    }
}

/// Never both 0: a worker that exits with 0 in the middle of a task has failed it.
fn codes(status: ExitStatus) -> (i32, i32) {
    match status.signal() {
        Some(signal) => (0, signal),
        None => (status.exitcode().max(1), 0),
    }
}

/// A log that is being written.
pub(super) struct JobLog {
    file: File,
    /// Lines that wait for their results to be printed.
    lines: String,
    ends: Arc<Ends>,
    _watches: Subscription,
}

impl JobLog {
    /// Begins a log, or goes on with it and says what has ended.
    ///
    /// # Errors
    /// If it cannot be read or written, is not such a log, or another procbox writes it.
    pub(super) fn open(path: &Path, resume: bool) -> anyhow::Result<(JobLog, Ended)> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        // The lock goes with the file: also when procbox is killed.
        if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
            anyhow::bail!("another procbox is writing it");
        }
        let mut ended = Ended::default();
        let whole = if resume { read(&file, &mut ended)? } else { 0 };
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        if whole == 0 {
            file.write_all(format!("{HEADER}\n").as_bytes())?;
        }
        let ends = Arc::new(Ends::default());
        let _watches = subscribe(ends.clone());
        Ok((JobLog { file, lines: String::new(), ends, _watches }, ended))
    }

    /// Makes the line of a task whose result has so many bytes, to be written by
    /// [`JobLog::commit`]. `None` for an input that never became a task.
    pub(super) fn note(&mut self, input: &Input, task: Option<usize>, received: usize) {
        let end = task.and_then(|task| self.ends.lock().remove(&(task as u64)));
        self.line(input, end.unwrap_or_else(End::unread), received);
    }

    fn line(&mut self, input: &Input, end: End, received: usize) {
        let since_epoch = input.taken.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let runtime = end.at.duration_since(input.taken).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(
            self.lines,
            "{}\t{HOST}\t{:.3}\t{:.3}\t{}\t{}\t{}\t{}\t{}",
            input.seq,
            since_epoch.as_secs_f64(),
            runtime.as_secs_f64(),
            input.bytes,
            received,
            end.exitval,
            end.signal,
            command(&input.name()),
        );
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

/// A name as the log has it.
fn command(name: &str) -> String {
    name.replace('\t', "\\t").replace('\n', "\\n")
}

/// Reads a log up to its last whole line, and says how many bytes that is.
fn read(file: &File, ended: &mut Ended) -> anyhow::Result<u64> {
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
            anyhow::ensure!(line == HEADER.as_bytes(), "it is not a joblog");
        } else {
            let (seq, success, name) = parse(&line)
                .ok_or_else(|| anyhow::anyhow!("its line {number} is not that of a joblog"))?;
            ended.note(seq, success);
            ended.names.insert(seq, hash(name));
        }
        whole += length as u64;
    }
}

/// The number of a line's task, and whether it went well.
fn parse(line: &[u8]) -> Option<(u64, bool, &[u8])> {
    let columns: Vec<&[u8]> = line.splitn(COLUMNS, |byte| *byte == b'\t').collect();
    let number = |at: usize| std::str::from_utf8(columns.get(at)?).ok()?.trim().parse::<i64>().ok();
    let (exitval, signal) = (number(EXITVAL)?, number(SIGNAL)?);
    let seq = u64::try_from(number(0)?).ok().filter(|seq| *seq > 0)?;
    (columns.len() == COLUMNS).then(|| (seq, exitval == 0 && signal == 0, columns[COLUMNS - 1]))
}

/// A number for a name, the same for the same name in this process.
fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name);
    hasher.finish()
}

/// The tasks that have ended. A million in a row are one range: it needs next to no memory.
#[derive(Default)]
pub(super) struct Ended {
    /// First and last number of each range.
    ranges: BTreeMap<u64, u64>,
    /// Those that failed, and did not go well later.
    failed: BTreeSet<u64>,
    retry_failed: bool,
    /// The hash of each one's name.
    names: HashMap<u64, u64>,
}

impl Ended {
    /// Those that failed have not ended.
    pub(super) fn retry_failed(mut self, yes: bool) -> Ended {
        self.retry_failed = yes;
        self
    }

    /// Makes sure that these files are those that the log is about.
    ///
    /// # Errors
    /// [`Error::Invalid`], which names the first that is not.
    pub(super) fn check_files(&self, paths: &[PathBuf]) -> procbox::Result<()> {
        let mut logged: Vec<_> = self.names.iter().collect();
        logged.sort();
        for (seq, name) in logged {
            let path = usize::try_from(seq - 1).ok().and_then(|at| paths.get(at));
            let is = match path.map(|path| path.display().to_string()) {
                Some(path) if hash(command(&path).as_bytes()) == *name => continue,
                Some(path) => format!("is {path} now, and was another input"),
                None => "is missing now".to_string(),
            };
            return Err(Error::Invalid(format!(
                "--resume: the joblog is of other inputs: number {seq} {is}; give the same in the \
                 same order, or begin anew without --resume"
            )));
        }
        Ok(())
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
    use proptest::prelude::*;

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
        Error::WorkerDied { worker: "Worker-1".into(), status, attempts: 1 }
    }

    fn skipped(ended: &Ended) -> Vec<u64> {
        (1..10).filter(|seq| ended.skips(*seq)).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let scratch = Scratch::new("written", "");
        let (mut log, _) = JobLog::open(&scratch.0, false).unwrap();
        let ends = [
            None,
            Some(Error::Task("no".into())),
            Some(died(ExitStatus::exited(3))),
            Some(died(ExitStatus::signaled(9))),
            Some(died(ExitStatus::exited(0))),
        ];
        for (seq, error) in (1..).zip(&ends) {
            log.line(&Input::for_test(seq, "a\tb\nc", 7), End::now(error.as_ref()), 5);
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
        let (_, ended) = JobLog::open(&scratch.0, true).unwrap();
        assert_eq!(skipped(&ended), [1, 2, 3, 4, 5]);
        assert_eq!(skipped(&ended.retry_failed(true)), [1]);
    }

    #[test]
    fn a_torn_last_line_is_cut_off() {
        let whole = format!("{HEADER}\n{}", line(1, 0, 0));
        let torn = line(2, 0, 0);
        for cut in 0..torn.len() {
            let scratch = Scratch::new("torn", &format!("{whole}{}", &torn[..cut]));
            let (_, ended) = JobLog::open(&scratch.0, true).unwrap();
            assert_eq!((skipped(&ended), scratch.text()), (vec![1], whole.clone()));
        }
        let scratch = Scratch::new("torn", &HEADER[..5]);
        drop(JobLog::open(&scratch.0, true).unwrap());
        assert_eq!(scratch.text(), format!("{HEADER}\n"));
    }

    #[test]
    fn the_last_line_of_a_task_counts() {
        let lines = [line(1, 1, 0), line(2, 0, 9), line(1, 0, 0)].concat();
        let scratch = Scratch::new("last", &format!("{HEADER}\n{lines}"));
        let (_, ended) = JobLog::open(&scratch.0, true).unwrap();
        assert_eq!(skipped(&ended.retry_failed(true)), [1]);
    }

    #[test]
    fn without_resume_a_log_begins_anew() {
        let scratch = Scratch::new("anew", &format!("{HEADER}\n{}", line(1, 0, 0)));
        let (_, ended) = JobLog::open(&scratch.0, false).unwrap();
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
            assert!(JobLog::open(&scratch.0, true).is_err(), "{text}");
            assert_eq!(scratch.text(), text);
        }
    }

    #[test]
    fn two_do_not_write_one_log() {
        let scratch = Scratch::new("two", "");
        let _first = JobLog::open(&scratch.0, true).unwrap();
        assert!(JobLog::open(&scratch.0, true).is_err());
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
