//! Decimal amounts as sources write them, finer than the currency if they like, and their rounding to the minor unit.

use event_schemas::divide_half_even;

/// Decimals that are kept of a source's amount.
const DECIMALS: usize = 6;
/// Millionths of a major unit in a minor unit of a currency with two decimals: all imported currencies have two.
const MILLIONTHS_PER_MINOR: i128 = 10_000;

/// An exact decimal amount of major units, in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount(pub i128);

impl Amount {
    /// Reads a decimal number such as `-3.125`, with at most six decimals; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let fraction = fraction.trim_end_matches('0');
        if whole.is_empty() || whole.len() > 12 || fraction.len() > DECIMALS || !numeric(whole) || !numeric(fraction) {
            return None;
        }
        let magnitude: i128 = format!("{whole}{fraction:0<DECIMALS$}").parse().ok()?;
        Some(Self(if negative { -magnitude } else { magnitude }))
    }

    /// The amount times a quantity. It fits: an amount is below 10^18 and a quantity below 2^63.
    pub fn times(self, quantity: i64) -> Self {
        Self(self.0.saturating_mul(i128::from(quantity)))
    }

    /// The amount in minor units, rounded half to even; `None` when it does not fit.
    pub fn minor(self) -> Option<i64> {
        i64::try_from(divide_half_even(self.0, MILLIONTHS_PER_MINOR)).ok()
    }

    /// What is lost when `minor` is recorded in place of this amount.
    pub fn less_minor(self, minor: i64) -> Self {
        Self(self.0 - i128::from(minor) * MILLIONTHS_PER_MINOR)
    }
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

impl std::fmt::Display for Amount {
    /// The shortest decimal with at least two decimals, such as `0.014` or `0.00`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.0.unsigned_abs(), width = DECIMALS + 1);
        let (whole, fraction) = digits.split_at(digits.len() - DECIMALS);
        let (shown, rest) = fraction.split_at(2);
        write!(f, "{sign}{whole}.{shown}{}", rest.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::Amount;

    #[test]
    fn a_line_of_a_three_decimal_price_rounds_half_to_even_as_a_whole() {
        let line = |price: &str, quantity| Amount::parse(price).unwrap().times(quantity).minor();
        assert_eq!(
            [line("0.001", 1), line("0.001", 12), line("0.125", 1), line("0.135", -1)],
            [Some(0), Some(1), Some(12), Some(-14)]
        );
        assert_eq!(line("0.005", 1), Some(0));
    }

    #[test]
    fn the_rounding_is_the_source_less_what_is_recorded() {
        let source = Amount::parse("0.014").unwrap();
        assert_eq!(source.less_minor(1).to_string(), "0.004");
        assert_eq!(Amount::parse("-10.0").unwrap().to_string(), "-10.00");
    }

    #[test]
    fn what_is_not_a_plain_decimal_number_is_refused() {
        for text in ["", "-", "1e3", "1,5", "NaN", "1.2.3", "0.0000001", "9999999999999", "£3", " 1"] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }
}
