//! The README promises nothing that is not run: every shell block says who runs it.
//!
//! The line before a ```` ```sh ```` block is a comment that readers do not see: `<!-- ci: serve -->` starts a server that
//! the following blocks talk to, `<!-- ci: run -->` must succeed as it stands (`.ci/run` does both), and
//! `<!-- not in ci: REASON -->` is for what a clone alone cannot do.

use super::{Text, found, kept};

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
