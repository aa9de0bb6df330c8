//! What confined processes cannot do, and can.

use crate::cases::Case;
use crate::{until, workers};
use procbox_core::{Error, Output, Result};
use procbox_native::{Confinement, GroupLimits, Native, Program};
use std::path::Path;

/// The cases.
pub(crate) const ALL: &[(&str, Case)] = &[
    ("what_is_confined_works_all_the_same", works_all_the_same),
    ("memory_beyond_the_limit_is_not_to_be_had", memory_has_a_limit),
    ("each_process_has_its_limits_of_files", files_have_limits),
    ("no_file_is_there_but_those_that_were_named", files_are_those_named),
    ("signals_reach_own_processes_alone", signals_reach_own_processes),
    ("there_is_no_network", there_is_no_network),
    ("calls_that_look_into_others_are_refused", calls_are_refused),
    ("a_group_dies_as_a_whole_or_is_refused", a_group_dies_as_a_whole),
];

/// All that every kernel offers which runs the tests, but for files.
fn strict() -> Confinement {
    Confinement::new().memory(256 << 20).open_files(64).no_network().hardened().own_signals()
}

/// What a shell says that runs a script, and whether it succeeded.
fn shell(confinement: Confinement, script: &str) -> Result<(String, bool)> {
    let sh = Native::builder().program(Program::open("/bin/sh")?).confine(confinement).build()?;
    let p = sh.main(["-c", script]).stdout(Output::Capture).start()?;
    let ended = p.join()?.success();
    Ok((String::from_utf8_lossy(&p.output()?).trim().to_string(), ended))
}

fn works_all_the_same() -> Result<()> {
    let ctx = Native::builder().confine(strict().files()).build()?;
    let queue = ctx.queue::<(u64, u64)>(4)?;
    let done = ctx.queue::<u64>(1)?;
    // It starts workers of its own.
    let breeder = ctx.process(workers::breeds::worker()).args((&done,)).start()?;
    assert_eq!(done.get()?, 0);
    breeder.kill()?;
    breeder.join()?;
    for number in 0..20 {
        let p = ctx.process(workers::answers::worker()).args((&queue, number)).start()?;
        assert_eq!(queue.get()?, (number, number * 3));
        assert_eq!(p.join()?.exitcode(), 0);
    }
    // Its end is seen, as any other's.
    let (lock, held, forever) = (ctx.lock()?, ctx.event()?, ctx.event()?);
    let holder =
        ctx.process(workers::holds_lock::worker()).args((&lock, &held, &forever)).start()?;
    held.wait()?;
    holder.kill()?;
    assert!(lock.lock()?.owner_died());
    let p = ctx.process(workers::tries::worker()).args(("thread", ""));
    assert_eq!(p.start()?.join()?.exitcode(), 0);
    Ok(())
}

/// Whether a confined worker may do something: see `workers::tries`.
fn may(confinement: Confinement, what: &str, with: &str) -> Result<bool> {
    let ctx = Native::builder().confine(confinement).build()?;
    let p = ctx.process(workers::tries::worker()).args((what, with)).start()?;
    match p.join()?.exitcode() {
        0 => Ok(true),
        workers::REFUSED => Ok(false),
        code => Err(Error::Invalid(format!("{what} {with}: {code}"))),
    }
}

fn memory_has_a_limit() -> Result<()> {
    let limited = || Confinement::new().memory(64 << 20);
    assert!(may(limited(), "allocate", "16777216")?);
    assert!(!may(limited(), "allocate", "134217728")?);
    assert!(may(Confinement::new(), "allocate", "134217728")?);
    Ok(())
}

fn files_have_limits() -> Result<()> {
    let limited = Confinement::new().open_files(20).file_size(4096);
    assert_eq!(shell(limited, "ulimit -n; ulimit -c")?, ("20\n0".into(), true));
    let here = temporary()?;
    let file = here.path().join("file");
    let script = format!("head -c 100000 /dev/zero > {}", file.display());
    let (_, ended) = shell(Confinement::new().file_size(4096), &script)?;
    assert!(!ended);
    assert_eq!(std::fs::metadata(file).map(|file| file.len()).ok(), Some(4096));
    Ok(())
}

fn temporary() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(|e| Error::os("tempdir", e))
}

fn files_are_those_named() -> Result<()> {
    let (mine, yours) = (temporary()?, temporary()?);
    for place in [&mine, &yours] {
        std::fs::write(place.path().join("there"), "x").map_err(|e| Error::os("write", e))?;
    }
    let path = |place: &Path, name: &str| place.join(name).to_string_lossy().into_owned();
    let (mine, yours) = (mine.path(), yours.path());
    let confined = || Confinement::new().write(mine).read(yours);
    for (what, file, due) in [
        ("read", path(mine, "there"), true),
        ("write", path(mine, "new"), true),
        ("remove", path(mine, "new"), true),
        ("read", path(yours, "there"), true),
        ("write", path(yours, "there"), false),
        ("truncate", path(yours, "there"), false),
        ("write", path(yours, "new"), false),
        ("remove", path(yours, "there"), false),
        ("read", "/etc/passwd".into(), false),
        ("read", "/etc".into(), false),
        ("write", "/dev/null".into(), true),
    ] {
        assert_eq!(may(confined(), what, &file)?, due, "{what} {file}");
    }
    // A link leads to what it names, and that is not granted.
    std::os::unix::fs::symlink("/etc/passwd", mine.join("link"))
        .map_err(|e| Error::os("link", e))?;
    assert!(!may(confined(), "read", &path(mine, "link"))?);
    // So it is for a program that never heard of procbox, and for what it starts.
    let script = "cat /etc/passwd || cat /etc/hostname || echo none";
    assert_eq!(shell(Confinement::new().read("/bin").read("/usr/bin"), script)?.0, "none");
    let missing = Native::builder().confine(Confinement::new().read("/no/such")).build();
    assert!(missing.is_err_and(|e| e.to_string().contains("/no/such")));
    Ok(())
}

fn signals_reach_own_processes() -> Result<()> {
    let script =
        "sleep 1000 & kill -KILL $! || exit 1; kill -0 $PPID 2>/dev/null && exit 2; exit 0";
    assert_eq!(shell(Confinement::new().own_signals(), script)?, (String::new(), true));
    let me = std::process::id().to_string();
    assert!(!may(Confinement::new().own_signals(), "signal", &me)?);
    assert!(may(Confinement::new(), "signal", &me)?);
    Ok(())
}

fn there_is_no_network() -> Result<()> {
    for what in ["listen", "send"] {
        assert!(!may(Confinement::new().no_network(), what, "")?, "{what}");
        assert!(may(Confinement::new(), what, "")?, "{what}");
    }
    assert!(may(Confinement::new().no_network(), "listen-on-a-name", "")?);
    Ok(())
}

fn calls_are_refused() -> Result<()> {
    for what in ["trace", "unshare", "clone-namespace", "x32"] {
        assert!(!may(Confinement::new().hardened(), what, "")?, "{what}");
    }
    assert!(may(Confinement::new(), "trace", "")?);
    assert!(may(Confinement::new().hardened(), "thread", "")?);
    Ok(())
}

/// Where this process may make no group, the builder says so. Else, what has left its parent, its
/// session and its process group still dies with the context.
fn a_group_dies_as_a_whole() -> Result<()> {
    let sh = || Ok::<_, Error>(Native::builder().program(Program::open("/bin/sh")?));
    let ctx = match sh()?.confine(Confinement::new().group(GroupLimits::new())).build() {
        Ok(ctx) => ctx,
        Err(e) => {
            assert!(e.to_string().starts_with("cgroup: "), "{e}");
            return Ok(());
        }
    };
    let script = "setsid sleep 1000 >/dev/null 2>&1 & echo $!";
    let p = ctx.main(["-c", script]).stdout(Output::Capture).start()?;
    assert!(p.join()?.success());
    let left: u32 = String::from_utf8_lossy(&p.output()?).trim().parse().unwrap_or_default();
    let runs = |pid: u32| {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
    };
    assert!(runs(left));
    let group = std::fs::read_to_string(format!("/proc/{left}/cgroup")).unwrap_or_default();
    let group =
        group.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_string();
    assert!(group.contains("/procbox-"), "{group}");
    drop((ctx, p));
    until("it is killed", || !runs(left));
    Ok(())
}
