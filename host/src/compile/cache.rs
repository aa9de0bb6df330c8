//! Compiled modules on disk, for the next run.
//!
//! What is in there is executed, so the directory is this user's alone: it is made so, and one that
//! belongs to somebody else, or that somebody else can write to, is not used. A file is named by the
//! hash of the module and of all that decides how it is compiled, and says the same at its end, with the
//! hash of what it holds: one that was cut, mixed up or changed is not used either. It begins with the
//! machine code, so that this is mapped and not read: only the pages are touched that a run needs. No
//! program can be granted the directory (`meets`).

use super::Work;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, UnlinkatFlags, unlinkat};
use procbox_core::{Error, Result};
use std::fs::{DirBuilder, File, Metadata};
use std::hash::{BuildHasher, Hash, RandomState};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use wasmtime::Engine;

/// What a file ends with; another layout would be another word.
const LAST: &[u8; 8] = b"procbox3";
/// Bytes of a hash.
const HASH: usize = 32;
/// What comes behind the machine code and what else there is: the bytes that the code has, the key, the
/// hash of all before it, and [`LAST`].
const END: usize = 8 + HASH + HASH + LAST.len();
/// The most bytes of all files together. When there are more, the oldest go.
const MOST: u64 = 1 << 30;
/// The bits of a mode by which others than the owner can write.
const OTHERS_WRITE: u32 = 0o022;

/// A directory of compiled modules.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    directory: File,
}

/// What a compiled module is found by.
pub(crate) struct Key([u8; HASH]);

/// A compiled module as it was kept.
#[derive(Debug)]
pub(crate) struct Found {
    /// It begins with the machine code.
    pub(crate) file: File,
    /// The bytes of that.
    pub(crate) size: usize,
    /// What was kept beside it.
    pub(crate) more: Vec<u8>,
}

impl Found {
    /// The machine code.
    ///
    /// # Errors
    /// Those of reading it.
    pub(crate) fn read(&self) -> std::io::Result<Vec<u8>> {
        let mut code = vec![0; self.size];
        self.file.read_exact_at(&mut code, 0)?;
        Ok(code)
    }
}

/// A hash function for what knows only how to be hashed.
struct Hasher(blake3::Hasher);

impl std::hash::Hasher for Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not used: the whole hash is.
    fn finish(&self) -> u64 {
        0
    }
}

impl Key {
    /// That of what this work makes of a module.
    pub(crate) fn new(engine: &Engine, module: &[u8], work: Work) -> Key {
        let mut hash = Hasher(blake3::Hasher::new());
        env!("CARGO_PKG_VERSION").hash(&mut hash);
        engine.precompile_compatibility_hash().hash(&mut hash);
        work.to_number().hash(&mut hash);
        hash.0.update(module);
        Key(hash.0.finalize().into())
    }

    fn file(&self) -> String {
        use std::fmt::Write;
        self.0.iter().fold(String::new(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        })
    }
}

impl Cache {
    /// Where this user's is, if the environment says.
    pub(crate) fn path_of_user() -> Option<PathBuf> {
        let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let base = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
        Some(base.join("procbox").join("modules"))
    }

    /// This user's; `None` if there can be none, which costs time and nothing else.
    pub(crate) fn of_user() -> Option<Cache> {
        Cache::open(Cache::path_of_user()?).ok()
    }

    /// This directory, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Os`]; [`Error::Invalid`] if others can write to it.
    pub(crate) fn open(path: PathBuf) -> Result<Cache> {
        let failed = |e: std::io::Error| Error::os("cache", format!("{}: {e}", path.display()));
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&path).map_err(failed)?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory =
            openat(AT_FDCWD, &path, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        let directory = File::from(directory);
        if !is_ours_alone(&directory.metadata().map_err(failed)?) {
            return Err(Error::Invalid(format!(
                "{}: not this user's alone, so compiled programs are not kept there",
                path.display()
            )));
        }
        Ok(Cache { path, directory })
    }

    /// The directory, as it was named.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a key's module is kept.
    pub(crate) fn file_of(&self, key: &Key) -> PathBuf {
        self.path.join(key.file())
    }

    /// What was kept under this key, if it is whole.
    pub(crate) fn get(&self, key: &Key) -> Option<Found> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = openat(&self.directory, key.file().as_str(), flags, Mode::empty()).ok()?;
        let mut file = File::from(file);
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || !is_ours_alone(&metadata) {
            return None;
        }
        let parts = metadata.len().checked_sub(END as u64)?;
        let mut end = [0; END];
        file.read_exact_at(&mut end, parts).ok()?;
        let (size, rest) = end.split_first_chunk()?;
        let (own, rest) = rest.split_at(HASH);
        let (hash, last) = rest.split_at(HASH);
        if own != key.0 || last != LAST {
            return None;
        }
        let mut real = blake3::Hasher::new();
        let hashed = metadata.len() - (HASH + LAST.len()) as u64;
        real.update_reader(Read::take(&mut file, hashed)).ok()?;
        if real.finalize().as_bytes() != hash {
            return None;
        }
        let size = u64::from_le_bytes(*size);
        let mut more = vec![0; usize::try_from(parts.checked_sub(size)?).ok()?];
        file.read_exact_at(&mut more, size).ok()?;
        Some(Found { file, size: usize::try_from(size).ok()?, more })
    }

    /// Keeps a compiled module, and what else is to be kept with it.
    ///
    /// # Errors
    /// Those of writing it. What was kept under this key before is then kept.
    pub(crate) fn put(&self, key: &Key, parts: [&[u8]; 2]) -> std::io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        // Another process may be writing the same: each has a name of its own until it is whole.
        let name = format!("{}-{n}-{:x}.new", std::process::id(), random());
        let written = self.write(&name, key, parts);
        let kept = written.and_then(|()| {
            renameat(&self.directory, name.as_str(), &self.directory, key.file().as_str())
                .map_err(Into::into)
        });
        if kept.is_err() {
            let _ = unlinkat(&self.directory, name.as_str(), UnlinkatFlags::NoRemoveDir);
        }
        self.make_room(&key.file());
        kept
    }

    fn write(&self, name: &str, key: &Key, [code, more]: [&[u8]; 2]) -> std::io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(&self.directory, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let mut file = File::from(file);
        let size = (code.len() as u64).to_le_bytes();
        let mut hash = blake3::Hasher::new();
        for part in [code, more, &size, &key.0] {
            hash.update(part);
            file.write_all(part)?;
        }
        file.write_all(hash.finalize().as_bytes())?;
        file.write_all(LAST)
    }

    /// Removes the oldest files when there is too much.
    fn make_room(&self, but: &str) {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut files: Vec<(SystemTime, u64, _)> = entries
            .filter_map(|entry| {
                let metadata = entry.metadata().ok().filter(Metadata::is_file)?;
                Some((metadata.modified().ok()?, metadata.len(), entry.file_name()))
            })
            .collect();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        files.sort();
        for (_, bytes, name) in files {
            if total <= MOST {
                return;
            }
            if name != but {
                total -= bytes;
                let _ = unlinkat(&self.directory, name.as_os_str(), UnlinkatFlags::NoRemoveDir);
            }
        }
    }
}

/// True if a granted directory has the cache in it, or is in the cache, or would be the place for what
/// of the cache's path is missing: whoever is granted it could change what this user executes.
pub(crate) fn meets(cache: &Path, granted: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|m| (m.dev(), m.ino())).ok();
    let within = |inner: &Path, outer: &Path| {
        let Ok(inner) = inner.canonicalize() else { return false };
        let outer = identity(outer);
        outer.is_some() && inner.ancestors().any(|above| identity(above) == outer)
    };
    let there = cache.ancestors().find(|path| path.exists()).unwrap_or(cache);
    within(there, granted) || within(granted, cache)
}

/// True if nobody but this user can change it.
fn is_ours_alone(metadata: &Metadata) -> bool {
    metadata.uid() == Uid::effective().as_raw() && metadata.mode() & OTHERS_WRITE == 0
}

/// A number that hardly comes twice.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn temporary(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("procbox-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_kept_comes_back_and_is_this_users_alone() {
        let path = temporary("kept");
        let cache = Cache::open(path.clone()).unwrap();
        let key = Key([7; HASH]);
        assert!(cache.get(&key).is_none());
        cache.put(&key, [b"compiled", b"and more"]).unwrap();
        let found = cache.get(&key).unwrap();
        assert_eq!(found.read().unwrap(), b"compiled");
        assert_eq!(found.more, b"and more");
        assert_eq!((mode(&path), mode(&path.join(key.file()))), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_file_that_was_swapped_cut_changed_or_opened_to_others_is_not_used() {
        let path = temporary("swapped");
        let cache = Cache::open(path.clone()).unwrap();
        let (one, other) = (Key([1; HASH]), Key([2; HASH]));
        cache.put(&one, [b"the one", b"of many"]).unwrap();
        let file = path.join(one.file());
        std::fs::copy(&file, path.join(other.file())).unwrap();
        assert!(cache.get(&other).is_none());
        let whole = std::fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&file, changed).unwrap();
            assert!(cache.get(&one).is_none(), "changed at {at}");
            std::fs::write(&file, &whole[..at]).unwrap();
            assert!(cache.get(&one).is_none(), "cut at {at}");
        }
        std::fs::write(&file, whole).unwrap();
        assert!(cache.get(&one).is_some());
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o622)).unwrap();
        assert!(cache.get(&one).is_none());
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(path.join(other.file()), &file).unwrap();
        assert!(cache.get(&one).is_none());
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_write_to_or_that_is_a_link_is_not_used() {
        let path = temporary("open");
        drop(Cache::open(path.clone()).unwrap());
        for mode in [0o777, 0o720, 0o702] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert!(matches!(Cache::open(path.clone()), Err(Error::Invalid(_))), "{mode:o}");
        }
        let link = temporary("link");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Cache::open(link.clone()).is_err());
        std::fs::remove_file(link).unwrap();
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_grant_above_or_below_it_or_where_it_would_be_meets_it_and_one_beside_it_does_not() {
        let base = temporary("meets");
        let cache = base.join("a/modules");
        drop(Cache::open(cache.clone()).unwrap());
        std::fs::create_dir_all(cache.join("below")).unwrap();
        std::fs::create_dir_all(base.join("beside")).unwrap();
        std::os::unix::fs::symlink(base.join("a"), base.join("beside/link")).unwrap();
        for granted in ["", "a", "a/modules", "a/modules/below", "beside/link", "beside/../a"] {
            assert!(meets(&cache, &base.join(granted)), "{granted}");
        }
        assert!(meets(&cache, Path::new("/")));
        assert!(!meets(&cache, &base.join("beside")) && !meets(&cache, &base.join("missing")));
        // Not made yet: a program with a right to the place could make it.
        let later = base.join("beside/later/modules");
        assert!(meets(&later, &base.join("beside")) && !meets(&later, &base.join("a")));
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn what_decides_how_a_module_is_compiled_is_in_its_key() {
        let engine =
            |fuel| wasmtime::Engine::new(wasmtime::Config::new().consume_fuel(fuel)).unwrap();
        let file = |fuel, module: &[u8]| Key::new(&engine(fuel), module, Work::Compile).file();
        assert_eq!(file(true, b"one"), file(true, b"one"));
        assert_ne!(file(true, b"one"), file(true, b"other"));
        assert_ne!(file(true, b"one"), file(false, b"one"));
    }
}
