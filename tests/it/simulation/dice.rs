//! What is left to chance: all of it comes from one seed, so that a run of the simulation can be repeated.

use std::time::Duration;

/// A stream of chances. Each part of the world has its own, so that one part's draws do not move another's.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn of(seed: u64, part: &str) -> Self {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x2545_F491_4F6C_DD1D;
        for byte in part.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        let mut dice = Self(state | 1);
        for _ in 0..4 {
            dice.next();
        }
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end.max(1)
    }

    /// Once in `n`.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// In so many of a thousand cases.
    pub(crate) fn permille(&mut self, n: u64) -> bool {
        self.below(1_000) < n
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// A time between these milliseconds; short ones are as likely as long ones.
    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        let mut span = most - least;
        for _ in 0..self.below(4) {
            span /= 4;
        }
        Duration::from_millis(least + self.below(span + 1))
    }

    /// A time between these seconds, to the millisecond.
    pub(crate) fn seconds(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least * 1_000 + self.below((most - least) * 1_000 + 1))
    }
}

/// The kernel's random numbers, for this process, when it simulates: hash maps and tokio's choices follow the seed as
/// well.
mod kernel {
    use std::cell::Cell;
    use std::sync::OnceLock;

    use super::Dice;

    fn seed() -> Option<u64> {
        static SEED: OnceLock<Option<u64>> = OnceLock::new();
        *SEED.get_or_init(|| std::env::var(super::super::SEED).ok()?.parse().ok())
    }

    thread_local! {
        static STREAM: Cell<u64> = const { Cell::new(0) };
    }

    #[expect(
        unsafe_code,
        reason = "takes the place of the C library's function of this name"
    )]
    #[unsafe(no_mangle)]
    extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
        // SAFETY: the caller gives a buffer of this length.
        let buffer = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
        let Some(seed) = seed() else {
            let filled = std::fs::File::open("/dev/urandom").and_then(|mut file| {
                use std::io::Read as _;
                file.read_exact(buffer)
            });
            return if filled.is_ok() { length as isize } else { -1 };
        };
        let call = STREAM.get();
        STREAM.set(call + 1);
        let mut dice = Dice::of(seed, "kernel");
        for _ in 0..=call {
            dice.next();
        }
        for byte in buffer {
            *byte = dice.next() as u8;
        }
        length as isize
    }
}
