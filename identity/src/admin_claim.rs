//! The first admin: there is no default password, but a link that the server prints while nobody is an admin.
//!
//! That there is one first admin is decided in the log, also with two nodes at once. The code carries the id of the account
//! to be, so whoever tries again after a death in between goes on opening the same account; see `opening.rs`.

use chrono::TimeDelta;
use event_schemas::AccountId;

use crate::{
    Accounts, AdminClaim, IdentityError, IdentityRefusal, Origin, Verified, codes::Code, credentials::Credentials, email::Email,
    opening::Opening, passwords,
};

/// How long the code holds.
const CLAIM: TimeDelta = TimeDelta::hours(24);

impl Accounts {
    /// A code for who becomes the first admin; none if there is an admin. It is for the screen of who started the server.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] when a store fails.
    pub async fn admin_claim_code(&self) -> Result<Option<String>, IdentityError> {
        if self.shared.rights.has_admin().await.map_err(IdentityError::Unavailable)? {
            return Ok(None);
        }
        let code = Code::AdminClaim { account_id: AccountId(self.new_id()) };
        let (text, _) = self.new_code(&code, CLAIM).await?;
        Ok(Some(text))
    }

    /// Opens the account of the first admin. Its e-mail address counts as verified: whoever has the code runs the shop.
    ///
    /// # Errors
    /// [`IdentityRefusal::CodeInvalid`], [`IdentityRefusal::EmailTaken`], `ADMIN_EXISTS`, a rule of passwords;
    /// [`IdentityError`] when a store fails; then the code still holds.
    pub async fn claim_admin(&self, claim: AdminClaim, origin: &Origin) -> Result<Verified, IdentityError> {
        let Some(Code::AdminClaim { account_id }) = self.code(&claim.code).await? else {
            return Err(IdentityRefusal::CodeInvalid.into());
        };
        let email = Email::new(&claim.email)?;
        passwords::must_be_good(&claim.password, email.as_str(), &self.shared.config.names(), "password")?;
        if self.find(email.as_str()).await?.is_some_and(|(holder, _)| holder != account_id) {
            return Err(IdentityRefusal::EmailTaken.into());
        }
        let password = self.shared.passwords.hash(claim.password).await?;
        let credentials = Credentials::new(email.as_str(), None, Some(password));
        let verified = self.open(account_id, credentials, Opening::FirstAdmin, origin).await?;
        self.end_code(&claim.code).await?;
        Ok(verified)
    }
}
