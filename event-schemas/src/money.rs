//! Money: integer minor units plus currency, checked, never a float.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why an amount could not be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text names no active currency of ISO 4217.
    #[error("`{0}` is not an active ISO 4217 currency")]
    UnknownCurrency(String),
    /// Two amounts of different currencies met without an exchange rate.
    #[error("{0} and {1} cannot be combined without an exchange rate")]
    CurrencyMismatch(Currency, Currency),
    /// The amount does not fit in 64 bits of minor units.
    #[error("the amount does not fit in minor units")]
    Overflow,
    /// The text is not a decimal amount with at most the currency's decimals.
    #[error("`{0}` is not an amount of {1}")]
    NotAnAmount(String, Currency),
}

/// Currencies without minor units, ISO 4217.
const EXPONENT_0: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
/// Currencies with two decimals, ISO 4217.
const EXPONENT_2: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD \
    CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL \
    HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK \
    MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS \
    SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG";
/// Currencies with three decimals, ISO 4217.
const EXPONENT_3: &str = "BHD IQD JOD KWD LYD OMR TND";
/// Currencies with four decimals, ISO 4217.
const EXPONENT_4: &str = "CLF UYW";

fn listed(list: &str, code: [u8; 3]) -> bool {
    list.as_bytes().chunks(4).any(|entry| entry.starts_with(&code))
}

/// A currency of ISO 4217, as its three-letter code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency {
    code: [u8; 3],
    exponent: u8,
}

impl Currency {
    /// The currency of a three-letter code.
    ///
    /// # Errors
    /// [`MoneyError::UnknownCurrency`] if ISO 4217 lists no active currency of that code.
    pub fn new(code: &str) -> Result<Self, MoneyError> {
        let unknown = || MoneyError::UnknownCurrency(code.chars().take(12).collect());
        let bytes: [u8; 3] = code.as_bytes().try_into().map_err(|_| unknown())?;
        [(EXPONENT_2, 2), (EXPONENT_0, 0), (EXPONENT_3, 3), (EXPONENT_4, 4)]
            .into_iter()
            .find(|(list, _)| listed(list, bytes))
            .map(|(_, exponent)| Self { code: bytes, exponent })
            .ok_or_else(unknown)
    }

    /// The three-letter code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or_default()
    }

    /// How many decimals the minor unit has: JPY 0, EUR 2, KWD 3, CLF 4 (ISO 4217).
    pub fn exponent(&self) -> u32 {
        self.exponent.into()
    }

    /// All active codes with their exponents, for documentation and configuration checks.
    pub fn all() -> impl Iterator<Item = Self> {
        [EXPONENT_0, EXPONENT_2, EXPONENT_3, EXPONENT_4]
            .into_iter()
            .flat_map(str::split_whitespace)
            .filter_map(|code| Self::new(code).ok())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(code: &str) -> Result<Self, MoneyError> {
        Self::new(code)
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&code).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217 alphabetic code, such as EUR."
        })
    }
}

/// An amount of money in minor units, such as 450 for 4.50 EUR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// The amount in the currency's minor unit.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// An amount of minor units.
    pub fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency { Ok(()) } else { Err(MoneyError::CurrencyMismatch(self.currency, other.currency)) }
    }

    /// The sum.
    ///
    /// # Errors
    /// If the currencies differ or the sum overflows.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// The difference.
    ///
    /// # Errors
    /// If the currencies differ or the difference overflows.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// The amount times a quantity.
    ///
    /// # Errors
    /// If the product overflows.
    pub fn checked_mul(self, quantity: i64) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(quantity).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// Reads a decimal amount such as `4.50`, with at most the currency's decimals.
    ///
    /// # Errors
    /// [`MoneyError::NotAnAmount`] for anything else, [`MoneyError::Overflow`] when it does not fit.
    pub fn from_decimal(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let wrong = || MoneyError::NotAnAmount(text.chars().take(40).collect(), currency);
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let only_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let decimals = currency.exponent() as usize;
        let too_fine = fraction.len() > decimals || (digits.contains('.') && fraction.is_empty());
        if whole.is_empty() || !only_digits(whole) || !only_digits(fraction) || too_fine {
            return Err(wrong());
        }
        let magnitude: i128 = format!("{whole}{fraction:0<decimals$}").parse().map_err(|_| MoneyError::Overflow)?;
        let minor = i64::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| MoneyError::Overflow)?;
        Ok(Self { minor, currency })
    }

    /// The amount in major units with the currency's decimals, such as `4.50`.
    pub fn decimal(&self) -> String {
        let decimals = self.currency.exponent() as usize;
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.minor.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

/// Splits `minor` in proportion to `weights` by largest remainder, ties by order; the parts always sum to the whole.
///
/// Negative amounts are the mirror of positive ones. Weights that are all zero share equally.
pub fn allocate(minor: i64, weights: &[u64]) -> Vec<i64> {
    if weights.is_empty() {
        return Vec::new();
    }
    let equal = vec![1; weights.len()];
    let weights = if weights.iter().all(|w| *w == 0) { &equal } else { weights };
    let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
    let whole = i128::from(minor.unsigned_abs());
    let mut parts: Vec<i128> = weights.iter().map(|w| whole * i128::from(*w) / sum).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|i| std::cmp::Reverse(whole * i128::from(weights[*i]) % sum));
    let left = whole - parts.iter().sum::<i128>();
    for index in by_remainder.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        parts[index] += 1;
    }
    let sign = if minor < 0 { -1 } else { 1 };
    // Each part is at most the whole in magnitude, so it fits; i64::MIN itself survives because the sign is applied in i128.
    parts.into_iter().map(|part| i64::try_from(sign * part).unwrap_or(minor)).collect()
}

/// `minor * rate_ppm / 1_000_000`, rounded half to even; `None` when it does not fit.
pub fn share_ppm(minor: i64, rate_ppm: u32) -> Option<i64> {
    i64::try_from(divide_half_even(i128::from(minor) * i128::from(rate_ppm), 1_000_000)).ok()
}

/// The part of a tax-inclusive amount that is tax: `minor * rate / (1 + rate)`, rounded half to even.
pub fn tax_within_ppm(minor: i64, rate_ppm: u32) -> i64 {
    let tax = divide_half_even(i128::from(minor) * i128::from(rate_ppm), 1_000_000 + i128::from(rate_ppm));
    // The tax within an amount is never larger than the amount.
    i64::try_from(tax).unwrap_or(minor)
}

/// The quotient rounded to the nearest whole number, halves to the even one. The divisor must be positive.
pub fn divide_half_even(dividend: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    match (remainder * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + (quotient & 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        Currency::new(code).unwrap()
    }

    #[test]
    fn every_exponent_prints_and_reads_to_the_minor_unit() {
        for (code, minor, text) in [("JPY", 1234, "1234"), ("EUR", -5, "-0.05"), ("KWD", 1234, "1.234"), ("CLF", 12345, "1.2345")]
        {
            let money = Money::new(minor, currency(code));
            assert_eq!(money.decimal(), text);
            assert_eq!(Money::from_decimal(text, currency(code)), Ok(money));
        }
    }

    #[test]
    fn amounts_finer_than_the_currency_and_other_nonsense_are_refused() {
        for text in ["", "1.", ".5", "1.234", "1e3", "٣", "--1", "1,5", "99999999999999999999"] {
            assert!(Money::from_decimal(text, currency("EUR")).is_err(), "{text}");
        }
        assert!(Money::from_decimal("1.5", currency("JPY")).is_err());
        assert!(Currency::new("XXX").is_err() && Currency::new("eur").is_err() && Currency::new("UR ").is_err());
    }

    #[test]
    fn currencies_never_mix_and_overflow_is_an_error() {
        let (eur, usd) = (Money::new(1, currency("EUR")), Money::new(1, currency("USD")));
        assert!(matches!(eur.checked_add(usd), Err(MoneyError::CurrencyMismatch(..))));
        assert_eq!(Money::new(i64::MAX, currency("EUR")).checked_add(eur), Err(MoneyError::Overflow));
        assert_eq!(Money::new(i64::MAX, currency("EUR")).checked_mul(2), Err(MoneyError::Overflow));
    }

    #[test]
    fn halves_round_to_even() {
        assert_eq!([share_ppm(5, 100_000), share_ppm(15, 100_000), share_ppm(-5, 100_000)], [Some(0), Some(2), Some(0)]);
        assert_eq!(tax_within_ppm(120, 200_000), 20);
    }

    #[test]
    fn the_list_of_currencies_is_the_active_iso_4217_list() {
        assert_eq!(Currency::all().count(), 165);
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_whole_and_negatives_mirror(minor in any::<i64>(), weights in prop::collection::vec(any::<u64>(), 1..9)) {
            let parts = allocate(minor, &weights);
            prop_assert_eq!(parts.iter().map(|p| i128::from(*p)).sum::<i128>(), i128::from(minor));
            if minor != i64::MIN {
                let mirrored: Vec<i64> = parts.iter().map(|p| -p).collect();
                prop_assert_eq!(allocate(-minor, &weights), mirrored);
            }
        }
    }
}
