//! Changing and resetting a password.
//!
//! One write of the vault sets the new hash, ends all sessions (by the epoch) and owes the log both events; then they are
//! written. So there is no moment at which the password is new and an old session still works. After a death in between, the
//! next login or the next start pays what is owed. Codes for a reset hold for one epoch: the first that is used, and every
//! other change of the password, ends them all.

use chrono::TimeDelta;
use event_schemas::{PasswordChange as How, SessionEndReason};

use crate::{
    AccountSession, Accounts, Checked, IdentityError, IdentityRefusal, Origin, PasswordChange, PasswordReset, SignedIn, Written,
    codes::Code,
    credentials::{Credentials, Note},
    email::Email,
    letters,
    lockout::{Counted, SOURCE},
    passwords,
};

/// How long the code of a reset holds.
const RESET: TimeDelta = TimeDelta::hours(1);

impl Accounts {
    /// Changes the password of who is logged in. All sessions end; the answer is a new one.
    ///
    /// # Errors
    /// [`IdentityRefusal::PasswordWrong`], a rule of passwords, [`IdentityRefusal::LoginLocked`] after too many wrong ones;
    /// [`IdentityError`] when a store fails. If the log fails, the password is changed, and the event is owed.
    pub async fn change_password(
        &self,
        who: AccountSession,
        change: PasswordChange,
        origin: &Origin,
    ) -> Result<SignedIn, IdentityError> {
        let (_, before) = self.session(who).await?.ok_or(IdentityRefusal::SessionEnded)?;
        let PasswordChange { current, new } = change;
        passwords::must_be_good(&new, &before.email, &self.shared.config.names(), "newPassword")?;
        match before.password.is_some() {
            true => self.must_know_password(who, &before, current.unwrap_or_default()).await?,
            false => drop(self.recent(who).await?),
        }
        let hash = self.shared.passwords.hash(new).await?;
        let replace = |credentials: &mut Credentials| {
            if credentials.epoch != before.epoch {
                return Err(IdentityRefusal::SessionEnded.into());
            }
            credentials.replace_password(hash.clone(), How::Changed, origin);
            Ok(())
        };
        let (credentials, (), written) = self.change_and_pay(who.account_id, origin, replace).await?;
        self.tell_owner(&credentials, letters::password_changed);
        let signed_in = self.sign_in(who.account_id, credentials, origin).await?;
        Ok(SignedIn { position: written.position.or(signed_in.position), ..signed_in })
    }

    /// Whoever has taken over a session cannot guess the password with it.
    async fn must_know_password(
        &self,
        who: AccountSession,
        credentials: &Credentials,
        password: String,
    ) -> Result<(), IdentityError> {
        let counter = self.counter_name("password", &who.session_id.to_string());
        if let Counted::Locked(until) = self.count(&counter, SOURCE).await? {
            return Err(IdentityRefusal::LoginLocked { until }.into());
        }
        let hash = credentials.password.clone().filter(|_| passwords::may_be_one(&password));
        match self.shared.passwords.check(password, hash).await {
            Ok(Checked::Wrong) => {
                self.shared.attempts.login_failed(Some(who.account_id), &self.guessed(&credentials.email));
                Err(IdentityRefusal::PasswordWrong { field: "currentPassword" }.into())
            }
            Ok(Checked::Right | Checked::Outdated) => {
                self.vault().remove(&counter).await?;
                Ok(())
            }
            // It was not tried.
            Err(error) => {
                self.take_back(&counter, SOURCE).await?;
                Err(error)
            }
        }
    }

    /// Mails a code for a new password. It answers the same if there is no such account.
    ///
    /// # Errors
    /// [`IdentityRefusal::EmailInvalid`], or [`IdentityError`] when a store fails.
    pub async fn request_reset(&self, email: &str, origin: &Origin) -> Result<(), IdentityError> {
        let room = self.shared.background.room()?;
        let email = Email::new(email)?;
        let found = self.find(email.as_str()).await?;
        let code =
            found.as_ref().map_or(Code::Nothing, |(id, credentials)| Code::Reset { account_id: *id, epoch: credentials.epoch });
        let (text, _) = self.new_code(&code, RESET).await?;
        tracing::debug!(actor = origin.actor(), "somebody asks for a new password");
        if let Some((_, credentials)) = found {
            self.post(room, &credentials.email, letters::reset, &self.account_link("reset", &text));
        }
        Ok(())
    }

    /// Sets a new password by the code of a mail. All sessions end; known devices, passkeys and links to logins elsewhere are
    /// forgotten, since they may be those of whoever made a reset necessary; a second factor stays.
    ///
    /// # Errors
    /// [`IdentityRefusal::CodeInvalid`], a rule of passwords; [`IdentityError`] when a store fails. If the log fails, the
    /// password is changed, and the event is owed.
    pub async fn reset_password(&self, reset: PasswordReset, origin: &Origin) -> Result<Written, IdentityError> {
        let invalid = || IdentityError::from(IdentityRefusal::CodeInvalid);
        let Some(Code::Reset { account_id, epoch }) = self.code(&reset.code).await? else { return Err(invalid()) };
        let before = self.credentials(account_id).await?.filter(|credentials| credentials.epoch == epoch);
        let before = before.ok_or_else(invalid)?;
        passwords::must_be_good(&reset.new, &before.email, &self.shared.config.names(), "newPassword")?;
        let hash = self.shared.passwords.hash(reset.new).await?;
        let replace = |credentials: &mut Credentials| {
            if credentials.epoch != epoch {
                return Err(invalid());
            }
            credentials.replace_password(hash.clone(), How::Reset, origin);
            Ok(())
        };
        let (credentials, (), written) = self.change_and_pay(account_id, origin, replace).await?;
        self.end_code(&reset.code).await?;
        self.forgive(&credentials.email, origin).await?;
        self.tell_owner(&credentials, letters::password_changed);
        Ok(written)
    }
}

impl Credentials {
    /// Another password; all sessions end, and only the device that changed it stays known.
    fn replace_password(&mut self, hash: String, how: How, origin: &Origin) {
        self.password = Some(hash);
        self.owe(Note::PasswordChanged(how), origin.actor());
        self.end_sessions(SessionEndReason::PasswordChanged, origin.actor());
        self.forget_other_devices(match how {
            How::Changed => origin.device_token.as_deref(),
            How::Reset => None,
        });
        if matches!(how, How::Reset) {
            self.links.clear();
            for passkey in std::mem::take(&mut self.passkeys) {
                self.owe(Note::PasskeyRemoved(passkey.id), origin.actor());
            }
        }
    }
}
