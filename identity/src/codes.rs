//! Codes and challenges: `code/<blinded code>`, each for one thing, once, for a while.
//!
//! The vault knows a code only by its keyed hash. A code is removed when what it stands for is done, and what it stands for
//! is safe to do twice; where it is not (a challenge), whoever takes it out of the vault has it.

use chrono::TimeDelta;
use event_schemas::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AccountSession, Accounts, IdentityError, PendingLogin, TotpSecret, secret};

/// What a code stands for.
#[derive(Serialize, Deserialize)]
pub(crate) enum Code {
    /// Someone wants an account, and was sent the code by mail.
    Registration { account_id: AccountId, email: String, display_name: Option<String>, password: String },
    /// Nothing: written where no code must be sent, so that it takes as long.
    Nothing,
    /// A new password in place of a forgotten one, as long as the sessions are of this epoch.
    Reset { account_id: AccountId, epoch: u32 },
    /// Another e-mail address, as long as the sessions are of this epoch.
    EmailChange { account_id: AccountId, epoch: u32, email: String },
    /// The first admin.
    AdminClaim { account_id: AccountId },
    /// The second half of a login.
    SecondFactor { account_id: AccountId, epoch: u32 },
    /// A second factor that is to be confirmed.
    Enrolment { who: AccountSession, totp: TotpSecret },
    /// A passkey that the browser makes.
    PasskeyRegistration { who: AccountSession, state: Value },
    /// A passkey that the browser uses.
    PasskeyLogin { state: Value },
    /// A login elsewhere.
    Oidc { pending: PendingLogin, link: Option<AccountSession> },
}

impl Accounts {
    /// A new code, and when it ends.
    pub(crate) async fn new_code(&self, code: &Code, ttl: TimeDelta) -> Result<(String, Timestamp), IdentityError> {
        let (text, expires_at) = (secret::random_code(), self.now() + ttl);
        self.vault().put(&self.code_name(&text), None, code, Some(expires_at)).await?;
        Ok((text, expires_at))
    }

    /// What a code stands for, if it does.
    pub(crate) async fn code(&self, text: &str) -> Result<Option<Code>, IdentityError> {
        let entry = self.vault().get::<Code>(&self.code_name(text)).await?;
        let now = self.now();
        Ok(entry.filter(|entry| entry.expires_at.is_none_or(|end| end > now)).map(|entry| entry.value))
    }

    /// Ends a code; whether it was there. Of many callers, one is told so.
    pub(crate) async fn end_code(&self, text: &str) -> Result<bool, IdentityError> {
        Ok(self.vault().remove(&self.code_name(text)).await?)
    }

    fn code_name(&self, text: &str) -> String {
        format!("code/{}", self.vault().blind("code", text))
    }
}
