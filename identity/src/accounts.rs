//! The service: what it is made of, and what every flow needs.

use std::sync::Arc;

use domain::{AccountCommand, ChangeAccount, Decision, Expecting};
use engine::Engine;
use event_schemas::{AccountId, Idempotency, Metadata, Position, StreamId, Timestamp};
use tokio::sync::Mutex;
use vault::{Entry, Persons, Vault, VaultError};

use crate::{
    Config, IdentityError, Keys, Mail, Mailer, Origin, Parts, PasskeyInfo, Passwords, Profile, Provider, RelyingParty, Rights,
    Written,
    authenticate::Cache,
    background::Background,
    credentials::{self, Credentials, Note, Owed},
    email,
};

/// How often a change is tried when others change the same document at the same time.
const CHANGES: usize = 64;
/// Accounts that [`Accounts::recover`] looks at in one go.
const PAGE: u32 = 200;

/// Who somebody is: all flows of accounts. Clones share it.
///
/// Every flow is safe to repeat, and safe from a death in the middle: each file says how.
#[derive(Clone)]
pub struct Accounts {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    vault: Vault,
    /// Seals what the log says about a person.
    pub persons: Persons,
    keys: Arc<Keys>,
    engine: Engine,
    pub rights: Arc<dyn Rights>,
    mailer: Arc<dyn Mailer>,
    pub attempts: Arc<dyn crate::AttemptLog>,
    pub config: Config,
    pub passwords: Passwords,
    /// None where browsers offer no passkeys.
    pub relying_party: Option<RelyingParty>,
    /// The provider elsewhere, once it was reached.
    pub provider: Mutex<Option<Arc<Provider>>>,
    pub cache: Cache,
    pub background: Background,
}

impl Accounts {
    /// The service over its parts.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] if passwords cannot be hashed as configured.
    pub fn new(parts: Parts) -> Result<Self, IdentityError> {
        let Parts { vault, keys, engine, rights, mailer, attempts, config } = parts;
        let passwords = Passwords::new(&config.hashing)?;
        let relying_party = match RelyingParty::new(&config.public_url, &config.shop_name) {
            Ok(relying_party) => Some(relying_party),
            Err(reason) => {
                tracing::info!(%reason, "this shop has no passkeys");
                None
            }
        };
        let (provider, cache, background) = (Mutex::default(), Cache::default(), Background::new());
        let shared = Shared {
            persons: Persons::new(vault.clone()),
            vault,
            keys,
            engine,
            rights,
            mailer,
            attempts,
            config,
            passwords,
            relying_party,
            provider,
            cache,
            background,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What signs access tokens.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.shared.keys
    }

    /// Writes the events that a death has left owed, and answers how many accounts and sessions had some. To be called in the
    /// background after a start: a login of the account would do it too.
    ///
    /// # Errors
    /// [`IdentityError`] when a store fails; what is still owed is then written later.
    pub async fn recover(&self) -> Result<u64, IdentityError> {
        let (mut after, mut paid) = (None::<String>, self.bury_marked().await?);
        loop {
            let page = self.vault().list::<Credentials>("account/", after.as_deref(), PAGE).await?;
            for (name, entry) in &page {
                let id = name.strip_prefix("account/").and_then(|id| id.parse::<AccountId>().ok());
                if let Some(id) = id.filter(|_| entry.value.leaving) {
                    match self.remove(id, &Origin::default()).await {
                        // The log does not let it go: it stays.
                        Ok(_) | Err(IdentityError::Refused(_)) => paid += 1,
                        Err(error) => return Err(error),
                    }
                    continue;
                }
                if let Some(id) = id.filter(|_| entry.value.confirmed && !entry.value.owed.is_empty()) {
                    self.pay(id, &entry.value, &Origin::default()).await?;
                    paid += 1;
                }
            }
            match page.into_iter().next_back() {
                Some((last, _)) => after = Some(last),
                None => return Ok(paid),
            }
        }
    }

    /// Waits for the mails and notes that are under way. To be called at shutdown.
    pub async fn settle(&self) {
        self.shared.background.settle().await;
    }

    /// A link for a mail or a screen: the account page with a code, such as `https://shop.example/account#claim=CODE`. What is
    /// behind `#` is not sent to any server, so codes get into nobody's access log.
    pub fn account_link(&self, what: &str, code: &str) -> String {
        format!("{}#{what}={code}", self.page())
    }

    /// Whether browsers offer passkeys at the shop's public URL.
    pub fn has_passkeys(&self) -> bool {
        self.shared.relying_party.is_some()
    }

    /// The OpenID Connect issuer with which customers may log in too, as it was set; none if none was.
    pub fn oidc_issuer(&self) -> Option<&str> {
        self.shared.config.oidc.as_ref().map(|config| config.issuer.as_str())
    }

    /// The account page.
    pub(crate) fn page(&self) -> String {
        format!("{}/account", self.shared.config.public_url.as_str().trim_end_matches('/'))
    }

    /// The personal data of an account that its owner and staff may see; none if there is no such account.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] when the vault fails.
    pub async fn profile(&self, account_id: AccountId) -> Result<Option<Profile>, IdentityError> {
        let credentials = self.credentials(account_id).await?;
        Ok(credentials.map(|credentials| Profile {
            account_id,
            has_password: credentials.password.is_some(),
            second_factor: credentials.second_factor.is_some(),
            recovery_codes_left: credentials.second_factor.as_ref().map_or(0, |factor| factor.recovery.left()),
            passkeys: credentials.passkeys.iter().map(PasskeyInfo::of).collect(),
            linked_issuers: credentials.links.iter().map(|link| link.issuer.clone()).collect(),
            email: credentials.email,
            display_name: credentials.display_name,
        }))
    }

    /// The account with an e-mail address, if one is open.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] when the vault fails.
    pub async fn account_of(&self, email: &str) -> Result<Option<AccountId>, IdentityError> {
        Ok(self.find(email).await?.map(|(id, _)| id))
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.shared.vault
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.engine.clock().now()
    }

    pub(crate) fn new_id(&self) -> uuid::Uuid {
        self.shared.engine.ids().next()
    }

    /// The credentials of an account that is open.
    pub(crate) async fn credentials(&self, id: AccountId) -> Result<Option<Credentials>, IdentityError> {
        let entry = self.vault().get::<Credentials>(&credentials::name(id)).await?;
        Ok(entry.map(|entry| entry.value).filter(|credentials| credentials.confirmed && !credentials.leaving))
    }

    /// The open account with an e-mail address. It takes as long for one that there is not.
    pub(crate) async fn find(&self, email: &str) -> Result<Option<(AccountId, Credentials)>, IdentityError> {
        let held = self.vault().get::<AccountId>(&self.email_name(email)).await?.map(|entry| entry.value);
        let id = held.unwrap_or(AccountId(uuid::Uuid::nil()));
        // An address that was changed, or is about to be, may still point here.
        let theirs = |credentials: &Credentials| email::key(&credentials.email) == email::key(email);
        Ok(self.credentials(id).await?.filter(theirs).map(|credentials| (id, credentials)))
    }

    /// The name that holds an e-mail address for its account.
    pub(crate) fn email_name(&self, email: &str) -> String {
        format!("email/{}", self.vault().blind("email", &email::key(email)))
    }

    /// Changes the credentials of an open account, on what they are, and answers them as they are then.
    pub(crate) async fn change<T>(
        &self,
        id: AccountId,
        mut change: impl FnMut(&mut Credentials) -> Result<T, IdentityError> + Send,
    ) -> Result<(Credentials, T), IdentityError> {
        let name = credentials::name(id);
        for _ in 0..CHANGES {
            let entry = self.vault().get::<Credentials>(&name).await?.filter(|entry| entry.value.confirmed);
            let Entry { mut value, version, .. } = entry.ok_or_else(IdentityError::no_account)?;
            let answer = change(&mut value)?;
            match self.vault().put(&name, Some(version), &value, None).await {
                Ok(_) => return Ok((value, answer)),
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(IdentityError::overloaded())
    }

    /// [`Accounts::change`], and writes the events that are owed then.
    pub(crate) async fn change_and_pay<T>(
        &self,
        id: AccountId,
        origin: &Origin,
        change: impl FnMut(&mut Credentials) -> Result<T, IdentityError> + Send,
    ) -> Result<(Credentials, T, Written), IdentityError> {
        let (mut credentials, answer) = self.change(id, change).await?;
        let position = self.pay(id, &credentials, origin).await?;
        credentials.owed.clear();
        Ok((credentials, answer, Written { position }))
    }

    /// Writes the events that an account owes, and answers the position of the last one.
    pub(crate) async fn pay(
        &self,
        id: AccountId,
        credentials: &Credentials,
        origin: &Origin,
    ) -> Result<Option<Position>, IdentityError> {
        let mut position = None;
        for owed in &credentials.owed {
            position = self.pay_one(id, owed, origin).await?.or(position);
        }
        if !credentials.owed.is_empty() {
            let paid = |owed: &Owed| credentials.owed.iter().any(|paid| paid.id == owed.id);
            let take_off = |credentials: &mut Credentials| {
                credentials.owed.retain(|owed| !paid(owed));
                Ok(())
            };
            self.change(id, take_off).await?;
        }
        Ok(position)
    }

    async fn pay_one(&self, id: AccountId, owed: &Owed, origin: &Origin) -> Result<Option<Position>, IdentityError> {
        let command = match owed.note.clone() {
            Note::PasswordChanged(how) => AccountCommand::PasswordChanged { how },
            Note::SecondFactorAdded => AccountCommand::AddSecondFactor,
            Note::SecondFactorRemoved => AccountCommand::RemoveSecondFactor,
            Note::PasskeyAdded(passkey_id) => AccountCommand::AddPasskey { passkey_id },
            Note::PasskeyRemoved(passkey_id) => AccountCommand::RemovePasskey { passkey_id },
            Note::Linked(issuer) => AccountCommand::Link { issuer },
            Note::Unlinked(issuer) => AccountCommand::Unlink { issuer },
            Note::EmailChanged => AccountCommand::EmailChanged,
            Note::SessionsEnded { before, reason } => {
                return self.record_ended_before(id, before, reason, owed, origin).await;
            }
        };
        self.record(id, command, owed, origin).await
    }

    /// Writes an event that is owed, once.
    pub(crate) async fn record(
        &self,
        account_id: AccountId,
        command: AccountCommand,
        owed: &Owed,
        origin: &Origin,
    ) -> Result<Option<Position>, IdentityError> {
        let origin = Origin { actor: owed.actor.clone(), ..origin.clone() };
        let key = Some(format!("accounts|{}", owed.id));
        match self.submit(ChangeAccount { account_id, command }, &origin, key).await {
            Ok(written) => Ok(written.position),
            // What happened has happened: a rule that would forbid it only keeps it out of the log.
            Err(IdentityError::Refused(refusal)) => {
                tracing::error!(%account_id, %refusal, "an event of an account was refused by the rules and is not in the log");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Lets the engine decide.
    pub(crate) async fn submit(
        &self,
        decision: impl Decision,
        origin: &Origin,
        key: Option<String>,
    ) -> Result<Written, IdentityError> {
        let metadata = Metadata {
            actor: origin.actor().to_owned(),
            command_id: self.new_id(),
            correlation_id: origin.correlation_id,
            causation_id: None,
            trace_id: origin.trace_id.clone(),
            idempotency: key.map(|scope| Idempotency { scope, fingerprint: String::new() }),
        };
        let outcome = self.shared.engine.submit(decision, metadata).await?;
        Ok(Written { position: Some(outcome.position) })
    }

    /// Sends a mail; one that cannot be sent is told to the operator, and whoever waits for it asks again.
    pub(crate) async fn send(&self, mail: Mail) {
        if let Err(error) = self.shared.mailer.send(&mail).await {
            tracing::error!(%error, subject = mail.subject, "a mail could not be sent");
        }
    }
}

impl Origin {
    /// A decision about what who asks has looked at.
    pub(crate) fn expecting<D: Decision>(&self, stream: StreamId, decision: D) -> Expecting<D> {
        Expecting { expected: self.expected_version.map(|version| (stream, version)), decision }
    }

    /// Who asks.
    pub(crate) fn actor(&self) -> &str {
        if self.actor.is_empty() { "customer" } else { &self.actor }
    }
}
