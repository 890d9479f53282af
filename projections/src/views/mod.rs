//! The read models of the shop, one file each.

mod access;
mod access_anomalies;
mod accounts;
mod anomalies;
mod api_keys;
mod audit;
mod carts;
mod categories;
mod journal;
mod order_money;
mod order_reads;
mod orders;
mod payments;
mod persons;
mod product_reads;
mod products;
mod promotions;
mod reviews;
mod sales;
mod sales_reads;
mod statistics;
mod stock;
mod webhooks;

pub use access::*;
pub use access_anomalies::*;
pub use accounts::*;
pub use anomalies::*;
pub use api_keys::*;
pub use audit::*;
pub use carts::*;
pub use categories::*;
pub use journal::*;
pub use order_reads::*;
pub use orders::*;
pub use payments::*;
pub use persons::*;
pub use product_reads::*;
pub use products::*;
pub use promotions::*;
pub use reviews::*;
pub use sales::*;
pub use sales_reads::*;
pub use statistics::{Verdict, Weeks, judge_count, judge_money};
pub use stock::*;
pub use webhooks::*;

use crate::Projection;

/// Every projection of the shop.
pub const ALL: &[&Projection] = &[
    &PRODUCTS,
    &CATEGORIES,
    &STOCK,
    &CARTS,
    &PROMOTIONS,
    &ORDERS,
    &PAYMENTS,
    &SALES,
    &JOURNAL,
    &REVIEWS,
    &ANOMALIES,
    &ACCOUNTS,
    &ROLES,
    &API_KEYS,
    &ACCESS,
    &ACCESS_ANOMALIES,
    &AUDIT,
    &WEBHOOKS,
    &PERSONS,
];
