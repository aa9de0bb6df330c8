//! Files and signals: a Landlock ruleset.
//!
//! Landlock: <https://docs.kernel.org/userspace-api/landlock.html>.

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};
use procbox_core::{Error, Result};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The version whose rights are asked for: the first that knows of `truncate`.
const VERSION: ABI = ABI::V3;

/// What may be done with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// To read and execute them.
    Read,
    /// All that can be done with them, but to make devices.
    Write,
}

impl Access {
    fn rights(self) -> BitFlags<AccessFs> {
        match self {
            Access::Read => AccessFs::from_read(VERSION),
            Access::Write => {
                AccessFs::from_all(VERSION) & !(AccessFs::MakeChar | AccessFs::MakeBlock)
            }
        }
    }
}

/// What programs need in order to run at all; those that are there.
const NEEDED: [(&str, Access); 12] = [
    ("/lib", Access::Read),
    ("/lib64", Access::Read),
    ("/usr/lib", Access::Read),
    ("/usr/lib64", Access::Read),
    ("/etc/ld.so.cache", Access::Read),
    ("/etc/ld.so.preload", Access::Read),
    ("/proc", Access::Read),
    ("/dev/null", Access::Write),
    ("/dev/zero", Access::Write),
    ("/dev/full", Access::Write),
    ("/dev/random", Access::Read),
    ("/dev/urandom", Access::Read),
];

/// The ruleset for `files`, and for signals if they are to be the context's own; `None` if nothing is
/// restricted.
pub(super) fn ruleset(
    files: Option<&[(PathBuf, Access)]>,
    own_signals: bool,
    program: &Path,
) -> Result<Option<OwnedFd>> {
    if files.is_none() && !own_signals {
        return Ok(None);
    }
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if files.is_some() {
        let all = AccessFs::from_all(VERSION);
        ruleset = ruleset
            .handle_access(all)
            .map_err(|e| missing("to confine files needs Landlock 3 (Linux 6.2)", &e))?;
    }
    if own_signals {
        ruleset = ruleset
            .scope(Scope::Signal)
            .map_err(|e| missing("to confine signals needs Landlock 6 (Linux 6.12)", &e))?;
    }
    let mut ruleset = ruleset.create().map_err(|e| missing("Landlock is not to be had", &e))?;
    if let Some(files) = files {
        let needed = NEEDED.iter().map(|(path, access)| (Path::new(path), *access));
        let needed = needed.filter(|(path, _)| path.exists());
        let asked = files.iter().map(|(path, access)| (path.as_path(), *access));
        for (path, access) in needed.chain([(program, Access::Read)]).chain(asked) {
            let beneath = PathFd::new(path).map_err(|e| refused(path, &e))?;
            let rights = if path.is_dir() {
                access.rights()
            } else {
                access.rights() & AccessFs::from_file(VERSION)
            };
            let rule = PathBeneath::new(beneath, rights);
            ruleset = ruleset.add_rule(rule).map_err(|e| refused(path, &e))?;
        }
    }
    Ok(ruleset.into())
}

fn missing(what: &str, why: &RulesetError) -> Error {
    Error::os("landlock", format!("{what}: {why}"))
}

fn refused(path: &Path, why: &dyn std::error::Error) -> Error {
    Error::os("landlock", format!("{}: {why}", path.display()))
}
