//! The rules of the shop, told as given/when/then and as stories over a shop in memory.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test stops at the first surprise")]

mod accounts;
mod actions;
mod audit;
mod carts;
mod catalog;
mod checkouts;
mod conservation;
mod door;
mod invariants;
mod money;
mod orders;
mod payments;
mod persons;
mod processes;
mod promotions;
mod shop;
mod stocks;
mod two_hundred_buyers;
mod versions;
