//! A payload as it stands in its record, for the validators: names and texts are borrowed from it, and an object keeps its members
//! in the order they are written in. `serde_json::Value` copies each of them, into a balanced tree for each
//! object.

use std::{borrow::Cow, collections::HashSet, fmt};

use jsonschema::{
    json::{Array, Json, Node, NodeIdentity, Object},
    types::JsonType,
};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess},
};
use serde_json::{Number, Value};

/// This representation, to the validators.
pub(super) struct Borrowed;

/// One value of JSON.
#[derive(Debug)]
pub(super) enum Payload<'a> {
    Null,
    Boolean(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Array(Vec<Payload<'a>>),
    Object(Vec<(Cow<'a, str>, Payload<'a>)>),
}

impl Payload<'_> {
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(boolean) => Value::Bool(*boolean),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.to_string()),
            Self::Array(items) => items.iter().map(Self::value).collect(),
            Self::Object(members) => members.iter().map(|(name, value)| (name.to_string(), value.value())).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Payload<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Payload<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Payload<'de>, E> {
        Ok(Payload::Null)
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Payload<'de>, E> {
        Ok(Payload::Boolean(boolean))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Payload<'de>, E> {
        Ok(Payload::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Payload<'de>, E> {
        Ok(Payload::Number(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Payload<'de>, E> {
        Number::from_f64(number).map(Payload::Number).ok_or_else(|| E::custom("a number that JSON does not have"))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Payload<'de>, E> {
        Ok(Payload::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Payload<'de>, E> {
        Ok(Payload::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Payload<'de>, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Payload::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Payload<'de>, A::Error> {
        let mut object: Vec<(Cow<'de, str>, _)> = Vec::with_capacity(8);
        while let Some((Name(name), value)) = members.next_entry()? {
            object.push((name, value));
        }
        match repeated(&object) {
            Some(name) => Err(de::Error::custom(format_args!("member `{name}` comes twice"))),
            None => Ok(Payload::Object(object)),
        }
    }
}

/// A name that comes twice. Of such members readers differ on which one counts (RFC 8259, section 4).
fn repeated<'a>(members: &'a [(Cow<'_, str>, Payload<'_>)]) -> Option<&'a str> {
    let names = || members.iter().map(|(name, _)| name.as_ref());
    if members.len() <= 16 {
        return names().enumerate().find(|(at, name)| names().take(*at).any(|earlier| earlier == *name)).map(|(_, name)| name);
    }
    let mut met = HashSet::with_capacity(members.len());
    names().find(|name| !met.insert(*name))
}

/// The name of a member. A `Cow` by itself would never borrow.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Json for Borrowed {
    type Node<'a> = &'a Payload<'a>;
    type PreparedKey = String;
    type StringBuffer = ();

    // A lookup goes through the members, of which a payload has few.
    const KEYS_PER_LOOKUP: usize = 4;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>((): &mut (), text: &str, f: impl FnOnce(Self::Node<'_>) -> T) -> T {
        f(&Payload::Text(Cow::Borrowed(text)))
    }
}

impl<'a> Node<'a, Borrowed> for &'a Payload<'a> {
    type Object = &'a [(Cow<'a, str>, Payload<'a>)];
    type Array = &'a [Payload<'a>];
    type Number = &'a Number;

    fn as_object(&self) -> Option<Self::Object> {
        if let Payload::Object(members) = self { Some(members) } else { None }
    }

    fn as_array(&self) -> Option<Self::Array> {
        if let Payload::Array(items) = self { Some(items) } else { None }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        if let Payload::Text(text) = self { Some(Cow::Borrowed(text)) } else { None }
    }

    fn as_number(&self) -> Option<Self::Number> {
        if let Payload::Number(number) = self { Some(number) } else { None }
    }

    fn as_boolean(&self) -> Option<bool> {
        if let Payload::Boolean(boolean) = self { Some(*boolean) } else { None }
    }

    fn is_null(&self) -> bool {
        matches!(self, Payload::Null)
    }

    fn json_type(&self) -> JsonType {
        match self {
            Payload::Null => JsonType::Null,
            Payload::Boolean(_) => JsonType::Boolean,
            Payload::Number(_) => JsonType::Number,
            Payload::Text(_) => JsonType::String,
            Payload::Array(_) => JsonType::Array,
            Payload::Object(_) => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match (self, expected) {
            (Payload::Text(text), Value::String(expected)) => text == expected,
            (Payload::Text(_), _) | (_, Value::String(_)) => false,
            _ => jsonschema::json::cmp::equal(&self.value(), expected),
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(self.value())
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Payload<'_>>(self).addr()))
    }
}

impl<'a> Object<'a, Borrowed> for &'a [(Cow<'a, str>, Payload<'a>)] {
    type Node = &'a Payload<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        <[_]>::len(self)
    }

    fn get(&self, key: &String) -> Option<Self::Node> {
        self.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn members(&self) -> Self::MembersIter {
        Members(self.iter())
    }
}

/// The members of an object.
pub(super) struct Members<'a>(std::slice::Iter<'a, (Cow<'a, str>, Payload<'a>)>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a Payload<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (name.as_ref(), value))
    }
}

impl<'a> Array<'a, Borrowed> for &'a [Payload<'a>] {
    type Node = &'a Payload<'a>;
    type ElementsIter = std::slice::Iter<'a, Payload<'a>>;

    fn len(&self) -> usize {
        <[_]>::len(self)
    }

    fn elements(&self) -> Self::ElementsIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use event_schemas::CommerceEvent;
    use jsonschema::{Draft, ValidationOptions, Validator};
    use serde_json::json;

    use super::*;

    /// The same document with one of its values replaced, for each value in it, or one of its members left out or added.
    fn variants(whole: &Value, replaced: &Value) -> Vec<Value> {
        let mut all = vec![replaced.clone()];
        match whole {
            Value::Object(members) => {
                for (name, inner) in members {
                    let mut rest = members.clone();
                    rest.remove(name);
                    all.push(Value::Object(rest));
                    all.extend(variants(inner, replaced).into_iter().map(|value| {
                        let mut members = members.clone();
                        members.insert(name.clone(), value);
                        Value::Object(members)
                    }));
                }
                let mut more = members.clone();
                more.insert("not_in_any_schema".to_owned(), replaced.clone());
                all.push(Value::Object(more));
            }
            Value::Array(items) => {
                for (index, inner) in items.iter().enumerate() {
                    all.extend(variants(inner, replaced).into_iter().map(|value| {
                        let mut items = items.clone();
                        items[index] = value;
                        Value::Array(items)
                    }));
                }
            }
            _ => {}
        }
        all
    }

    #[test]
    fn a_member_that_comes_twice_is_refused_in_small_and_large_objects() {
        for others in [0, 100] {
            let others: String = (0..others).map(|number| format!("\"m{number}\": 1, ")).collect();
            let read = |rest: &str| {
                let text = format!("{{\"a\": [{{{others} {rest}}}]}}");
                serde_json::from_str::<Payload<'_>>(&text).map(drop).map_err(|error| error.to_string())
            };
            assert_eq!(read("\"x\": 1, \"y\": 2"), Ok(()));
            let why = read("\"x\": 1, \"y\": 2, \"\\u0078\": 1").unwrap_err();
            assert!(why.starts_with("member `x` comes twice"), "{why}");
        }
    }

    #[test]
    fn every_schema_takes_and_refuses_the_same_as_with_values_that_are_read_whole() {
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../event-schemas/samples");
        let replacements =
            [json!(null), json!(true), json!(-1), json!(0.5), json!(1.0), json!(u64::MAX), json!("é\n\""), json!([]), json!({})];
        let (mut taken, mut refused) = (0, 0);
        for event in CommerceEvent::schemas() {
            let here: Validator<Borrowed> =
                ValidationOptions::default().with_draft(Draft::Draft202012).build(&event.schema).unwrap();
            let whole: Validator = ValidationOptions::default().with_draft(Draft::Draft202012).build(&event.schema).unwrap();
            let sample = std::fs::read_to_string(format!("{samples}/{}.v{}.json", event.event_type, event.version)).unwrap();
            let sample: Value = serde_json::from_str(&sample).unwrap();
            for variant in replacements.iter().flat_map(|replaced| variants(&sample, replaced)).chain([sample.clone()]) {
                let text = variant.to_string();
                let payload: Payload<'_> = serde_json::from_str(&text).unwrap();
                assert_eq!(payload.value(), variant);
                let is_valid = whole.is_valid(&variant);
                assert_eq!(here.validate(&payload).is_ok(), is_valid, "{} {text}", event.event_type);
                *(if is_valid { &mut taken } else { &mut refused }) += 1;
            }
        }
        assert!(taken > 100 && refused > 1_000, "{taken} taken, {refused} refused");
    }
}
