//! Holds the checked-in schemas and samples to the Rust types: what was written once can be read for ever.
//!
//! `UPDATE_SCHEMAS=1 cargo test -p event-schemas --test contract` writes the schema files anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use event_schemas::{CommerceEvent, EventSchema};
use serde_json::Value;

/// A file of the contract is named for what it describes: `OrderPlaced.v1.json`.
type Name = (String, u32);

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn file_name((event_type, version): &Name) -> String {
    format!("{event_type}.v{version}.json")
}

fn parse_name(file: &str) -> Option<Name> {
    let (event_type, version) = file.strip_suffix(".json")?.split_once(".v")?;
    Some((event_type.to_owned(), version.parse().ok()?))
}

/// All files of a folder, by what they describe.
fn files(folder_name: &str) -> BTreeMap<Name, Value> {
    let entries = fs::read_dir(folder(folder_name)).unwrap();
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap();
            let name = parse_name(file).unwrap_or_else(|| panic!("{folder_name}/{file} is not named like OrderPlaced.v1.json"));
            let value = serde_json::from_str(&fs::read_to_string(&path).unwrap());
            (name, value.unwrap_or_else(|error| panic!("{folder_name}/{file} is not JSON: {error}")))
        })
        .collect()
}

fn current() -> BTreeMap<Name, EventSchema> {
    CommerceEvent::schemas().into_iter().map(|schema| ((schema.event_type.to_owned(), schema.version), schema)).collect()
}

#[test]
fn the_checked_in_schemas_are_those_of_the_rust_types() {
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        for (name, event) in current() {
            let text = serde_json::to_string_pretty(&event.schema).unwrap() + "\n";
            fs::write(folder("schemas").join(file_name(&name)), text).unwrap();
        }
    }
    let checked_in = files("schemas");
    for (name, event) in current() {
        assert!(
            checked_in.get(&name) == Some(&event.schema),
            "schemas/{} is not what the Rust type says. If the event was ever written, its shape must not change: raise its \
             version in `events!`, add a step to STEPS in src/upcast.rs and a sample. Then run \
             UPDATE_SCHEMAS=1 cargo test -p event-schemas --test contract",
            file_name(&name)
        );
    }
}
