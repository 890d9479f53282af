//! The security page names the tests that hold what it says: each of them exists and is a test, and no row names none.

use super::{Text, kept};

/// The page that is held to it.
const PAGE: &str = "docs/security.md";

/// Whether a file has a test of this name. It may be listed by a macro that runs it on each store.
fn has_test(file: &str, name: &str) -> bool {
    let lines: Vec<&str> = file.lines().collect();
    let Some(place) = lines.iter().position(|line| line.contains(&format!("fn {name}("))) else { return false };
    let attributes = lines[..place].iter().rev().take_while(|line| line.trim_start().starts_with(['#', '/']));
    let marked = attributes.into_iter().any(|line| line.contains("test]") || line.contains("test("));
    marked || lines.iter().any(|line| line.trim().trim_end_matches([',', ')', ';']) == name) || in_proptest(&lines, place)
}

/// Whether a line is inside of `proptest!`.
fn in_proptest(lines: &[&str], place: usize) -> bool {
    lines[..place]
        .iter()
        .rev()
        .find(|line| !line.is_empty() && !line.starts_with(' '))
        .is_some_and(|line| line.contains("proptest!"))
}

/// What is wrong with the last column of the tables: groups of a file and its tests, apart by semicolons.
fn unheld(page: &Text, kept: &[Text]) -> Vec<String> {
    let rows = page.text.lines().enumerate().filter(|(_, line)| line.starts_with("| ") && line.contains('`'));
    let mut findings = Vec::new();
    for (number, row) in rows {
        let held_by = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap_or_default();
        let mut tests = 0;
        for group in held_by.split("; ") {
            let mut names = group.split('`').skip(1).step_by(2);
            let Some(path) = names.next() else { continue };
            let Some(file) = kept.iter().find(|file| file.path == path) else {
                findings.push(page.finding(number, &format!("there is no {path}")));
                continue;
            };
            for name in names {
                tests += 1;
                if !has_test(&file.text, name) {
                    findings.push(page.finding(number, &format!("{path} has no test `{name}`")));
                }
            }
            // `FILE`, all of it
            tests += usize::from(group.ends_with("all of it"));
        }
        if tests == 0 {
            findings.push(page.finding(number, "no test holds this"));
        }
    }
    findings
}

#[test]
fn every_point_of_the_security_page_is_held_by_tests_that_exist() {
    let kept = kept();
    let page = kept.iter().find(|file| file.path == PAGE).expect("there is a security page");
    let rows = page.text.lines().filter(|line| line.starts_with("| ")).count();
    assert!(rows > 150, "the page has {rows} rows");
    let findings = unheld(page, &kept);
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn a_row_without_a_test_or_with_one_that_is_not_there_is_found() {
    let page = "| point | how | held by |\n|---|---|---|\n\
                | a | b | `a/tests.rs`, `it_holds`, `each_store`; `a/tests.rs`, all of it |\n\
                | a | `c` | d |\n\
                | a | b | `a/tests.rs`, `it_helps`, `it_is_gone`; `a/gone.rs`, `it_holds` |\n";
    let code = "on_each!(\n    each_store,\n);\nfn it_helps() {}\n\n/// It does.\n#[tokio::test]\nasync fn it_holds() {}\n\n\
                async fn each_store(home: Home) {}\n";
    let expected = [
        "docs/security.md:4: no test holds this",
        "docs/security.md:5: a/tests.rs has no test `it_helps`",
        "docs/security.md:5: a/tests.rs has no test `it_is_gone`",
        "docs/security.md:5: there is no a/gone.rs",
    ];
    assert_eq!(unheld(&Text::planted(PAGE, page), &[Text::planted("a/tests.rs", code)]), expected);
}
