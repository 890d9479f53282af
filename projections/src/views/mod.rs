//! The read models of the shop, one file each.

mod carts;
mod order_reads;
mod orders;
mod payments;
mod product_reads;
mod products;
mod stock;

pub use carts::*;
pub use order_reads::*;
pub use orders::*;
pub use payments::*;
pub use product_reads::*;
pub use products::*;
pub use stock::*;

use crate::Projection;

/// Every projection of the shop.
pub const ALL: &[&Projection] = &[&PRODUCTS, &STOCK, &CARTS, &ORDERS, &PAYMENTS];
