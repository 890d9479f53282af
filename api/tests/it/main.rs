//! The server from outside: what clients may rely on.

mod http_rules;
mod process;
mod server;
mod shop;
mod socket_rules;
mod storefront;
