//! Reports of `procbox map` on each task: JSON lines, a JUnit file, a folder in GNU parallel's layout.

use super::ends::End;
use super::inputs::Input;
use anyhow::Context as _;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The longest that a folder's name may be.
const LONGEST_NAME: usize = 200;

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn runtime(input: &Input, end: &End) -> Duration {
    end.at.duration_since(input.taken).unwrap_or_default()
}

/// A task as a JSON object: without losses, what it printed is a text if it is UTF-8, and else its
/// bytes.
pub(super) fn json(input: &Input, end: &End, stdout: &[u8], stderr: &[u8]) -> String {
    let (key, stdout) = match std::str::from_utf8(stdout) {
        Ok(text) => ("stdout", Value::from(text)),
        Err(_) => ("stdout_bytes", Value::from(stdout)),
    };
    // For people: what is no text in it is of no use to them.
    let stderr = (!stderr.is_empty()).then(|| String::from_utf8_lossy(stderr));
    let mut object = json!({
        "seq": input.seq,
        "input": String::from_utf8_lossy(input.label()),
        "start": (seconds(input.taken) * 1e3).round() / 1e3,
        "seconds": (runtime(input, end).as_secs_f64() * 1e6).round() / 1e6,
        "exit": end.exitval,
        "signal": end.signal,
        key: stdout,
    });
    if let (Some(command), Some(fields)) = (input.command(), object.as_object_mut()) {
        fields.insert("command".into(), command.into());
    }
    if let (Some(stderr), Some(fields)) = (stderr, object.as_object_mut()) {
        fields.insert("stderr".into(), stderr.into());
    }
    if let (Some(used), Some(fields)) = (&end.used, object.as_object_mut()) {
        fields.insert("attempts".into(), used.attempts.into());
        if let Some(time) = used.cpu_time {
            fields.insert("cpu_seconds".into(), time.as_secs_f64().into());
        }
        if let Some(bytes) = used.peak_memory {
            fields.insert("peak_memory".into(), bytes.into());
        }
        if let Some(units) = used.fuel {
            fields.insert("fuel".into(), units.into());
        }
    }
    if let (Some(error), Some(fields)) = (&end.error, object.as_object_mut()) {
        fields.insert("error".into(), error.clone().into());
    }
    object.to_string()
}

/// A JUnit file, written in the end.
pub(super) struct Junit {
    path: PathBuf,
    file: File,
    cases: String,
    tests: u64,
    failures: u64,
    took: Duration,
}

impl Junit {
    /// # Errors
    /// If the file cannot be made.
    pub(super) fn create(path: &Path) -> anyhow::Result<Junit> {
        let file = File::create(path).with_context(|| format!("--junit {}", path.display()))?;
        let (cases, took) = (String::new(), Duration::ZERO);
        Ok(Junit { path: path.to_path_buf(), file, cases, tests: 0, failures: 0, took })
    }

    pub(super) fn note(&mut self, input: &Input, end: &End) {
        let took = runtime(input, end);
        self.took += took;
        self.tests += 1;
        let name = attribute(&input.name());
        // Writing to a string does not fail.
        let _ = write!(
            self.cases,
            "  <testcase classname=\"procbox.map\" name=\"{name}\" time=\"{:.3}\"",
            took.as_secs_f64()
        );
        match &end.error {
            None => self.cases += "/>\n",
            Some(error) => {
                self.failures += 1;
                let message = attribute(error);
                let _ = writeln!(self.cases, "><failure message=\"{message}\"/></testcase>");
            }
        }
    }

    /// # Errors
    /// Those of writing.
    pub(super) fn write(mut self) -> anyhow::Result<()> {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"procbox map\" tests=\"{}\" \
             failures=\"{}\" errors=\"0\" time=\"{:.3}\">\n{}</testsuite>\n",
            self.tests,
            self.failures,
            self.took.as_secs_f64(),
            self.cases
        );
        let written = self.file.write_all(text.as_bytes());
        written.with_context(|| format!("--junit {}", self.path.display()))
    }
}

/// A text as the value of an XML attribute; what XML cannot have is a question mark.
fn attribute(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\t' | '\n' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A folder with a folder for each input: DIR/1/INPUT/ with `seq`, `stdout` and `stderr`.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// # Errors
    /// If the folder cannot be made.
    pub(super) fn create(path: &Path) -> anyhow::Result<Folder> {
        let path = path.join("1");
        std::fs::create_dir_all(&path).with_context(|| format!("--results {}", path.display()))?;
        Ok(Folder(path))
    }

    /// # Errors
    /// Those of writing.
    pub(super) fn put(
        &self,
        input: &Input,
        end: &End,
        stdout: &[u8],
        stderr: &[u8],
    ) -> anyhow::Result<()> {
        let folder = self.0.join(name(input.label(), input.seq));
        let mut said = stderr.to_vec();
        if let Some(error) = &end.error {
            if said.last().is_some_and(|last| *last != b'\n') {
                said.push(b'\n');
            }
            said.extend_from_slice(format!("{error}\n").as_bytes());
        }
        let put = || {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join("seq"), input.seq.to_string())?;
            std::fs::write(folder.join("stdout"), stdout)?;
            std::fs::write(folder.join("stderr"), &said)
        };
        put().with_context(|| format!("--results {}", folder.display()))
    }
}

/// An input as the name of a folder, as GNU parallel writes it. One that is no such name has a number.
fn name(input: &[u8], seq: u64) -> OsString {
    let mut name = Vec::with_capacity(input.len());
    for byte in input {
        match byte {
            b'/' => name.extend_from_slice(br"\_"),
            b'\\' => name.extend_from_slice(br"\\"),
            b'\t' => name.extend_from_slice(br"\t"),
            0 => name.extend_from_slice(br"\0"),
            byte => name.push(*byte),
        }
    }
    if name.is_empty() || name == b"." || name == b".." || name.len() > LONGEST_NAME {
        return format!("input {seq}").into();
    }
    OsString::from_vec(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders_are_those_of_gnu_parallel_and_lead_nowhere_else() {
        for (input, due) in [
            (&b"a b"[..], "a b"),
            (b"/etc/x\\y\tz", r"\_etc\_x\\y\tz"),
            (b"..", "input 7"),
            (b"", "input 7"),
            (&[b'x'; 300], "input 7"),
        ] {
            assert_eq!(name(input, 7), due);
        }
        assert_eq!(name(b"../x", 7), r"..\_x");
    }

    #[test]
    fn attributes_are_escaped() {
        assert_eq!(attribute("<a href=\"x\">&\n\x1b"), "&lt;a href=&quot;x&quot;&gt;&amp;&#10;?");
    }

    #[test]
    fn what_was_printed_is_in_the_json_whatever_it_is() {
        let input = Input::for_test(3, "a", 1);
        let failed = End { exitval: 2, error: Some("no".into()), ..End::unread() };
        let of = |stdout: &[u8]| -> Value {
            serde_json::from_str(&json(&input, &failed, stdout, b"")).unwrap()
        };
        let text = of(b"x\"y\n");
        assert_eq!(
            (&text["seq"], &text["input"], &text["exit"]),
            (&3.into(), &"a".into(), &2.into())
        );
        assert_eq!((&text["stdout"], &text["error"]), (&"x\"y\n".into(), &"no".into()));
        assert_eq!(of(&[255, 0])["stdout_bytes"], Value::from(&[255, 0][..]));
    }
}
