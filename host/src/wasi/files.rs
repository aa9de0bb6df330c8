//! File calls of guests: never on a thread that runs guests, and never on what is no file.
//!
//! Each context that was granted directories has a few threads for them; a guest is suspended until
//! its call is done, and whatever ends it ends it there. What is opened is a file or a directory: a
//! FIFO, a device or a socket, which could keep a thread for ever, is refused. A link that a guest
//! makes leads to where the guest itself can go, from wherever it is moved to: it has no `..` in it.

use crate::guest::core_module::Memory;
use crate::state::State;
use crate::wasi::of;
use crate::wasi::quota::{EDQUOT, EMFILE};
use procbox_core::{Error, Result};
use std::future::{Future, poll_fn};
use std::path::{Component, Path};
use std::pin::pin;
use tokio::runtime::{Builder, Runtime};
use wasmtime::{AsContextMut, Caller, Linker};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{
    WasiSnapshotPreview1, path_filestat_get, path_open, path_symlink,
};
use wiggle::GuestMemory;

const MODULE: &str = "wasi_snapshot_preview1";
/// File calls of one context that are under way at once; others wait.
const THREADS: usize = 4;
/// Bytes of a path; the system takes no longer ones.
const PATH: u32 = 4096;

/// The flag of an opening that makes what is not there.
const CREATES: i32 = 1;

const EACCES: i32 = 2;
const EFAULT: i32 = 21;
const ENAMETOOLONG: i32 = 37;
const EPERM: i32 = 63;

/// Bytes of a `filestat`, and where its file type is in it.
const FILESTAT: usize = 64;
const FILETYPE: usize = 16;
const DIRECTORY: u8 = 3;
const REGULAR: u8 = 4;
const LINK: u8 = 7;

/// The threads on which file calls of one context's processes are made.
pub(crate) struct Files(Option<Runtime>);

impl Files {
    /// # Errors
    /// [`Error::Os`].
    pub(crate) fn new() -> Result<Files> {
        let mut threads = Builder::new_current_thread();
        threads.max_blocking_threads(THREADS).thread_name("procbox-file");
        let runtime = threads.build().map_err(|e| Error::os("file threads", e.to_string()))?;
        Ok(Files(Some(runtime)))
    }

    /// Has a process's file calls made on them.
    pub(crate) async fn serve<T>(&self, life: impl Future<Output = T>) -> T {
        let mut life = pin!(life);
        poll_fn(|cx| {
            let _here = self.0.as_ref().map(Runtime::enter);
            life.as_mut().poll(cx)
        })
        .await
    }
}

impl Drop for Files {
    /// A call that is under way is not waited for: it may take long.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "path_open",
        |mut caller: Caller<'_, State>,
         (dir, flags, at, len, oflags, base, inheriting, fdflags, to): (
            i32,
            i32,
            i32,
            i32,
            i32,
            i64,
            i64,
            i32,
            i32,
        )| {
            Box::new(async move {
                let exists = match check_openable(&mut caller, dir, flags, at, len).await? {
                    Ok(exists) => exists,
                    Err(refused) => return Ok(refused),
                };
                let state = caller.data_mut();
                if oflags & CREATES != 0 && !exists && !state.process.tree.create() {
                    return Ok(EDQUOT);
                }
                if !state.member.open_file() {
                    return Ok(EMFILE);
                }
                let (wasi, mut memory) = both(&mut caller);
                let answer = path_open(
                    wasi,
                    &mut memory,
                    dir,
                    flags,
                    at,
                    len,
                    oflags,
                    base,
                    inheriting,
                    fdflags,
                    to,
                )
                .await?;
                if answer != 0 {
                    caller.data_mut().member.close_file();
                }
                Ok(answer)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_symlink",
        |mut caller: Caller<'_, State>, (at, len, dir, to, to_len): (i32, i32, i32, i32, i32)| {
            Box::new(async move {
                match text(&mut caller, at, len) {
                    Ok(target) if !stays_inside(&target) => return Ok(EPERM),
                    Ok(_) if !caller.data().process.tree.create() => return Ok(EDQUOT),
                    Ok(_) => {}
                    Err(refused) => return Ok(refused),
                }
                let (wasi, mut memory) = both(&mut caller);
                path_symlink(wasi, &mut memory, at, len, dir, to, to_len).await
            })
        },
    )?;
    Ok(())
}

/// Whether a link to there leads nowhere that its own directory does not contain.
pub(super) fn stays_inside(target: &[u8]) -> bool {
    let parts = std::str::from_utf8(target).map(|text| Path::new(text).components());
    parts.is_ok_and(|mut parts| {
        parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    })
}

/// The WASI side of the caller, and its memory.
pub(super) fn both<'a>(caller: &'a mut Caller<'_, State>) -> (&'a mut WasiP1Ctx, GuestMemory<'a>) {
    let fuel = caller.as_context_mut().hostcall_fuel();
    let (memory, state) = Memory::of(caller);
    let wasi = of(state);
    wasi.set_hostcall_fuel(fuel);
    (wasi, GuestMemory::Unshared(memory.into_bytes()))
}

/// A path in the guest's memory, or the error number.
fn text(caller: &mut Caller<'_, State>, at: i32, len: i32) -> std::result::Result<Vec<u8>, i32> {
    let (at, len) = (at.cast_unsigned(), len.cast_unsigned());
    if len > PATH {
        return Err(ENAMETOOLONG);
    }
    let (memory, _) = Memory::of(caller);
    memory.get(at as usize, len as usize).map(<[u8]>::to_vec).ok_or(EFAULT)
}

/// Says whether there is something at a path, and refuses what is neither file nor directory.
async fn check_openable(
    caller: &mut Caller<'_, State>,
    dir: i32,
    flags: i32,
    at: i32,
    len: i32,
) -> wasmtime::Result<std::result::Result<bool, i32>> {
    let path = match text(caller, at, len) {
        Ok(path) => path,
        Err(refused) => return Ok(Err(refused)),
    };
    // A memory of our own, for the answer and behind it the path.
    let mut own = vec![0; FILESTAT];
    own.extend(path);
    let (wasi, _) = both(caller);
    let answer = path_filestat_get(
        wasi,
        &mut GuestMemory::Unshared(&mut own),
        dir,
        flags,
        FILESTAT as i32,
        len,
        0,
    )
    .await?;
    // What cannot be looked at cannot be opened either, and that call says why.
    let is_file = answer != 0 || matches!(own[FILETYPE], DIRECTORY | REGULAR | LINK);
    Ok(if is_file { Ok(answer == 0) } else { Err(EACCES) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_may_lead_to_what_is_beside_or_below_it_only() {
        for good in ["a", "a/b", "./a", "a..b", "..."] {
            assert!(stays_inside(good.as_bytes()), "{good}");
        }
        for bad in ["/etc/passwd", "..", "../a", "a/../../b", "a/..", "/", "\u{0}/../.."] {
            assert!(!stays_inside(bad.as_bytes()), "{bad}");
        }
        assert!(!stays_inside(b"\xff/.."));
    }
}
