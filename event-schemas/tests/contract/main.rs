//! Holds the checked-in schemas and samples to the Rust types: what was written once can be read for ever.
//!
//! Three things are on disk for every version of every event that was ever written: a schema, a sample, and, once the
//! version is frozen, the digests of both in `contract.lock`. A version is frozen when a newer one replaces it or a
//! release contains it; from then on neither its files nor its shape may change. Lines of the lock are only ever added.
//!
//! `UPDATE_SCHEMAS=1 cargo test -p event-schemas --test contract` writes the schemas of versions that are not frozen and
//! freezes those that were replaced; `UPDATE_SCHEMAS=release` freezes all. It also makes `docs/events.md`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod changes;
mod page;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use event_schemas::{CommerceEvent, DecodeError, EventSchema};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A version of an event; its files are named for it, such as `OrderPlaced.v1.json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Written {
    event_type: String,
    version: u32,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.v{}.json", self.event_type, self.version)
    }
}

impl Written {
    fn of_file(name: &str) -> Option<Self> {
        let (event_type, version) = name.strip_suffix(".json")?.split_once(".v")?;
        Some(Self { event_type: event_type.to_owned(), version: version.parse().ok()? })
    }
}

fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The files of a folder as text, by what they describe.
fn files(folder: &str) -> BTreeMap<Written, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path(folder)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let written =
            Written::of_file(&name).unwrap_or_else(|| panic!("{folder}/{name} is not named like {folder}/OrderPlaced.v1.json"));
        files.insert(written, fs::read_to_string(path(&format!("{folder}/{name}"))).unwrap());
    }
    files
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The events as they are written today.
fn today() -> BTreeMap<Written, EventSchema> {
    let written = |event: &EventSchema| Written { event_type: event.event_type.to_owned(), version: event.version };
    CommerceEvent::schemas().into_iter().map(|event| (written(&event), event)).collect()
}

/// Every version that was ever written: all up to today's, and those of event types that upcasters have since renamed.
fn ever_written() -> BTreeSet<Written> {
    let versions = |event: Written| (1..=event.version).map(move |version| Written { version, ..event.clone() });
    let frozen = lock().into_keys().filter_map(|file| Written::of_file(file.split_once('/')?.1));
    today().into_keys().flat_map(versions).chain(frozen).collect()
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digests by file, as `sha256sum --check contract.lock` reads them too.
fn lock() -> BTreeMap<String, String> {
    let text = fs::read_to_string(path("contract.lock")).unwrap();
    text.lines().map(|line| line.split_once("  ").unwrap()).map(|(digest, file)| (file.to_owned(), digest.to_owned())).collect()
}

/// Writes a file that is not as it should be. Tests run side by side: one that is must not be empty for a moment.
fn keep(path: &Path, text: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).unwrap();
    }
}

/// Writes what `UPDATE_SCHEMAS` asks for, once, before the first test looks.
static UPDATED: LazyLock<()> = LazyLock::new(|| {
    let Ok(mode) = std::env::var("UPDATE_SCHEMAS") else { return };
    let mut lock = lock();
    for (written, event) in today() {
        if !lock.contains_key(&format!("schemas/{written}")) {
            let text = serde_json::to_string_pretty(&event.schema).unwrap() + "\n";
            keep(&path(&format!("schemas/{written}")), &text);
        }
    }
    for written in ever_written().into_iter().filter(|written| mode == "release" || !today().contains_key(written)) {
        for file in [format!("samples/{written}"), format!("schemas/{written}")] {
            let text = fs::read_to_string(path(&file)).unwrap();
            lock.entry(file).or_insert_with(|| digest(&text));
        }
    }
    let lines: String = lock.iter().map(|(file, digest)| format!("{digest}  {file}\n")).collect();
    keep(&path("contract.lock"), &lines);
});

/// A schema without its descriptions: what may be written, without what is said about it.
fn shape(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, value)| !(*name == "description" && value.is_string()))
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_version_ever_written_has_a_schema_and_a_sample_and_no_file_describes_anything_else() {
    LazyLock::force(&UPDATED);
    for folder in ["schemas", "samples"] {
        let found: BTreeSet<_> = files(folder).into_keys().collect();
        let expected = ever_written();
        let missing: Vec<_> = expected.difference(&found).map(Written::to_string).collect();
        let strange: Vec<_> = found.difference(&expected).map(Written::to_string).collect();
        assert!(missing.is_empty(), "{folder}/ lacks {missing:?}: add them; the payload of a sample is written by hand");
        assert!(strange.is_empty(), "{folder}/ holds {strange:?}, which no event declares; a written event never goes away");
    }
}

const FREE: &str = "No release contains this version: run UPDATE_SCHEMAS=1 cargo test -p event-schemas --test contract";

/// What to do about a frozen version whose type was changed, by the rule for each of the changes.
fn frozen_advice(before: &Value, after: &Value) -> String {
    format!(
        "This version is frozen: give the event its old shape back, or raise its version in `events!`, add a step to STEPS in \
         src/upcast.rs and a sample, and then run UPDATE_SCHEMAS=1 cargo test -p event-schemas --test contract. What has \
         changed:\n{}",
        changes::advice(before, after)
    )
}

#[test]
fn the_checked_in_schemas_are_those_of_the_rust_types() {
    LazyLock::force(&UPDATED);
    let (schemas, lock) = (files("schemas"), lock());
    for (written, event) in today() {
        let checked_in = schemas.get(&written).map(|text| json_of(text)).unwrap_or_default();
        let frozen = lock.contains_key(&format!("schemas/{written}"));
        let same = if frozen { shape(&checked_in) == shape(&event.schema) } else { checked_in == event.schema };
        let advice = if frozen { frozen_advice(&checked_in, &event.schema) } else { FREE.to_owned() };
        assert!(same, "schemas/{written} is not what the Rust type says. {advice}");
    }
}

#[test]
fn frozen_files_never_change() {
    LazyLock::force(&UPDATED);
    let lock = lock();
    for (file, expected) in &lock {
        let text = fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file} is in contract.lock: {error}"));
        assert_eq!(&digest(&text), expected, "{file} is frozen and was changed: a written event never changes");
    }
    for written in ever_written().into_iter().filter(|written| !today().contains_key(written)) {
        for file in [format!("samples/{written}"), format!("schemas/{written}")] {
            assert!(lock.contains_key(&file), "{file} was replaced by a newer version: freeze it with UPDATE_SCHEMAS=1");
        }
    }
}

#[test]
fn every_sample_is_valid_against_its_schema_and_a_spoilt_one_is_not() {
    LazyLock::force(&UPDATED);
    let schemas = files("schemas");
    for (written, sample) in files("samples") {
        let validator = jsonschema::validator_for(&json_of(&schemas[&written])).unwrap();
        let mut payload = json_of(&sample);
        if let Err(error) = validator.validate(&payload) {
            panic!("samples/{written}: {error}");
        }
        payload["not_a_field"] = json!(1);
        assert!(!validator.is_valid(&payload), "schemas/{written} allows fields that it does not name");
    }
}

#[test]
fn every_sample_of_today_reads_and_is_written_again_as_it_was() {
    let samples = files("samples");
    for written in today().into_keys() {
        let events = CommerceEvent::decode(&written.event_type, written.version, &samples[&written]).unwrap();
        let [event] = events.as_slice() else { panic!("samples/{written} reads as {events:?}") };
        assert_eq!((event.event_type(), event.version()), (written.event_type.as_str(), written.version));
        assert_eq!(json_of(&event.payload().unwrap()), json_of(&samples[&written]), "samples/{written}");
    }
}

#[test]
fn every_sample_of_the_past_still_reads() {
    let (today, samples) = (today(), files("samples"));
    let past: Vec<_> = samples.iter().filter(|(written, _)| !today.contains_key(written)).collect();
    assert!(!past.is_empty(), "StockAdjusted has a past");
    for (written, sample) in past {
        if let Err(error) = CommerceEvent::decode(&written.event_type, written.version, sample) {
            panic!("samples/{written}: {error}");
        }
    }
}

#[test]
fn an_event_of_a_newer_version_of_daybook_is_unknown_and_not_damage() {
    for (event_type, version) in [("OrderBlessed", 1), ("OrderPlaced", 3), ("OrderPlaced", 0)] {
        let error = CommerceEvent::decode(event_type, version, "{}").unwrap_err();
        assert!(matches!(error, DecodeError::Unknown { .. }), "{event_type} version {version}: {error}");
    }
}

#[test]
fn whoever_changes_a_frozen_version_is_told_the_rule_for_each_change() {
    let schemas = files("schemas");
    let of = |event_type: &str, version| Written { event_type: event_type.to_owned(), version };
    let before = json_of(&schemas[&of("StockAdjusted", 1)]);
    let mut after = json_of(&schemas[&of("StockAdjusted", 2)]);
    after["properties"]["batch"] = json!({ "type": "string" });
    after["required"].as_array_mut().unwrap().push(json!("batch"));
    let advice = frozen_advice(&before, &after);
    for (path, change) in [
        ("batch", changes::Change::RequiredFieldAdded),
        ("note", changes::Change::OptionalFieldAdded),
        ("reason", changes::Change::TypeChanged),
    ] {
        let line = format!("- `{path}`: {}. The upcaster must {}.\n", change.name(), change.rule());
        assert!(advice.contains(&line), "{advice}");
    }
}

/// A payload of which somebody said less than they could: each field that may be absent, absent.
#[test]
fn every_sample_reads_without_any_of_its_optional_fields() {
    let (schemas, samples) = (files("schemas"), files("samples"));
    let mut left_out = 0;
    for (written, sample) in &samples {
        let (schema, whole) = (json_of(&schemas[written]), json_of(sample));
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for name in whole.as_object().unwrap().keys().filter(|name| !required.contains(&json!(name))) {
            let mut less = whole.clone();
            less.as_object_mut().unwrap().remove(name);
            let read = CommerceEvent::decode(&written.event_type, written.version, &less.to_string());
            assert!(read.is_ok(), "samples/{written} without {name}: {}", read.unwrap_err());
            left_out += 1;
        }
    }
    assert!(left_out > 20, "{left_out}");
}

#[test]
fn a_change_of_shape_is_seen_through_any_wording() {
    let before = json!({ "description": "A name.", "properties": { "description": { "type": "string", "description": "a" } } });
    let reworded = json!({ "description": "The name.", "properties": { "description": { "type": "string" } } });
    let reshaped = json!({ "description": "A name.", "properties": { "description": { "type": "integer" } } });
    assert_eq!(shape(&before), shape(&reworded));
    assert_ne!(shape(&before), shape(&reshaped));
}
