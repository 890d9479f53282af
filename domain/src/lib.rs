//! The rules: one pure aggregate per file, and the decisions that span several of them.

mod adjustment;
mod aggregate;
mod cart;
mod category;
mod claim;
mod decision;
mod order;
mod payment;
mod process;
mod product;
mod promotion;
mod refusal;
mod review;
mod stock;

pub use adjustment::*;
pub use aggregate::*;
pub use cart::*;
pub use category::*;
pub use claim::*;
pub use decision::*;
pub use order::*;
pub use payment::*;
pub use process::*;
pub use product::*;
pub use promotion::*;
pub use refusal::*;
pub use review::*;
pub use stock::*;
