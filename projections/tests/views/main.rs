//! The views over whole histories: the runner's promises, and what each view answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod anomalies;
mod money;
mod reads;
mod rebuild;
mod runner;
mod shop;
