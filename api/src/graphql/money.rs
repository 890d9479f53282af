//! Amounts of money, to the minor unit.

use async_graphql::{InputObject, Object, SimpleObject};
use event_schemas::{Currency, Money as Amount};

use crate::graphql::scalar::{CurrencyCode, Decimal, Long};

/// An amount of money.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Money(pub(crate) Amount);

impl Money {
    /// An amount of minor units.
    pub(crate) fn new(minor: i64, currency: Currency) -> Self {
        Self(Amount::new(minor, currency))
    }
}

/// An amount of money, exact to the minor unit.
#[Object]
impl Money {
    /// The amount in the currency's minor unit: 450 for 4.50 EUR.
    async fn amount_minor(&self) -> Long {
        Long(self.0.minor)
    }

    /// The currency.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }

    /// How many decimals the minor unit has: JPY 0, EUR 2, KWD 3, CLF 4.
    async fn exponent(&self) -> u32 {
        self.0.currency.exponent()
    }

    /// The amount in major units, such as `4.50`.
    async fn amount(&self) -> Decimal {
        Decimal::of(self.0)
    }
}

/// An amount with its tax apart.
#[derive(Debug, Clone, Copy, SimpleObject)]
pub(crate) struct TaxedMoney {
    /// Without tax.
    net: Money,
    /// The tax.
    tax: Money,
    /// With tax.
    gross: Money,
}

impl TaxedMoney {
    /// Amounts of minor units.
    pub(crate) fn new(net: i64, tax: i64, gross: i64, currency: Currency) -> Self {
        Self { net: Money::new(net, currency), tax: Money::new(tax, currency), gross: Money::new(gross, currency) }
    }
}

/// An amount of money, in minor units or as a decimal: one of them.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct MoneyInput {
    /// The amount in the currency's minor unit.
    pub(crate) amount_minor: Option<Long>,
    /// The amount in major units, such as `"4.50"`, with at most the currency's decimals.
    pub(crate) amount: Option<Decimal>,
    /// The currency.
    pub(crate) currency: CurrencyCode,
}
