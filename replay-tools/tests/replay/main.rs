//! The auditor's verbs on small logs, whole and tampered with.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod business_rules;
mod carried;
mod guide;
mod operations;
mod recorded_exports;
mod shop;
mod tampering;
mod verbs;
