//! A kernel without `futex_waitv`, as before Linux 5.16: a filter of system calls plays it.

use crate::cases::Case;
use crate::workers;
use nix::libc;
use procbox_core::{Error, Result, Wait, ready};
use std::time::{Duration, Instant};

/// The first argument of the process that has such a kernel.
pub(crate) const ARGUMENT: &str = "old-kernel";

/// The cases.
pub(crate) const ALL: &[(&str, Case)] =
    &[("without_futex_waitv_a_wait_for_several_sleeps_and_is_woken", runs_on_an_old_kernel)];

fn runs_on_an_old_kernel() -> Result<()> {
    let exe = std::env::current_exe().map_err(|e| Error::os("current_exe", e))?;
    let status = std::process::Command::new(exe).arg(ARGUMENT).status();
    assert!(status.is_ok_and(|status| status.success()));
    Ok(())
}

/// Has the kernel say of one system call that it does not know it, here and in all children.
fn forget_call(number: libc::c_long) {
    let step = |code, jump: (u8, u8), value| libc::sock_filter {
        code: code as u16,
        jt: jump.0,
        jf: jump.1,
        k: value,
    };
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, (0, 0), 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, (0, 1), number as u32),
        step(libc::BPF_RET | libc::BPF_K, (0, 0), libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        step(libc::BPF_RET | libc::BPF_K, (0, 0), libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which is alive for the call.
    let set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
    };
    assert!(set);
}

fn cpu_time() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF);
    let micros = usage.map_or(0, |usage| {
        let (user, system) = (usage.user_time(), usage.system_time());
        (user.tv_sec() + system.tv_sec()) * 1_000_000 + user.tv_usec() + system.tv_usec()
    });
    Duration::from_micros(micros.unsigned_abs())
}

pub(crate) fn program() -> Result<()> {
    forget_call(libc::SYS_futex_waitv);
    procbox_native::answer_ctrl_c()?;
    let ctx = procbox_native::Native::builder().build()?;
    let queues = [ctx.queue::<(u64, u64)>(1)?, ctx.queue(1)?];
    let all = [queues[0].waitable(), queues[1].waitable()];
    let (begin, used) = (Instant::now(), cpu_time());
    let half_a_second = Wait::AtMost(Duration::from_millis(500));
    assert_eq!(ready(&ctx, &all, half_a_second), Err(Error::TimedOut));
    assert_eq!(queues[0].get_timeout(Duration::from_millis(500)), Err(Error::Empty));
    assert!((cpu_time() - used) * 5 < begin.elapsed(), "it does not sleep");
    let args = (&queues[1], 7, 1);
    let p = ctx.process(workers::produces::worker()).args(args).start()?;
    assert_eq!(ready(&ctx, &all, Wait::Forever)?, [1]);
    assert_eq!(queues[1].get()?, (7, 0));
    assert_eq!(p.join()?.exitcode(), 0);
    // Ctrl-C ends a wait, too.
    let me = std::process::id().to_string();
    let ctrl_c = std::process::Command::new("kill").args(["-INT", &me]).spawn();
    assert_eq!(queues[0].get(), Err(Error::Interrupted));
    assert!(ctrl_c.and_then(|mut kill| kill.wait()).is_ok());
    Ok(())
}
