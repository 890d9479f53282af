//! How unusual is a day? Pure functions: counts by negative-binomial tails, money by robust residuals on a log scale.

use statrs::distribution::{ContinuousCDF as _, Discrete as _, DiscreteCDF as _, NegativeBinomial, Poisson, StudentsT};

/// The chance on each side of the expected interval: 1 in 200, so 99 % of ordinary days fall inside.
const OUTSIDE: f64 = 0.005;
/// Scales the median absolute deviation of a normal distribution to its standard deviation.
const MAD_TO_SIGMA: f64 = 1.4826;
/// Amounts of one shop's ordinary days differ by more than a twentieth, whatever a few quiet weeks say.
const LEAST_SPREAD: f64 = 0.05;

/// What was to be expected, and how unusual what happened is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The middle of what was expected.
    pub expected: f64,
    /// Ordinary days are at least this.
    pub low: f64,
    /// Ordinary days are at most this.
    pub high: f64,
    /// The chance of a day at least as far out on the same side.
    pub tail: f64,
}

/// Earlier days by weekday, Monday first: what each of them came to.
pub type Weeks = [Vec<f64>; 7];

/// Judges a count against earlier days. The mean is that of the same weekday; how much counts scatter beyond chance is
/// estimated from all weekdays together (method of moments), since one weekday alone has too few. If they do not scatter
/// beyond chance it is a Poisson count. `None` with fewer than four earlier days of the weekday.
pub fn judge_count(observed: u64, weekday: usize, earlier: &Weeks) -> Option<Verdict> {
    let same = earlier.get(weekday)?;
    if same.len() < 4 {
        return None;
    }
    let days = same.len() as f64;
    // A weekday on which nothing ever happened may still see an order now and then.
    let mean = (same.iter().sum::<f64>() / days).max(0.5 / days);
    let spread = mean + dispersion(earlier) * mean * mean;
    // What is expected of one more day: its own scatter, and that of a mean of so few.
    let variance = spread * (1.0 + 1.0 / days);
    let size = mean * mean / (variance - mean);
    let (above, below, low, high) = if size.is_finite() && size < 1e6 {
        let counts = NegativeBinomial::new(size, size / (size + mean)).ok()?;
        let (low, high) = interval(mean, |count| counts.cdf(count));
        (counts.sf(observed) + counts.pmf(observed), counts.cdf(observed), low, high)
    } else {
        let counts = Poisson::new(mean).ok()?;
        let (low, high) = interval(mean, |count| counts.cdf(count));
        (counts.sf(observed) + counts.pmf(observed), counts.cdf(observed), low, high)
    };
    let tail = if observed as f64 > mean { above } else { below };
    Some(Verdict { expected: mean, low: low as f64, high: high as f64, tail: tail.clamp(0.0, 1.0) })
}

/// How much counts scatter beyond chance, relative to the square of their mean, over all weekdays; 0 for Poisson.
fn dispersion(earlier: &Weeks) -> f64 {
    let (mut excess, mut squares) = (0.0, 0.0);
    for counts in earlier.iter().filter(|counts| counts.len() >= 2) {
        let days = counts.len() as f64;
        let mean = counts.iter().sum::<f64>() / days;
        let scatter: f64 = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() * days / (days - 1.0);
        excess += scatter - days * mean;
        squares += days * mean * mean;
    }
    if squares > 0.0 { (excess / squares).max(0.0) } else { 0.0 }
}

/// The least counts that leave less than [`OUTSIDE`] below and at most so much above.
fn interval(mean: f64, cdf: impl Fn(u64) -> f64) -> (u64, u64) {
    (quantile(mean, OUTSIDE, &cdf), quantile(mean, 1.0 - OUTSIDE, &cdf))
}

/// The least count whose cumulative chance reaches `chance`, by doubling and halving.
fn quantile(mean: f64, chance: f64, cdf: &impl Fn(u64) -> f64) -> u64 {
    let mut high = (mean as u64).max(1);
    while cdf(high) < chance && high < u64::MAX / 4 {
        high *= 2;
    }
    let mut low = 0;
    while low < high {
        let middle = low + (high - low) / 2;
        if cdf(middle) < chance { low = middle + 1 } else { high = middle }
    }
    low
}

/// Judges an amount of money against earlier days with trade (all positive). The middle is the median of the same
/// weekday; the scatter is the median absolute residual of all weekdays, on a log scale, with a floor; the tail is that of
/// Student's t, because few days tell little about the scatter. `None` with fewer than four earlier days of the weekday.
pub fn judge_money(observed: f64, weekday: usize, earlier: &Weeks) -> Option<Verdict> {
    let same = earlier.get(weekday)?;
    if same.len() < 4 || observed <= 0.0 {
        return None;
    }
    let middle = median(same.iter().map(|amount| amount.ln()).collect())?;
    let mut residuals = Vec::new();
    let mut weekdays = 0.0;
    for amounts in earlier.iter().filter(|amounts| amounts.len() >= 2) {
        let own = median(amounts.iter().map(|amount| amount.ln()).collect())?;
        residuals.extend(amounts.iter().map(|amount| (amount.ln() - own).abs()));
        weekdays += 1.0;
    }
    let freedom = (residuals.len() as f64 - weekdays).max(3.0);
    let sigma = (MAD_TO_SIGMA * median(residuals)?).max(LEAST_SPREAD);
    // The variance of a median is about pi/2 times that of a mean.
    let scale = sigma * (1.0 + std::f64::consts::FRAC_PI_2 / same.len() as f64).sqrt();
    let residual = StudentsT::new(0.0, scale, freedom).ok()?;
    let reach = residual.inverse_cdf(1.0 - OUTSIDE);
    let tail = residual.sf((observed.ln() - middle).abs());
    Some(Verdict { expected: middle.exp(), low: (middle - reach).exp(), high: (middle + reach).exp(), tail })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { (values[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuesdays(values: &[f64]) -> Weeks {
        let mut weeks = Weeks::default();
        weeks[1] = values.to_vec();
        weeks
    }

    fn close(found: f64, known: f64) {
        assert!((found - known).abs() <= known.abs() * 1e-6, "{found} is not {known}");
    }

    #[test]
    fn counts_that_scatter_as_chance_does_are_poisson() {
        // Mean 20, variance below 20: no dispersion. The variance of one more day is 20 * (1 + 1/8) = 22.5, so the size
        // is 400 / 2.5 = 160 and p = 160 / 180.
        let verdict = judge_count(20, 1, &tuesdays(&[18.0, 19.0, 20.0, 21.0, 22.0, 20.0, 19.0, 21.0])).unwrap();
        assert_eq!(dispersion(&tuesdays(&[18.0, 19.0, 20.0, 21.0, 22.0])), 0.0);
        // Its cumulative chance at 20, summed term by term elsewhere.
        close(verdict.tail, 0.559_195_314_025);
        assert_eq!((verdict.expected, verdict.low, verdict.high), (20.0, 9.0, 33.0));
    }

    #[test]
    fn dispersion_is_what_the_moments_say() {
        // Mean 20, sum of squares 8 * 100: scatter 800 * 8/7, less 8 * 20, over 8 * 400.
        let weeks = tuesdays(&[10.0, 30.0, 10.0, 30.0, 10.0, 30.0, 10.0, 30.0]);
        close(dispersion(&weeks), (800.0 * 8.0 / 7.0 - 160.0) / 3_200.0);
    }

    #[test]
    fn a_day_twice_as_busy_is_striking_in_a_steady_shop_and_ordinary_in_a_wild_one() {
        let steady = judge_count(40, 1, &tuesdays(&[18.0, 19.0, 20.0, 21.0, 22.0, 20.0, 19.0, 21.0])).unwrap();
        let wild = judge_count(40, 1, &tuesdays(&[5.0, 40.0, 12.0, 38.0, 7.0, 30.0, 20.0, 8.0])).unwrap();
        assert!(steady.tail < 1e-3 && wild.tail > 0.05, "{steady:?} {wild:?}");
    }

    #[test]
    fn the_tail_of_a_quiet_weekday_is_that_of_a_rare_event() {
        // Nothing on eight Tuesdays: a mean of 1/16, which a single order exceeds with a chance of about 6 %.
        let verdict = judge_count(1, 1, &tuesdays(&[0.0; 8])).unwrap();
        assert!((0.05..0.07).contains(&verdict.tail), "{verdict:?}");
        assert!(judge_count(5, 1, &tuesdays(&[0.0; 8])).unwrap().tail < 1e-5);
    }

    #[test]
    fn money_is_judged_by_medians_so_one_wild_week_changes_little() {
        let calm = [100.0, 110.0, 90.0, 105.0, 95.0, 100.0, 102.0, 98.0].map(|amount| amount * 100.0);
        let mut with_outlier = calm;
        with_outlier[3] = 9_000_000.0;
        let (a, b) =
            (judge_money(30_000.0, 1, &tuesdays(&calm)).unwrap(), judge_money(30_000.0, 1, &tuesdays(&with_outlier)).unwrap());
        assert!(a.tail < 1e-5 && b.tail < 1e-3, "{a:?} {b:?}");
        assert!((9_000.0..11_000.0).contains(&b.expected) && b.high < 20_000.0, "{b:?}");
    }

    #[test]
    fn a_median_residual_gives_the_known_t_tail() {
        // All weeks equal: the scatter is the floor, 0.05 * sqrt(1 + pi/16), with 7 degrees of freedom.
        let verdict = judge_money(std::f64::consts::E, 1, &tuesdays(&[1.0; 8])).unwrap();
        let scale = 0.05 * (1.0 + std::f64::consts::PI / 16.0).sqrt();
        close(verdict.tail, StudentsT::new(0.0, 1.0, 7.0).unwrap().sf(1.0 / scale));
        // The two-sided 99 % point of Student's t with 7 degrees of freedom is 3.4995 in every table.
        assert!((verdict.high.ln() / scale - 3.4995).abs() < 1e-3);
    }

    #[test]
    fn too_few_weeks_give_no_verdict() {
        assert_eq!(judge_count(9, 1, &tuesdays(&[1.0, 2.0, 3.0])), None);
        assert_eq!(judge_money(9.0, 1, &tuesdays(&[1.0, 2.0, 3.0])), None);
    }

    #[test]
    fn the_median_of_an_even_number_is_the_middle_of_the_middle_two() {
        assert_eq!((median(vec![4.0, 1.0, 3.0, 2.0]), median(vec![5.0, 1.0, 3.0]), median(vec![])), (Some(2.5), Some(3.0), None));
    }
}
