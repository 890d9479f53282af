//! The notary: proofs of every tree, implementations that are not ours, and following a log that lives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod facts;
mod follow;
mod outside;
mod proofs;
