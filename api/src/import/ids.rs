//! Ids of imported things, derived from the source's own keys: every run of an import gives a thing the same id.

use event_schemas::{Sku, Slug};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The namespace of all ids of imports that are no secret (UUID version 5, RFC 9562). Never changed: a second run must find
/// the first one's.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b1d_2c0e_9f3a_5b7c_8d4e_1a2f_3c5d_7e9b);

/// The id of the `kind` of thing that `source` knows as `key`.
pub(crate) fn id_of(source: &str, kind: &str, key: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{source}|{kind}|{key}").as_bytes())
}

/// The same for what whoever knows its id may see, such as a guest's order: the source's keys are no secret, so the id
/// follows from the identity of the shop's log too, which is random and shown to auditors only.
pub(crate) fn secret_id_of(log_id: Uuid, source: &str, kind: &str, key: &str) -> Uuid {
    Uuid::new_v5(&log_id, format!("{source}|{kind}|{key}").as_bytes())
}

/// SHA-256 of what makes up a document, hexadecimal: the same key with another content is noticed.
pub(crate) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name for URLs out of a title and a SKU. Titles repeat, so the SKU is what makes it unique, as far as letter case and
/// punctuation do not: see [`Slugs`].
fn slug_text(title: &str, sku: &Sku) -> String {
    let mut text = String::with_capacity(120);
    let mut hyphen = false;
    let words = title.chars().take(70).chain("-".chars()).chain(sku.as_str().chars().take(40));
    for character in words {
        if character.is_ascii_alphanumeric() {
            if hyphen && !text.is_empty() {
                text.push('-');
            }
            text.push(character.to_ascii_lowercase());
            hyphen = false;
        } else {
            hyphen = true;
        }
    }
    if text.is_empty() { "product".to_owned() } else { text }
}

/// Gives each product its own slug: the second of the same text gets `-2`, and so on, in the order asked.
#[derive(Debug, Default)]
pub(crate) struct Slugs {
    taken: std::collections::BTreeMap<String, u32>,
}

impl Slugs {
    /// The slug of the next product; `None` only if its text cannot be made one.
    pub fn next(&mut self, title: &str, sku: &Sku) -> Option<Slug> {
        let text = slug_text(title, sku);
        let count = self.taken.entry(text.clone()).or_default();
        *count += 1;
        let text = if *count == 1 { text } else { format!("{text}-{count}") };
        Slug::new(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_agree_on_an_id_and_two_things_do_not_share_one() {
        assert_eq!(id_of("shop", "order", "1"), id_of("shop", "order", "1"));
        assert_ne!(id_of("shop", "order", "1"), id_of("shop", "payment", "1"));
        assert_ne!(id_of("shop", "order", "1"), id_of("other", "order", "1"));
    }

    #[test]
    fn the_id_of_an_order_is_the_same_for_one_log_and_cannot_be_told_from_another() {
        let (log, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(secret_id_of(log, "shop", "order", "1"), secret_id_of(log, "shop", "order", "1"));
        assert_ne!(secret_id_of(log, "shop", "order", "1"), secret_id_of(other, "shop", "order", "1"));
        assert_ne!(secret_id_of(log, "shop", "order", "1"), id_of("shop", "order", "1"));
    }

    #[test]
    fn stock_codes_that_differ_only_in_case_get_different_slugs() {
        let mut slugs = Slugs::default();
        let (upper, lower) = (Sku::new("84029E").unwrap(), Sku::new("84029e").unwrap());
        assert_eq!(slugs.next("RED WOOLLY HOTTIE, 5\" ", &upper).unwrap().as_str(), "red-woolly-hottie-5-84029e");
        assert_eq!(slugs.next("RED WOOLLY HOTTIE, 5\" ", &lower).unwrap().as_str(), "red-woolly-hottie-5-84029e-2");
    }

    #[test]
    fn text_cannot_move_between_the_parts_of_a_fingerprint() {
        assert_ne!(fingerprint(["ab", "c"]), fingerprint(["a", "bc"]));
    }
}
