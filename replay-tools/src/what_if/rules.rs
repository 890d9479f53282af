//! What is to be supposed: other taxes, prices, promotions and anomaly rules.

use std::path::Path;

use event_schemas::{CategoryId, CountryCode, CouponCode, PromotionEffect, Sku, Timestamp, rfc3339};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// What is to be supposed, as a file says it. What it does not name stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Supposed {
    /// Only orders placed at or after this moment are repriced.
    pub from: Option<Timestamp>,
    /// Only orders placed before this moment are repriced.
    pub until: Option<Timestamp>,
    /// Other rates of tax. The first that fits a line or charge is taken.
    pub taxes: Vec<OtherTax>,
    /// Other prices. All that fit a line are applied, one after the other.
    pub prices: Vec<OtherPrice>,
    /// Promotions that take off something else, or nothing.
    pub promotions: Vec<OtherPromotion>,
    /// Another rule for what is out of the ordinary.
    pub anomalies: AnomalyRule,
}

/// Another rate of tax for what was taxed at a rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherTax {
    /// Where the parcel went; everywhere if absent.
    #[serde(default)]
    pub country: Option<CountryCode>,
    /// The rate that was taken, in parts per million: 190000 is 19 %.
    pub rate_ppm: u32,
    /// The rate to take instead.
    pub becomes_ppm: u32,
}

/// Another price of a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherPrice {
    /// Of this SKU; of all if absent.
    #[serde(default)]
    pub sku: Option<Sku>,
    /// Of what was sold under this category; of all if absent.
    #[serde(default)]
    pub category_id: Option<CategoryId>,
    /// What becomes of it.
    pub change: PriceChange,
}

/// What becomes of a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceChange {
    /// So many parts per million more, or less if negative: 50000 is 5 % more. Rounded to the minor unit, halves to even.
    ByPpm(i32),
    /// So many minor units of whatever currency the order is in.
    ToMinor(i64),
}

/// A promotion with another effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherPromotion {
    /// The coupon code that was entered.
    pub code: CouponCode,
    /// What it takes off; nothing if absent.
    #[serde(default)]
    pub effect: Option<PromotionEffect>,
}

/// What counts as out of the ordinary. The default is the rule that the shop goes by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnomalyRule {
    /// How many earlier weeks say what is ordinary. There is no verdict before four.
    pub weeks: u32,
    /// A day is an anomaly if the chance of one at least as far out on that side is less than this.
    pub chance: f64,
    /// Days on which fewer orders are expected than this are not judged.
    pub minimum_orders: f64,
}

impl Default for AnomalyRule {
    fn default() -> Self {
        Self { weeks: 12, chance: 2e-3, minimum_orders: 0.0 }
    }
}

impl Supposed {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or says something that cannot be supposed.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(file).map_err(Failure::file(file))?;
        let wrong = |why: String| Failure::Refused(format!("{}: {why}", file.display()));
        let supposed: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        supposed.check().map_err(wrong)?;
        Ok(supposed)
    }

    fn check(&self) -> Result<(), String> {
        if let (Some(from), Some(until)) = (self.from, self.until)
            && from >= until
        {
            let [from, until] = [from, until].map(rfc3339);
            return Err(format!("from is {from}, and until must be later than that, not {until}"));
        }
        let AnomalyRule { weeks, chance, minimum_orders } = self.anomalies;
        if !(4..=520).contains(&weeks) {
            return Err(format!("anomalies.weeks is {weeks}, and must be from 4 to 520"));
        }
        if !(chance > 0.0 && chance < 1.0) {
            return Err(format!("anomalies.chance is {chance}, and must be between 0 and 1"));
        }
        if !(minimum_orders >= 0.0 && minimum_orders.is_finite()) {
            return Err(format!("anomalies.minimum_orders is {minimum_orders}, and must not be negative"));
        }
        let too_much = self.taxes.iter().find(|tax| tax.becomes_ppm > 1_000_000);
        if let Some(tax) = too_much {
            return Err(format!("a tax of {} parts per million is more than the whole", tax.becomes_ppm));
        }
        let below_nothing = self.prices.iter().find(|price| match price.change {
            PriceChange::ByPpm(ppm) => ppm < -1_000_000,
            PriceChange::ToMinor(minor) => minor < 0,
        });
        below_nothing.map_or(Ok(()), |price| Err(format!("{:?} makes a price negative", price.change)))
    }
}
