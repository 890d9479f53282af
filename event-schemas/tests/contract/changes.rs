//! What differs between two shapes of a payload, and the rule for each kind of change.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A kind of change of what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    OptionalFieldAdded,
    RequiredFieldAdded,
    FieldRemoved,
    FieldMadeOptional,
    FieldMadeRequired,
    ValueAdded,
    ValueRemoved,
    TypeChanged,
}

impl Change {
    pub const ALL: [Self; 8] = [
        Self::OptionalFieldAdded,
        Self::RequiredFieldAdded,
        Self::FieldRemoved,
        Self::FieldMadeOptional,
        Self::FieldMadeRequired,
        Self::ValueAdded,
        Self::ValueRemoved,
        Self::TypeChanged,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::OptionalFieldAdded => "an optional field is added",
            Self::RequiredFieldAdded => "a required field is added",
            Self::FieldRemoved => "a field is removed",
            Self::FieldMadeOptional => "a required field becomes optional",
            Self::FieldMadeRequired => "an optional field becomes required",
            Self::ValueAdded => "a value is added to those of a field",
            Self::ValueRemoved => "a value is taken from those of a field",
            Self::TypeChanged => "a field has another type, form or bound",
        }
    }

    /// What the upcaster of the version before has to do.
    pub fn rule(self) -> &'static str {
        match self {
            Self::OptionalFieldAdded => "pass the payload on; that the field is absent means that nobody said it then",
            Self::RequiredFieldAdded => "give it the value that was true then; if there is none, make the field optional",
            Self::FieldRemoved => "take it out; what it said and no other field says is kept in another field",
            Self::FieldMadeOptional => "pass the payload on",
            Self::FieldMadeRequired => "give it the value that its absence meant",
            Self::ValueAdded => "pass the payload on",
            Self::ValueRemoved => "put one of the values that are left in its place, and keep its word in another field",
            Self::TypeChanged => "turn the old form into the new one, and refuse by name what was never of the old form",
        }
    }
}

/// A field as a shape has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Whether it must be there.
    pub required: bool,
    /// Type, form and bounds, without descriptions and without what is inside it.
    pub form: Value,
    /// The values or the alternatives that it may be, if they are listed.
    pub values: BTreeSet<String>,
}

/// The fields of a payload by their path, such as `lines[].sku`; the payload itself is the empty path.
pub fn fields(schema: &Value) -> BTreeMap<String, Field> {
    let mut found = BTreeMap::new();
    gather(schema, schema, String::new(), true, &mut found);
    found
}

fn gather(root: &Value, node: &Value, path: String, required: bool, found: &mut BTreeMap<String, Field>) {
    let (node, nullable) = resolved(root, node);
    let inner = ["description", "title", "$schema", "$defs", "properties", "required", "items", "oneOf", "enum"];
    let mut form: Map<String, Value> = node
        .iter()
        .filter(|(name, _)| !inner.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if required && nullable {
        form.insert("nullable".to_owned(), json!(true));
    }
    let mut values = BTreeSet::new();
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let mut inside: Vec<(String, Value, bool)> = Vec::new();
    let properties = |object: &Map<String, Value>, inside: &mut Vec<(String, Value, bool)>| {
        let must: Vec<&str> =
            object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
            inside.push((below(name), property.clone(), must.contains(&name.as_str())));
        }
    };
    properties(&node, &mut inside);
    if let Some(items) = node.get("items") {
        inside.push((format!("{path}[]"), items.clone(), true));
    }
    for value in node.get("enum").and_then(Value::as_array).into_iter().flatten() {
        values.insert(value.to_string());
    }
    for alternative in node.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        let (alternative, _) = resolved(root, alternative);
        match alternative.get("const") {
            Some(value) => {
                values.insert(value.to_string());
            }
            None => {
                let names = alternative.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
                values.insert(names.cloned().collect::<Vec<_>>().join(" and "));
                properties(&alternative, &mut inside);
            }
        }
    }
    found.insert(path.clone(), Field { required, form: Value::Object(form), values });
    for (path, node, required) in inside {
        gather(root, &node, path, required, found);
    }
}

/// A node without references, and whether it may be null.
pub fn resolved(root: &Value, node: &Value) -> (Map<String, Value>, bool) {
    let mut fields = node.as_object().cloned().unwrap_or_default();
    if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/")) {
        return resolved(root, &root["$defs"][name]);
    }
    if let Some(Value::Array(alternatives)) = fields.get("anyOf") {
        let (nulls, others): (Vec<_>, Vec<_>) = alternatives.iter().partition(|alternative| alternative["type"] == "null");
        if let ([_], [other]) = (nulls.as_slice(), others.as_slice()) {
            return (resolved(root, other).0, true);
        }
    }
    let mut nullable = false;
    if let Some(Value::Array(types)) = fields.get("type") {
        let others: Vec<_> = types.iter().filter(|name| *name != "null").cloned().collect();
        nullable = others.len() < types.len();
        let types = if let [one] = others.as_slice() { one.clone() } else { Value::Array(others) };
        fields.insert("type".to_owned(), types);
    }
    (fields, nullable)
}

/// What differs: the path of a field, and how it changed. What is inside a field that is new, gone or of another type is not
/// told apart.
pub fn differences(before: &Value, after: &Value) -> Vec<(String, Change)> {
    let (before, after) = (fields(before), fields(after));
    let stays = |path: &str| match (before.get(path), after.get(path)) {
        (Some(before), Some(after)) => before.form == after.form,
        _ => false,
    };
    let parents_stay = |path: &str| parents(path).into_iter().all(stays);
    let mut found = Vec::new();
    for path in before.keys().chain(after.keys()).collect::<BTreeSet<_>>().into_iter().filter(|path| parents_stay(path)) {
        let mut note = |change: Change| found.push((path.clone(), change));
        match (before.get(path), after.get(path)) {
            (Some(_), None) => note(Change::FieldRemoved),
            (None, Some(after)) if after.required => note(Change::RequiredFieldAdded),
            (None, _) => note(Change::OptionalFieldAdded),
            (Some(before), Some(after)) => {
                match (before.required, after.required) {
                    (true, false) => note(Change::FieldMadeOptional),
                    (false, true) => note(Change::FieldMadeRequired),
                    _ => {}
                }
                if before.form != after.form || before.values.is_empty() != after.values.is_empty() {
                    note(Change::TypeChanged);
                } else {
                    if before.values.difference(&after.values).next().is_some() {
                        note(Change::ValueRemoved);
                    }
                    if after.values.difference(&before.values).next().is_some() {
                        note(Change::ValueAdded);
                    }
                }
            }
        }
    }
    found
}

/// What a path is inside of, the payload itself first.
fn parents(path: &str) -> Vec<&str> {
    if path.is_empty() {
        return Vec::new();
    }
    let ends = path.char_indices().filter(|(at, letter)| *at > 0 && (*letter == '.' || *letter == '['));
    std::iter::once("").chain(ends.map(|(at, _)| &path[..at])).collect()
}

/// The differences with the rule for each, a line each.
pub fn advice(before: &Value, after: &Value) -> String {
    let told = |(path, change): (String, Change)| {
        let path = if path.is_empty() { "the payload".to_owned() } else { format!("`{path}`") };
        format!("- {path}: {}. The upcaster must {}.\n", change.name(), change.rule())
    };
    differences(before, after).into_iter().map(told).collect()
}

fn object(properties: Value, required: Value) -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

#[test]
fn each_kind_of_change_is_told_by_its_name_and_place() {
    let text = json!({ "type": "string" });
    let maybe = json!({ "type": ["string", "null"] });
    let one_of = |values: &[&str]| json!({ "oneOf": values.iter().map(|value| json!({ "const": value })).collect::<Vec<_>>() });
    let lines = |item: Value| json!({ "lines": { "type": "array", "items": item } });
    let cases = [
        (object(json!({}), json!([])), object(json!({ "note": maybe }), json!([])), "note", Change::OptionalFieldAdded),
        (object(json!({}), json!([])), object(json!({ "note": text }), json!(["note"])), "note", Change::RequiredFieldAdded),
        (object(json!({ "note": text }), json!(["note"])), object(json!({}), json!([])), "note", Change::FieldRemoved),
        (
            object(json!({ "note": text }), json!(["note"])),
            object(json!({ "note": maybe }), json!([])),
            "note",
            Change::FieldMadeOptional,
        ),
        (
            object(json!({ "note": maybe }), json!([])),
            object(json!({ "note": text }), json!(["note"])),
            "note",
            Change::FieldMadeRequired,
        ),
        (
            object(json!({ "why": one_of(&["lost"]) }), json!([])),
            object(json!({ "why": one_of(&["lost", "found"]) }), json!([])),
            "why",
            Change::ValueAdded,
        ),
        (
            object(json!({ "why": one_of(&["lost", "found"]) }), json!([])),
            object(json!({ "why": one_of(&["lost"]) }), json!([])),
            "why",
            Change::ValueRemoved,
        ),
        (
            object(lines(object(json!({ "sku": text }), json!(["sku"]))), json!([])),
            object(lines(object(json!({ "sku": { "type": "integer" } }), json!(["sku"]))), json!([])),
            "lines[].sku",
            Change::TypeChanged,
        ),
    ];
    let mut told = BTreeSet::new();
    for (before, after, path, change) in cases {
        assert_eq!(differences(&before, &after), [(path.to_owned(), change)]);
        assert!(advice(&before, &after).contains(change.rule()));
        told.insert(change);
    }
    assert_eq!(told, BTreeSet::from(Change::ALL));
}

#[test]
fn a_change_of_wording_is_none_and_what_is_inside_a_changed_field_is_not_told_again() {
    let address = object(json!({ "city": { "type": "string" } }), json!(["city"]));
    let root = |definition: Value| {
        let mut root = object(json!({ "address": { "$ref": "#/$defs/Address", "description": "Where." } }), json!(["address"]));
        root["$defs"] = json!({ "Address": definition });
        root
    };
    let mut reworded = root(address.clone());
    reworded["description"] = json!("Other words.");
    reworded["$defs"]["Address"]["properties"]["city"]["description"] = json!("A town.");
    assert_eq!(differences(&root(address.clone()), &reworded), []);
    let sealed = root(json!({ "type": "string", "pattern": "^sealed:" }));
    assert_eq!(differences(&root(address.clone()), &sealed), [("address".to_owned(), Change::TypeChanged)]);
    let gone = object(json!({}), json!([]));
    assert_eq!(differences(&root(address), &gone), [("address".to_owned(), Change::FieldRemoved)]);
}

#[test]
fn alternatives_with_fields_of_their_own_are_compared_too() {
    let off = |name: &str, of: &str| {
        let inner = object(json!({ of: { "type": "integer" } }), json!([of]));
        object(json!({ name: inner }), json!([name]))
    };
    let effect = |alternatives: Vec<Value>| object(json!({ "effect": { "oneOf": alternatives } }), json!(["effect"]));
    let before = effect(vec![off("percent_off", "ppm")]);
    let more = effect(vec![off("percent_off", "ppm"), off("amount_off", "minor")]);
    let found = differences(&before, &more);
    assert!(found.contains(&("effect".to_owned(), Change::ValueAdded)), "{found:?}");
    let other = effect(vec![off("percent_off", "percent")]);
    let found = differences(&before, &other);
    assert!(found.contains(&("effect.percent_off.ppm".to_owned(), Change::FieldRemoved)), "{found:?}");
}
