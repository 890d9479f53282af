//! The rules and the contract read no clock, no randomness and nothing outside.

use super::{Text, found, hold};

/// What a pure crate never says.
const IMPURE: &[&str] = &[
    "Utc::now",
    "Local::now",
    "SystemTime",
    "Instant",
    "new_v4",
    "now_v7",
    "rand::",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "println!",
];

fn impurities(file: &Text) -> Vec<String> {
    if !(file.path.starts_with("domain/src/") || file.path.starts_with("event-schemas/src/")) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            findings.push(file.finding(number, &format!("a pure crate must not use `{word}`: pass it in")));
        }
    }
    findings
}

#[test]
fn the_rules_and_the_contract_are_pure() {
    hold(impurities);
}

#[test]
fn a_clock_in_a_rule_is_found() {
    let text = "//! Cart.\nfn expired() -> bool { Utc::now() > self.expires_at } // Utc::now\n";
    let findings = found(impurities, "domain/src/cart.rs", text);
    assert_eq!(findings, ["domain/src/cart.rs:2: a pure crate must not use `Utc::now`: pass it in"]);
    assert!(found(impurities, "api/src/clock.rs", text).is_empty());
}
