//! The engine over a log that fails on command.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected should fail on the spot")]

mod clock;
mod commands;
mod faults;
mod faulty_log;
mod framework;
mod idempotency;
mod nodes;
mod processes;
mod shop;
