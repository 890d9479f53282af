//! The house keeps its own rules: who may know whom, and how the text of the repository reads.

mod arrows;
mod connections;
mod documents;
mod layout;
mod manifests;
mod purity;
mod security;
mod style;

use std::{path::PathBuf, process::Command};

/// A text file that git keeps.
struct Text {
    /// Its path from the root of the repository.
    path: String,
    /// What it says.
    text: String,
}

impl Text {
    fn planted(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// A sentence that names the file and a line of it, counted from 0 here and from 1 for people.
    fn finding(&self, line: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, line + 1)
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every text file that git keeps, or would if it were added.
fn kept() -> Vec<Text> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git is installed");
    assert!(git.status.success(), "git ls-files: {}", String::from_utf8_lossy(&git.stderr));
    let paths = String::from_utf8(git.stdout).unwrap();
    let read = |path: &str| std::fs::read_to_string(root().join(path)).ok().map(|text| Text::planted(path, &text));
    let kept: Vec<Text> = paths.split_terminator('\0').filter_map(read).collect();
    assert!(kept.iter().any(|file| file.path == "Cargo.toml"), "the root of the repository is not where it should be");
    kept
}

/// How far a line is indented.
fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Runs a check over every kept file and shows all that it found.
fn hold(check: fn(&Text) -> Vec<String>) {
    let findings: Vec<String> = kept().iter().flat_map(check).collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// What a check finds in a planted file.
fn found(check: fn(&Text) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
    check(&Text::planted(path, text))
}
