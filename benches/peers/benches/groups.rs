//! All groups by criterion: `make bench`, or some of them by a part of their names,
//! `cargo bench -p procbox-bench-peers -- queue`.

use criterion::Criterion;
use procbox_benches::Case;
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    procbox_bench_peers::init();
    // `target/release/deps` is where this is, `target/programs` where those are.
    let exe = std::env::current_exe()?;
    let Some(target) = exe.ancestors().nth(3) else { anyhow::bail!("no target directory") };
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut cases = procbox_benches::cases(&target.join("programs"))?;
    cases.extend(procbox_bench_peers::cases());
    // What is compared is measured close in time.
    cases.sort_by_key(|case| case.group);
    for case in cases {
        measure(&mut criterion, case);
    }
    criterion.final_summary();
    Ok(())
}

fn measure(criterion: &mut Criterion, case: Case) {
    let Case { group, contender, ops, mut run } = case;
    let mut group = criterion.benchmark_group(group);
    // A sample of so many operations is as long as it is.
    if ops.is_some() {
        group.sample_size(10);
    }
    group.bench_function(contender, |bencher| {
        bencher.iter_custom(|n| match ops {
            None => run(n).unwrap_or_else(|e| panic!("{contender}: {e:#}")),
            Some(ops) => {
                let took = (0..n).map(|_| run(ops)).sum::<anyhow::Result<Duration>>();
                took.unwrap_or_else(|e| panic!("{contender}: {e:#}"))
            }
        });
    });
    group.finish();
}
