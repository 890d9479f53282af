//! Login at an OpenID Connect provider.
//!
//! Which account a login elsewhere belongs to is in the account's own document (`links`), with an index beside it
//! (`oidc/<blinded issuer and subject>` -> account) that counts only as far as the document agrees. The index is written
//! first, then the document with the event that it owes; a death in between leaves an index entry that says nothing.
//!
//! A login that belongs to nobody here opens an account, or is linked to the one with the same e-mail address: only if the
//! provider vouches for the address, and only to a customer. Whoever has rights in the shop links it themselves, logged in, so
//! that a provider, or who has taken over an account there, cannot make itself staff.

use std::sync::Arc;

use chrono::TimeDelta;
use event_schemas::{AccountId, RoleName};
use url::Url;
use vault::VaultError;

use crate::{
    AccountSession, Accounts, ExternalIdentity, IdentityError, IdentityRefusal, LoginAnswer, OidcBegun, OidcReturn, Origin,
    ProofError, Provider, Written,
    codes::Code,
    credentials::{Credentials, Link, Note},
    email::Email,
    letters,
    opening::Opening,
    register,
};

/// How long somebody may be away.
const AWAY: TimeDelta = TimeDelta::minutes(10);
/// How often the index is written when others write it at the same time.
const CHANGES: usize = 16;

impl Accounts {
    /// Begins a login elsewhere; with `link`, to link it to the caller's own account.
    ///
    /// # Errors
    /// [`IdentityRefusal::OidcOff`], [`IdentityRefusal::LoginTooOld`]; [`IdentityError::Unavailable`] when the provider or a store
    /// fails.
    pub async fn oidc_begin(&self, link: Option<AccountSession>) -> Result<OidcBegun, IdentityError> {
        if let Some(who) = link {
            self.recent(who).await?;
        }
        let (url, pending) = self.provider().await?.authorise();
        let (token, expires_at) = self.new_code(&Code::Oidc { pending, link }, AWAY).await?;
        Ok(OidcBegun { token, url: url.into(), expires_at })
    }

    /// Finishes a login elsewhere. An account with a second factor is asked for it here too.
    ///
    /// # Errors
    /// [`IdentityRefusal::ChallengeInvalid`], one of the `OIDC_…` refusals, [`IdentityRefusal::AccountDisabled`];
    /// [`IdentityError::Unavailable`] when the provider or a store fails.
    pub async fn oidc_finish(&self, back: OidcReturn, origin: &Origin) -> Result<LoginAnswer, IdentityError> {
        let invalid = || IdentityError::from(IdentityRefusal::ChallengeInvalid);
        let provider = self.provider().await?;
        let Some(Code::Oidc { pending, link }) = self.code(&back.token).await? else { return Err(invalid()) };
        if !self.end_code(&back.token).await? {
            return Err(invalid());
        }
        let identity = Box::pin(provider.exchange(pending, &back.state, &back.code)).await.map_err(refused)?;
        let (account_id, credentials) = match link {
            Some(who) => {
                self.session(who).await?.ok_or(IdentityRefusal::SessionEnded)?;
                self.link(who.account_id, &identity, origin).await?
            }
            None => match self.linked(&identity).await? {
                Some(found) => found,
                None => Box::pin(self.account_for(&identity, origin)).await?,
            },
        };
        self.first_factor_was_right(account_id, credentials, origin).await
    }

    /// The account that a login elsewhere belongs to.
    async fn linked(&self, identity: &ExternalIdentity) -> Result<Option<(AccountId, Credentials)>, IdentityError> {
        let Some(entry) = self.vault().get::<AccountId>(&self.index_name(identity)).await? else { return Ok(None) };
        let credentials = self.credentials(entry.value).await?;
        let agrees = |credentials: &Credentials| credentials.links.contains(&link_of(identity));
        Ok(credentials.filter(agrees).map(|credentials| (entry.value, credentials)))
    }

    /// The account for a login that belongs to nobody here.
    async fn account_for(&self, identity: &ExternalIdentity, origin: &Origin) -> Result<(AccountId, Credentials), IdentityError> {
        let email = identity.email.as_deref().filter(|_| identity.email_verified);
        let email = email.and_then(|email| Email::new(email).ok()).ok_or(IdentityRefusal::OidcEmailMissing)?;
        if let Some((account_id, _)) = self.find(email.as_str()).await? {
            let customer = RoleName::customer();
            if self.rights_of(account_id).await?.roles.iter().any(|role| role != customer.as_str()) {
                return Err(IdentityRefusal::OidcLinkNeeded.into());
            }
            return self.link(account_id, identity, origin).await;
        }
        let display_name = identity.name.as_deref().and_then(|name| register::name_of(name).ok()).flatten();
        let mut credentials = Credentials::new(email.as_str(), display_name, None);
        credentials.link(identity, origin);
        // The index names the account before it is opened, so that the next login goes on where this one stopped.
        let account_id = self.index(identity, AccountId(self.new_id())).await?;
        self.open(account_id, credentials, Opening::Customer, origin).await.map_err(|error| match error {
            // A registration with this address was verified this very moment: the next login finds it.
            IdentityError::Refused(IdentityRefusal::EmailTaken) => IdentityError::overloaded(),
            error => error,
        })?;
        let credentials = self.credentials(account_id).await?.ok_or_else(IdentityError::no_account)?;
        Ok((account_id, credentials))
    }

    /// Links a login elsewhere to an account.
    async fn link(
        &self,
        account_id: AccountId,
        identity: &ExternalIdentity,
        origin: &Origin,
    ) -> Result<(AccountId, Credentials), IdentityError> {
        match self.linked(identity).await? {
            Some((other, _)) if other != account_id => return Err(IdentityRefusal::OidcLinkedElsewhere.into()),
            Some(found) => return Ok(found),
            None => self.point(identity, account_id).await?,
        }
        let link = |credentials: &mut Credentials| {
            credentials.link(identity, origin);
            Ok(())
        };
        let (credentials, (), _) = self.change_and_pay(account_id, origin, link).await?;
        self.tell_owner(&credentials, letters::linked);
        Ok((account_id, credentials))
    }

    /// Unlinks the logins of an issuer from the caller's account. Whoever has no other way in has a new password mailed.
    ///
    /// # Errors
    /// [`IdentityRefusal::OidcNotLinked`], [`IdentityRefusal::LoginTooOld`]; [`IdentityError`] when a store fails.
    pub async fn oidc_unlink(&self, who: AccountSession, issuer: &str, origin: &Origin) -> Result<Written, IdentityError> {
        self.recent(who).await?;
        let unlink = |credentials: &mut Credentials| {
            let (gone, kept) = std::mem::take(&mut credentials.links).into_iter().partition(|link| link.issuer == issuer);
            credentials.links = kept;
            let gone: Vec<Link> = gone;
            if gone.is_empty() {
                return Err(IdentityRefusal::OidcNotLinked.into());
            }
            credentials.owe(Note::Unlinked(issuer.to_owned()), origin.actor());
            Ok(gone)
        };
        let (credentials, gone, written) = self.change_and_pay(who.account_id, origin, unlink).await?;
        // What is left of the index after a death counts for nothing: the document does not agree.
        for link in gone {
            self.remove_if_ours(&self.link_name(&link), who.account_id).await?;
        }
        self.tell_owner(&credentials, letters::unlinked);
        Ok(written)
    }

    /// The account that the index names for a login, which is this one if it names none that is open.
    async fn index(&self, identity: &ExternalIdentity, account_id: AccountId) -> Result<AccountId, IdentityError> {
        let named = self.vault().get::<AccountId>(&self.index_name(identity)).await?;
        match named {
            // One that is open and does not agree was left by a link that did not come to its end.
            Some(named) if self.credentials(named.value).await?.is_none() => Ok(named.value),
            _ => self.point(identity, account_id).await.map(|()| account_id),
        }
    }

    /// Lets the index name an account.
    async fn point(&self, identity: &ExternalIdentity, account_id: AccountId) -> Result<(), IdentityError> {
        let name = self.index_name(identity);
        for _ in 0..CHANGES {
            let version = self.vault().get::<AccountId>(&name).await?.map(|entry| entry.version);
            match self.vault().put(&name, version, &account_id, None).await {
                Ok(_) => return Ok(()),
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(IdentityError::overloaded())
    }

    fn index_name(&self, identity: &ExternalIdentity) -> String {
        self.link_name(&link_of(identity))
    }

    /// The name that finds the account of a link.
    pub(crate) fn link_name(&self, link: &Link) -> String {
        // Neither part has a line break: the first is a URL.
        format!("oidc/{}", self.vault().blind("oidc", &format!("{}\n{}", link.issuer, link.subject)))
    }

    /// The provider, asked for its configuration once. A shop starts without it, and a login asks again if it was away.
    async fn provider(&self) -> Result<Arc<Provider>, IdentityError> {
        let config = self.shared.config.oidc.as_ref().ok_or(IdentityRefusal::OidcOff)?;
        let mut known = self.shared.provider.lock().await;
        if let Some(provider) = &*known {
            return Ok(provider.clone());
        }
        let page = Url::parse(&self.page()).map_err(|error| IdentityError::Unavailable(error.to_string()))?;
        let discovered = Provider::discover(&config.issuer, &config.client_id, config.client_secret.as_deref(), &page);
        let provider = Arc::new(Box::pin(discovered).await?);
        *known = Some(provider.clone());
        Ok(provider)
    }
}

impl Credentials {
    fn link(&mut self, identity: &ExternalIdentity, origin: &Origin) {
        let link = link_of(identity);
        if !self.links.contains(&link) {
            self.links.push(link);
            self.owe(Note::Linked(identity.issuer.clone()), origin.actor());
        }
    }
}

fn link_of(identity: &ExternalIdentity) -> Link {
    Link { issuer: identity.issuer.clone(), subject: identity.subject.clone() }
}

fn refused(error: ProofError) -> IdentityError {
    match error {
        ProofError::Refused(reason) => {
            tracing::info!(%reason, "a login elsewhere was refused");
            IdentityRefusal::OidcFailed.into()
        }
        ProofError::Expired => IdentityRefusal::ChallengeInvalid.into(),
        error => error.into(),
    }
}
