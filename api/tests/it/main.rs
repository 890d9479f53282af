//! The server from outside: what clients may rely on.

// As in the library: the future of a GraphQL query nests deeper than the compiler's default, in optimised builds too.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test stops at the first surprise")]

mod anomalies;
mod as_of;
mod audit;
mod back_office;
mod browser_rules;
mod carried;
mod connection_rules;
mod conventions;
mod hardening;
mod http_rules;
mod idempotency;
mod identity;
mod limits_rules;
mod lost_vault;
mod notary;
mod operations;
mod own_data;
mod page_rules;
mod people;
mod persisted;
mod person_verbs;
mod persons;
mod persons_guests;
mod persons_retention;
mod persons_rules;
mod persons_sealed;
mod process;
mod read_only;
mod rights;
mod schema;
mod serve_flags;
mod server;
mod shop;
mod socket_rules;
mod storefront;
mod stream_rules;
mod subscriptions;
mod time;
mod tls;
mod vault_verbs;
mod webhooks;
