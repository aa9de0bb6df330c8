//! Limits of a whole tree of processes, as the embedding program says them.

use std::time::Duration;

/// The default for [`TreeLimits::open_files`].
const OPEN_FILES: usize = 256;
/// The default for [`TreeLimits::written`].
const WRITTEN: u64 = 1 << 30;
/// The default for [`TreeLimits::created`].
const CREATED: u64 = 10_000;

/// Limits of a tree: one process that the embedding program has started, and all that come of it.
/// They count for all its processes together; of a pool each worker, or each fresh task, is a tree.
///
/// Defaults: twice the memory of a process, nine tenths of the sandbox's processes, 256 files open,
/// 1 GiB written to granted directories and 10,000 files made there; all else is not limited.
///
/// ```
/// use procbox_host::{Sandbox, TreeLimits};
/// use std::time::Duration;
/// let limits = TreeLimits::new().memory(256 << 20).processes(8).time(Duration::from_secs(60));
/// let sandbox = Sandbox::builder().max_processes(100).tree(limits).build()?;
/// # drop(sandbox);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "limits are of use to a sandbox that is built with them"]
pub struct TreeLimits {
    pub(crate) memory: Option<usize>,
    pub(crate) processes: Option<usize>,
    pub(crate) starts: u64,
    pub(crate) output: u64,
    pub(crate) time: Option<Duration>,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) fuel: Option<u64>,
    pub(crate) handles: Option<usize>,
    pub(crate) queued: Option<usize>,
    pub(crate) open_files: usize,
    pub(crate) written: u64,
    pub(crate) created: u64,
}

impl Default for TreeLimits {
    fn default() -> TreeLimits {
        TreeLimits::new()
    }
}

impl TreeLimits {
    /// The defaults.
    ///
    /// ```
    /// use procbox_host::TreeLimits;
    /// assert_eq!(TreeLimits::new(), TreeLimits::default());
    /// ```
    pub const fn new() -> TreeLimits {
        TreeLimits {
            memory: None,
            processes: None,
            starts: u64::MAX,
            output: u64::MAX,
            time: None,
            cpu_time: None,
            fuel: None,
            handles: None,
            queued: None,
            open_files: OPEN_FILES,
            written: WRITTEN,
            created: CREATED,
        }
    }

    /// Memory of the host, in bytes. Counted are the linear memory of all its processes, what the
    /// host keeps for them (messages on their way, primitives, handles, names, arguments, output that
    /// is kept), and for each process its stack and 64 KiB. What is above is refused to the guest: memory does not
    /// grow, and calls fail with [`Error::Exhausted`]. Default: twice what one process may have.
    ///
    /// A queue or pipe that the embedding program has made may hold as much besides.
    ///
    /// [`Error::Exhausted`]: procbox_core::Error::Exhausted
    ///
    /// ```
    /// use procbox_host::TreeLimits;
    /// let limits = TreeLimits::new().memory(1 << 30); // 1 GiB
    /// # let _ = limits;
    /// ```
    pub const fn memory(mut self, bytes: usize) -> TreeLimits {
        self.memory = Some(bytes);
        self
    }

    /// Processes that may live at once. One more cannot be started: [`Error::Exhausted`]. Default:
    /// nine tenths of the sandbox's, so that no tree takes the last.
    ///
    /// [`Error::Exhausted`]: procbox_core::Error::Exhausted
    ///
    /// ```
    /// use procbox_host::TreeLimits;
    /// let limits = TreeLimits::new().processes(4); // the first and three that it starts
    /// # let _ = limits;
    /// ```
    pub const fn processes(mut self, n: usize) -> TreeLimits {
        self.processes = Some(n);
        self
    }

    /// Processes that may be started one after another, the first included. Default: no limit.
    ///
    /// ```
    /// use procbox_host::TreeLimits;
    /// let limits = TreeLimits::new().starts(1); // it can start none
    /// # let _ = limits;
    /// ```
    pub const fn starts(mut self, n: u64) -> TreeLimits {
        self.starts = n;
        self
    }

    /// Bytes printed, to stdout and stderr together. What is above is not printed, and the tree ends:
    /// its status has [`Limit::Output`]. Default: no limit; output that is kept is memory.
    ///
    /// [`Limit::Output`]: procbox_core::Limit::Output
    ///
    /// ```
    /// use procbox_host::TreeLimits;
    /// let limits = TreeLimits::new().output(1 << 20); // a megabyte of it
    /// # let _ = limits;
    /// ```
    pub const fn output(mut self, bytes: u64) -> TreeLimits {
        self.output = bytes;
        self
    }

    /// Wall-clock time from the start of its first process, after which all of it ends. Default: no
    /// limit. A process's own timeout ends what it has started too.
    ///
    /// ```
    /// use procbox_host::TreeLimits;
    /// let limits = TreeLimits::new().time(std::time::Duration::from_secs(10));
    /// # let _ = limits;
    /// ```
    pub const fn time(mut self, time: Duration) -> TreeLimits {
        self.time = Some(time);
        self
    }

    /// CPU time of all its processes together, after which all of it ends. Default: no limit. In a
    /// simulation it is not counted.
    ///
    /// ```
    /// use procbox_host::TreeLimits;
    /// let limits = TreeLimits::new().cpu_time(std::time::Duration::from_secs(2));
    /// # let _ = limits;
    /// ```
    pub const fn cpu_time(mut self, time: Duration) -> TreeLimits {
        self.cpu_time = Some(time);
        self
    }

    /// Fuel of all its processes together. A process that starts gets what `SandboxBuilder::fuel`
    /// says of it, or what is left if that is less, and gives back what it has not used when it returns
    /// or exits. One that traps or is killed gives none back. If nothing is left, none can be started.
    /// Default: no limit.
    ///
    /// ```
    /// use procbox_host::{Sandbox, TreeLimits};
    /// let limits = TreeLimits::new().fuel(3_000_000);
    /// let sandbox = Sandbox::builder().max_processes(10).fuel(1_000_000).tree(limits).build()?;
    /// # drop(sandbox);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub const fn fuel(mut self, units: u64) -> TreeLimits {
        self.fuel = Some(units);
        self
    }

    /// Handles that its processes have at once: of primitives, listeners, and processes that they have
    /// started. One more fails with [`Error::Exhausted`]. One process has at most 1,048,576, and
    /// the limit of memory counts them too. Default: no limit.
    ///
    /// [`Error::Exhausted`]: procbox_core::Error::Exhausted
    ///
    /// ```
    /// use procbox_host::TreeLimits;
    /// let limits = TreeLimits::new().handles(1000);
    /// # let _ = limits;
    /// ```
    pub const fn handles(mut self, n: usize) -> TreeLimits {
        self.handles = Some(n);
        self
    }

    /// Bytes of the messages that are on their way in queues and pipes that its processes have made,
    /// and [`Bounds::OVERHEAD`] for each
    /// message. One more fails with [`Error::Exhausted`]. The limit of memory counts
    /// them too. Default: no limit.
    ///
    /// [`Bounds::OVERHEAD`]: procbox_core::Bounds::OVERHEAD
    /// [`Error::Exhausted`]: procbox_core::Error::Exhausted
    ///
    /// ```
    /// use procbox_host::TreeLimits;
    /// let limits = TreeLimits::new().queued(16 << 20);
    /// # let _ = limits;
    /// ```
    pub const fn queued(mut self, bytes: usize) -> TreeLimits {
        self.queued = Some(bytes);
        self
    }

    /// Files and directories that its processes have open at once, those that were granted included.
    /// One more is refused to the guest (`EMFILE`), and so is a process whose granted directories are
    /// too many. Default: 256.
    ///
    /// ```
    /// use procbox_host::TreeLimits;
    /// let limits = TreeLimits::new().open_files(16);
    /// # let _ = limits;
    /// ```
    pub const fn open_files(mut self, n: usize) -> TreeLimits {
        self.open_files = n;
        self
    }

    /// Bytes written to files in granted directories, those written over included. What is above is
    /// refused to the guest (`EDQUOT`). Default: 1 GiB.
    ///
    /// ```
    /// use procbox_host::TreeLimits;
    /// let limits = TreeLimits::new().written(64 << 20);
    /// # let _ = limits;
    /// ```
    pub const fn written(mut self, bytes: u64) -> TreeLimits {
        self.written = bytes;
        self
    }

    /// Files, directories and links made in granted directories, those that are gone again included.
    /// One more is refused to the guest (`EDQUOT`). Default: 10,000.
    ///
    /// ```
    /// use procbox_host::TreeLimits;
    /// let limits = TreeLimits::new().created(100);
    /// # let _ = limits;
    /// ```
    pub const fn created(mut self, n: u64) -> TreeLimits {
        self.created = n;
        self
    }
}
