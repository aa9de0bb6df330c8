//! The pools that a sandbox's processes get their places from, each with an engine of its own.
//!
//! A pool is laid out when it is made, and that takes time for each of its places. So the first is
//! small, and the others are made when more processes live at once: each has thrice the places of all
//! before it. Processes take the first place that is free. A program is loaded into a pool when it
//! first runs there (`program`).
//!
//! There are two memories for each place, for many programs have a second one, or one where there is no
//! address space for more. A process that has more of them takes as many places as that needs, or all of a
//! pool that has fewer, so that it keeps no other from its memory. Of tables there are always enough.

use crate::compile::Settings;
use crate::engine::{self, Size};
use crate::limits::Limits;
use crate::state::State;
use crate::sync::lock;
use procbox_core::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use wasmtime::{Engine, Linker, component};

/// The places of the first pool: what most programs are content with, and many contexts keep warm.
const FIRST: usize = 64;
/// How many times the places of all pools before it the next one has.
const GROWTH: usize = 3;

/// A pool that is laid out, and what guests in it may import.
pub(crate) struct Made {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    /// The same for components; made when one is linked.
    components: OnceLock<component::Linker<State>>,
}

impl Made {
    fn new(limits: &Limits, size: Size, settings: Settings) -> Result<Made> {
        let engine = engine::engine(limits, size, settings)?;
        let linker = engine::linker(&engine)?;
        Ok(Made { engine, linker, components: OnceLock::new() })
    }

    /// What components in it may import.
    ///
    /// # Errors
    /// [`Error::Os`], which does not happen unless two interfaces have one name.
    pub(crate) fn components(&self) -> Result<&component::Linker<State>> {
        if let Some(linker) = self.components.get() {
            return Ok(linker);
        }
        let linker = engine::component_linker(&self.engine)?;
        Ok(self.components.get_or_init(|| linker))
    }
}

struct Pool {
    size: Size,
    taken: AtomicUsize,
    made: OnceLock<Made>,
}

/// The pools of a sandbox.
pub(crate) struct Pools {
    limits: Limits,
    settings: Settings,
    pools: Vec<Pool>,
    /// Held while a pool is made.
    making: Mutex<()>,
    /// Processes that live now.
    taken: AtomicUsize,
    most: usize,
}

impl Pools {
    /// How many places a process takes that has so many memories.
    pub(crate) fn room(&self, memories: usize) -> usize {
        let second = usize::from(engine::has_seconds(&self.limits, self.most));
        memories.saturating_sub(second).max(1)
    }

    /// The pools for so many processes; the first is there at once.
    ///
    /// # Errors
    /// [`Error::Os`] if there is no address space for it.
    pub(crate) fn new(limits: Limits, most: usize, settings: Settings) -> Result<Arc<Pools>> {
        let pool = |size| Pool { size, taken: AtomicUsize::new(0), made: OnceLock::new() };
        let pools = sizes(&limits, most).into_iter().map(pool).collect();
        let (making, taken) = (Mutex::default(), AtomicUsize::new(0));
        let pools = Pools { limits, settings, pools, making, taken, most };
        pools.get(0)?;
        Ok(Arc::new(pools))
    }

    /// How many there are or will be.
    pub(crate) fn len(&self) -> usize {
        self.pools.len()
    }

    /// A pool, which is made if it is not there yet.
    ///
    /// # Errors
    /// [`Error::Os`] if there is no address space for it.
    pub(crate) fn get(&self, index: usize) -> Result<&Made> {
        let pool = &self.pools[index];
        if let Some(made) = pool.made.get() {
            return Ok(made);
        }
        let _making = lock(&self.making);
        if let Some(made) = pool.made.get() {
            return Ok(made);
        }
        let made = Made::new(&self.limits, pool.size, self.settings)?;
        Ok(pool.made.get_or_init(|| made))
    }

    /// Has every guest that runs yield soon.
    pub(crate) fn preempt(&self) {
        let made = self.pools.iter().filter_map(|pool| pool.made.get());
        made.for_each(|made| made.engine.increment_epoch());
    }

    /// Room for one more process, which takes so many places.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub(crate) fn take(self: &Arc<Pools>, places: usize) -> Result<Place> {
        let of_all = places.min(self.most);
        if !take(&self.taken, of_all, self.most) {
            return Err(self.exhausted());
        }
        loop {
            let free = |pool: &Pool| {
                take(&pool.taken, places.min(pool.size.processes), pool.size.processes)
            };
            if let Some(pool) = self.pools.iter().position(free) {
                return Ok(Place { pools: self.clone(), pool, places });
            }
            if places > 1 {
                // There are as many, but in no one pool.
                self.taken.fetch_sub(of_all, Ordering::AcqRel);
                return Err(self.exhausted());
            }
            // There is one: who leaves gives the place back first. It may be where we have looked.
            std::hint::spin_loop();
        }
    }

    #[cold]
    fn exhausted(&self) -> Error {
        Error::Exhausted(format!("room for more than {} sandboxed processes", self.most))
    }

    /// Processes that live now.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }
}

/// So many more, unless there are too many.
fn take(taken: &AtomicUsize, places: usize, most: usize) -> bool {
    let more = |n: usize| n.checked_add(places).filter(|sum| *sum <= most);
    taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).is_ok()
}

/// The sizes of the pools for so many processes. The heaps that there is room for are spread evenly.
fn sizes(limits: &Limits, most: usize) -> Vec<Size> {
    let heaps = engine::heaps(limits, most);
    let has_seconds = engine::has_seconds(limits, most);
    let heaps_of = |processes: usize| (heaps as u128 * processes as u128 / most as u128) as usize;
    let (mut sizes, mut before) = (Vec::new(), 0);
    while before < most {
        let next = if before == 0 { FIRST } else { before.saturating_mul(GROWTH) };
        let all = before.saturating_add(next).min(most);
        let heaps = heaps_of(all) - heaps_of(before);
        sizes.push(Size { processes: all - before, heaps, has_seconds });
        before = all;
    }
    sizes
}

/// The place of a live process: it has it until its store is gone.
pub(crate) struct Place {
    pools: Arc<Pools>,
    pool: usize,
    places: usize,
}

impl Place {
    /// The pool that it is in.
    pub(crate) fn pool(&self) -> usize {
        self.pool
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let pool = &self.pools.pools[self.pool];
        pool.taken.fetch_sub(self.places.min(pool.size.processes), Ordering::AcqRel);
        self.pools.taken.fetch_sub(self.places.min(self.pools.most), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Program;
    use crate::sandbox::Sandbox;
    use procbox_core::ExitStatus;

    fn limits() -> Limits {
        Limits { memory: 1 << 20, stack: 512 << 10, tree: Default::default(), fuel: None }
    }

    #[test]
    fn the_pools_have_room_for_all_and_the_first_is_small() {
        for most in [1, 63, 64, 65, 256, 1000, 10_000, 100_000] {
            let sizes = sizes(&limits(), most);
            assert_eq!(sizes.iter().map(|size| size.processes).sum::<usize>(), most);
            let heaps: usize = sizes.iter().map(|size| size.heaps).sum();
            assert_eq!(heaps, engine::heaps(&limits(), most));
            assert!(sizes[0].processes <= FIRST && sizes.len() <= 7, "{sizes:?}");
        }
    }

    #[test]
    fn a_place_is_free_when_its_process_has_been_joined() {
        const MODULE: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
        let sandbox = Sandbox::builder().max_processes(2).cache(false).build().unwrap();
        let program = Program::from_bytes("program", wat::parse_str(MODULE).unwrap()).unwrap();
        let ctx = sandbox.context(program).unwrap();
        let start_many = || {
            for _ in 0..300 {
                let process = ctx.main(["program"]).start().unwrap();
                assert_eq!(process.join(), Ok(ExitStatus::SUCCESS));
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(start_many);
            start_many();
        });
    }

    #[test]
    fn a_further_pool_is_made_for_who_has_no_place_in_the_first_and_places_come_back() {
        const MOST: usize = FIRST + 2;
        let settings = engine::settings(&limits(), MOST, false);
        let pools = Pools::new(limits(), MOST, settings).unwrap();
        let mut places: Vec<Place> = (0..MOST).map(|_| pools.take(1).unwrap()).collect();
        assert!(matches!(pools.take(1), Err(Error::Exhausted(_))));
        assert_eq!(places.iter().filter(|place| place.pool() == 1).count(), 2);
        assert!(pools.pools[1].made.get().is_none());
        assert!(!Engine::same(&pools.get(0).unwrap().engine, &pools.get(1).unwrap().engine));
        drop(places.swap_remove(0));
        assert_eq!(pools.take(1).unwrap().pool(), 0);
        drop(places);
        assert_eq!(pools.taken(), 0);
    }

    #[test]
    fn who_has_several_memories_takes_as_many_places_or_all() {
        const MOST: usize = FIRST + 100;
        let settings = engine::settings(&limits(), MOST, false);
        let pools = Pools::new(limits(), MOST, settings).unwrap();
        let ones: Vec<Place> = (0..FIRST - 3).map(|_| pools.take(1).unwrap()).collect();
        let four = pools.take(4).unwrap();
        assert_eq!((four.pool(), pools.taken()), (1, FIRST + 1));
        let many: Vec<Place> = (0..12).map(|_| pools.take(8).unwrap()).collect();
        assert!(matches!(pools.take(8), Err(Error::Exhausted(_))));
        let three = pools.take(3).unwrap();
        assert!(three.pool() == 0 && pools.take(1).is_err());
        drop((ones, four, many, three));
        assert_eq!(pools.taken(), 0);

        let alone = Pools::new(limits(), 2, settings).unwrap();
        let place = alone.take(8).unwrap();
        assert!(alone.take(1).is_err());
        drop(place);
        assert!(alone.take(1).is_ok() && alone.taken() == 0);
    }
}
