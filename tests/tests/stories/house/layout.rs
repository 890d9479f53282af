//! Where things are: what files are called, how long they are, and what they must not name.

use super::{Text, found, hold, indent};

const LINES_OF_A_FILE: usize = 500;
const LINES_OF_A_FUNCTION: usize = 70;
/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "util", "utils"];
/// Where people and machines keep their own things; spelt so that this file does not name them.
const MACHINE_PATHS: &[&str] = &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];

fn first_line(file: &Text) -> Vec<String> {
    let says = file.text.lines().next().is_some_and(|line| line.strip_prefix("//! ").is_some_and(|rest| rest.len() > 3));
    if file.is_rust() && !says {
        vec![file.finding(0, "the first line of a file says what it is: `//! …`")]
    } else {
        Vec::new()
    }
}

fn empty_name(file: &Text) -> Vec<String> {
    let parts = file.path.split('/').map(|part| part.split('.').next().unwrap_or_default());
    parts.filter(|part| EMPTY_NAMES.contains(part)).map(|part| format!("{}: `{part}` names nothing", file.path)).collect()
}

fn long_file(file: &Text) -> Vec<String> {
    let lines = file.text.lines().count();
    let long = file.is_rust() && lines > LINES_OF_A_FILE;
    if long { vec![format!("{} has {lines} lines; split it by noun", file.path)] } else { Vec::new() }
}

/// Whether a line of formatted source opens a function.
fn opens_function(line: &str) -> bool {
    let code = line.trim_start();
    let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "default", "unsafe", "extern", "fn"];
    code.split(' ').take_while(|word| qualifiers.contains(word)).last() == Some("fn")
}

/// Functions longer than a screen, first to last line. The source is formatted, so a function ends at the first line of its
/// own indentation that closes its body or, when it is only declared, its arguments.
fn long_functions(file: &Text) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let lines: Vec<&str> = file.text.lines().collect();
    let mut findings = Vec::new();
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| opens_function(line)) {
        let ends = |last: &&str| {
            indent(last) == indent(line) && (last.trim() == "}" || (last.trim().starts_with(')') && last.ends_with(';')))
        };
        let one_line = line.ends_with('}') || line.ends_with(';');
        let length = lines[number..].iter().position(ends).map_or(1, |last| last + 1);
        if !one_line && length > LINES_OF_A_FUNCTION {
            findings.push(file.finding(number, &format!("a function of {length} lines does not fit a screen")));
        }
    }
    findings
}

/// Paths of some machine, which mean nothing on another.
fn machine_paths(file: &Text) -> Vec<String> {
    let lines = file.text.lines().enumerate().filter(|(_, line)| MACHINE_PATHS.iter().any(|path| line.contains(path)));
    lines.map(|(number, _)| file.finding(number, "a path of some machine")).collect()
}

#[test]
fn every_source_file_says_first_what_it_is() {
    hold(first_line);
}

#[test]
fn no_file_or_folder_has_a_name_that_says_nothing() {
    hold(empty_name);
}

#[test]
fn no_source_file_is_longer_than_500_lines() {
    hold(long_file);
}

#[test]
fn no_function_is_longer_than_70_lines() {
    hold(long_functions);
}

#[test]
fn no_file_names_a_path_of_a_machine() {
    hold(machine_paths);
}

#[test]
fn planted_files_that_break_the_layout_are_found() {
    assert_eq!(found(first_line, "a.rs", "use std::fmt;\n").len(), 1);
    assert_eq!(found(first_line, "a.rs", "//! Money.\n"), [""; 0]);
    assert_eq!(found(empty_name, "api/src/utils/money.rs", ""), ["api/src/utils/money.rs: `utils` names nothing"]);
    assert_eq!(found(empty_name, "api/src/utility.rs", ""), [""; 0]);
    assert_eq!(found(long_file, "a.rs", &"//\n".repeat(501)), ["a.rs has 501 lines; split it by noun"]);
    assert_eq!(found(long_file, "a.rs", &"//\n".repeat(500)), [""; 0]);
    assert_eq!(found(machine_paths, "README.md", concat!("cd /ho", "me/ana/daybook")).len(), 1);
}

#[test]
fn a_function_is_measured_from_its_first_to_its_last_line() {
    let function = |lines: usize| format!("impl A {{\n    pub async fn f() {{\n{}    }}\n}}\n", "        x();\n".repeat(lines));
    assert_eq!(found(long_functions, "a.rs", &function(68)), [""; 0]);
    assert_eq!(found(long_functions, "a.rs", &function(69)), ["a.rs:2: a function of 71 lines does not fit a screen"]);
    let declared = format!(
        "trait A {{\n    fn f();\n    fn g() {{}}\n    fn h(\n        a: A,\n    ) -> B;\n{}}}\n",
        "    // more\n".repeat(80)
    );
    assert_eq!(found(long_functions, "a.rs", &declared), [""; 0]);
}
