//! System calls: seccomp filters.
//!
//! They name what is forbidden, not what is allowed: a program's libraries may call whatever a
//! later version of them likes. What is forbidden is about what the common container runtimes
//! forbid a container without capabilities.

use nix::libc;
use procbox_core::{Error, Result};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;

/// The calls that look into other processes, or change the system.
const FORBIDDEN: &[i64] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    // Files past their names.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    // Keys, and code in the kernel.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Calls whose work is done where no filter sees it.
const IO_URING: [i64; 3] =
    [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// The same calls by the numbers of x32, an ABI of x86-64 that few kernels have: the architecture is
/// the same, so that a filter has to know of them. Those that have other numbers there than elsewhere.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;
#[cfg(target_arch = "x86_64")]
const OF_X32_ALONE: [i64; 4] = [521, 528, 539, 540]; // ptrace, kexec_load, process_vm_{readv,writev}

/// Namespaces that `clone` could make.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filters: all that apply have their say, and the strictest counts.
pub(super) fn programs(no_network: bool, hardened: bool) -> Result<Vec<BpfProgram>> {
    let mut rules = Rules::new();
    if no_network || hardened {
        IO_URING.iter().for_each(|call| forbid(&mut rules, *call, Vec::new()));
    }
    if no_network {
        let other = condition(0, SeccompCmpOp::Ne, libc::AF_UNIX as u64)?;
        forbid(&mut rules, libc::SYS_socket, vec![other]);
    }
    if hardened {
        FORBIDDEN.iter().for_each(|call| forbid(&mut rules, *call, Vec::new()));
        #[cfg(target_arch = "x86_64")]
        OF_X32_ALONE.iter().for_each(|call| forbid(&mut rules, call | X32, Vec::new()));
        let namespaces = NAMESPACES.iter().map(|flag| {
            let flag = *flag as u32 as u64;
            condition(0, SeccompCmpOp::MaskedEq(flag), flag)
        });
        forbid(&mut rules, libc::SYS_clone, namespaces.collect::<Result<_>>()?);
        // What a terminal would take for typed.
        let typed = condition(1, SeccompCmpOp::Eq, libc::TIOCSTI)?;
        forbid(&mut rules, libc::SYS_ioctl, vec![typed]);
    }
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let mut programs = vec![program(rules, libc::EPERM)?];
    if hardened {
        // Its flags are in memory, where no filter looks. Without it the C library takes `clone`.
        let mut rules = Rules::new();
        forbid(&mut rules, libc::SYS_clone3, Vec::new());
        programs.push(program(rules, libc::ENOSYS)?);
    }
    Ok(programs)
}

/// Forbids a call: always, or where any of the conditions holds.
fn forbid(rules: &mut Rules, call: i64, conditions: Vec<SeccompRule>) {
    #[cfg(target_arch = "x86_64")]
    rules.insert(call | X32, conditions.clone());
    rules.insert(call, conditions);
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(refused)
}

fn program(rules: Rules, errno: i32) -> Result<BpfProgram> {
    let architecture = std::env::consts::ARCH.try_into().map_err(refused)?;
    let forbidden = SeccompAction::Errno(errno as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, forbidden, architecture);
    filter.and_then(TryInto::try_into).map_err(refused)
}

fn refused(why: seccompiler::BackendError) -> Error {
    Error::os("seccomp", why.to_string())
}
