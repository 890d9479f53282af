//! What the vault keeps of an account: `account/<id>`, one document, changed by compare-and-swap.
//!
//! A change of credentials is a fact that no rule forbids, so it is written here first, and its event is *owed* in the same
//! document. Whoever made the change then pays: writes the event under an idempotency key and takes the note off. If a death
//! comes in between, the next login, or [`crate::Accounts::recover`] after a start, pays. So the vault and the log agree in the
//! end, and each event is written once.

use event_schemas::{AccountId, PasswordChange, SessionEndReason, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Passkey, RecoveryCodes, TotpSecret, email, secret};

/// How many devices an account knows; the one that was not seen for longest is forgotten.
const MOST_DEVICES: usize = 20;

/// The credentials and personal data of an account.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// As it was typed.
    pub email: String,
    /// The address that it is about to take: held for it already, and not to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changing_to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The password's hash with its parameters, in the PHC string format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<SecondFactor>,
    #[serde(default)]
    pub passkeys: Vec<Passkey>,
    #[serde(default)]
    pub devices: Vec<Device>,
    #[serde(default)]
    pub links: Vec<Link>,
    /// Raised to end all sessions at once: those of an earlier epoch do not count. One write ends them together with whatever
    /// is the reason.
    pub epoch: u32,
    /// Whether the account was opened to the end. Until then nobody can log in, and the document expires.
    pub confirmed: bool,
    /// Whether it is being removed.
    #[serde(default)]
    pub leaving: bool,
    /// Events that are still to be written.
    #[serde(default)]
    pub owed: Vec<Owed>,
}

/// What stands beside the password.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SecondFactor {
    pub totp: TotpSecret,
    /// The step of the last code that was taken: none is taken twice.
    pub last_step: Option<u64>,
    pub recovery: RecoveryCodes,
}

/// A device that somebody logged in from.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Device {
    /// The hash of its token.
    pub hash: String,
    pub seen_at: Timestamp,
}

/// An account elsewhere that one may log in with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    pub issuer: String,
    /// The provider's id of the person.
    pub subject: String,
}

/// An event that is still to be written.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Owed {
    /// Its idempotency key.
    pub id: Uuid,
    /// Who did it.
    pub actor: String,
    pub note: Note,
}

/// What is owed to the log.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Note {
    PasswordChanged(PasswordChange),
    SecondFactorAdded,
    SecondFactorRemoved,
    PasskeyAdded(Uuid),
    PasskeyRemoved(Uuid),
    Linked(String),
    Unlinked(String),
    EmailChanged,
    /// All sessions before this epoch ended.
    SessionsEnded {
        before: u32,
        reason: SessionEndReason,
    },
}

/// The name of an account's document.
pub(crate) fn name(id: AccountId) -> String {
    format!("account/{}", id.0.simple())
}

impl Credentials {
    /// Those of an account that is being opened.
    pub fn new(email: &str, display_name: Option<String>, password: Option<String>) -> Self {
        Self {
            email: email.to_owned(),
            changing_to: None,
            display_name,
            password,
            second_factor: None,
            passkeys: Vec::new(),
            devices: Vec::new(),
            links: Vec::new(),
            epoch: 0,
            confirmed: false,
            leaving: false,
            owed: Vec::new(),
        }
    }

    /// Whether an address that points here is this account's, or about to be.
    pub fn answers_to(&self, email: &str) -> bool {
        let key = email::key(email);
        email::key(&self.email) == key || self.changing_to.as_deref().is_some_and(|next| email::key(next) == key)
    }

    /// Ends all sessions, and owes the log that they ended.
    pub fn end_sessions(&mut self, reason: SessionEndReason, actor: &str) {
        self.epoch = self.epoch.saturating_add(1);
        self.owe(Note::SessionsEnded { before: self.epoch, reason }, actor);
    }

    /// Notes an event that is to be written.
    pub fn owe(&mut self, note: Note, actor: &str) {
        self.owed.push(Owed { id: Uuid::new_v4(), actor: actor.to_owned(), note });
    }

    /// The hash of a device token, if it is that of a device that the account knows.
    pub fn known_device(&self, token: Option<&str>) -> Option<&str> {
        let hash = secret::hash(token?);
        self.devices.iter().map(|device| &*device.hash).find(|known| secret::same(known, &hash))
    }

    /// Knows a device from now on.
    pub fn know_device(&mut self, token: &str, now: Timestamp) {
        let hash = secret::hash(token);
        self.devices.retain(|device| device.hash != hash);
        self.devices.push(Device { hash, seen_at: now });
        let too_many = self.devices.len().saturating_sub(MOST_DEVICES);
        self.devices.sort_by_key(|device| device.seen_at);
        self.devices.drain(..too_many);
    }

    /// Forgets all devices but the one with this token.
    pub fn forget_other_devices(&mut self, token: Option<&str>) {
        let kept = token.map(secret::hash);
        self.devices.retain(|device| Some(&device.hash) == kept.as_ref());
    }
}
