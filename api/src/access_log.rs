//! The access recorder: what was refused at the door becomes events, at once for the first of a kind, counted for what repeats.
//!
//! Whoever is refused can make the shop write: therefore what a minute may add to the log is bounded, and so is the memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::RecordAccess;
use engine::Engine;
use event_schemas::{AccessDenied, AccessEvent, AccountId, CallerBanned, CallerLimited, LoginsFailed, Metadata, Timestamp};
use identity::AttemptLog;
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

/// How long what repeats is counted before it is written.
const WINDOW: Duration = Duration::from_secs(60);
/// Kinds of refusals that are told apart within a window; what comes on top is counted together.
const KINDS: usize = 500;
/// Events that a window may write at once; what comes on top waits for its end.
const AT_ONCE: usize = 60;
/// How long the writer gathers before it writes, so that a burst is one command.
const GATHER: Duration = Duration::from_millis(50);
/// The most characters of a text in an event.
const LONGEST: usize = 200;
/// Who is named when there were too many to tell apart.
const MANY: &str = "many";

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccessNote {
    /// A caller asked for what takes a permission that it has not.
    Denied {
        /// Who, as in [`Metadata::actor`] or `address:` with a keyed hash.
        caller: String,
        /// The permission.
        permission: &'static str,
        /// What was asked for: the field.
        operation: String,
    },
    /// Somebody failed to log in.
    LoginFailed {
        /// The account; none if there is no such account.
        account: Option<AccountId>,
        /// Whom it was tried for: what was typed, hashed with a key. It is not written.
        who: String,
    },
    /// A caller asked more often than a limit allows.
    Limited {
        /// Who.
        caller: String,
        /// The limit.
        limit: &'static str,
    },
    /// A caller is refused everything for a while.
    Banned {
        /// Who.
        caller: String,
        /// Until when.
        until: Timestamp,
    },
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Denied {
        caller: String,
        permission: &'static str,
        operation: String,
    },
    /// Told apart by what was typed, so that the log moves alike whether there is such an account or not.
    LoginsFailed {
        account: Option<AccountId>,
        who: String,
    },
    Limited {
        caller: String,
        limit: &'static str,
    },
}

impl Kind {
    /// The same refusal by nobody in particular, for when there are too many kinds.
    fn of_many(self) -> Self {
        match self {
            Self::Denied { permission, .. } => Self::Denied { caller: MANY.to_owned(), permission, operation: MANY.to_owned() },
            Self::LoginsFailed { .. } => Self::LoginsFailed { account: None, who: MANY.to_owned() },
            Self::Limited { limit, .. } => Self::Limited { caller: MANY.to_owned(), limit },
        }
    }

    fn event(self, times: u32, since: Timestamp) -> AccessEvent {
        match self {
            Self::Denied { caller, permission, operation } => {
                AccessDenied { caller, permission: permission.to_owned(), operation, times, since }.into()
            }
            Self::LoginsFailed { account, .. } => LoginsFailed { account_id: account, times, since }.into(),
            Self::Limited { caller, limit } => CallerLimited { caller, limit: limit.to_owned(), times, since }.into(),
        }
    }
}

/// How often something was refused that is not written yet, and since when.
#[derive(Debug)]
struct Count {
    times: u32,
    since: Timestamp,
}

#[derive(Debug, Default)]
struct Notes {
    /// The kinds of this window; a count of zero is of one that was written at once.
    counts: HashMap<Kind, Count>,
    /// What is to be written now.
    ready: Vec<AccessEvent>,
    /// Events that this window has written at once.
    at_once: usize,
}

impl Notes {
    /// Notes a refusal; whether it is to be written at once.
    fn note(&mut self, note: AccessNote, now: Timestamp) -> bool {
        let kind = match note {
            AccessNote::Denied { caller, permission, operation } => {
                Kind::Denied { caller: short(&caller), permission, operation: short(&operation) }
            }
            AccessNote::LoginFailed { account, who } => Kind::LoginsFailed { account, who: short(&who) },
            AccessNote::Limited { caller, limit } => Kind::Limited { caller: short(&caller), limit },
            // A ban is long and its kind is rare: there is nothing to count, unless there are very many.
            AccessNote::Banned { caller, until } if self.at_once < AT_ONCE => {
                self.at_once += 1;
                self.ready.push(CallerBanned { caller: short(&caller), until }.into());
                return true;
            }
            AccessNote::Banned { .. } => Kind::Limited { caller: MANY.to_owned(), limit: "banned" },
        };
        let is_known = self.counts.contains_key(&kind);
        let kind = if is_known || self.counts.len() < KINDS { kind } else { kind.of_many() };
        if let Some(count) = self.counts.get_mut(&kind) {
            count.since = if count.times == 0 { now } else { count.since };
            count.times = count.times.saturating_add(1);
            return false;
        }
        let at_once = self.at_once < AT_ONCE;
        if at_once {
            self.at_once += 1;
            self.ready.push(kind.clone().event(1, now));
        }
        self.counts.insert(kind, Count { times: u32::from(!at_once), since: now });
        at_once
    }

    /// Ends the window: what was counted is to be written.
    fn end_window(&mut self) {
        self.at_once = 0;
        let counted = std::mem::take(&mut self.counts).into_iter().filter(|(_, count)| count.times > 0);
        self.ready.extend(counted.map(|(kind, count)| kind.event(count.times, count.since)));
    }
}

/// A text as an event takes it.
fn short(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    if text.trim().is_empty() { "unknown".to_owned() } else { text }
}

/// The access recorder of this node.
pub(crate) struct AccessLog {
    notes: Mutex<Notes>,
    written: Notify,
    engine: Engine,
    /// Whether nothing is written, because the log cannot be.
    unwritten: bool,
}

impl AccessLog {
    /// A recorder that writes through this engine, and the task that does so until it is aborted; see [`AccessLog::finish`].
    pub(crate) fn start(engine: Engine) -> (Arc<Self>, JoinHandle<()>) {
        Self::begin(engine, false)
    }

    /// The same for a shop whose log cannot be written: the operator is told instead.
    pub(crate) fn start_unwritten(engine: Engine) -> (Arc<Self>, JoinHandle<()>) {
        Self::begin(engine, true)
    }

    fn begin(engine: Engine, unwritten: bool) -> (Arc<Self>, JoinHandle<()>) {
        let log = Arc::new(Self { notes: Mutex::default(), written: Notify::new(), engine, unwritten });
        let writer = tokio::spawn(Self::write_down(Arc::clone(&log)));
        (log, writer)
    }

    /// Notes that something was refused. Quick, and never waits for the log.
    pub(crate) fn record(&self, note: AccessNote) {
        let now = self.engine.clock().now();
        if self.notes().note(note, now) {
            self.written.notify_one();
        }
    }

    async fn write_down(log: Arc<Self>) {
        let mut window = Instant::now() + WINDOW;
        loop {
            tokio::select! {
                () = log.written.notified() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep_until(window) => {
                    log.notes().end_window();
                    window = Instant::now() + WINDOW;
                }
            }
            log.write().await;
        }
    }

    /// Writes what is counted too, when the shop closes.
    pub(crate) async fn finish(&self) {
        self.notes().end_window();
        self.write().await;
    }

    async fn write(&self) {
        let events = std::mem::take(&mut self.notes().ready);
        if self.unwritten {
            events.iter().for_each(|event| tracing::warn!(?event, "refused at the door"));
            return;
        }
        if events.is_empty() {
            return;
        }
        let now = self.engine.clock().now();
        let count = events.len();
        let metadata = Metadata {
            actor: "process:access".to_owned(),
            command_id: self.engine.ids().next(),
            correlation_id: None,
            causation_id: None,
            trace_id: None,
            idempotency: None,
        };
        let record = RecordAccess { day: now.date_naive(), events };
        // What cannot be written is told to the operator; it is not kept, or a log that is gone for long would fill the memory.
        if let Err(error) = self.engine.submit_in_turn(Box::new(record), metadata).await {
            tracing::error!(%error, count, "refusals at the door could not be written to the log");
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AttemptLog for AccessLog {
    fn login_failed(&self, account: Option<AccountId>, who: &str) {
        self.record(AccessNote::LoginFailed { account, who: who.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(caller: &str) -> AccessNote {
        AccessNote::Denied { caller: caller.to_owned(), permission: "edit_catalog", operation: "productCreate".to_owned() }
    }

    fn times(event: &AccessEvent) -> u32 {
        match event {
            AccessEvent::AccessDenied(denied) => denied.times,
            AccessEvent::LoginsFailed(failed) => failed.times,
            AccessEvent::CallerLimited(limited) => limited.times,
            AccessEvent::CallerBanned(_) => 1,
        }
    }

    #[test]
    fn the_first_is_written_at_once_and_the_rest_is_counted_until_the_window_ends() {
        let (mut notes, now) = (Notes::default(), chrono::Utc::now());
        assert!(notes.note(denied("customer:eve"), now));
        for _ in 0..41 {
            assert!(!notes.note(denied("customer:eve"), now));
        }
        assert!(notes.note(denied("customer:ana"), now));
        assert_eq!(notes.ready.iter().map(times).collect::<Vec<_>>(), [1, 1]);
        notes.end_window();
        assert_eq!(notes.ready.iter().map(times).collect::<Vec<_>>(), [1, 1, 41]);
        assert!(notes.counts.is_empty());
    }

    #[test]
    fn a_flood_of_callers_fills_neither_the_memory_nor_the_log_and_nothing_of_it_is_lost() {
        let (mut notes, now) = (Notes::default(), chrono::Utc::now());
        for caller in 0..10_000 {
            notes.note(denied(&format!("address:{caller:064x}")), now);
        }
        assert_eq!(notes.ready.len(), AT_ONCE);
        assert!(notes.counts.len() <= KINDS + 1);
        notes.end_window();
        assert!(notes.ready.len() <= AT_ONCE + KINDS + 1);
        assert_eq!(notes.ready.iter().map(times).sum::<u32>(), 10_000);
    }

    #[test]
    fn failed_logins_move_the_log_alike_whether_there_is_such_an_account_or_not() {
        let (mut notes, now) = (Notes::default(), chrono::Utc::now());
        let known = AccountId(uuid::Uuid::from_u128(7));
        let mut fail = |account, who: &str| notes.note(AccessNote::LoginFailed { account, who: who.to_owned() }, now);
        for who in ["ana", "ben", "eve"] {
            let account = (who == "ana").then_some(known);
            assert_eq!([fail(account, who), fail(account, who)], [true, false], "{who}");
        }
        assert_eq!(notes.ready.len(), 3);
    }

    #[test]
    fn a_ban_is_told_with_its_end() {
        let (mut notes, now) = (Notes::default(), chrono::Utc::now());
        assert!(notes.note(AccessNote::Banned { caller: "address:00".to_owned(), until: now }, now));
        assert!(matches!(notes.ready.as_slice(), [AccessEvent::CallerBanned(banned)] if banned.until == now));
    }
}
