//! `docs/events.md`: every event that was or is written, made from its schemas and samples, which are made from the code.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
};

use event_schemas::EventSchema;
use serde_json::{Map, Value};

use crate::{
    Written,
    changes::{self, Change, differences, resolved},
    files, json_of, keep, path, today,
};

/// What a number counts, by the end of its field's name.
const UNITS: &[(&str, &str)] = &[
    ("minor", "minor units of the currency"),
    ("ppm", "parts per million"),
    ("grams", "grams"),
    ("quantity", "units of the goods"),
    ("delta", "units of the goods"),
    ("counted", "units of the goods"),
    ("expected", "units of the goods"),
    ("safety_stock", "units of the goods"),
    ("backorder_limit", "units of the goods"),
    ("low_stock_threshold", "units of the goods"),
    ("times", "how often"),
    ("attempts", "how often"),
    ("usage_limit", "how often"),
    ("rating", "1 to 5"),
    ("position", "place in the log"),
    ("number", "as the attribute says"),
];

/// Where the examples of changes are: steps that there are, and one that only a test has.
const EXAMPLES: &str = concat!(include_str!("../../src/upcast.rs"), include_str!("../../src/upcast/tests.rs"));

fn unit(name: &str) -> Option<&'static str> {
    UNITS.iter().find(|(end, _)| name == *end || name.ends_with(&format!("_{end}"))).map(|(_, unit)| *unit)
}

/// A description on one line of a table.
fn line(text: &Value) -> String {
    text.as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

/// The type of a value in words, with a link to what is described further down.
fn kind(name: &str, node: &Value) -> String {
    if let Some(name) = node["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    let (fields, _) = resolved(&Value::Null, node);
    let alternatives = node["anyOf"].as_array().into_iter().flatten().find(|alternative| alternative["type"] != "null");
    if let Some(alternative) = alternatives {
        return kind(name, alternative);
    }
    if let Some(items) = fields.get("items") {
        return format!("list of {}", kind(name, items));
    }
    if let Some(pattern) = fields.get("pattern").and_then(Value::as_str) {
        return if pattern.starts_with("^sealed:") { "sealed text: personal".to_owned() } else { format!("text, `{pattern}`") };
    }
    let written = fields.get("type").and_then(Value::as_str).unwrap_or("any");
    match (written, fields.get("format").and_then(Value::as_str)) {
        ("integer", _) => format!("integer, {}", unit(name).unwrap_or("?")),
        ("string", Some("date-time")) => "time, RFC 3339 in UTC".to_owned(),
        ("string", Some(format)) => format.to_owned(),
        ("string", None) => "text".to_owned(),
        (other, _) => other.to_owned(),
    }
}

/// Rows of a table of fields; `since` says in which version of the event a field first was there.
fn rows(object: &Map<String, Value>, since: &dyn Fn(&str) -> Option<u32>) -> String {
    let required: Vec<&str> = texts(object.get("required"));
    let properties = object.get("properties").and_then(Value::as_object);
    let mut ordered: Vec<_> = properties.into_iter().flatten().collect();
    // What must be there comes first, in the order in which it is written. The rest goes by name, since a map of serde_json has
    // an order of its own or none, by what else is compiled.
    ordered.sort_by_key(|(name, _)| (required.iter().position(|field| field == name).unwrap_or(usize::MAX), *name));
    let mut page = String::new();
    for (name, field) in ordered {
        let needed = if required.contains(&name.as_str()) { "" } else { ", optional" };
        let first = since(name).map_or(String::new(), |version| format!(" {version} |"));
        let _ = writeln!(page, "| `{name}` | {}{needed} | {} |{first}", kind(name, field), line(&field["description"]));
    }
    page
}

fn texts(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// All versions of an event type, the newest first, as their schemas have it.
fn versions<'a>(event: &EventSchema, schemas: &'a BTreeMap<Written, Value>) -> Vec<(u32, &'a Value)> {
    let version = |version| Written { event_type: event.event_type.to_owned(), version };
    (1..=event.version).rev().filter_map(|number| Some((number, schemas.get(&version(number))?))).collect()
}

fn of_event(event: &EventSchema, schemas: &BTreeMap<Written, Value>, samples: &BTreeMap<Written, String>) -> String {
    let versions = versions(event, schemas);
    let mut page = format!("### {}\n\n{}\n\n", event.event_type, line(&event.schema["description"]));
    let object = event.schema.as_object().cloned().unwrap_or_default();
    let since =
        |name: &str| versions.iter().rev().find(|(_, schema)| !schema["properties"][name].is_null()).map(|(version, _)| *version);
    let _ = writeln!(page, "Version {}.", event.version);
    if object.contains_key("properties") {
        page += "\n| field | type | meaning | since version |\n|---|---|---|---|\n";
        page += &rows(&object, &since);
    } else {
        page += "\nIt has no fields.\n";
    }
    let sample = |version| &samples[&Written { event_type: event.event_type.to_owned(), version }];
    let _ = writeln!(page, "\n{}", json_block(sample(event.version)));
    for pair in versions.windows(2) {
        let [(_, after), (version, before)] = pair else { continue };
        let _ = writeln!(page, "Version {version} was replaced by version {}:\n", version + 1);
        for (path, change) in differences(before, after) {
            let _ = writeln!(page, "- `{path}`: {}", change.name());
        }
        let _ = writeln!(page, "\n{}", json_block(sample(*version)));
    }
    page.trim_end().to_owned() + "\n"
}

fn json_block(sample: &str) -> String {
    format!("```json\n{}\n```\n", sample.trim_end())
}

/// The types that fields refer to.
fn of_type(name: &str, definition: &Value) -> String {
    let mut page = format!("### {name}\n\n{}\n\n", line(&definition["description"]));
    match definition["oneOf"].as_array() {
        Some(alternatives) => {
            page += "| value | meaning |\n|---|---|\n";
            for alternative in alternatives {
                let value = match alternative["const"].as_str() {
                    Some(value) => format!("`{value}`"),
                    None => fields_of(alternative),
                };
                let _ = writeln!(page, "| {value} | {} |", line(&alternative["description"]));
            }
        }
        None if definition["properties"].is_object() => {
            page += "| field | type | meaning |\n|---|---|---|\n";
            page += &rows(definition.as_object().unwrap(), &|_| None);
        }
        None => {
            let _ = writeln!(page, "Written as {}.", kind(name, definition));
        }
    }
    page + "\n"
}

/// An alternative that is an object: its fields, and those inside.
fn fields_of(alternative: &Value) -> String {
    let fields: BTreeMap<_, _> = alternative["properties"].as_object().into_iter().flatten().collect();
    let told = |(name, field): (&String, &Value)| {
        let inside = if field["properties"].is_object() { fields_of(field) } else { kind(name, field) };
        format!("`{name}`: {inside}")
    };
    format!("object of {}", fields.into_iter().map(told).collect::<Vec<_>>().join(", "))
}

/// What stands between `// example: NAME` and `// end of example`, as the page shows it.
fn example(name: &str) -> String {
    let (_, rest) = EXAMPLES.split_once(&format!("// example: {name}\n")).unwrap_or_else(|| panic!("no example {name}"));
    let (code, _) = rest.split_once("// end of example").unwrap();
    format!("```rust\n{}\n```\n\n", code.trim_end())
}

const HEAD: &str = include_str!("head.txt");

fn page() -> String {
    let schemas: BTreeMap<_, _> = files("schemas").into_iter().map(|(written, text)| (written, json_of(&text))).collect();
    let samples = files("samples");
    let events: Vec<_> = event_schemas::CommerceEvent::schemas();
    let mut page = HEAD.to_owned();
    let rules = Change::ALL.map(|change| format!("| {} | {} |\n", change.name(), change.rule())).concat();
    page = page.replace("{{rules}}\n", &rules);
    for name in ["one to one", "one to many", "one to none"] {
        page = page.replace(&format!("{{{{{name}}}}}\n"), &example(name));
    }
    let mut aggregates: Vec<&str> = Vec::new();
    for event in &events {
        if !aggregates.contains(&event.aggregate_type) {
            aggregates.push(event.aggregate_type);
        }
    }
    for aggregate in &aggregates {
        let of = |event: &&EventSchema| event.aggregate_type == *aggregate;
        let link = |event: &EventSchema| format!("[{}](#{})", event.event_type, event.event_type.to_lowercase());
        let links: Vec<_> = events.iter().filter(of).map(link).collect();
        let _ = writeln!(page, "- [{aggregate}](#{aggregate}): {}", links.join(", "));
    }
    let retired: Vec<_> =
        schemas.keys().filter(|written| !events.iter().any(|event| event.event_type == written.event_type)).collect();
    for aggregate in &aggregates {
        let _ = writeln!(page, "\n## {aggregate}\n");
        let of: Vec<_> = events.iter().filter(|event| event.aggregate_type == *aggregate).collect();
        page += of.into_iter().map(|event| of_event(event, &schemas, &samples)).collect::<Vec<_>>().join("\n").trim_end();
        page.push('\n');
    }
    page += "\n## What is not written any more\n\n";
    for written in retired {
        let schema = &schemas[written];
        let _ = writeln!(page, "### {}\n\n{}\n", written.event_type, line(&schema["description"]));
        let _ = writeln!(page, "Version {}.\n\n{}", written.version, json_block(&samples[written]));
    }
    page += "## Types\n\n";
    for (name, definition) in definitions() {
        page += &of_type(&name, &definition);
    }
    page.trim_end().to_owned() + "\n"
}

/// What the events of today refer to, by name.
fn definitions() -> BTreeMap<String, Value> {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for event in today().into_values() {
        for (name, definition) in event.schema["$defs"].as_object().into_iter().flatten() {
            let before = found.insert(name.clone(), definition.clone());
            assert!(before.is_none_or(|before| before == *definition), "{name} is two things");
        }
    }
    found
}

#[test]
fn the_page_of_all_events_is_made_from_their_schemas_and_samples() {
    let file = path("../docs/events.md");
    let made = page();
    if std::env::var_os("UPDATE").is_some() || std::env::var_os("UPDATE_SCHEMAS").is_some() {
        keep(&file, &made);
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let differs = kept.lines().zip(made.lines()).position(|(kept, made)| kept != made).unwrap_or_default() + 1;
    assert!(kept == made, "docs/events.md is not up to date from line {differs}: run UPDATE=1 cargo test -p event-schemas");
}

#[test]
fn every_event_and_every_field_says_what_it_means_and_every_number_what_it_counts() {
    fn look(at: &str, node: &Value, said: bool, findings: &mut BTreeSet<String>) {
        for (name, field) in node["properties"].as_object().into_iter().flatten() {
            let described = field["description"].as_str().is_some_and(|text| text.len() > 3 && text.ends_with('.'));
            if !described && !said {
                findings.insert(format!("{at}.{name} says nothing"));
            }
            if kind(name, field).contains('?') {
                findings.insert(format!("{at}.{name} is a number of what? Say it in UNITS"));
            }
            look(&format!("{at}.{name}"), field, false, findings);
        }
        for alternative in node["oneOf"].as_array().into_iter().flatten() {
            // An alternative says what it is as a whole, so that its one field need not.
            let said = alternative["description"].as_str().is_some_and(|text| !text.is_empty());
            if !said {
                findings.insert(format!("{at}: a value says nothing"));
            }
            look(at, alternative, said, findings);
        }
    }
    let mut findings = BTreeSet::new();
    for (written, event) in today() {
        assert!(event.schema["description"].as_str().is_some_and(|text| text.ends_with('.')), "{written} says nothing");
        look(&written.event_type, &event.schema, false, &mut findings);
    }
    for (name, definition) in definitions() {
        look(&name, &definition, false, &mut findings);
    }
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn the_page_tells_every_version_and_every_rule() {
    let page = page();
    for written in files("schemas").into_keys() {
        assert!(page.contains(&format!("### {}\n", written.event_type)), "{written}");
        assert!(page.contains(&format!("Version {}", written.version)), "{written}");
    }
    assert!(Change::ALL.iter().all(|change| page.contains(change.rule())));
    assert!(!page.contains("{{"), "a part was not filled in");
    let before = json_of(&files("schemas")[&Written { event_type: "StockAdjusted".to_owned(), version: 1 }]);
    let after = json_of(&files("schemas")[&Written { event_type: "StockAdjusted".to_owned(), version: 2 }]);
    let told = changes::advice(&before, &after);
    assert!(told.contains("- `note`: an optional field is added."), "{told}");
    assert!(page.contains("Version 1 was replaced by version 2:\n\n- `note`: an optional field is added\n"));
}
