//! The auditor's verbs on small logs, whole and tampered with.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod business_rules;
mod carried;
mod evidence;
mod export_person;
mod exports;
mod guide;
mod many_tamperings;
mod moments;
mod notary;
mod operations;
mod parquet_readers;
mod recorded_exports;
mod served_notary;
mod shop;
mod snapshots;
mod tampering;
mod verbs;
mod what_if;
