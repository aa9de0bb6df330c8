//! Programs: what can be run, and which workers it offers, read from its file without running it.

use crate::workers::{WORKERS, WorkerEntry, find};
use object::read::{Object, ObjectSection, ReadCache};
use procbox_abi::SECTION;
use procbox_core::runner::{find_worker, listed_workers};
use procbox_core::{Error, Result, WorkerInfo};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Program that a native process runs: an executable, or a script that begins with `#!`.
///
/// ```
/// use procbox_native::Program;
/// let sh = Program::open("/bin/sh")?;
/// assert!(!sh.speaks_procbox());
/// assert!(Program::open("/etc/passwd").is_err());
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    /// From its file; `None` if it never heard of procbox, and for the current program.
    workers: Option<Vec<WorkerInfo>>,
    current: bool,
}

fn not_runnable(path: &Path, why: impl ToString) -> Error {
    Error::NotRunnable { program: path.display().to_string(), why: why.to_string() }
}

impl Program {
    /// The program at a path.
    ///
    /// ```
    /// use procbox_core::Error;
    /// use procbox_native::Program;
    /// let missing = Program::open("/no/such/program");
    /// assert_eq!(missing.err(), Some(Error::NotFound("/no/such/program".into())));
    /// assert!(matches!(Program::open("/"), Err(Error::NotRunnable { .. })));
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotRunnable`].
    pub fn open(path: impl AsRef<Path>) -> Result<Program> {
        let path = path.as_ref();
        let metadata = std::fs::metadata(path).map_err(|e| match e.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Error::NotFound(path.to_path_buf()),
            _ => not_runnable(path, e),
        })?;
        if metadata.is_dir() {
            return Err(not_runnable(path, "it is a directory"));
        }
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            return Err(not_runnable(path, "it has no permission to execute"));
        }
        // `Command` looks a bare name up in PATH; a path of ours is always a path.
        let path =
            if path.components().count() == 1 { Path::new(".").join(path) } else { path.into() };
        let workers = match File::open(&path) {
            Ok(file) => inspect(&path, file)?,
            // It may be run without being read.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => None,
            Err(e) => return Err(not_runnable(&path, e)),
        };
        Ok(Program { path, workers, current: false })
    }

    /// The program that this process runs.
    ///
    /// ```
    /// let me = procbox_native::Program::current()?;
    /// assert!(me.speaks_procbox());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// None now.
    pub fn current() -> Result<Program> {
        // The link leads to the file even if it was replaced since, and means the same in a
        // process that is about to execute it.
        Ok(Program { path: PathBuf::from("/proc/self/exe"), workers: None, current: true })
    }

    /// Path of its file.
    ///
    /// ```
    /// let sh = procbox_native::Program::open("/bin/sh")?;
    /// assert_eq!(sh.path(), std::path::Path::new("/bin/sh"));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True if it is linked with procbox, so that its workers can be started by name.
    ///
    /// ```
    /// use procbox_native::Program;
    /// let sh = Program::open("/bin/sh")?;
    /// if !sh.speaks_procbox() {
    ///     println!("{} is run by its `main`", sh.path().display());
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn speaks_procbox(&self) -> bool {
        self.current || self.workers.is_some()
    }

    /// Workers that it offers; none, if it never heard of procbox.
    ///
    /// ```
    /// for worker in procbox_native::Program::current()?.workers()? {
    ///     println!("{}", worker.signature.unwrap_or(worker.name));
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// None now; a program's file is read when it is opened.
    pub fn workers(&self) -> Result<Vec<WorkerInfo>> {
        if !self.current {
            return Ok(listed_workers(self.workers.clone().unwrap_or_default()));
        }
        let info = |entry: &WorkerEntry| {
            let signature = lines(entry.about).next().and_then(|info| info.signature);
            WorkerInfo::new(entry.name, signature)
        };
        Ok(listed_workers(WORKERS.iter().map(info).collect()))
    }

    /// Fails unless there is one worker that this name asks for.
    pub(crate) fn check_worker(&self, name: &str) -> Result<()> {
        if self.current {
            find(name).map(drop)
        } else {
            find_worker(name, self.workers.iter().flatten().map(|info| info.identity.as_str()))
                .map(drop)
        }
    }
}

/// The workers that a section's lines are about.
pub(crate) fn lines(about: &[u8]) -> impl Iterator<Item = WorkerInfo> + '_ {
    procbox_abi::lines(about)
        .map(|line| WorkerInfo::new(line.name, line.signature.map(str::to_string)))
}

/// The workers of an executable; `None` for one without procbox, or a script.
fn inspect(path: &Path, mut file: File) -> Result<Option<Vec<WorkerInfo>>> {
    let mut magic = [0; 4];
    let read = file.read(&mut magic).map_err(|e| not_runnable(path, e))?;
    match &magic[..read] {
        [b'#', b'!', ..] => return Ok(None),
        b"\x7fELF" => {}
        _ => return Err(not_runnable(path, "neither an ELF executable nor a script with #!")),
    }
    let cache = ReadCache::new(file);
    let elf = object::File::parse(&cache).map_err(|e| not_runnable(path, e))?;
    let Some(section) = elf.section_by_name(SECTION) else { return Ok(None) };
    let data = section.data().map_err(|e| not_runnable(path, e))?;
    Ok(Some(lines(data).collect()))
}
