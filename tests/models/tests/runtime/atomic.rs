//! Loom's atomics. It takes sequentially consistent accesses for weaker ones, so that each has a fence
//! in front here: between two such accesses of a thread there is one then, as it is where a processor
//! knows nothing but fences.

pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};

fn before(order: Ordering) {
    if order == Ordering::SeqCst {
        fence(Ordering::SeqCst);
    }
}

macro_rules! word {
    ($name:ident, $number:ty) => {
        #[derive(Debug, Default)]
        pub(crate) struct $name(loom::sync::atomic::$name);

        impl $name {
            pub(crate) fn new(value: $number) -> $name {
                $name(loom::sync::atomic::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $number {
                before(order);
                self.0.load(order)
            }

            pub(crate) fn store(&self, value: $number, order: Ordering) {
                before(order);
                self.0.store(value, order);
            }

            pub(crate) fn swap(&self, value: $number, order: Ordering) -> $number {
                before(order);
                self.0.swap(value, order)
            }

            pub(crate) fn fetch_add(&self, by: $number, order: Ordering) -> $number {
                before(order);
                self.0.fetch_add(by, order)
            }

            pub(crate) fn fetch_sub(&self, by: $number, order: Ordering) -> $number {
                before(order);
                self.0.fetch_sub(by, order)
            }

            pub(crate) fn compare_exchange(
                &self,
                from: $number,
                to: $number,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$number, $number> {
                before(success);
                self.0.compare_exchange(from, to, success, failure)
            }
        }
    };
}
word!(AtomicU8, u8);
word!(AtomicUsize, usize);
