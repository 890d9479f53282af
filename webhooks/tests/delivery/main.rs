//! Webhooks from outside: what a receiver sees, over real HTTP.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test stops at the first surprise")]

mod addresses;
mod failures;
mod messages;
mod nodes;
mod receiver;
mod removal;
mod restored;
mod shop;
