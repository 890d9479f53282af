//! Who was refused at the door, when, and how often a day?

use chrono::NaiveDate;
use event_schemas::{AccessEvent, AccountId, CommerceEvent, Timestamp};

use crate::{
    Column as _, Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError, conditions::Conditions,
    projection::add,
};

text_enum! {
    /// What was refused.
    AccessKind {
        /// Something that the caller has no permission for.
        Denied = "denied",
        /// Signing in.
        LoginFailed = "login_failed",
        /// Asking more often than a limit allows.
        Limited = "limited",
        /// Everything, for a while.
        Banned = "banned",
    }
}

row! {
    /// Something that was refused at the door, perhaps several times.
    AccessEntry in "access" {
        key {
            /// The place in the log of the event that tells it.
            entry: u64,
        }
        /// What was refused.
        kind: AccessKind,
        /// Who asked: an actor, or the keyed hash of an address; null when nobody knows who fails to sign in.
        caller: Option<String>,
        /// The account that someone failed to sign in with; null if there is no such account.
        account_id: Option<AccountId>,
        /// The permission that was missing.
        permission: Option<String>,
        /// What was asked for.
        operation: Option<String>,
        /// The limit that was exceeded.
        limit_name: Option<String>,
        /// How often.
        times: u32,
        /// When for the first time of these.
        since: Timestamp,
        /// Until when the caller is refused everything.
        banned_until: Option<Timestamp>,
        /// When it was written down.
        recorded_at: Timestamp,
    }
    index "kind, entry";
    index "caller, entry";
    index "account_id, entry";
    index "since, entry";
}

row! {
    /// How often something was refused on a day.
    AccessDay in "access_by_day" {
        key {
            /// The day on which it was written down, UTC.
            day: NaiveDate,
            /// What was refused.
            kind: AccessKind,
        }
        /// How often.
        times: i64,
    }
}

/// What was refused at the door.
pub const ACCESS: Projection =
    Projection { name: "access", version: 2, tables: &[AccessEntry::TABLE, AccessDay::TABLE], for_analysts: false, fold };

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Access(event) = fact.event else { return Ok(()) };
    let entry = entry(fact, event);
    let (day, kind) = (fact.occurred_at.date_naive(), entry.kind);
    let of_day = rows.edit_or::<AccessDay>(&(day, kind), || AccessDay { day, kind, times: 0, position: 0 })?;
    of_day.times = add(of_day.times, entry.times.into())?;
    Ok(rows.put(entry)?)
}

fn entry(fact: &Fact<'_>, event: &AccessEvent) -> AccessEntry {
    let blank = AccessEntry {
        entry: fact.position,
        kind: AccessKind::Denied,
        caller: None,
        account_id: None,
        permission: None,
        operation: None,
        limit_name: None,
        times: 1,
        since: fact.occurred_at,
        banned_until: None,
        recorded_at: fact.occurred_at,
        position: fact.position,
    };
    match event {
        AccessEvent::AccessDenied(denied) => AccessEntry {
            caller: Some(denied.caller.clone()),
            permission: Some(denied.permission.clone()),
            operation: Some(denied.operation.clone()),
            times: denied.times,
            since: denied.since,
            ..blank
        },
        AccessEvent::LoginsFailed(failed) => AccessEntry {
            kind: AccessKind::LoginFailed,
            account_id: failed.account_id,
            times: failed.times,
            since: failed.since,
            ..blank
        },
        AccessEvent::CallerLimited(limited) => AccessEntry {
            kind: AccessKind::Limited,
            caller: Some(limited.caller.clone()),
            limit_name: Some(limited.limit.clone()),
            times: limited.times,
            since: limited.since,
            ..blank
        },
        AccessEvent::CallerBanned(banned) => AccessEntry {
            kind: AccessKind::Banned,
            caller: Some(banned.caller.clone()),
            banned_until: Some(banned.until),
            ..blank
        },
    }
}

/// Which entries of what was refused to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccessFilter {
    /// Only of this kind.
    pub kind: Option<AccessKind>,
    /// Only of this caller, as the log names them.
    pub caller: Option<String>,
    /// Only failed logins at this account.
    pub account_id: Option<AccountId>,
    /// Only since this time or later.
    pub from: Option<Timestamp>,
    /// Only since before this time.
    pub to: Option<Timestamp>,
}

sortings! {
    /// How to sort what was refused.
    AccessSort {
        /// In the order of the log.
        Entry "entry": "t.entry";
    }
}

impl Reader<'_> {
    /// What was refused at the door.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn access(
        &self,
        filter: &AccessFilter,
        sort: AccessSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<AccessEntry>, ViewError> {
        let mut conditions = Conditions::default();
        conditions.many(filter.kind.as_ref(), "t.kind", true);
        conditions.many(filter.caller.as_ref(), "t.caller", true);
        conditions.many(filter.account_id.as_ref(), "t.account_id", true);
        conditions.between("t.since", filter.from.as_ref(), filter.to.as_ref(), false);
        self.page(&conditions, sort.order(descending), page)
    }

    /// How often what was refused, on each day from one (inclusive) to another (exclusive).
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn access_by_day(&self, from: NaiveDate, to: NaiveDate) -> Result<Vec<AccessDay>, ViewError> {
        self.rows("WHERE t.day >= ? AND t.day < ? ORDER BY t.day, t.kind", &[from.value(), to.value()])
    }
}
