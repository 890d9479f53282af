//! Stories over the whole shop, and the checks of the house itself, in one test binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod account_page;
mod balancer;
mod browser;
mod clients;
mod codes;
mod erasure;
mod evidence_page;
mod examples;
mod failpoints;
mod fuzz;
mod hostile;
mod house;
mod kill;
mod nodes;
mod process;
mod query_page;
mod real_data;
mod reconnects;
mod shopper;
mod stalled;
mod tables;
