//! Versions and lints are said once, in the root manifest, and `Cargo.lock` is the inventory of all libraries: each from the
//! registry, with the digest of what it was.

use std::process::Command;

use super::{Text, found, hold, kept, root};

/// The one place that libraries come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Packages that are neither ours nor from the registry with a digest.
fn untraceable(lock: &Text, ours: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in lock.text.split("[[package]]\n").skip(1) {
        let said = |key: &str| {
            let value = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            value.map(|value| value.trim_matches('"')).unwrap_or_default()
        };
        let name = said("name");
        let is_ours = said("source").is_empty() && ours.iter().any(|our| our == name);
        let is_traceable = said("source") == REGISTRY && said("checksum").len() == 64;
        if !is_ours && !is_traceable {
            findings.push(format!("{}: {name} is not from the registry with a digest", lock.path));
        }
    }
    findings
}

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

#[test]
fn every_library_is_in_the_inventory_with_its_origin_and_its_digest() {
    let kept = kept();
    let name =
        |file: &Text| Some(file.text.lines().find_map(|line| line.strip_prefix("name = \""))?.trim_matches('"').to_owned());
    let ours: Vec<String> = kept.iter().filter(|file| file.path.ends_with("/Cargo.toml")).filter_map(name).collect();
    let lock = kept.iter().find(|file| file.path == "Cargo.lock").expect("Cargo.lock is kept");
    let packages = lock.text.matches("[[package]]").count();
    assert!(packages > 300 && ours.len() > 10, "{packages} packages, {} of them ours", ours.len());
    let findings = untraceable(lock, &ours);
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));

    // And nothing else than what is in it is built.
    let resolved = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--workspace", "--depth", "0"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(resolved.status.success(), "{}", String::from_utf8_lossy(&resolved.stderr));
}

#[test]
fn a_planted_library_from_elsewhere_or_without_a_digest_is_found() {
    let digest = "0".repeat(64);
    let package = |name: &str, rest: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n{rest}\n");
    let lock = [
        "version = 4\n\n".to_owned(),
        package("api", ""),
        package("serde", &format!("source = \"{REGISTRY}\"\nchecksum = \"{digest}\"\n")),
        package("bare", &format!("source = \"{REGISTRY}\"\n")),
        package("forked", &format!("source = \"git+https://example.com/forked#1\"\nchecksum = \"{digest}\"\n")),
        package("vendored", ""),
    ];
    let expected =
        ["bare", "forked", "vendored"].map(|name| format!("Cargo.lock: {name} is not from the registry with a digest"));
    assert_eq!(untraceable(&Text::planted("Cargo.lock", &lock.concat()), &["api".to_owned()]), expected);
}
