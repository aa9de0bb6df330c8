//! How modules are compiled: what a compiler in another process has to know to make the same.

use wasmtime::Config;

/// All that differs between two sandboxes' compiled modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether fuel is counted.
    pub(crate) fuel: bool,
    /// Whether nothing is left to the machine.
    pub(crate) simulated: bool,
    /// Address space for the memory of each process.
    pub(crate) reservation: u64,
}

impl Settings {
    /// The configuration of wasmtime that says so.
    pub(crate) fn config(self) -> Config {
        let mut config = Config::new();
        config
            .memory_reservation(self.reservation)
            .epoch_interruption(true)
            .consume_fuel(self.fuel || self.simulated)
            .memory_init_cow(true);
        if self.simulated {
            // The specification leaves these to the machine.
            config.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
        }
        config
    }

    /// The same for a program whose memory is mapped from an image, gaps and all, if that has no more
    /// bytes than this: copied, it would cost each process as much as it holds.
    pub(super) fn config_of(self, image: u64) -> Config {
        let mut config = self.config();
        if image > 0 {
            config.memory_guaranteed_dense_image_size(image);
        }
        config
    }

    /// As numbers, for another process of this very program.
    pub(crate) fn to_numbers(self) -> [u64; 3] {
        [self.fuel.into(), self.simulated.into(), self.reservation]
    }

    pub(crate) fn from_numbers([fuel, simulated, reservation]: [u64; 3]) -> Settings {
        Settings { fuel: fuel != 0, simulated: simulated != 0, reservation }
    }
}
