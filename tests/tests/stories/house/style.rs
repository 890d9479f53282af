//! What product code never does, and what never goes without a reason.

use super::{Text, found, hold, indent};

/// Whether the file is compiled into what ships. Tests, and what they are made of, sit in `tests/` folders, in files called
/// `tests.rs`, and in modules under `#[cfg(test)]`.
fn is_product(file: &Text) -> bool {
    let in_tests = file.path.starts_with("tests/") || file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
    file.is_rust() && file.path.contains("/src/") && !in_tests
}

/// The lines of a file that ship, with their numbers: without what is under `#[cfg(test)]`. The source is formatted, so an
/// item ends at the first line that closes a brace at its own indentation, or at once if it is declared in one line.
fn product_lines(text: &str) -> Vec<(usize, &str)> {
    let mut shipped = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            shipped.push((number, line));
            continue;
        }
        let ends = |last: &str| indent(last) == indent(line) && (last.trim() == "}" || last.ends_with(';'));
        lines.by_ref().find(|(_, last)| ends(last));
    }
    shipped
}

/// Ways to stop the process, allowed only with a word on the same line on why it cannot happen.
fn unexplained_panics(file: &Text) -> Vec<String> {
    let panics = [
        ".unwrap()",
        ".expect(\"",
        ".unwrap_err()",
        "panic!(",
        "unreachable!(",
        "todo!(",
        "unimplemented!(",
        "assert!(",
        "assert_eq!(",
    ];
    let stops = |line: &str| {
        let (code, comment) = line.split_once("//").unwrap_or((line, ""));
        let code = code.replace("debug_assert", "");
        comment.trim().len() < 10 && panics.iter().any(|panic| code.contains(panic))
    };
    if !is_product(file) {
        return Vec::new();
    }
    let lines = product_lines(&file.text).into_iter().filter(|(_, line)| stops(line));
    lines.map(|(number, line)| file.finding(number, &format!("say on this line why it cannot fail: {}", line.trim()))).collect()
}

/// Tests that are skipped, and lints that are allowed, without a reason.
fn unexplained_exceptions(file: &Text) -> Vec<String> {
    let mut findings = Vec::new();
    for (start, _) in file.text.match_indices("#[").chain(file.text.match_indices("#![")).filter(|_| file.is_rust()) {
        let attribute = file.text[start..].split("]\n").next().unwrap_or_default();
        let body = attribute.trim_start_matches(['#', '!', '[']);
        let exception = body.starts_with("ignore") || body.starts_with("allow(") || body.starts_with("expect(");
        if exception && !attribute.contains("reason = \"") && !attribute.contains("ignore = \"") {
            let number = file.text[..start].matches('\n').count();
            findings.push(file.finding(number, "an exception carries its reason"));
        }
    }
    findings
}

#[test]
fn product_code_stops_the_process_only_where_a_comment_says_why_it_cannot_happen() {
    hold(unexplained_panics);
}

#[test]
fn every_skipped_test_and_every_allowed_lint_carries_its_reason() {
    hold(unexplained_exceptions);
}

#[test]
fn a_planted_panic_is_found_in_product_code_only() {
    let text = "//! A.\nfn a() {\n    b.unwrap();\n    b.unwrap(); // the list above is never empty\n}\n\n\
                #[cfg(test)]\nuse a;\n\n#[cfg(test)]\nmod tests {\n    fn a() {\n        b.unwrap();\n    }\n}\n\nfn c() {\n    panic!(\"c\");\n}\n";
    let findings = found(unexplained_panics, "domain/src/a.rs", text);
    assert_eq!(
        findings,
        [
            "domain/src/a.rs:3: say on this line why it cannot fail: b.unwrap();",
            "domain/src/a.rs:18: say on this line why it cannot fail: panic!(\"c\");",
        ]
    );
    assert_eq!(found(unexplained_panics, "domain/tests/a.rs", text), [""; 0]);
}

#[test]
fn a_planted_exception_without_a_reason_is_found() {
    let attribute = |inside: &str| format!("#[{inside}]\nfn a() {{}}\n");
    let finding = ["a.rs:1: an exception carries its reason"];
    assert_eq!(found(unexplained_exceptions, "a.rs", &attribute("ignore")), finding);
    assert_eq!(found(unexplained_exceptions, "a.rs", &attribute("allow(dead_code)")), finding);
    assert_eq!(found(unexplained_exceptions, "a.rs", &attribute("ignore = \"needs a disk\"")), [""; 0]);
    assert_eq!(found(unexplained_exceptions, "a.rs", &attribute("allow(dead_code, reason = \"because\")")), [""; 0]);
}
