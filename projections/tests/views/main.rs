//! The views over whole histories: the runner's promises, and what each view answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod anomalies;
mod money;
mod runner;
mod shop;
