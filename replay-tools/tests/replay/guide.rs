//! `docs/auditing.md` is true: every command in it is run, and prints what stands below it.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    served_notary::{Served, Shop, printed},
    shop,
};

/// The guide.
const GUIDE: &str = include_str!("../../../docs/auditing.md");

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
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("shop")).unwrap();
    shop::three_orders().write(&folder.path().join("shop")).await;
    let steps = steps(GUIDE);
    let printed = run(&steps, folder.path());
    assert!(steps.len() >= 15 && printed.len() == steps.len() + 1, "{} of {} steps ran", printed.len() - 1, steps.len());
    for (step, printed) in steps.iter().zip(&printed) {
        let expected = step.expected.join("\n");
        let is_same = matches(&expected, printed.strip_suffix('\n').unwrap_or(printed));
        assert!(is_same, "$ {}\n--- the guide says\n{expected}\n--- it prints\n{printed}", step.command);
    }
}

/// The blocks of the guide: the language of each, and what is in it.
fn blocks(guide: &str) -> Vec<(&str, &str)> {
    guide.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

#[test]
fn no_block_of_the_guide_is_of_a_kind_that_nobody_runs() {
    let blocks = blocks(GUIDE);
    let unknown: Vec<_> = blocks.iter().filter(|(language, _)| !["console", "sh"].contains(language)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let commands: usize = blocks.iter().map(|(_, block)| block.lines().filter(|line| line.starts_with("$ ")).count()).sum();
    assert_eq!(commands, steps(GUIDE).len(), "a command with `$` before it is in a console block");
}

/// The shop as it was, beside the one that is served: without what came in since.
fn look_back(shop: &Shop, block: &str) {
    // The shell becomes the server, so that nothing goes on when that is stopped.
    let past = Served::start(shop.bash(&format!("exec {block} --json")));
    let health: serde_json::Value = serde_json::from_str(&past.get("/health/ready")).unwrap();
    assert_eq!((&health["as_of"]["position"], &health["log"]["head"]), (&25.into(), &25.into()), "{health}");
    let log = past.ask(&shop.token("auditor"), r#"{ log { head readOnly } stock(sku: "CUP") { onHand } }"#);
    assert_eq!(log["data"], serde_json::json!({ "log": { "head": 25, "readOnly": true }, "stock": null }), "{log}");
    past.stop();
}

#[tokio::test]
async fn every_block_of_the_guide_about_a_running_shop_works_as_it_stands() {
    if Command::new("curl").arg("--version").output().is_err() {
        return println!("skipped: there is no curl here, with which the guide asks a running shop");
    }
    let shop = Shop::new();
    shop::three_orders().write(&shop.path("shop")).await;
    // After all moments of the guide.
    shop.import(&["CUP"]);
    let served = shop.serve();
    served.head_of(26);
    let (mut said, mut moments) = (String::new(), 0);
    for (_, block) in blocks(GUIDE).into_iter().filter(|(language, _)| *language == "sh") {
        let here = block.replace("https://shop.example", &served.url).replace("127.0.0.1:8081", "127.0.0.1:0");
        let here = here.replace("postgres://auditor@db.example/shop", "sqlite:shop/events.db");
        assert!(!here.contains(".example"), "nothing outside is reached: {here}");
        if here.starts_with("daybook serve ") {
            look_back(&shop, &here);
            moments += 1;
        } else {
            said.push_str(&printed(&mut shop.bash(&here)));
        }
    }
    assert_eq!(moments, 1);
    assert!(said.contains("nothing is wrong: positions 1 to 26") && said.contains("\nheads: 1\n"), "{said}");
    assert!(
        said.contains("position 5 is in the log of 26 events") && said.contains("position 5 is in the log daybook/"),
        "{said}"
    );
    served.stop();
}

#[test]
fn dots_stand_for_any_text_and_nothing_else_does() {
    assert!(matches("in … s\nroot …", "in 0.1 s\nroot ab") && matches("a", "a") && matches("…b", "b"));
    assert!(!matches("in … s", "in 1 h") && !matches("a", "ab") && !matches("a…b…c", "a c"));
}
