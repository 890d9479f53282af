//! The auditor's verbs on small logs, whole and tampered with.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod business_rules;
mod guide;
mod operations;
mod shop;
mod tampering;
mod verbs;
