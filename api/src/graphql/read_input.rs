//! Parts of inputs, read strictly: ids, codes, quantities and amounts, each with its path when it is malformed.

use std::str::FromStr;

use async_graphql::ID;
use event_schemas::{InvalidId, Money, MoneyError};

use crate::graphql::{
    global_id::{self, Kind},
    scalar::Long,
    user_error::UserError,
};

/// An id of a kind.
pub(crate) fn id<T: FromStr>(kind: Kind, id: &ID, field: &[&str]) -> Result<T, UserError> {
    global_id::decode(kind, id).ok_or_else(|| UserError::invalid(field, "this is not an id of the expected kind"))
}

/// A SKU, a slug, a code or another name with a rule.
pub(crate) fn name<T: FromStr<Err = InvalidId>>(text: &str, field: &[&str]) -> Result<T, UserError> {
    text.parse().map_err(|error: InvalidId| UserError::invalid(field, error.to_string()))
}

/// Several of them.
pub(crate) fn names<T: FromStr<Err = InvalidId>>(texts: &[String], field: &[&str]) -> Result<Vec<T>, UserError> {
    texts.iter().map(|text| name(text, field)).collect()
}

/// A number of units.
pub(crate) fn quantity(quantity: Long, field: &[&str]) -> Result<u32, UserError> {
    u32::try_from(quantity.0).map_err(|_| UserError::quantity(field, quantity.0))
}

/// A decimal amount of a currency, with at most its decimals.
pub(crate) fn money(input: &crate::graphql::money::MoneyInput, field: &[&str]) -> Result<Money, UserError> {
    let money = match (input.amount_minor, &input.amount) {
        (Some(minor), None) => Ok(Money::new(minor.0, input.currency.0)),
        (None, Some(amount)) => Money::from_decimal(&amount.0, input.currency.0),
        _ => return Err(UserError::invalid(field, "give `amountMinor` or `amount`, one of them")),
    };
    money.map_err(|error: MoneyError| UserError::invalid(field, error.to_string()))
}
