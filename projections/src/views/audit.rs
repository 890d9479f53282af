//! Who was shown personal data of whom, and who took data along?

use event_schemas::{AuditEvent, CommerceEvent, Timestamp};

use crate::{Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError, conditions::Conditions};

text_enum! {
    /// What somebody did with data.
    AuditKind {
        /// Was shown personal data.
        Read = "read",
        /// Took data along as a file.
        Export = "export",
    }
}

row! {
    /// Somebody was shown personal data of one subject, or took data along.
    AuditEntry in "audit" {
        key {
            /// The place in the log of the event that tells it.
            entry: u64,
            /// Which subject of that event, from 0.
            item: u32,
        }
        /// What was done.
        kind: AuditKind,
        /// Who did it, as events name whoever does something.
        reader: String,
        /// Whose data, or of what: a stream; `log` for an export of the log.
        subject: String,
        /// What was shown, as fields; the form of the file of an export.
        details: String,
        /// Why, if it was said: the reference of a ticket or a case.
        reason: Option<String>,
        /// The first position of the log in an export of it.
        from_position: Option<u64>,
        /// The last position of the log in an export of it.
        to_position: Option<u64>,
        /// When; for what was shown, when for the first time of these.
        since: Timestamp,
        /// When it was written down.
        recorded_at: Timestamp,
    }
    index "reader, entry, item";
    index "subject, entry, item";
    index "kind, entry, item";
}

/// Who looked at what, and who took data along.
pub const AUDIT: Projection = Projection { name: "audit", version: 1, tables: &[AuditEntry::TABLE], for_analysts: false, fold };

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Audit(event) = fact.event else { return Ok(()) };
    match event {
        AuditEvent::PersonalDataRead(read) => {
            for (item, subject) in (0..).zip(&read.subjects) {
                rows.put(AuditEntry {
                    entry: fact.position,
                    item,
                    kind: AuditKind::Read,
                    reader: read.reader.clone(),
                    subject: subject.clone(),
                    details: read.fields.join(" "),
                    reason: read.reason.clone(),
                    from_position: None,
                    to_position: None,
                    since: read.since,
                    recorded_at: fact.occurred_at,
                    position: fact.position,
                })?;
            }
            Ok(())
        }
        AuditEvent::DataExported(export) => Ok(rows.put(AuditEntry {
            entry: fact.position,
            item: 0,
            kind: AuditKind::Export,
            reader: export.exporter.clone(),
            subject: export.what.clone(),
            details: export.format.clone(),
            reason: export.reason.clone(),
            from_position: export.from_position,
            to_position: export.to_position,
            since: fact.occurred_at,
            recorded_at: fact.occurred_at,
            position: fact.position,
        })?),
    }
}

/// Which entries of the audit to list. All conditions hold.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this kind.
    pub kind: Option<AuditKind>,
    /// Only what this actor did.
    pub reader: Option<String>,
    /// Only about this stream, or `log`.
    pub subject: Option<String>,
}

sortings! {
    /// How to sort the audit.
    AuditSort {
        /// In the order of the log.
        Entry "entry": "t.entry", "t.item";
    }
}

impl Reader<'_> {
    /// Who looked at what.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn audit(
        &self,
        filter: &AuditFilter,
        sort: AuditSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<AuditEntry>, ViewError> {
        let mut conditions = Conditions::default();
        conditions.many(filter.kind.as_ref(), "t.kind", true);
        conditions.many(filter.reader.as_ref(), "t.reader", true);
        conditions.many(filter.subject.as_ref(), "t.subject", true);
        self.page(&conditions, sort.order(descending), page)
    }
}
