//! Personal data in events: sealed at the door, opened at the door, and unreadable to everything between.
//!
//! A [`Personal`] value is a text that is carried as it is: by rules, snapshots, views, exports. What it says can be read
//! only with the key of the person whom it is about, which is kept outside the log; when that key is destroyed, every copy of
//! the text, wherever it is, says nothing any more (ADR 16).

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{AccountEvent, CartEvent, CommerceEvent, DecodeError, OrderEvent, PersonId, Recorded, ReviewEvent};

/// How a sealed text begins; another way of sealing will have another number.
const SEALED: &str = "sealed:1:";
/// How the text of an event begins that was written before personal data was sealed. Today's schemas refuse it.
const PLAIN: &str = "plain:";
/// The shape of what is written today: the person, then nonce (24 bytes), ciphertext and tag (16 bytes) in base64url.
const PATTERN: &str = "^sealed:1:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}:[A-Za-z0-9_-]{54,}$";

/// A value about a person (name, e-mail, address, phone, free text), sealed. Nothing but the door can read it.
pub struct Personal<T> {
    text: String,
    of: PhantomData<fn() -> T>,
}

/// What a [`Personal`] text holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held<'a> {
    /// Sealed bytes: nonce, ciphertext and tag.
    Sealed {
        /// Whose key opens them.
        person: PersonId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// JSON that was recorded before personal data was sealed.
    Plain(&'a str),
}

/// A text that is neither sealed nor plain. It is not repeated: it may be about a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("personal data reads sealed:1:PERSON:BYTES")]
pub struct NotPersonal;

impl<T> Personal<T> {
    /// What was sealed for a person: nonce, ciphertext and tag.
    pub fn sealed(person: PersonId, bytes: &[u8]) -> Self {
        Self::of(format!("{SEALED}{person}:{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The text as events hold it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads such a text.
    ///
    /// # Errors
    /// [`NotPersonal`] for any other.
    pub fn parse(text: impl Into<String>) -> Result<Self, NotPersonal> {
        let text = text.into();
        match held(&text) {
            Some(_) => Ok(Self::of(text)),
            None => Err(NotPersonal),
        }
    }

    /// Whose key opens it; none for what was recorded before personal data was sealed.
    pub fn person(&self) -> Option<PersonId> {
        match self.held() {
            Held::Sealed { person, .. } => Some(person),
            Held::Plain(_) => None,
        }
    }

    /// Whether it is sealed, as all that is written today.
    pub fn is_sealed(&self) -> bool {
        self.text.starts_with(SEALED)
    }

    /// What it holds.
    pub fn held(&self) -> Held<'_> {
        // It was read when it was made.
        held(&self.text).unwrap_or(Held::Plain(""))
    }

    fn of(text: String) -> Self {
        Self { text, of: PhantomData }
    }
}

impl<T: Serialize> Personal<T> {
    /// A value that is still to be sealed, such as while a whole past is brought in; none for a value without a JSON form. It
    /// must not be recorded: today's schemas refuse it.
    pub fn unsealed(value: &T) -> Option<Self> {
        Some(Self::of(format!("{PLAIN}{}", serde_json::to_string(value).ok()?)))
    }
}

impl<T: DeserializeOwned> Personal<T> {
    /// What was recorded before personal data was sealed; none when it is sealed.
    pub fn plain(&self) -> Option<T> {
        match self.held() {
            Held::Sealed { .. } => None,
            Held::Plain(json) => serde_json::from_str(json).ok(),
        }
    }
}

/// A [`Personal`] text of an event, whatever it holds.
#[derive(Debug)]
pub struct PersonalText<'a>(&'a mut String);

impl PersonalText<'_> {
    /// The JSON that is still to be sealed; none if it is sealed.
    pub fn unsealed(&self) -> Option<&str> {
        self.0.strip_prefix(PLAIN)
    }

    /// Whose key opens it; none unless it is sealed.
    pub fn person(&self) -> Option<PersonId> {
        sealed_for(self.0)
    }

    /// Takes the sealed bytes in place of what was there.
    pub fn seal(&mut self, person: PersonId, bytes: &[u8]) {
        *self.0 = Personal::<()>::sealed(person, bytes).text;
    }
}

impl CommerceEvent {
    /// Every text in it that is about a person.
    pub fn personal_mut(&mut self) -> Vec<PersonalText<'_>> {
        fn text<T>(personal: &mut Option<Personal<T>>) -> Option<PersonalText<'_>> {
            personal.as_mut().map(|personal| PersonalText(&mut personal.text))
        }
        match self {
            Self::Cart(CartEvent::CartDetailsSet(event)) => {
                let addresses = [text(&mut event.shipping_address), text(&mut event.billing_address)];
                text(&mut event.email).into_iter().chain(addresses.into_iter().flatten()).collect()
            }
            Self::Order(OrderEvent::OrderPlaced(event)) => {
                let addresses = [text(&mut event.shipping_address), text(&mut event.billing_address)];
                text(&mut event.email).into_iter().chain(addresses.into_iter().flatten()).collect()
            }
            Self::Order(OrderEvent::OrderNoteAdded(event)) => vec![PersonalText(&mut event.note.text)],
            Self::Review(ReviewEvent::ReviewSubmitted(event)) => {
                text(&mut event.title).into_iter().chain(text(&mut event.comment)).collect()
            }
            Self::Account(AccountEvent::AccountDisabled(event)) => text(&mut event.reason).into_iter().collect(),
            // No event but those above has a sealed text: the test below compares with the schemas.
            Self::Cart(_) | Self::Order(_) | Self::Account(_) | Self::Product(_) | Self::Category(_) | Self::Stock(_) => {
                Vec::new()
            }
            Self::Payment(_) | Self::Promotion(_) | Self::Claim(_) | Self::Adjustment(_) | Self::Role(_) => Vec::new(),
            Self::Roster(_) | Self::ApiKey(_) | Self::Access(_) | Self::Audit(_) | Self::Webhook(_) | Self::Person(_) => {
                Vec::new()
            }
        }
    }
}

impl Recorded {
    /// The texts of its payload that are sealed, and whose key opens each. What somebody typed elsewhere is not among them,
    /// however much it looks like one: nobody's key may be opened, or destroyed, because of it.
    ///
    /// # Errors
    /// See [`Recorded::decode`].
    pub fn sealed_texts(&self) -> Result<BTreeMap<String, PersonId>, DecodeError> {
        let mut found = BTreeMap::new();
        if !self.event.payload.contains(SEALED) {
            return Ok(found);
        }
        for mut event in self.decode()? {
            let texts = event.personal_mut().into_iter();
            found.extend(texts.filter_map(|text| text.person().map(|person| (text.0.clone(), person))));
        }
        Ok(found)
    }
}

fn held(text: &str) -> Option<Held<'_>> {
    if let Some(json) = text.strip_prefix(PLAIN) {
        return Some(Held::Plain(json));
    }
    let (person, bytes) = text.strip_prefix(SEALED)?.split_once(':')?;
    let person: PersonId = person.parse().ok().filter(|id: &PersonId| id.to_string() == person)?;
    Some(Held::Sealed { person, bytes: BASE64_URL_SAFE_NO_PAD.decode(bytes).ok()? })
}

/// Who is named in a text of an event's payload that is sealed; none for any other text.
pub fn sealed_for(text: &str) -> Option<PersonId> {
    match held(text) {
        Some(Held::Sealed { person, .. }) => Some(person),
        Some(Held::Plain(_)) | None => None,
    }
}

/// The form that a value has which was recorded before personal data was sealed: for upcasters.
pub(crate) fn plain_form(value: &serde_json::Value) -> serde_json::Value {
    format!("{PLAIN}{value}").into()
}

impl<T> Clone for Personal<T> {
    fn clone(&self) -> Self {
        Self::of(self.text.clone())
    }
}

impl<T> PartialEq for Personal<T> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<T> Eq for Personal<T> {}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<personal>")
    }
}

impl<T> Serialize for Personal<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, T> Deserialize<'de> for Personal<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl<T> JsonSchema for Personal<T> {
    fn schema_name() -> Cow<'static, str> {
        "Personal".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN })
    }
}

event! {
    /// A postal address: what is sealed, never a field of an event.
    Address {
        /// The person or company that the parcel is for.
        pub name: String,
        /// Street and number, first line.
        pub line1: String,
        /// Second line, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub line2: Option<String>,
        /// City or town.
        pub city: String,
        /// Postal code, where the country has them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub postal_code: Option<String>,
        /// State or region, where the country needs one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub region: Option<String>,
        /// The country, which tax and shipping are decided by (events repeat it outside the personal part).
        pub country: crate::CountryCode,
        /// Phone number for the carrier, if given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub phone: Option<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ana() -> PersonId {
        PersonId(uuid::Uuid::from_u128(0x0197_f0c2_7d3e_4000_8000_0000_0000_0001))
    }

    #[test]
    fn personal_data_never_reaches_a_log_line() {
        let plain = Personal::<String>::parse("plain:\"ana@example.com\"").unwrap();
        assert_eq!(format!("{plain:?}"), "<personal>");
        let refused = serde_json::from_str::<Personal<String>>("\"ana@example.com\"").unwrap_err();
        assert!(!refused.to_string().contains("ana"), "{refused}");
    }

    #[test]
    fn a_text_is_sealed_where_it_stands() {
        let note = Personal::unsealed(&"Call Ana.".to_owned()).unwrap();
        let mut event = CommerceEvent::from(OrderEvent::from(crate::OrderNoteAdded { note }));
        let mut texts = event.personal_mut();
        assert_eq!(texts[0].unsealed(), Some("\"Call Ana.\""));
        texts[0].seal(ana(), &[7; 60]);
        assert!(texts[0].unsealed().is_none() && !event.payload().unwrap().contains("Ana"));
    }

    #[test]
    fn a_sealed_text_says_whose_it_is_and_reads_back_as_it_was() {
        let sealed = Personal::<String>::sealed(ana(), &[7; 60]);
        let text = serde_json::to_string(&sealed).unwrap();
        let again: Personal<String> = serde_json::from_str(&text).unwrap();
        assert_eq!((again.person(), again.held()), (Some(ana()), Held::Sealed { person: ana(), bytes: vec![7; 60] }));
        assert_eq!((again.as_str(), again.plain()), (sealed.as_str(), None));
        assert_eq!(sealed_for(sealed.as_str()), Some(ana()));
    }

    #[test]
    fn nothing_that_is_not_sealed_is_taken_for_it() {
        let id = ana();
        for text in [
            "ana@example.com".to_owned(),
            format!("sealed:2:{id}:AAAA"),
            format!("sealed:1:{}:AAAA", id.0.simple()),
            format!("sealed:1:{}:AAAA", id.to_string().to_uppercase()),
            format!("sealed:1:{id}"),
            format!("sealed:1:{id}:not base64"),
            String::new(),
        ] {
            assert_eq!(Personal::<String>::parse(text.clone()), Err(NotPersonal), "{text}");
            assert_eq!(sealed_for(&text), None);
        }
    }
}
