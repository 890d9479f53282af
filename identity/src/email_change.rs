//! Another e-mail address for an account: asked for by who is logged in, confirmed by a code that is mailed to the new address.
//!
//! Order: first the account's document says that it is about to take the address, then the address is held for it, then one
//! write of the document takes it, ends all sessions and owes the log its event; last, the old address is let go. An address
//! counts only as far as the document of its account agrees, so a death at any step does no harm, and the same code again goes
//! on. All sessions end, and with them every code that was sent to the old address: whoever reads its mail has nothing left.

use chrono::TimeDelta;
use event_schemas::SessionEndReason;

use crate::{
    AccountSession, Accounts, IdentityError, IdentityRefusal, Origin, Written,
    codes::Code,
    credentials::{Credentials, Note},
    email::{self, Email},
    letters,
};

/// How long the code holds.
const CHANGE: TimeDelta = TimeDelta::hours(24);

impl Accounts {
    /// Mails a code to another e-mail address for the account. It answers the same if another account has that address, whose
    /// owner is told instead.
    ///
    /// # Errors
    /// [`IdentityRefusal::EmailInvalid`], [`IdentityRefusal::LoginTooOld`]; [`IdentityError`] when a store fails.
    pub async fn request_email_change(&self, who: AccountSession, email: &str, origin: &Origin) -> Result<(), IdentityError> {
        let room = self.shared.background.room()?;
        let credentials = self.recent(who).await?;
        let email = Email::new(email)?;
        let taken = self.find(email.as_str()).await?.is_some_and(|(holder, _)| holder != who.account_id);
        let code = match taken {
            true => Code::Nothing,
            false => Code::EmailChange { account_id: who.account_id, epoch: credentials.epoch, email: email.as_str().to_owned() },
        };
        let (text, _) = self.new_code(&code, CHANGE).await?;
        tracing::debug!(actor = origin.actor(), "somebody asks for another e-mail address");
        match taken {
            true => self.post(room, email.as_str(), letters::already_registered, &self.page()),
            false => self.post(room, email.as_str(), letters::new_email, &self.account_link("email", &text)),
        }
        Ok(())
    }

    /// Takes the new e-mail address, by the code of its mail. All sessions end; the old address is told. The same code twice
    /// changes it once.
    ///
    /// # Errors
    /// [`IdentityRefusal::CodeInvalid`], also when the address went to another account meanwhile; [`IdentityError`] when a store
    /// fails: then the code still holds.
    pub async fn confirm_email_change(&self, code: &str, origin: &Origin) -> Result<Written, IdentityError> {
        let invalid = || IdentityError::from(IdentityRefusal::CodeInvalid);
        let Some(Code::EmailChange { account_id, epoch, email }) = self.code(code).await? else { return Err(invalid()) };
        let announce = |credentials: &mut Credentials| {
            if credentials.epoch != epoch {
                return Err(invalid());
            }
            credentials.changing_to = Some(email.clone());
            Ok(())
        };
        let (before, ()) = self.change(account_id, announce).await.map_err(|error| match error {
            // The account was removed meanwhile.
            IdentityError::Refused(_) => invalid(),
            error => error,
        })?;
        match self.hold(&email, account_id, None).await {
            Ok(()) => {}
            Err(IdentityError::Refused(IdentityRefusal::EmailTaken)) => {
                let stay = |credentials: &mut Credentials| {
                    credentials.changing_to = None;
                    Ok(())
                };
                self.change(account_id, stay).await?;
                self.end_code(code).await?;
                return Err(invalid());
            }
            Err(error) => return Err(error),
        }
        let take = |credentials: &mut Credentials| {
            if credentials.epoch != epoch {
                return Err(invalid());
            }
            credentials.changing_to = None;
            credentials.email.clone_from(&email);
            credentials.owe(Note::EmailChanged, origin.actor());
            credentials.end_sessions(SessionEndReason::Revoked, origin.actor());
            Ok(())
        };
        let (_, (), written) = self.change_and_pay(account_id, origin, take).await?;
        self.shared.cache.forget_account(account_id);
        if email::key(&before.email) != email::key(&email) {
            self.vault().remove(&self.email_name(&before.email)).await?;
        }
        self.end_code(code).await?;
        self.tell_owner(&before, letters::email_changed);
        Ok(written)
    }
}
