//! The memory that primitives keep.

use crate::cases::Case;
use procbox_core::raw::Message;
use procbox_core::{Queue, Result, Wait};
use std::os::unix::fs::MetadataExt;

/// The cases.
pub(crate) const ALL: &[(&str, Case)] =
    &[("empty_queues_keep_little_whatever_was_in_them", empty_queues_keep_little)];

/// The memory of this process's arenas.
fn in_arenas() -> u64 {
    let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let arenas = files.map(|file| file.path()).filter(|path| {
        std::fs::read_link(path).is_ok_and(|name| name.to_string_lossy().contains("procbox-arena"))
    });
    arenas.filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.blocks() * 512).sum()
}

fn empty_queues_keep_little() -> Result<()> {
    let before = in_arenas();
    let ctx = procbox_native::Native::builder().build()?;
    let queues = (0..20).map(|_| ctx.unbounded_queue::<()>()).collect::<Result<Vec<_>>>()?;
    let put_and_get = |queue: &Queue<()>, sizes: &[usize]| -> Result<()> {
        for size in sizes {
            queue.raw().put(&vec![1; *size], &[], Wait::Never)?;
        }
        for size in sizes {
            let mut message = Message::default();
            queue.raw().get(&mut message, Wait::Never)?;
            assert_eq!(message.bytes.len(), *size);
            assert!(message.bytes.iter().all(|byte| *byte == 1));
        }
        Ok(())
    };
    for queue in &queues {
        put_and_get(queue, &[5 << 20])?;
        put_and_get(queue, &[1 << 20, 3, 5 << 20])?;
    }
    let kept = in_arenas().saturating_sub(before);
    assert!(kept < 8 << 20, "{kept} bytes in {} empty queues", queues.len());
    // They are as good as new.
    queues.iter().try_for_each(|queue| put_and_get(queue, &[0, 3 << 20, 1, 70_000, 2 << 20]))
}
