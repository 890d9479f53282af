//! `docs/auditing.md` is true: every command in it is run, and prints what stands below it.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::shop;

/// A command of the guide and what it is said to print.
struct Step {
    command: String,
    expected: Vec<String>,
}

fn steps(guide: &str) -> Vec<Step> {
    let (mut steps, mut is_console) = (Vec::<Step>::new(), false);
    for line in guide.lines() {
        if line.starts_with("```") {
            is_console = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| is_console) {
            steps.push(Step { command: command.to_owned(), expected: Vec::new() });
        } else if let Some(step) = steps.last_mut().filter(|_| is_console) {
            step.expected.push(line.to_owned());
        }
    }
    steps
}

/// Whether a text is the expected one, in which `…` stands for any text.
fn matches(expected: &str, text: &str) -> bool {
    let mut rest = text;
    let mut parts = expected.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

const END: char = '\u{1e}';

/// What each command prints, all run by one shell.
fn run(steps: &[Step], folder: &Path) -> Vec<String> {
    let line = |step: &Step| format!("{}\nstatus=$?; printf '\\036'; (exit $status)\n", step.command);
    let script: String = steps.iter().map(line).collect();
    let tools = Path::new(env!("CARGO_BIN_EXE_daybook-replay")).parent().unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh").args(["-c", &script]).current_dir(folder).env("PATH", path).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{errors}");
    printed.split(END).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_command_of_the_guide_prints_what_it_says() {
    let guide = include_str!("../../../docs/auditing.md");
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("shop")).unwrap();
    shop::three_orders().write(&folder.path().join("shop")).await;
    let steps = steps(guide);
    let printed = run(&steps, folder.path());
    assert!(steps.len() >= 15 && printed.len() == steps.len() + 1, "{} of {} steps ran", printed.len() - 1, steps.len());
    for (step, printed) in steps.iter().zip(&printed) {
        let expected = step.expected.join("\n");
        let is_same = matches(&expected, printed.strip_suffix('\n').unwrap_or(printed));
        assert!(is_same, "$ {}\n--- the guide says\n{expected}\n--- it prints\n{printed}", step.command);
    }
}

#[test]
fn dots_stand_for_any_text_and_nothing_else_does() {
    assert!(matches("in … s\nroot …", "in 0.1 s\nroot ab") && matches("a", "a") && matches("…b", "b"));
    assert!(!matches("in … s", "in 1 h") && !matches("a", "ab") && !matches("a…b…c", "a c"));
}
