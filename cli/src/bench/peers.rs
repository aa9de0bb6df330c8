//! The peers of `procbox bench`, by a program of their own beside the command: the crates that procbox
//! is compared with are not linked into it.

use crate::status::say;
use anyhow::Context as _;
use procbox::{Context, Native, Output, native};
use procbox_benches::{Effort, Figure};

/// The program's name; `benches/peers` is its source.
const PROGRAM: &str = "procbox-bench-peers";

/// The program of the peers, if it is there.
pub(super) struct Peers(Option<Context>);

impl Peers {
    /// Looks for it beside this executable, and says so if it is not there.
    pub(super) fn open() -> anyhow::Result<Peers> {
        let path = std::env::current_exe()?.with_file_name(PROGRAM);
        if !path.exists() {
            say(&format!("no peers: {} is missing; `make build` makes it", path.display()));
            return Ok(Peers(None));
        }
        let program = native::Program::open(path)?;
        Ok(Peers(Some(Native::builder().program(program).build()?)))
    }

    /// Group and contender of each of its cases.
    pub(super) fn list(&self) -> anyhow::Result<Vec<(String, String)>> {
        let printed = self.run(&["list"])?;
        let cases = printed.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        cases.with_context(|| format!("{PROGRAM} printed {printed:?}"))
    }

    /// Measures one of its cases.
    pub(super) fn measure(
        &self,
        group: &str,
        contender: &str,
        effort: Effort,
    ) -> anyhow::Result<Figure> {
        let samples = effort.samples.to_string();
        let ms = effort.sample_time.as_millis().to_string();
        let printed = self.run(&["measure", group, contender, &samples, &ms])?;
        serde_json::from_str(&printed).with_context(|| format!("{PROGRAM} printed {printed:?}"))
    }

    /// Runs it to its end, for what it prints: nothing if it is not there.
    fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let Some(ctx) = &self.0 else { return Ok(String::new()) };
        let process = ctx.main(arguments.iter().copied()).stdout(Output::Capture).name(PROGRAM);
        let process = process.start()?;
        let status = process.join()?;
        anyhow::ensure!(status.success(), "{PROGRAM} {status}");
        Ok(String::from_utf8_lossy(&process.output()?).into_owned())
    }
}
