//! Structures in the guest's memory: the order, offsets and sizes of their fields.
//!
//! All numbers are little-endian, and a host needs no alignment: it copies bytes. On the guest's
//! target the structures are what they say; elsewhere a pointer is the number that it is there, so
//! that offsets and sizes are the same everywhere.

/// A pointer of the guest: an offset into its memory.
///
/// ```
/// assert_eq!(size_of::<procbox_abi::Pointer>(), 4);
/// ```
pub type Pointer = u32;

/// A structure as tests and tools see it.
///
/// ```
/// let sizes: Vec<_> = procbox_abi::LAYOUTS.iter().map(|l| (l.name, l.size)).collect();
/// assert!(sizes.contains(&("procbox_start_t", 40)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Name in `procbox.h`.
    pub name: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// Fields, in order.
    pub fields: &'static [Field],
}

/// One field of a structure.
///
/// ```
/// let sizes = procbox_abi::LAYOUTS.iter().find(|l| l.name == "procbox_sizes_t");
/// let fields = sizes.map(|l| l.fields).unwrap_or_default();
/// assert_eq!((fields[1].name, fields[1].offset, fields[1].size), ("handles", 4, 4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in C.
    pub name: &'static str,
    /// Bytes before it.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

/// Makes each structure, its conversions from and to bytes, and the table of all.
macro_rules! layouts {
    ($(
        $(#[$about:meta])*
        struct $struct:ident as $c:literal {
            $($(#[$doc:meta])* $field:ident: $ty:ty,)*
        }
    )*) => {
        $(
            $(#[$about])*
            #[repr(C)]
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct $struct {
                $($(#[$doc])* pub $field: $ty,)*
            }

            impl $struct {
                /// Size in bytes.
                pub const SIZE: usize = size_of::<$struct>();

                /// The structure that these bytes of a guest's memory are.
                pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
                    $struct {
                        $($field: {
                            const OFFSET: usize = core::mem::offset_of!($struct, $field);
                            let mut own = [0; size_of::<$ty>()];
                            own.copy_from_slice(&bytes[OFFSET..OFFSET + size_of::<$ty>()]);
                            <$ty>::from_le_bytes(own)
                        },)*
                    }
                }

                /// The bytes that it is in a guest's memory.
                pub fn to_bytes(self) -> [u8; Self::SIZE] {
                    let mut bytes = [0; Self::SIZE];
                    $({
                        const OFFSET: usize = core::mem::offset_of!($struct, $field);
                        let own = self.$field.to_le_bytes();
                        bytes[OFFSET..OFFSET + size_of::<$ty>()].copy_from_slice(&own);
                    })*
                    bytes
                }
            }
        )*

        /// Every structure that `procbox.h` has.
        ///
        /// ```
        /// for layout in procbox_abi::LAYOUTS {
        ///     println!("{}: {} bytes", layout.name, layout.size);
        /// }
        /// ```
        pub const LAYOUTS: &[Layout] = &[$(
            Layout {
                name: $c,
                size: size_of::<$struct>(),
                fields: &[$(
                    Field {
                        name: stringify!($field),
                        offset: core::mem::offset_of!($struct, $field),
                        size: size_of::<$ty>(),
                    },
                )*],
            },
        )*];
    };
}

layouts! {
    /// The size of a message: what `message_read` will write.
    ///
    /// ```
    /// use procbox_abi::Sizes;
    /// let sizes = Sizes { bytes: 5, handles: 1 };
    /// assert_eq!(sizes.to_bytes(), [5, 0, 0, 0, 1, 0, 0, 0]);
    /// ```
    struct Sizes as "procbox_sizes_t" {
        /// Number of bytes.
        bytes: u32,
        /// Number of handles.
        handles: u32,
    }

    /// One handle that came with a message.
    ///
    /// ```
    /// use procbox_abi::{Received, kind};
    /// let received = Received { handle: 3, kind: kind::EVENT };
    /// assert_eq!(Received::from_bytes(&received.to_bytes()), received);
    /// ```
    struct Received as "procbox_received_t" {
        /// The handle's number.
        handle: i32,
        /// One of [`kind`](crate::kind).
        kind: u32,
    }

    /// Bounds of a queue: the most that it holds.
    ///
    /// ```
    /// use procbox_abi::{QueueBounds, max};
    /// let bounds = QueueBounds { messages: -1, bytes: i64::from(max::QUEUE_BYTES) };
    /// assert_eq!(QueueBounds::from_bytes(&bounds.to_bytes()), bounds);
    /// ```
    struct QueueBounds as "procbox_bounds_t" {
        /// Messages; negative: as many as the bytes allow.
        messages: i64,
        /// Bytes of all messages together; no message may be larger.
        bytes: i64,
    }

    /// A ledger's page, as one process sees it: eight numbers that all have in common, three that say
    /// what the dead had, the process's own line of the same three, and two bells.
    ///
    /// ```
    /// use procbox_abi::LedgerPage;
    /// let page = LedgerPage { version: 7, word_0: 1, ring_1: 1, ..LedgerPage::default() };
    /// assert_eq!(LedgerPage::from_bytes(&page.to_bytes()), page);
    /// ```
    struct LedgerPage as "procbox_ledger_t" {
        /// The number of changes so far. `ledger_write` is for the page of this version only.
        version: u64,
        /// Words that all have in common.
        word_0: u64,
        /// The second.
        word_1: u64,
        /// The third.
        word_2: u64,
        /// The fourth.
        word_3: u64,
        /// The fifth.
        word_4: u64,
        /// The sixth.
        word_5: u64,
        /// The seventh.
        word_6: u64,
        /// The eighth.
        word_7: u64,
        /// The sum of the first lanes of those who died.
        lost_0: u64,
        /// That of the second.
        lost_1: u64,
        /// That of the third.
        lost_2: u64,
        /// This process's line: its first lane in 32 bits, then the others in 16 each.
        line: u64,
        /// How often the first bell had been rung; in `ledger_write`, how many who wait for it are to
        /// look again.
        ring_0: u32,
        /// The same of the second bell.
        ring_1: u32,
    }

    /// End of a process: its exit code, and the limit that it broke.
    ///
    /// ```
    /// use procbox_abi::{Status, limit};
    /// let killed = Status { exitcode: -9, limit: limit::NONE };
    /// assert_eq!(Status::from_bytes(&killed.to_bytes()), killed);
    /// ```
    struct Status as "procbox_status_t" {
        /// 0 to 255 an exit code, below 0 the negated signal.
        exitcode: i32,
        /// One of [`limit`](crate::limit).
        limit: u32,
    }

    /// A process to start.
    ///
    /// Fields that were added later stand at its end, and a [`flag`](crate::flag) says that they
    /// are there: a guest that does not set [`CPU_TIME`](crate::flag::CPU_TIME) may pass a shorter
    /// structure, and a host then reads [`Start::SHORT`] bytes of it.
    ///
    /// ```
    /// use procbox_abi::{Start, flag, start};
    /// let request = Start { kind: start::CALL, flags: flag::DAEMON, ..Start::default() };
    /// assert_eq!(Start::from_bytes(&request.to_bytes()), request);
    /// assert_eq!(request.to_bytes()[std::mem::offset_of!(Start, flags)], 1);
    /// ```
    struct Start as "procbox_start_t" {
        /// One of [`start`](crate::start).
        kind: u32,
        /// The worker's name, without the prefix.
        worker: Pointer,
        /// Length of the worker's name.
        worker_len: u32,
        /// The process's name.
        name: Pointer,
        /// Length of the process's name.
        name_len: u32,
        /// Some of [`flag`](crate::flag); other bits are ignored.
        flags: u32,
        /// Nanoseconds after which it is ended; 0 and below: never.
        timeout: i64,
        /// Nanoseconds of CPU time after which it is ended; 0 and below: never.
        cpu_time: i64,
    }

    /// Head of what `self_identity` keeps for `message_read`; name, parent's name and authkey
    /// follow.
    ///
    /// ```
    /// use procbox_abi::Identity;
    /// let me = Identity { pid: 7, name_len: 6, ..Identity::default() };
    /// let message = [&me.to_bytes()[..], b"worker"].concat();
    /// assert_eq!(message.len(), Identity::SIZE + 6);
    /// ```
    struct Identity as "procbox_identity_t" {
        /// The process's pid.
        pid: u32,
        /// The parent's pid, or 0.
        parent: u32,
        /// 1 if it is a daemon, else 0.
        daemon: u32,
        /// Length of the process's name.
        name_len: u32,
        /// Length of the parent's name.
        parent_name_len: u32,
        /// Length of the authkey.
        authkey_len: u32,
    }
}

impl Start {
    /// Bytes of the structure without what a flag has to announce.
    ///
    /// ```
    /// assert_eq!(procbox_abi::Start::SHORT, 32);
    /// ```
    pub const SHORT: usize = core::mem::offset_of!(Start, cpu_time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_structure_has_a_gap() {
        for layout in LAYOUTS {
            let mut end = 0;
            for field in layout.fields {
                assert_eq!(field.offset, end, "{} of {}", field.name, layout.name);
                end += field.size;
            }
            assert_eq!(end, layout.size, "{}", layout.name);
        }
    }

    #[test]
    fn a_structure_is_its_bytes() {
        let start = Start {
            kind: 1,
            worker: 2,
            worker_len: 3,
            name: 4,
            name_len: 5,
            flags: 6,
            timeout: -7,
            cpu_time: i64::MAX,
        };
        let bytes = start.to_bytes();
        assert_eq!(Start::from_bytes(&bytes), start);
        assert_eq!(bytes[24..32], (-7i64).to_le_bytes());
    }
}
