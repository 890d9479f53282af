//! Persons as the shop serves them: everything that is kept about one, found and handed out, and erased.
//!
//! A person is a key (ADR 16). Somebody who asks about themselves may be several: a customer who bought as a guest before has
//! the guest's key too. So whoever is looked for is found by what is kept about them, as far as that leads.

mod command;
mod copy;
mod eraser;
mod found;
mod retention;

pub use command::{PersonArgs, run};
pub(crate) use copy::{Reader, copy_of};
pub(crate) use eraser::{erased_in, finish, keep_erased, without_purge};
pub(crate) use found::{
    Found, LEADS_NOWHERE, Others, Whom, account_of, find, is_unknown, keyed, leads_nowhere, others_under_same_address, with_a_key,
};
pub(crate) use retention::keep_short;
pub use retention::{Retention, RetentionError};

use event_store::ReadError;
use identity::IdentityError;
use projections::{NotYet, ViewError};
use vault::PersonError;

/// Why something about a person could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PersonsError {
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] PersonError),
    /// The views cannot be read.
    #[error(transparent)]
    Views(#[from] ViewError),
    /// The views do not show yet all that the log has: what is looked for could be missed.
    #[error(transparent)]
    NotYet(#[from] NotYet),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// What the log says cannot be told.
    #[error(transparent)]
    State(#[from] engine::Fault),
    /// Accounts cannot be used.
    #[error(transparent)]
    Accounts(#[from] IdentityError),
    /// An event of the log cannot be read.
    #[error(transparent)]
    Unreadable(#[from] event_schemas::DecodeError),
    /// The engine did not take a command.
    #[error(transparent)]
    Command(#[from] engine::CommandError),
}
