//! The flows of accounts, over a real engine with a log in memory, and a real vault in an SQLite file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod authenticator;
mod crashes;
mod email_changes;
mod faulty_log;
mod lockouts;
mod logins;
mod oidc_logins;
mod passkeys;
mod passwords;
mod provider;
mod registrations;
mod removals;
mod rights;
mod second_factors;
mod sessions;
mod shop;
