//! What the store configures: currencies, locations, deadlines, tax rates and shipping methods.

use chrono::TimeDelta;
use event_schemas::{CountryCode, Currency, LocationId, Money, RoundingLevel, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// A tax rate and where it holds. The most specific rate that holds is taken: country and category before country alone,
/// country alone before category alone; among equals the one that began last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaxRate {
    /// Where the parcel goes; everywhere if absent.
    #[serde(default)]
    pub country: Option<CountryCode>,
    /// The class of goods, such as `standard`; all if absent.
    #[serde(default)]
    pub category: Option<String>,
    /// Parts per million: 200000 is 20 %.
    pub rate_ppm: u32,
    /// From when it holds; always if absent.
    #[serde(default)]
    pub valid_from: Option<Timestamp>,
    /// Until when it holds (exclusive); without end if absent.
    #[serde(default)]
    pub valid_until: Option<Timestamp>,
}

/// A step of a price by weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightBand {
    /// Parcels up to and including this weight, in grams.
    pub up_to_grams: u64,
    /// The price in minor units.
    pub minor: i64,
}

/// How shipping is priced, in minor units, in the same terms as unit prices (with tax in a tax-inclusive store).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ShippingRate {
    /// Always the same; zero for picking up.
    Flat {
        /// The price.
        minor: i64,
    },
    /// Free from a value of goods on, after discounts.
    FreeFrom {
        /// The price below that value.
        minor: i64,
        /// The value.
        goods_minor: i64,
    },
    /// By the weight of the parcel; what is heavier than the last band cannot be sent.
    ByWeight {
        /// The bands, lightest first.
        bands: Vec<WeightBand>,
    },
}

/// The price of a shipping method in one currency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShippingPrice {
    /// The currency.
    pub currency: Currency,
    /// How it is priced.
    pub rate: ShippingRate,
}

/// A way to get a parcel to the buyer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShippingMethod {
    /// Its code, such as `standard`.
    pub code: String,
    /// What the buyer reads.
    pub name: String,
    /// The countries it serves; all if empty.
    #[serde(default)]
    pub countries: Vec<CountryCode>,
    /// The class that its tax rate is looked up by.
    #[serde(default = "standard")]
    pub tax_category: String,
    /// Its prices; it is not offered in other currencies.
    pub prices: Vec<ShippingPrice>,
}

fn standard() -> String {
    "standard".to_owned()
}

impl ShippingMethod {
    /// Whether it goes to a country.
    pub fn serves(&self, country: &CountryCode) -> bool {
        self.countries.is_empty() || self.countries.contains(country)
    }

    /// Its price for a parcel of this weight and goods of this value after discounts, if it is offered for it.
    pub fn price(&self, goods: Money, grams: u64) -> Option<Money> {
        let rate = &self.prices.iter().find(|price| price.currency == goods.currency)?.rate;
        let minor = match rate {
            ShippingRate::Flat { minor } => *minor,
            ShippingRate::FreeFrom { minor, goods_minor } => {
                if goods.minor >= *goods_minor {
                    0
                } else {
                    *minor
                }
            }
            ShippingRate::ByWeight { bands } => bands.iter().find(|band| grams <= band.up_to_grams)?.minor,
        };
        Some(Money::new(minor, goods.currency))
    }
}

/// What the store configures. Everything has a default, so that a file names only what differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// The currencies that carts can be in; the first is the store's own.
    pub currencies: Vec<Currency>,
    /// The places that orders are served from, the preferred first.
    pub locations: Vec<LocationId>,
    /// How long stock is set aside for an order that is not paid.
    #[serde(deserialize_with = "some_time")]
    pub reservation_minutes: u32,
    /// How long a cart lives after its last change.
    #[serde(deserialize_with = "some_time")]
    pub cart_hours: u32,
    /// Whether prices are shown with tax.
    pub prices_include_tax: bool,
    /// Where tax is rounded to the minor unit.
    pub rounding: RoundingLevel,
    /// The payment gateway that checkouts use.
    pub gateway: String,
    /// Tax rates; where none holds, there is no tax.
    pub tax_rates: Vec<TaxRate>,
    /// Shipping methods.
    pub shipping_methods: Vec<ShippingMethod>,
}

/// A cart, or an order, that expires as it is made cannot be bought.
fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(D::Error::custom("reservation_minutes and cart_hours must be at least 1")),
        time => Ok(time),
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        let flat = [("EUR", 490), ("GBP", 390), ("USD", 550), ("JPY", 800), ("KWD", 1_500), ("CLF", 1_300)];
        let currencies: Vec<_> = flat.iter().filter_map(|(code, _)| Currency::new(code).ok()).collect();
        let price = |(currency, (_, minor)): (&Currency, (_, i64))| ShippingPrice {
            currency: *currency,
            rate: ShippingRate::Flat { minor },
        };
        let prices = currencies.iter().zip(flat).map(price).collect();
        let (code, name) = (standard(), "Standard delivery".to_owned());
        let shipping = ShippingMethod { code, name, countries: Vec::new(), tax_category: standard(), prices };
        Self {
            currencies,
            locations: LocationId::new("main").into_iter().collect(),
            reservation_minutes: 15,
            cart_hours: 24,
            prices_include_tax: true,
            rounding: RoundingLevel::Line,
            gateway: "sandbox".to_owned(),
            tax_rates: Vec::new(),
            shipping_methods: vec![shipping],
        }
    }
}

impl StoreConfig {
    /// The tax rate for a class of goods sent to a country at a moment, in parts per million.
    pub fn tax_rate_ppm(&self, country: &CountryCode, category: &str, at: Timestamp) -> u32 {
        let holds = |rate: &&TaxRate| {
            rate.country.as_ref().is_none_or(|of| of == country)
                && rate.category.as_ref().is_none_or(|of| of == category)
                && rate.valid_from.is_none_or(|from| from <= at)
                && rate.valid_until.is_none_or(|until| at < until)
        };
        let rank = |rate: &&TaxRate| (rate.country.is_some(), rate.category.is_some(), rate.valid_from);
        self.tax_rates.iter().filter(holds).max_by_key(rank).map_or(0, |rate| rate.rate_ppm)
    }

    /// The shipping method of a code.
    pub fn shipping_method(&self, code: &str) -> Option<&ShippingMethod> {
        self.shipping_methods.iter().find(|method| method.code == code)
    }

    /// When a cart that changes at `now` expires.
    pub fn cart_expiry(&self, now: Timestamp) -> Timestamp {
        after(now, TimeDelta::hours(self.cart_hours.into()))
    }

    /// When an order that is placed at `now` expires unless it is paid.
    pub fn pay_by(&self, now: Timestamp) -> Timestamp {
        after(now, TimeDelta::minutes(self.reservation_minutes.into()))
    }
}

/// A moment later; the end of time when there is no later one.
fn after(now: Timestamp, delay: TimeDelta) -> Timestamp {
    now.checked_add_signed(delay).unwrap_or(Timestamp::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_and_an_order_have_some_time() {
        for name in ["reservation_minutes", "cart_hours"] {
            let refused = serde_json::from_str::<StoreConfig>(&format!("{{ \"{name}\": 0 }}")).unwrap_err().to_string();
            assert!(refused.starts_with("reservation_minutes and cart_hours must be at least 1 at line 1"), "{refused}");
            assert!(serde_json::from_str::<StoreConfig>(&format!("{{ \"{name}\": 1 }}")).is_ok());
        }
        assert_eq!(serde_json::from_str::<StoreConfig>("{}").unwrap(), StoreConfig::default());
    }
}
