//! Registration and verification of the e-mail address.
//!
//! A registration writes only the vault, for a day: what was typed, under a code that goes to the address by mail. The account
//! is opened when the code comes back with the password that was typed. So strangers cannot make the log grow, nobody waits for
//! an address that is not theirs, and whoever has the mailbox opens no account but their own. A known address is answered in the
//! same way after the same work, and its owner gets another mail.
//!
//! A death in the middle loses at most a mail: whoever waits for it registers again. What follows the code: see `opening.rs`.

use chrono::TimeDelta;
use event_schemas::AccountId;
use vault::VaultError;

use crate::{
    Accounts, Checked, IdentityError, IdentityRefusal, Origin, Registration, Verified,
    background::Room,
    codes::Code,
    credentials::Credentials,
    email::{self, Email},
    letters::{self, Letter},
    lockout::{Counted, MAILS},
    opening::Opening,
    passwords,
};

/// How long the code of a registration holds.
const VERIFICATION: TimeDelta = TimeDelta::hours(24);
/// The longest name, in characters.
const LONGEST_NAME: usize = 100;

impl Accounts {
    /// Takes a registration and mails its code. It answers the same whether the address is known or not, and so must whoever
    /// calls it.
    ///
    /// # Errors
    /// A rule of e-mail addresses, passwords and names, or [`IdentityError`] when a store fails or too many passwords are being
    /// hashed.
    pub async fn register(&self, registration: Registration, origin: &Origin) -> Result<(), IdentityError> {
        let room = self.shared.background.room()?;
        let Registration { email, password, display_name } = registration;
        let email = Email::new(&email)?;
        let display_name = display_name.as_deref().map(name_of).transpose()?.flatten();
        passwords::must_be_good(&password, email.as_str(), &self.shared.config.names(), "password")?;
        let password = self.shared.passwords.hash(password).await?;
        let known = self.find(email.as_str()).await?.is_some();
        let email_text = email.as_str().to_owned();
        let code = match known {
            true => Code::Nothing,
            false => Code::Registration { account_id: AccountId(self.new_id()), email: email_text, display_name, password },
        };
        let (text, expires_at) = self.new_code(&code, VERIFICATION).await?;
        let pending = self.pending_name(&email.key());
        let version = self.vault().get::<Code>(&pending).await?.map(|entry| entry.version);
        match self.vault().put(&pending, version, &code, Some(expires_at)).await {
            // Another registration with this address at the same time: its mail can be sent again, this one's was sent.
            Ok(_) | Err(VaultError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        tracing::debug!(actor = origin.actor(), "somebody registers");
        match known {
            true => self.post(room, email.as_str(), letters::already_registered, &self.page()),
            false => self.post(room, email.as_str(), letters::verify, &self.account_link("verify", &text)),
        }
        Ok(())
    }

    /// Mails another code for the last registration with an address. It answers the same if there is none.
    ///
    /// # Errors
    /// [`IdentityRefusal::EmailInvalid`], or [`IdentityError`] when a store fails.
    pub async fn resend_verification(&self, email: &str, origin: &Origin) -> Result<(), IdentityError> {
        let room = self.shared.background.room()?;
        let email = Email::new(email)?;
        let known = self.find(email.as_str()).await?.is_some();
        let pending = self.vault().get::<Code>(&self.pending_name(&email.key())).await?;
        let pending = pending.map_or(Code::Nothing, |entry| if known { Code::Nothing } else { entry.value });
        let (text, _) = self.new_code(&pending, VERIFICATION).await?;
        tracing::debug!(actor = origin.actor(), "somebody asks for another mail");
        // To the address that the code vouches for, and not to one that is only found like it.
        if let Code::Registration { email, .. } = &pending {
            self.post(room, email, letters::verify, &self.account_link("verify", &text));
        }
        Ok(())
    }

    /// Opens the account of a registration, by the code of its mail and the password that was typed then: whoever reads the
    /// mail must not open the account of a stranger who typed their address. The same code twice opens it once and answers twice.
    ///
    /// # Errors
    /// [`IdentityRefusal::CodeInvalid`]; [`IdentityRefusal::PasswordWrong`], or [`IdentityError`] when a store fails: then the
    /// code still holds.
    pub async fn verify_email(&self, code: &str, typed_password: &str, origin: &Origin) -> Result<Verified, IdentityError> {
        let invalid = || IdentityError::from(IdentityRefusal::CodeInvalid);
        let Some(Code::Registration { account_id, email, display_name, password }) = self.code(code).await? else {
            return Err(invalid());
        };
        let (typed, hash) = match passwords::may_be_one(typed_password) {
            true => (typed_password.to_owned(), Some(password.clone())),
            false => (String::new(), None),
        };
        if self.shared.passwords.check(typed, hash).await? == Checked::Wrong {
            return Err(IdentityRefusal::PasswordWrong { field: "password" }.into());
        }
        let credentials = Credentials::new(&email, display_name, Some(password));
        let opened = match self.open(account_id, credentials, Opening::Customer, origin).await {
            Ok(verified) => Ok(verified),
            // Another registration with this address was verified since.
            Err(IdentityError::Refused(IdentityRefusal::EmailTaken)) => Err(invalid()),
            Err(error) => return Err(error),
        };
        self.end_code(code).await?;
        self.vault().remove(&self.pending_name(&email::key(&email))).await?;
        opened
    }

    fn pending_name(&self, email: &str) -> String {
        format!("registration/{}", self.vault().blind("registration", email))
    }

    /// Mails something that strangers can ask for: beside the caller, and only so often to one recipient.
    pub(crate) fn post(&self, room: Room, to: &str, letter: fn(&str, &str) -> Letter, link: &str) {
        let letter = letter(&self.shared.config.shop_name, link);
        let counter = self.counter_name("mail", &format!("{} {}", letter.subject, email::key(to)));
        let (accounts, mail) = (self.clone(), letter.to(to));
        room.spawn(async move {
            match accounts.count(&counter, MAILS).await {
                Ok(Counted::Allowed) => accounts.send(mail).await,
                Ok(Counted::Locked(until)) => tracing::warn!(%until, "a recipient gets no more mails of a kind for a while"),
                Err(error) => tracing::error!(%error, "a mail was not sent"),
            }
        });
    }

    /// Tells the owner of an account what happened to it, beside the caller. What strangers cannot cause is not counted.
    pub(crate) fn tell_owner(&self, credentials: &Credentials, letter: fn(&str, &str) -> Letter) {
        let Ok(room) = self.shared.background.room() else {
            tracing::warn!("too many mails are under way: the owner of an account was not told of a change");
            return;
        };
        let mail = letter(&self.shared.config.shop_name, &self.page()).to(&credentials.email);
        let accounts = self.clone();
        room.spawn(async move { accounts.send(mail).await });
    }
}

/// What to call somebody; none if nothing was typed.
pub(crate) fn name_of(text: &str) -> Result<Option<String>, IdentityRefusal> {
    let name = text.trim();
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(IdentityRefusal::DisplayNameInvalid);
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}
