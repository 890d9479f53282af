//! When a delivery that failed is tried again.

use std::time::Duration;

/// How long to wait after each failure but the last. Together about two and a half days, so that what broke on a Friday
/// evening is repaired before its events are given up.
const WAITS: [Duration; 11] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(3600),
    Duration::from_secs(3 * 3600),
    Duration::from_secs(6 * 3600),
    LONGEST,
    LONGEST,
    LONGEST,
    LONGEST,
];

/// The longest wait, also if the receiver asks for more.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// How long to wait after the `failures`-th failure in a row; none after the last try. Up to a quarter longer by `spread`, so
/// that what failed together does not come back together. `asked` is what the receiver asked for with `Retry-After`.
pub(crate) fn back_off(failures: u32, spread: u64, asked: Option<Duration>) -> Option<Duration> {
    let index = usize::try_from(failures).ok()?.checked_sub(1)?;
    let base = *WAITS.get(index)?;
    let share = u32::try_from(spread.wrapping_add(failures.into()).wrapping_mul(2_654_435_761) >> 7 & 0xff).unwrap_or(0);
    let wait = base + base / 4 * share / 255;
    Some(asked.map_or(wait, |asked| wait.max(asked.min(LONGEST))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_grow_from_five_seconds_to_half_a_day_and_end_after_twelve_tries() {
        let mut last = Duration::ZERO;
        for failures in 1..=11 {
            let waits: Vec<_> = (0..1000).map(|spread| back_off(failures, spread, None).unwrap()).collect();
            let (least, most) = (*waits.iter().min().unwrap(), *waits.iter().max().unwrap());
            assert!(least >= last && most <= least + least / 4 && most > least, "{failures}: {least:?} to {most:?}");
            last = least;
        }
        assert_eq!((WAITS[0], WAITS[10]), (Duration::from_secs(5), Duration::from_secs(43_200)));
        assert_eq!((back_off(12, 7, None), back_off(0, 7, None)), (None, None));
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_but_not_for_ever() {
        let minute = Duration::from_secs(60);
        assert_eq!(back_off(1, 0, Some(minute)), Some(minute));
        assert_eq!(back_off(1, 0, Some(Duration::from_secs(u64::MAX))), Some(LONGEST));
        assert!(back_off(5, 0, Some(minute)) >= Some(Duration::from_secs(3600)));
    }
}
