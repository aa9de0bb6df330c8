//! Interpreters that begin after their start, from an image: a small script in a process of its own.
//!
//! The programs are those that `make languages` leaves behind; without it there are no such cases.

use crate::{Case, timed};
use procbox_core::{Context, Input, Output};
use procbox_host::{Grants, Program, Sandbox};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An interpreter, and what each of its processes does.
#[derive(Clone, Copy, Debug)]
pub struct Interpreter {
    /// The group of its cases.
    pub group: &'static str,
    /// The file, in the directory of the languages.
    pub file: &'static str,
    /// The script that it reads from standard input.
    pub script: &'static str,
    /// What the script prints.
    pub prints: &'static str,
}

/// All of them.
///
/// ```
/// assert!(procbox_benches::INTERPRETERS.iter().all(|it| it.file.ends_with(".wasm")));
/// ```
pub const INTERPRETERS: [Interpreter; 3] = [
    Interpreter {
        group: "warm/micropython",
        file: "micropython-warm.wasm",
        script: "print(sum(range(101)))",
        prints: "5050\n",
    },
    Interpreter {
        group: "warm/javascript",
        file: "js-image.wasm",
        script: "let s = 0; for (let i = 1; i <= 100; i++) s += i; console.log(s)",
        prints: "5050\n",
    },
    Interpreter {
        group: "warm/python",
        file: "python-image.wasm",
        script: "print(sum(range(101)))",
        prints: "5050\n",
    },
];

impl Interpreter {
    /// Its file, if it is there: beside the directory of our own programs.
    ///
    /// ```
    /// let none = procbox_benches::INTERPRETERS[0].path("/no/such/place".as_ref());
    /// assert_eq!(none, None);
    /// ```
    pub fn path(&self, programs: &Path) -> Option<PathBuf> {
        let path = programs.parent()?.join("languages").join(self.file);
        path.exists().then_some(path)
    }
}

pub(super) fn cases(programs: &Path) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for it in INTERPRETERS {
        let Some(path) = it.path(programs) else { continue };
        let sandbox = Sandbox::builder().max_processes(64).build()?;
        let ctx = sandbox.context_with(Program::wasm(path)?, Grants::default().quiet(true))?;
        let run = Box::new(move |n| script(&ctx, it, n));
        cases.push(Case { group: it.group, contender: "sandbox", ops: None, run });
    }
    Ok(cases)
}

fn script(ctx: &Context, it: Interpreter, n: u64) -> anyhow::Result<Duration> {
    timed(n, || {
        let stdin = Input::Bytes(it.script.into());
        let none: [&str; 0] = [];
        let process = ctx.main(none).stdin(stdin).stdout(Output::Capture).start()?;
        let status = process.join()?;
        let output = process.output()?;
        anyhow::ensure!(
            status.success() && output == it.prints.as_bytes(),
            "{}: {status}",
            it.file
        );
        Ok(())
    })
}
