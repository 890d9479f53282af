//! Who was shown personal data of others and who took data along, for whoever audits the auditors.

use std::{fmt, sync::Arc};

use async_graphql::{Context, Enum, Error, InputObject, SimpleObject};
use event_schemas::{DataExported, StreamId, Timestamp};

use crate::{
    access::{Caller, Permission, sees},
    audit_log::Shown,
    graphql::{
        RequestContext,
        page::{Narrowing, root_list, sorting},
        problem,
        scalar::Long,
    },
    shop::Shop,
};

/// Notes that the field is about to show something personal of a subject. Whoever has no permission of staff sees only what is
/// their own, of which nothing is written down.
///
/// # Errors
/// When it cannot be written down: it must not be shown then.
pub(crate) fn shown(ctx: &Context<'_>, subject: &dyn fmt::Display) -> Result<(), Error> {
    let Some(caller) = ctx.data_opt::<Caller>() else { return Ok(()) };
    if caller.permissions().iter().next().is_none() {
        return Ok(());
    }
    let shown = Shown {
        reader: caller.actor(),
        reason: ctx.data::<Arc<RequestContext>>()?.reason.clone(),
        subject: subject.to_string(),
        field: ctx.field().name().to_owned(),
    };
    ctx.data::<Arc<Shop>>()?.audit_log.shown(shown).map_err(problem::not_recorded)
}

/// Writes down that the caller is about to take along what is given out, before it is: `what` is a stream, such as
/// `person/0197…` for everything about a person, `format` the form of the file.
///
/// # Errors
/// When it cannot be written down: it must not be given out then.
pub(crate) async fn exported(ctx: &Context<'_>, what: &StreamId, format: &str) -> Result<(), Error> {
    let export = DataExported {
        exporter: ctx.data::<Caller>()?.actor(),
        what: what.to_string(),
        format: format.to_owned(),
        reason: ctx.data::<Arc<RequestContext>>()?.reason.clone(),
        from_position: None,
        to_position: None,
    };
    ctx.data::<Arc<Shop>>()?.audit_log.exported(export).await.map_err(problem::not_recorded)
}

/// What somebody did with data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::AuditKind")]
pub(crate) enum AuditKind {
    /// Was shown personal data of others.
    Read,
    /// Took data along as a file.
    Export,
}

/// Somebody was shown personal data of others, or took data along.
#[derive(SimpleObject)]
pub(crate) struct AuditEntry {
    /// The place in the log of the event that tells it.
    position: Long,
    /// What was done.
    kind: AuditKind,
    /// Who did it, as events name whoever does something.
    reader: String,
    /// Whose data, or of what, as a stream, such as `person/0197…`; `log` for an export of the log.
    subject: String,
    /// What was shown: names of fields; none for an export.
    fields: Vec<String>,
    /// The form of the file of an export, such as `jsonl`.
    format: Option<String>,
    /// Why, if it was said with `Daybook-Reason`: the reference of a ticket or a case.
    reason: Option<String>,
    /// The first position in an export of the log.
    from_position: Option<Long>,
    /// The last position in an export of the log.
    to_position: Option<Long>,
    /// When; when for the first time, if the same was seen again within a minute.
    since: Timestamp,
}

impl AuditEntry {
    fn new(row: projections::AuditEntry) -> Self {
        let (fields, format) = match row.kind {
            projections::AuditKind::Read => (row.details.split(' ').map(ToOwned::to_owned).collect(), None),
            projections::AuditKind::Export => (Vec::new(), Some(row.details)),
        };
        Self {
            position: Long::of(row.entry),
            kind: row.kind.into(),
            reader: row.reader,
            subject: row.subject,
            fields,
            format,
            reason: row.reason,
            from_position: row.from_position.map(Long::of),
            to_position: row.to_position.map(Long::of),
            since: row.since,
        }
    }
}

/// Which entries of the audit to list. All conditions hold.
#[derive(Debug, Default, InputObject)]
pub(crate) struct AuditFilter {
    /// Only of this kind.
    kind: Option<AuditKind>,
    /// Only what this actor did, such as `support:0197…`.
    reader: Option<String>,
    /// Only about this stream, such as `person/0197…`, or `log`.
    subject: Option<String>,
}

impl Narrowing for AuditFilter {
    type Filter = projections::AuditFilter;

    fn read(self) -> Result<projections::AuditFilter, Error> {
        let Self { kind, reader, subject } = self;
        Ok(projections::AuditFilter { kind: kind.map(Into::into), reader, subject })
    }
}

sorting! {
    /// How to sort the audit.
    AuditSortInput by AuditSortKey of AuditSort as "projections::AuditSort", descending = true {
        /// In the order of the log.
        Entry,
    }
}

root_list! {
    /// Who was shown personal data of others, and who took data along, the newest first unless `sort` says otherwise.
    #[graphql(guard = "Permission::ViewAccess", visible = "sees::access")]
    AuditQuery: audit_log(AuditFilter, AuditSortInput) -> AuditEntry by AuditEntry::new = audit
}
