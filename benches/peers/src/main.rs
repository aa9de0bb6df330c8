//! The program by which `procbox bench` measures the peers. It prints a line of JSON per result:
//!
//!     procbox-bench-peers list                                 # ["GROUP","CONTENDER"]
//!     procbox-bench-peers measure GROUP CONTENDER SAMPLES MS   # a figure

use anyhow::Context as _;
use procbox_benches::Effort;
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    procbox_bench_peers::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["list"] => {
            for case in procbox_bench_peers::cases() {
                println!("{}", serde_json::json!([case.group, case.contender]));
            }
        }
        ["measure", group, contender, samples, ms] => {
            let sample_time = Duration::from_millis(ms.parse().context("MS")?);
            let effort = Effort { samples: samples.parse().context("SAMPLES")?, sample_time };
            let mut cases = procbox_bench_peers::cases().into_iter();
            let case = cases.find(|case| case.group == group && case.contender == contender);
            let figure = case.context("there is no such case")?.measure(effort)?;
            println!("{}", serde_json::to_string(&figure)?);
        }
        _ => anyhow::bail!(
            "procbox-bench-peers list, or procbox-bench-peers measure GROUP CONTENDER SAMPLES MS"
        ),
    }
    Ok(())
}
