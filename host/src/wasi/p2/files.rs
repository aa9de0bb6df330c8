//! `wasi:filesystem/types`: wasmtime-wasi's, within what a tree of processes may do with files, and
//! never on what is no file. The rules are those of WASI preview 1 (`wasi/files`, `wasi/quota`).
//!
//! A stream of a file holds the file open after its descriptor is dropped, so both are counted.

use crate::account::{Account, Charge};
use crate::state::State;
use crate::tree::{OpenFile, Place, Tree};
use crate::wasi::files::stays_inside;
use crate::wasi::{Parts, parts};
use std::sync::Arc;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode,
    HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags,
    PathFlags,
};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsError, FsResult, InputStream, IoError, OutputStream,
    Pollable, ReaddirIterator, StreamError, StreamResult,
};

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    preopens::add_to_linker::<State, Files<'static>>(linker, files)?;
    types::add_to_linker::<State, Files<'static>>(linker, files)
}

/// The files of a process, and what counts them.
struct Files<'a> {
    inner: WasiFilesystemCtxView<'a>,
    tree: &'a Arc<Tree>,
    member: &'a mut Place,
    /// How many listings of directories it has.
    listings: &'a mut usize,
}

/// The most listings of directories that a process may have at once: each has all names, here.
const LISTINGS: usize = 16;

impl HasData for Files<'static> {
    type Data<'a> = Files<'a>;
}

fn files(state: &mut State) -> Files<'_> {
    let Parts { wasi, process, member, listings } = parts(state);
    Files { inner: wasi.filesystem(), tree: &process.tree, member, listings }
}

type Fd = Resource<Descriptor>;

impl Files<'_> {
    fn account(&self) -> &Arc<Account> {
        &self.tree.account
    }

    /// One more file is to be made.
    fn create(&self) -> FsResult<()> {
        if self.tree.create() { Ok(()) } else { Err(ErrorCode::Quota.into()) }
    }

    /// A stream holds its file open.
    fn hold(&self) -> FsResult<OpenFile> {
        self.tree.open_file().ok_or_else(|| ErrorCode::InsufficientMemory.into())
    }

    /// Has what is written to a file through a stream counted.
    fn counted(
        &mut self,
        stream: Resource<DynOutputStream>,
        open: OpenFile,
    ) -> FsResult<Resource<DynOutputStream>> {
        let place = self.inner.table.get_mut(&stream)?;
        let inner = std::mem::replace(place, Box::new(Nowhere));
        *place = Box::new(Counted { inner, tree: self.tree.clone(), charge: None, _open: open });
        Ok(stream)
    }
}

/// What is in a stream's place while it is moved.
struct Nowhere;

#[wasmtime_wasi::async_trait]
impl Pollable for Nowhere {
    async fn ready(&mut self) {}
}

impl OutputStream for Nowhere {
    fn write(&mut self, _: bytes::Bytes) -> StreamResult<()> {
        Err(StreamError::Closed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Err(StreamError::Closed)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Err(StreamError::Closed)
    }
}

impl InputStream for Nowhere {
    fn read(&mut self, _: usize) -> StreamResult<bytes::Bytes> {
        Err(StreamError::Closed)
    }
}

/// A stream of a file, which holds that open.
struct Counted<S> {
    inner: S,
    tree: Arc<Tree>,
    /// What was written last may still be on its way.
    charge: Option<Charge>,
    _open: OpenFile,
}

#[wasmtime_wasi::async_trait]
impl<S: Pollable> Pollable for Counted<S> {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Counted<DynOutputStream> {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        let len = bytes.len() as u64;
        if !self.tree.write(len) {
            let full = std::io::Error::from(std::io::ErrorKind::QuotaExceeded);
            return Err(StreamError::LastOperationFailed(full.into()));
        }
        self.charge = None;
        match self.tree.account.charge(bytes.len()) {
            Ok(charge) => self.charge = Some(charge),
            Err(e) => return Err(StreamError::trap(&e.to_string())),
        }
        self.inner.write(bytes).inspect_err(|_| self.tree.unwrite(len))
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Counted<DynInputStream> {
    fn read(&mut self, size: usize) -> StreamResult<bytes::Bytes> {
        self.inner.read(size)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

impl preopens::Host for Files<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let directories = preopens::Host::get_directories(&mut self.inner)?;
        // Each is one more to be dropped.
        if directories.iter().any(|_| !self.member.open_file()) {
            return Err(wasmtime::Error::msg(
                "it has too many files open to be given its directories",
            ));
        }
        Ok(directories)
    }
}

impl types::Host for Files<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<IoError>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let own = self.inner.table.get(&error)?.downcast_ref::<std::io::Error>();
        if own.is_some_and(|own| own.kind() == std::io::ErrorKind::QuotaExceeded) {
            return Ok(Some(ErrorCode::Quota));
        }
        self.inner.filesystem_error_code(error)
    }
}

impl HostDescriptor for Files<'_> {
    async fn open_at(
        &mut self,
        dir: Fd,
        follow: PathFlags,
        path: String,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let there = self.inner.stat_at(Resource::new_borrow(dir.rep()), follow, path.clone()).await;
        // What cannot be looked at cannot be opened either, and that call says why.
        if let Ok(stat) = &there
            && !matches!(
                stat.type_,
                DescriptorType::Directory
                    | DescriptorType::RegularFile
                    | DescriptorType::SymbolicLink
            )
        {
            return Err(ErrorCode::Access.into());
        }
        if open.contains(OpenFlags::CREATE) && there.is_err() {
            self.create()?;
        }
        if !self.member.open_file() {
            // WASI 0.2 has no word for too many open files.
            return Err(ErrorCode::InsufficientMemory.into());
        }
        let opened = self.inner.open_at(dir, follow, path, open, flags).await;
        opened.inspect_err(|_| self.member.close_file())
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        HostDescriptor::drop(&mut self.inner, fd)?;
        self.member.close_file();
        Ok(())
    }

    async fn create_directory_at(&mut self, dir: Fd, path: String) -> FsResult<()> {
        self.create()?;
        self.inner.create_directory_at(dir, path).await
    }

    async fn link_at(
        &mut self,
        dir: Fd,
        follow: PathFlags,
        from: String,
        to_dir: Fd,
        to: String,
    ) -> FsResult<()> {
        self.create()?;
        self.inner.link_at(dir, follow, from, to_dir, to).await
    }

    async fn symlink_at(&mut self, dir: Fd, target: String, path: String) -> FsResult<()> {
        if !stays_inside(target.as_bytes()) {
            return Err(ErrorCode::NotPermitted.into());
        }
        self.create()?;
        self.inner.symlink_at(dir, target, path).await
    }

    async fn set_size(&mut self, fd: Fd, size: u64) -> FsResult<()> {
        if size > self.tree.most_written() {
            return Err(ErrorCode::Quota.into());
        }
        self.inner.set_size(fd, size).await
    }

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, at: u64) -> FsResult<u64> {
        let len = bytes.len() as u64;
        // They are held until the call is done, which may take long.
        let charge = self.account().charge(bytes.len());
        let _charge = charge.map_err(|_| ErrorCode::InsufficientMemory)?;
        if !self.tree.write(len) {
            return Err(ErrorCode::Quota.into());
        }
        let written = self.inner.write(fd, bytes, at).await;
        self.tree.unwrite(len - written.as_ref().map_or(0, |written| len.min(*written)));
        written
    }

    async fn read(&mut self, fd: Fd, len: u64, at: u64) -> FsResult<(Vec<u8>, bool)> {
        let read = self.inner.read(fd, len, at).await?;
        self.tree.read(read.0.len() as u64);
        Ok(read)
    }

    fn read_via_stream(&mut self, fd: Fd, at: u64) -> FsResult<Resource<DynInputStream>> {
        let open = self.hold()?;
        let stream = self.inner.read_via_stream(fd, at)?;
        let place = self.inner.table.get_mut(&stream)?;
        let inner = std::mem::replace(place, Box::new(Nowhere) as DynInputStream);
        *place = Box::new(Counted { inner, tree: self.tree.clone(), charge: None, _open: open });
        Ok(stream)
    }

    fn write_via_stream(&mut self, fd: Fd, at: u64) -> FsResult<Resource<DynOutputStream>> {
        let open = self.hold()?;
        let stream = self.inner.write_via_stream(fd, at)?;
        self.counted(stream, open)
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let open = self.hold()?;
        let stream = self.inner.append_via_stream(fd)?;
        self.counted(stream, open)
    }

    async fn advise(&mut self, fd: Fd, at: u64, len: u64, advice: Advice) -> FsResult<()> {
        self.inner.advise(fd, at, len, advice).await
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        self.inner.sync_data(fd).await
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<DescriptorFlags> {
        self.inner.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<DescriptorType> {
        self.inner.get_type(fd).await
    }

    async fn set_times(&mut self, fd: Fd, a: NewTimestamp, m: NewTimestamp) -> FsResult<()> {
        self.inner.set_times(fd, a, m).await
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<ReaddirIterator>> {
        if *self.listings == LISTINGS {
            return Err(ErrorCode::InsufficientMemory.into());
        }
        let listing = self.inner.read_directory(fd).await?;
        *self.listings += 1;
        Ok(listing)
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        self.inner.sync(fd).await
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<DescriptorStat> {
        self.inner.stat(fd).await
    }

    async fn stat_at(
        &mut self,
        fd: Fd,
        follow: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        self.inner.stat_at(fd, follow, path).await
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        follow: PathFlags,
        path: String,
        a: NewTimestamp,
        m: NewTimestamp,
    ) -> FsResult<()> {
        self.inner.set_times_at(fd, follow, path, a, m).await
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        self.inner.readlink_at(fd, path).await
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.inner.remove_directory_at(fd, path).await
    }

    async fn rename_at(&mut self, fd: Fd, from: String, to_dir: Fd, to: String) -> FsResult<()> {
        self.inner.rename_at(fd, from, to_dir, to).await
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.inner.unlink_file_at(fd, path).await
    }

    async fn is_same_object(&mut self, a: Fd, b: Fd) -> wasmtime::Result<bool> {
        self.inner.is_same_object(a, b).await
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<MetadataHashValue> {
        self.inner.metadata_hash(fd).await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Fd,
        follow: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        self.inner.metadata_hash_at(fd, follow, path).await
    }
}

impl HostDirectoryEntryStream for Files<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<ReaddirIterator>,
    ) -> FsResult<Option<DirectoryEntry>> {
        self.inner.read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<ReaddirIterator>) -> wasmtime::Result<()> {
        HostDirectoryEntryStream::drop(&mut self.inner, stream)?;
        *self.listings -= 1;
        Ok(())
    }
}
