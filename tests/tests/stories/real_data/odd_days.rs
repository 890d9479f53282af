//! Which days of a shop are out of the ordinary, from the orders of each day alone: the method that the view of anomalies
//! documents, worked out a second time. Nothing here calls the product or its library of distributions: chances of counts
//! are summed term by term, and those of money are areas found by Simpson's rule.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike as _, Days, NaiveDate};

/// The orders of one day: invoice numbers with what each comes to, in pence.
pub type Day = BTreeMap<String, i64>;

/// A day out of the ordinary.
#[derive(Debug)]
pub struct OddDay {
    /// What the shop must tell of it.
    pub told: Told,
    /// The invoices behind it: the day's own, or for a drop those of the days that it is compared with.
    pub behind: BTreeSet<String>,
}

/// What is told of a day out of the ordinary.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    pub observed: i64,
    pub expected: i64,
    pub expected_low: i64,
    pub expected_high: i64,
    /// In two significant digits, as `4.0e-5`.
    pub tail_probability: String,
    pub severity: String,
    pub reason: String,
}

/// What was to be expected of a day, and the chance of one at least as far out on the side of what happened.
struct Judged {
    expected: f64,
    low: f64,
    high: f64,
    tail: f64,
}

/// The chance outside the expected interval, on each side.
const OUTSIDE: f64 = 0.005;

/// The odd days by day and metric. The last day is not over, so nothing is said of it.
pub fn odd_days(days: &BTreeMap<NaiveDate, Day>) -> BTreeMap<(NaiveDate, String), OddDay> {
    let (first, last) = (*days.keys().next().unwrap(), *days.keys().next_back().unwrap());
    let mut odd = BTreeMap::new();
    for day in first.iter_days().take_while(|day| *day < last) {
        let orders = |day: &NaiveDate| days.get(day).map_or(0, |orders| orders.len() as i64);
        let revenue = |day: &NaiveDate| days.get(day).map_or(0, |orders| orders.values().sum::<i64>());
        // By weekday, the day's own first: the days a week apart, up to twelve weeks back.
        let earlier: Vec<Vec<NaiveDate>> = (0..7)
            .map(|shift| {
                (0..12).filter_map(move |week| day.checked_sub_days(Days::new(if shift == 0 { 7 } else { shift } + 7 * week)))
            })
            .map(|days| days.filter(|day| *day >= first).collect())
            .collect();
        let counted: Vec<Vec<i64>> = earlier.iter().map(|days| days.iter().map(orders).collect()).collect();
        let traded = |days: &Vec<NaiveDate>| days.iter().map(revenue).filter(|pence| *pence > 0).collect();
        let taken: Vec<Vec<i64>> = earlier.iter().map(traded).collect();
        let verdicts =
            [("ORDERS", orders(&day), counts(orders(&day), &counted)), ("REVENUE", revenue(&day), money(revenue(&day), &taken))];
        for (metric, observed, judged) in verdicts {
            let Some(judged) = judged else { continue };
            let Some(severity) = severity(judged.tail) else { continue };
            let told = Told {
                observed,
                expected: judged.expected.round() as i64,
                expected_low: judged.low.round() as i64,
                expected_high: judged.high.round() as i64,
                tail_probability: format!("{:.1e}", judged.tail),
                severity: severity.to_owned(),
                reason: reason(day, metric, observed, &judged, earlier[0].len()),
            };
            let drop = (observed as f64) < judged.expected;
            let behind = if drop { earlier[0].as_slice() } else { &[day] };
            let behind = behind.iter().filter_map(|day| days.get(day)).flat_map(BTreeMap::keys).cloned().collect();
            odd.insert((day, metric.to_owned()), OddDay { told, behind });
        }
    }
    odd
}

fn severity(tail: f64) -> Option<&'static str> {
    match 1.0 / tail {
        one_in if one_in > 1_000_000.0 => Some("CRITICAL"),
        one_in if one_in > 50_000.0 => Some("HIGH"),
        one_in if one_in > 5_000.0 => Some("MEDIUM"),
        one_in if one_in > 500.0 => Some("LOW"),
        _ => None,
    }
}

/// Counts are negative binomial. The mean is that of the same weekday; the scatter beyond chance is that of all weekdays
/// together, by the method of moments: the sum of the variances less the means, over the sum of the squared means.
fn counts(observed: i64, earlier: &[Vec<i64>]) -> Option<Judged> {
    let days = earlier[0].len() as f64;
    if days < 4.0 {
        return None;
    }
    let mean = |counts: &Vec<i64>| counts.iter().sum::<i64>() as f64 / counts.len() as f64;
    let (mut beyond, mut squares) = (0.0, 0.0);
    for counts in earlier.iter().filter(|counts| counts.len() > 1) {
        let (days, sum) = (counts.len() as i64, counts.iter().sum::<i64>());
        let sum_of_squares = counts.iter().map(|count| count * count).sum::<i64>();
        // Whole numbers as long as possible: n times the sum of squares less the squared sum is n (n - 1) variances.
        let variance = (days * sum_of_squares - sum * sum) as f64 / (days * (days - 1)) as f64;
        beyond += days as f64 * (variance - mean(counts));
        squares += days as f64 * mean(counts) * mean(counts);
    }
    let dispersion = if squares > 0.0 { f64::max(beyond / squares, 0.0) } else { 0.0 };
    let mean = f64::max(mean(&earlier[0]), 0.5 / days);
    let variance = (mean + dispersion * mean * mean) * (1.0 + 1.0 / days);

    // The chance of no order, and of each next number from the one before.
    let (size, chance) = (mean * mean / (variance - mean), mean / variance);
    let next = |count: f64, before: f64| before * (size + count - 1.0) / count * (1.0 - chance);
    let mut terms = vec![chance.powf(size)];
    // Far beyond the mean, terms shrink until they are nothing.
    while terms.len() as i64 <= observed || (terms.len() as f64) < mean || terms[terms.len() - 1] > 1e-300 {
        terms.push(next(terms.len() as f64, terms[terms.len() - 1]));
    }
    let at = |share: f64| {
        let mut sum = 0.0;
        let reached = terms.iter().position(|term| {
            sum += term;
            sum >= share
        });
        reached.unwrap() as f64
    };
    let (up_to, from) = (&terms[..=observed as usize], &terms[observed as usize..]);
    let tail = if observed as f64 > mean { from.iter().rev().sum() } else { up_to.iter().sum() };
    Some(Judged { expected: mean, low: at(OUTSIDE), high: at(1.0 - OUTSIDE), tail })
}

/// Money is judged by ratios: the middle is the median of the weekday, the scatter the median of all days' ratios to the
/// medians of their weekdays, at least a twentieth; the chance is that of Student's t.
fn money(observed: i64, earlier: &[Vec<i64>]) -> Option<Judged> {
    let days = earlier[0].len() as f64;
    if days < 4.0 || observed <= 0 {
        return None;
    }
    let weekdays: Vec<(f64, &Vec<i64>)> = earlier.iter().filter(|days| days.len() > 1).map(|days| (middle(days), days)).collect();
    let mut ratios: Vec<f64> = Vec::new();
    for (middle, amounts) in &weekdays {
        ratios.extend(amounts.iter().map(|amount| *amount as f64 / middle).map(|ratio| f64::max(ratio, 1.0 / ratio)));
    }
    ratios.sort_by(f64::total_cmp);
    let half = ratios.len() / 2;
    let ratio = if ratios.len() % 2 == 1 { ratios[half] } else { (ratios[half - 1] * ratios[half]).sqrt() };
    let freedom = i32::try_from(ratios.len() - weekdays.len()).unwrap().max(3);
    // 1.4826 median deviations are one standard deviation of a normal distribution.
    let scale = f64::max(1.4826 * ratio.ln(), 0.05) * (1.0 + std::f64::consts::PI / (2.0 * days)).sqrt();

    let middle = middle(&earlier[0]);
    let tail = student(freedom, (observed as f64 / middle).ln().abs() / scale);
    let (mut near, mut far) = (0.0, 1_000.0);
    for _ in 0..100 {
        let between = f64::midpoint(near, far);
        if student(freedom, between) > OUTSIDE { near = between } else { far = between }
    }
    let factor = (far * scale).exp();
    Some(Judged { expected: middle, low: middle / factor, high: middle * factor, tail })
}

/// The median of amounts by ratio: between two middle ones it is their geometric mean.
fn middle(amounts: &[i64]) -> f64 {
    let mut sorted = amounts.to_vec();
    sorted.sort_unstable();
    let (below, above) = (sorted[(sorted.len() - 1) / 2] as f64, sorted[sorted.len() / 2] as f64);
    (below * above).sqrt()
}

/// The chance that Student's t is at least `t`. With `t = sqrt(freedom) tan(angle)` its density is a power of the cosine, so
/// it is the share of the area under `cos^(freedom - 1)` beyond that angle.
fn student(freedom: i32, t: f64) -> f64 {
    let right = std::f64::consts::FRAC_PI_2;
    let angle = (t / f64::from(freedom).sqrt()).atan();
    let area = |from: f64| {
        // Simpson's rule; its error is far below the two digits that are told.
        let (steps, width) = (2_000, (right - from) / 2_000.0);
        let height = |step: i32| (from + width * f64::from(step)).cos().max(0.0).powi(freedom - 1);
        let inner: f64 = (1..steps).map(|step| height(step) * if step % 2 == 1 { 4.0 } else { 2.0 }).sum();
        (height(0) + inner + height(steps)) * width / 3.0
    };
    area(angle) / area(-right)
}

fn reason(day: NaiveDate, metric: &str, observed: i64, judged: &Judged, weeks: usize) -> String {
    let weekday = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let weekday = weekday[day.weekday().num_days_from_monday() as usize];
    let (low, high) = (judged.low.round() as i64, judged.high.round() as i64);
    let pounds = |pence: i64| format!("{}.{:02}", pence / 100, pence % 100);
    let (what, low, high) = match metric {
        "ORDERS" => (format!("{} orders in GBP", thousands(observed)), thousands(low), thousands(high)),
        _ => (format!("Orders worth {} GBP", pounds(observed)), pounds(low), pounds(high)),
    };
    let one_in = 1.0 / judged.tail;
    let chance = if one_in > 1e9 {
        "chance below 1 in 1,000,000,000".to_owned()
    } else {
        // Two significant digits, as scientific notation writes them.
        let digits: f64 = format!("{one_in:.1e}").parse().unwrap();
        format!("chance about 1 in {}", thousands(digits as i64))
    };
    format!("{what} on {weekday} {day}; {low} to {high} expected from {weeks} earlier {weekday}s; {chance}")
}

fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}
