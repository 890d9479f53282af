//! Who may know whom: the arrows between the crates, as ARCHITECTURE.md draws them.

use std::process::Command;

use serde_json::Value;

use super::root;

/// Every arrow that may exist: the crate, and the crates of this workspace that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("event-schemas", &[]),
    ("domain", &["event-schemas"]),
    ("event-store", &["event-schemas"]),
    ("notary", &["event-schemas", "event-store"]),
    ("engine", &["event-schemas", "event-store", "domain"]),
    ("projections", &["event-schemas", "event-store"]),
    ("vault", &["event-schemas", "event-store"]),
    ("identity", &["event-schemas", "event-store", "domain", "engine", "vault"]),
    ("webhooks", &["event-schemas", "event-store", "domain", "engine", "vault"]),
    ("api", &["event-schemas", "event-store", "domain", "engine", "vault", "identity", "webhooks", "projections", "notary"]),
    ("replay-tools", &["event-schemas", "event-store", "notary", "vault", "projections", "domain"]),
    ("simulation", &["event-schemas", "event-store", "domain", "engine", "projections"]),
    ("stories", &["event-schemas", "event-store", "domain", "engine", "vault", "projections", "api", "replay-tools"]),
    ("test-postgres", &[]),
    ("bench-published", &["domain", "api", "test-postgres"]),
];

/// Crates that reach the world outside; the contract and the rules name none of them.
const OUTSIDE: &[&str] = &[
    "api",
    "async-graphql",
    "axum",
    "fs4",
    "futures",
    "hyper",
    "reqwest",
    "rusqlite",
    "sqlx",
    "tokio",
    "tokio-tungstenite",
    "tracing-subscriber",
];

fn texts<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// Every arrow of `cargo metadata` that is not allowed, as a sentence.
fn forbidden(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    let names: Vec<&str> = packages.iter().map(|package| texts(package, "name")).collect();
    let mut findings = Vec::new();
    for package in packages {
        let name = texts(package, "name");
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            findings.push(format!("`{name}` is a new crate: say in ALLOWED whom it may know"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = texts(dependency, "name");
            let within = names.contains(&to);
            let for_tests = to == "test-postgres" && texts(dependency, "kind") == "dev";
            if within && !for_tests && !allowed.contains(&to) {
                findings.push(format!("`{name}` must not know `{to}`"));
            }
            if matches!(name, "domain" | "event-schemas") && OUTSIDE.contains(&to) {
                findings.push(format!("`{name}` is pure and must not depend on `{to}`"));
            }
        }
    }
    findings
}

#[test]
fn no_crate_knows_another_that_it_must_not_know() {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    assert_eq!(metadata["packages"].as_array().map(Vec::len), Some(ALLOWED.len()), "every crate of ALLOWED exists");
    let findings = forbidden(&metadata);
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn a_wrong_arrow_a_new_crate_and_a_pure_crate_that_reaches_out_are_found() {
    let package = |name: &str, to: &[&str]| {
        let dependencies: Vec<_> = to.iter().map(|to| serde_json::json!({ "name": to, "kind": null })).collect();
        serde_json::json!({ "name": name, "dependencies": dependencies })
    };
    let planted = serde_json::json!({ "packages": [
        package("event-schemas", &["serde"]),
        package("domain", &["event-schemas", "tokio"]),
        package("projections", &["event-schemas", "domain"]),
        package("plugins", &[]),
    ]});
    let expected = [
        "`domain` is pure and must not depend on `tokio`",
        "`projections` must not know `domain`",
        "`plugins` is a new crate: say in ALLOWED whom it may know",
    ];
    assert_eq!(forbidden(&planted), expected);
}
