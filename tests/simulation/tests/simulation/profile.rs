//! How bad the days of one seed are: each seed draws which faults it has and how often, so that some seeds are all storm and
//! others let one rare fault meet an otherwise healthy shop.

use engine::Limits;
use fastrand::Rng;

/// Chances are in thousandths of the occasions on which the fault could happen.
#[derive(Debug, Clone)]
pub struct Profile {
    pub nodes: usize,
    pub commands: usize,
    /// The longest pause between two commands, in milliseconds.
    pub pause: u64,
    /// The longest that a call to the log takes, in milliseconds.
    pub latency: u64,
    pub append_refused: u32,
    pub append_unknown: u32,
    /// After an append of unknown outcome, the store says nothing to any append for seconds.
    pub silence: u32,
    pub read_fails: u32,
    pub wake_lost: u32,
    /// The longest that a wake-up takes, in milliseconds.
    pub wake_late: u64,
    pub crash: u32,
    pub clock_jumps: u32,
    pub time_passes: u32,
    pub bookkeeping_lost: u32,
    pub snapshot_lost: u32,
    pub gateway_fails: u32,
    pub gateway_twice: u32,
    pub webhooks: u32,
    pub repeats: u32,
    pub hostile: u32,
    pub limits: Limits,
}

impl Profile {
    pub fn draw(rng: &mut Rng) -> Self {
        // About every second seed has a given fault at all.
        let mut chance = |most: u32| if rng.bool() { rng.u32(1..=most) } else { 0 };
        let (append_refused, append_unknown, read_fails) = (chance(150), chance(200), chance(60));
        let (wake_lost, crash, clock_jumps, time_passes) = (chance(900), chance(250), chance(200), chance(400));
        let (bookkeeping_lost, snapshot_lost) = (chance(150), chance(600));
        let (gateway_fails, gateway_twice, webhooks) = (chance(500), chance(400), chance(500));
        let (repeats, hostile) = (chance(400), chance(250));
        let silence = chance(300);
        let limits = Limits {
            queue: if rng.u8(..8) == 0 { 4 } else { 1000 },
            batch_events: rng.usize(2..=64),
            cache_bytes: if rng.bool() { rng.usize(2_000..=30_000) } else { 1 << 20 },
            snapshot_every: rng.u64(2..=40),
        };
        Self {
            nodes: rng.usize(1..=4),
            commands: rng.usize(60..=180),
            pause: [2, 20, 60, 150][rng.usize(..4)],
            latency: [0, 3, 15, 60][rng.usize(..4)],
            append_refused,
            append_unknown,
            silence,
            read_fails,
            wake_lost,
            wake_late: [0, 5, 200, 2_000][rng.usize(..4)],
            crash,
            clock_jumps,
            time_passes,
            bookkeeping_lost,
            snapshot_lost,
            gateway_fails,
            gateway_twice,
            webhooks,
            repeats,
            hostile,
            limits,
        }
    }
}
