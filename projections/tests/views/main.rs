//! The views over whole histories: the runner's promises, and what each view answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[macro_use]
mod store;

mod abuse;
mod access;
mod analytics;
mod anomalies;
mod audit;
mod digest;
mod filters;
mod money;
mod nodes;
mod plans;
mod reads;
mod rebuild;
mod runner;
mod shop;
mod versions;
