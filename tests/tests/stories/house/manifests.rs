//! Versions and lints are said once, in the root manifest.

use super::{Text, found, hold};

fn said_again(file: &Text) -> Vec<String> {
    if !file.path.ends_with("/Cargo.toml") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if !file.text.contains("[lints]\nworkspace = true\n") {
        findings.push(format!("{} does not take the lints of the workspace", file.path));
    }
    let mut section = "";
    for (number, line) in file.text.lines().enumerate() {
        if line.starts_with('[') {
            section = line;
        } else if section.contains("dependencies") && line.contains('=') && !line.contains("workspace = true") {
            findings.push(file.finding(number, "versions are in the root Cargo.toml only: `NAME.workspace = true`"));
        }
    }
    findings
}

#[test]
fn no_crate_has_versions_or_lints_of_its_own() {
    hold(said_again);
}

#[test]
fn a_planted_version_is_found() {
    let manifest = "[lints]\nworkspace = true\n\n[dependencies]\nserde.workspace = true\ntokio = \"1\"\n";
    let findings = found(said_again, "domain/Cargo.toml", manifest);
    assert_eq!(findings, ["domain/Cargo.toml:6: versions are in the root Cargo.toml only: `NAME.workspace = true`"]);
    let unlinted = "[dependencies]\nserde.workspace = true\n";
    assert_eq!(found(said_again, "domain/Cargo.toml", unlinted), ["domain/Cargo.toml does not take the lints of the workspace"]);
}
