//! Who looked at personal data and who took data along, on one day in UTC: the stream is named by the day, such as
//! `2026-11-21`.
//!
//! What is read is gathered and written about once a second, and what the same reader sees again within a minute is not
//! written again. Readers are named as in [`crate::Metadata::actor`]. Nothing personal is here: a reason is a reference to
//! a ticket or a case, never words about somebody.

use crate::{Position, Timestamp};

event! {
    /// Somebody of staff, or a service, was shown personal data of others.
    PersonalDataRead {
        /// Who.
        pub reader: String,
        /// What was shown: fields, such as `shippingAddress`.
        pub fields: Vec<String>,
        /// Whose or of what: streams, such as `person/0197…`; `log` for events of any stream.
        pub subjects: Vec<String>,
        /// Why, if it was said: the reference of a ticket or a case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub reason: Option<String>,
        /// When for the first time of these.
        pub since: Timestamp,
    }
}

event! {
    /// Data was taken out of the shop as a file.
    DataExported {
        /// Who.
        pub exporter: String,
        /// What: `log`, or a stream, such as `person/0197…` for everything about a person.
        pub what: String,
        /// The form of the file, such as `jsonl`.
        pub format: String,
        /// Why, if it was said: the reference of a ticket or a case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub reason: Option<String>,
        /// The first position of the log in it, if it is a part of the log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub from_position: Option<Position>,
        /// The last position of the log in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub to_position: Option<Position>,
    }
}

events! {
    /// Everything that an auditor of the auditors wants to know.
    AuditEvent of "audit" {
        PersonalDataRead = 1,
        DataExported = 1,
    }
}
