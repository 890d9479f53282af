//! Who looked at personal data and who took data along, in words.

use crate::AuditEvent;

use super::{also, listed};

pub(super) fn audit(event: &AuditEvent) -> String {
    match event {
        AuditEvent::PersonalDataRead(event) => {
            let (reader, why) = (&event.reader, also(", because of ", event.reason.as_ref()));
            format!("recorded that {reader} was shown {} of {}{why}", listed(&event.fields), listed(&event.subjects))
        }
        AuditEvent::DataExported(event) => {
            let (who, why) = (&event.exporter, also(", because of ", event.reason.as_ref()));
            let part = match (event.from_position, event.to_position) {
                (Some(from), Some(to)) => format!(" from position {from} to {to}"),
                _ => String::new(),
            };
            format!("recorded that {who} took {}{part} along as {}{why}", event.what, event.format)
        }
    }
}
