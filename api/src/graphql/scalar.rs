//! Scalars: whole numbers of 64 bits, exact decimals, currencies.

use async_graphql::{InputValueError, InputValueResult, Number, Scalar, ScalarType, Value};
use event_schemas::{Currency, Money};

/// A whole number of 64 bits, written as a JSON number. A string of digits is read too, for clients without such numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Long(pub(crate) i64);

impl Long {
    /// A position, a count or another number that is never negative.
    pub(crate) fn of(number: u64) -> Self {
        Self(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// The number as a position.
    pub(crate) fn position(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

#[Scalar]
impl ScalarType for Long {
    fn parse(value: Value) -> InputValueResult<Self> {
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.map(Self).ok_or_else(|| InputValueError::custom("a Long is a whole number of 64 bits"))
    }

    fn to_value(&self) -> Value {
        Value::Number(Number::from(self.0))
    }
}

/// An exact decimal number as text, such as `"4.50"`; never a float.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal(pub(crate) String);

impl Decimal {
    /// The amount in major units, with the currency's decimals.
    pub(crate) fn of(money: Money) -> Self {
        Self(money.decimal())
    }
}

#[Scalar]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) if text.len() <= 40 => Ok(Self(text)),
            _ => Err(InputValueError::custom("a Decimal is text such as \"4.50\"")),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// A currency of ISO 4217, as its three-letter code, such as `EUR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CurrencyCode(pub(crate) Currency);

#[Scalar]
impl ScalarType for CurrencyCode {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(code) = &value else {
            return Err(InputValueError::custom("a CurrencyCode is text such as \"EUR\""));
        };
        Currency::new(code).map(Self).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.code().to_owned())
    }
}
