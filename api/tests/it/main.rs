//! The server from outside: what clients may rely on.

mod back_office;
mod http_rules;
mod idempotency;
mod process;
mod schema;
mod server;
mod shop;
mod socket_rules;
mod storefront;
mod subscriptions;
mod time;
