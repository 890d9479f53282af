//! The server from outside: what clients may rely on.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test stops at the first surprise")]

mod back_office;
mod browser_rules;
mod http_rules;
mod idempotency;
mod operations;
mod process;
mod schema;
mod server;
mod shop;
mod socket_rules;
mod storefront;
mod stream_rules;
mod subscriptions;
mod time;
