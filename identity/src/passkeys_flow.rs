//! Passkeys: made by who is logged in, and used instead of password and second factor, since the device asks for a finger, a
//! face or a code itself.
//!
//! What was begun is in the vault, so any node can finish it. A new passkey is one write of the vault that owes the log its
//! event; see `credentials.rs`.

use chrono::TimeDelta;
use domain::{AccountRefusal, MAX_PASSKEYS};
use uuid::Uuid;

use crate::{
    AccountSession, Accounts, IdentityError, IdentityRefusal, Origin, Passkey, PasskeyAdded, PasskeyBegun, PasskeyInfo,
    ProofError, RelyingParty, SignedIn, Written,
    codes::Code,
    credentials::{Credentials, Note},
    letters,
};

/// How long a browser may take.
const CEREMONY: TimeDelta = TimeDelta::minutes(5);
/// The longest label, in characters.
const LONGEST_LABEL: usize = 100;

impl Accounts {
    /// Begins to make a passkey.
    ///
    /// # Errors
    /// [`IdentityRefusal::PasskeysOff`], [`IdentityRefusal::LoginTooOld`], `TOO_MANY`; [`IdentityError`] when a store fails.
    pub async fn passkey_registration_begin(&self, who: AccountSession) -> Result<PasskeyBegun, IdentityError> {
        let relying_party = self.relying_party()?;
        let credentials = self.recent(who).await?;
        must_have_room(&credentials)?;
        let begun = relying_party.begin_registration(who.account_id, &credentials.email, &credentials.passkeys);
        let (options, state) = begun?;
        let (token, expires_at) = self.new_code(&Code::PasskeyRegistration { who, state }, CEREMONY).await?;
        Ok(PasskeyBegun { token, options, expires_at })
    }

    /// Adds the passkey that the browser made (`JSON.stringify(credential)`).
    ///
    /// # Errors
    /// [`IdentityRefusal::ChallengeInvalid`], [`IdentityRefusal::PasskeyInvalid`], [`IdentityRefusal::LabelInvalid`],
    /// `TOO_MANY`; [`IdentityError`] when a store fails.
    pub async fn passkey_registration_finish(
        &self,
        who: AccountSession,
        token: &str,
        response: &str,
        label: &str,
        origin: &Origin,
    ) -> Result<PasskeyAdded, IdentityError> {
        let relying_party = self.relying_party()?;
        let label = label_of(label)?;
        let Some(Code::PasskeyRegistration { who: begun_by, state }) = self.code(token).await? else {
            return Err(IdentityRefusal::ChallengeInvalid.into());
        };
        if begun_by != who || self.session(who).await?.is_none() {
            return Err(IdentityRefusal::ChallengeInvalid.into());
        }
        let mut passkey = relying_party.finish_registration(state, response).map_err(refused)?;
        passkey.label = label;
        let add = |credentials: &mut Credentials| {
            must_have_room(credentials)?;
            if credentials.passkeys.iter().any(|known| known.is_same_key(&passkey)) {
                return Err(IdentityRefusal::PasskeyInvalid.into());
            }
            credentials.passkeys.push(passkey.clone());
            credentials.owe(Note::PasskeyAdded(passkey.id), origin.actor());
            Ok(())
        };
        let (credentials, (), written) = self.change_and_pay(who.account_id, origin, add).await?;
        self.end_code(token).await?;
        self.tell_owner(&credentials, letters::passkey_added);
        Ok(PasskeyAdded { passkey: PasskeyInfo::of(&passkey), position: written.position })
    }

    /// Removes a passkey.
    ///
    /// # Errors
    /// [`IdentityRefusal::PasskeyNotFound`], [`IdentityRefusal::LoginTooOld`]; [`IdentityError`] when a store fails.
    pub async fn passkey_remove(&self, who: AccountSession, passkey: Uuid, origin: &Origin) -> Result<Written, IdentityError> {
        self.recent(who).await?;
        let remove = |credentials: &mut Credentials| {
            let index = credentials.passkeys.iter().position(|known| known.id == passkey);
            credentials.passkeys.remove(index.ok_or(IdentityRefusal::PasskeyNotFound)?);
            credentials.owe(Note::PasskeyRemoved(passkey), origin.actor());
            Ok(())
        };
        let (credentials, (), written) = self.change_and_pay(who.account_id, origin, remove).await?;
        self.tell_owner(&credentials, letters::passkey_removed);
        Ok(written)
    }

    /// Begins a login with a passkey, without saying who.
    ///
    /// # Errors
    /// [`IdentityRefusal::PasskeysOff`]; [`IdentityError`] when a store fails.
    pub async fn passkey_login_begin(&self) -> Result<PasskeyBegun, IdentityError> {
        let (options, state) = self.relying_party()?.begin_login()?;
        let (token, expires_at) = self.new_code(&Code::PasskeyLogin { state }, CEREMONY).await?;
        Ok(PasskeyBegun { token, options, expires_at })
    }

    /// Logs in with what the browser answered. No second factor is asked for: the device has made sure who uses it.
    ///
    /// The challenge is used up first, whatever comes of it; the passkey's counter is kept before anybody is in.
    ///
    /// # Errors
    /// [`IdentityRefusal::ChallengeInvalid`], [`IdentityRefusal::PasskeyInvalid`], [`IdentityRefusal::AccountDisabled`];
    /// [`IdentityError`] when a store fails.
    pub async fn passkey_login_finish(&self, token: &str, response: &str, origin: &Origin) -> Result<SignedIn, IdentityError> {
        let relying_party = self.relying_party()?;
        let invalid = || IdentityError::from(IdentityRefusal::PasskeyInvalid);
        let Some(Code::PasskeyLogin { state }) = self.code(token).await? else {
            return Err(IdentityRefusal::ChallengeInvalid.into());
        };
        if !self.end_code(token).await? {
            return Err(IdentityRefusal::ChallengeInvalid.into());
        }
        let account_id = RelyingParty::account_of(response).ok_or_else(invalid)?;
        if self.credentials(account_id).await?.is_none() {
            self.shared.attempts.login_failed(None, &self.guessed(&account_id.to_string()));
            return Err(invalid());
        }
        let check = |credentials: &mut Credentials| {
            relying_party.finish_login(state.clone(), response, &mut credentials.passkeys).map_err(refused)
        };
        let (credentials, _) = match self.change(account_id, check).await {
            Ok(changed) => changed,
            Err(error) => {
                self.shared.attempts.login_failed(Some(account_id), &self.guessed(&account_id.to_string()));
                return Err(error);
            }
        };
        self.must_be_enabled(account_id).await?;
        self.sign_in(account_id, credentials, origin).await
    }

    fn relying_party(&self) -> Result<&RelyingParty, IdentityError> {
        self.shared.relying_party.as_ref().ok_or_else(|| IdentityRefusal::PasskeysOff.into())
    }
}

impl PasskeyInfo {
    pub(crate) fn of(passkey: &Passkey) -> Self {
        Self { id: passkey.id, label: passkey.label.clone(), created_at: passkey.created_at, last_used_at: passkey.last_used_at }
    }
}

fn must_have_room(credentials: &Credentials) -> Result<(), IdentityError> {
    if credentials.passkeys.len() < MAX_PASSKEYS {
        return Ok(());
    }
    let too_many = AccountRefusal::TooMany { of: "passkeys", limit: MAX_PASSKEYS };
    Err(IdentityRefusal::Rule(too_many.into()).into())
}

fn label_of(text: &str) -> Result<String, IdentityRefusal> {
    let label = text.trim();
    let fits = (1..=LONGEST_LABEL).contains(&label.chars().count()) && !label.chars().any(char::is_control);
    if fits { Ok(label.to_owned()) } else { Err(IdentityRefusal::LabelInvalid) }
}

fn refused(error: ProofError) -> IdentityError {
    match error {
        ProofError::Refused(reason) => {
            tracing::debug!(%reason, "a passkey was refused");
            IdentityRefusal::PasskeyInvalid.into()
        }
        ProofError::Expired => IdentityRefusal::ChallengeInvalid.into(),
        error => error.into(),
    }
}
