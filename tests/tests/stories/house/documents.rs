//! The documents stay true: what they name exists, and the README promises nothing that is not run.
//!
//! A link or a piece of `code` that names a file must name one that exists, by the end of its path at least. In
//! `engine/src/decider.rs`, `Decider`, the symbol must be one that the file has.
//!
//! Every shell block of the README says who runs it. The line before a ```` ```sh ```` block is a comment that readers do not see: `<!-- ci: serve -->` starts a server that
//! the following blocks talk to, `<!-- ci: run -->` must succeed as it stands (`.ci/run` does both), and
//! `<!-- not in ci: REASON -->` is for what a clone alone cannot do.

use super::{Text, found, kept, root};

fn unmarked_blocks(file: &Text) -> Vec<String> {
    let marked = |line: &str| match line.trim().strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
        Some("ci: serve" | "ci: run") => true,
        Some(other) => other.strip_prefix("not in ci: ").is_some_and(|reason| reason.len() > 10),
        None => false,
    };
    let lines: Vec<&str> = file.text.lines().collect();
    let blocks = lines.iter().enumerate().filter(|(_, line)| line.trim_start() == "```sh");
    let unmarked = blocks.filter(|(number, _)| *number == 0 || !marked(lines[number - 1]));
    unmarked.map(|(number, _)| file.finding(number, "nobody runs this block: mark it `<!-- ci: run -->`")).collect()
}

/// Kinds of files that documents name.
const KINDS: &[&str] = &[".rs", ".md", ".toml", ".json", ".graphql", ".html", ".lock", ".sh"];

fn is_path(code: &str) -> bool {
    code.contains('/') && !code.contains(['*', ' ', '<', '…', '{']) && KINDS.iter().any(|kind| code.ends_with(kind))
}

fn is_symbol(code: &str) -> bool {
    !code.is_empty() && code.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | ':'))
}

/// What a document names that is not among the kept files.
fn dead_references(file: &Text, kept: &[Text]) -> Vec<String> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let find = |path: &str| kept.iter().find(|kept| kept.path == path || kept.path.ends_with(&format!("/{path}")));
    let mut findings = Vec::new();
    for (number, line) in file.text.lines().enumerate().filter(|_| file.path.ends_with(".md")) {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
            if !root().join(folder).join(target).exists() {
                findings.push(file.finding(number, &format!("there is no {target}")));
            }
        }
        let parts: Vec<&str> = line.split('`').collect();
        for (index, path) in parts.iter().enumerate().skip(1).step_by(2).filter(|(_, code)| is_path(code)) {
            let Some(named) = find(path.trim_start_matches("./")) else {
                findings.push(file.finding(number, &format!("there is no {path}")));
                continue;
            };
            if let [", ", symbol, ..] = parts[index + 1..]
                && is_symbol(symbol)
                && !named.text.contains(symbol.rsplit(':').next().unwrap_or_default())
            {
                findings.push(file.finding(number, &format!("there is no `{symbol}` in {path}")));
            }
        }
    }
    findings
}

#[test]
fn what_the_documents_name_is_there() {
    let kept = kept();
    let findings: Vec<String> = kept.iter().flat_map(|file| dead_references(file, &kept)).collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn a_document_that_names_what_is_not_there_is_found() {
    let text = "See [it](../Cargo.toml), [that](nowhere.md), [the web](https://example.com/a.md) and `src/upcast.rs`.\n\
                `domain/src/nowhere.rs`; `src/upcast.rs`, `STEPS`; `src/upcast.rs`, `upcast::JUMPS`; `schemas/*.json`\n";
    let kept = [Text::planted("event-schemas/src/upcast.rs", "const STEPS: &[Entry] = &[];\n")];
    let expected = [
        "docs/a.md:1: there is no nowhere.md",
        "docs/a.md:2: there is no domain/src/nowhere.rs",
        "docs/a.md:2: there is no `upcast::JUMPS` in src/upcast.rs",
    ];
    assert_eq!(dead_references(&Text::planted("docs/a.md", text), &kept), expected);
}

#[test]
fn every_command_of_the_readme_is_run_by_ci_or_says_why_not() {
    let Some(readme) = kept().into_iter().find(|file| file.path == "README.md") else {
        println!("skipped: there is no README.md yet");
        return;
    };
    assert!(readme.text.contains("<!-- ci: serve -->"), "CI starts the server as the README says");
    assert_eq!(unmarked_blocks(&readme), [""; 0]);
}

#[test]
fn a_command_that_nobody_runs_is_found() {
    let block = |before: &str| format!("# Daybook\n{before}\n```sh\ncargo run\n```\n");
    for marked in ["<!-- ci: run -->", "<!-- ci: serve -->", "<!-- not in ci: needs the data of a real shop -->"] {
        assert_eq!(found(unmarked_blocks, "README.md", &block(marked)), [""; 0], "{marked}");
    }
    for unmarked in ["Run it:", "<!-- ci: sometimes -->", "<!-- not in ci:  -->"] {
        let finding = ["README.md:3: nobody runs this block: mark it `<!-- ci: run -->`"];
        assert_eq!(found(unmarked_blocks, "README.md", &block(unmarked)), finding, "{unmarked}");
    }
}
