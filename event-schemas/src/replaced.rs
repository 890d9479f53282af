//! The schemas of event versions that are no longer written, but may stand in a log.

/// An event type, a version that was replaced, and the JSON Schema (text) of its payload.
pub type ReplacedSchema = (&'static str, u32, &'static str);

const REPLACED: &[ReplacedSchema] = &[
    ("AccountDisabled", 1, include_str!("../schemas/AccountDisabled.v1.json")),
    ("AccountLocked", 1, include_str!("../schemas/AccountLocked.v1.json")),
    ("CartDetailsSet", 1, include_str!("../schemas/CartDetailsSet.v1.json")),
    ("OrderNoteAdded", 1, include_str!("../schemas/OrderNoteAdded.v1.json")),
    ("OrderPlaced", 1, include_str!("../schemas/OrderPlaced.v1.json")),
    ("ReviewSubmitted", 1, include_str!("../schemas/ReviewSubmitted.v1.json")),
    ("StockAdjusted", 1, include_str!("../schemas/StockAdjusted.v1.json")),
];

/// The schema of every version that was ever written and is not written today.
pub fn replaced_schemas() -> &'static [ReplacedSchema] {
    REPLACED
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::replaced_schemas;
    use crate::CommerceEvent;

    #[test]
    fn every_checked_in_schema_is_written_today_or_listed_as_replaced() {
        let current = CommerceEvent::schemas().into_iter().map(|event| format!("{}.v{}.json", event.event_type, event.version));
        let replaced = replaced_schemas().iter().map(|(event_type, version, _)| format!("{event_type}.v{version}.json"));
        let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas")).unwrap();
        let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(current.chain(replaced).collect::<BTreeSet<_>>(), files);
    }
}
