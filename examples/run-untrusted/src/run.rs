//! One snippet in one fresh process.

use procbox::sandbox::{Grants, Program, TreeLimits};
use procbox::{Context, Error, Input, Output, Sandbox};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Memory of a process, in bytes.
const MEMORY: usize = 128 << 20;
/// What it may print.
const OUTPUT: u64 = 64 << 10;
/// CPU time.
const CPU: Duration = Duration::from_secs(2);
/// Time by the clock, unless less is asked for.
const TIME: Duration = Duration::from_secs(5);

/// What a stranger sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snippet {
    pub(crate) language: Language,
    pub(crate) code: String,
    /// Its standard input.
    #[serde(default)]
    pub(crate) input: String,
    /// Milliseconds, at most those of the service.
    pub(crate) timeout_ms: Option<u64>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    Python,
    Javascript,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Ran {
    stdout: String,
    stderr: String,
    /// As in a shell: 0 is success, 128 and above a signal, 124 a time limit.
    status: u8,
    /// In words.
    ended: String,
    /// Milliseconds of CPU time.
    cpu_ms: Option<f64>,
    /// Milliseconds by the clock.
    wall_ms: f64,
    /// The most memory, in bytes.
    peak_memory: Option<u64>,
}

/// The programs of the languages.
pub(crate) struct Languages {
    python: Option<Context>,
    javascript: Option<Context>,
}

impl Languages {
    /// Compiles the programs, or takes them from the cache; so many processes may be there at once.
    pub(crate) fn open(
        python: Option<PathBuf>,
        javascript: Option<PathBuf>,
        most: usize,
    ) -> procbox::Result<Languages> {
        let limits = TreeLimits::new().output(OUTPUT).cpu_time(CPU).processes(1);
        let sandbox = Sandbox::builder().memory(MEMORY).max_processes(most).tree(limits).build()?;
        let open = |path: Option<PathBuf>| {
            let grants = Grants::default().quiet(true).processes(false);
            path.map(|path| sandbox.context_with(Program::wasm(path)?, grants)).transpose()
        };
        Ok(Languages { python: open(python)?, javascript: open(javascript)? })
    }

    /// Whether there is such a language here.
    pub(crate) fn has(&self, language: Language) -> bool {
        self.context(language).is_some()
    }

    fn context(&self, language: Language) -> Option<&Context> {
        match language {
            Language::Python => self.python.as_ref(),
            Language::Javascript => self.javascript.as_ref(),
        }
    }

    /// Runs a snippet to its end, whatever that is.
    ///
    /// # Errors
    /// If no process could be made, which is not the snippet's fault.
    pub(crate) fn run(&self, snippet: Snippet) -> procbox::Result<Ran> {
        let ctx = self.context(snippet.language).ok_or(Error::Unsupported("this language"))?;
        let option = match snippet.language {
            Language::Python => "-c",
            Language::Javascript => "-e",
        };
        let timeout = snippet.timeout_ms.map_or(TIME, Duration::from_millis).min(TIME);
        let process = ctx
            .main([option, &snippet.code])
            .stdin(Input::Bytes(snippet.input.into_bytes()))
            .stdout(Output::Capture)
            .stderr(Output::Capture)
            .timeout(timeout)
            .start()?;
        let status = process.join()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let usage = process.usage()?;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        Ok(Ran {
            stdout: text(process.output()?),
            stderr: text(process.error_output()?),
            status: status.cli_status(),
            ended: status.to_string(),
            cpu_ms: usage.cpu_time.map(ms),
            wall_ms: ms(usage.wall_time),
            peak_memory: usage.peak_memory,
        })
    }
}
