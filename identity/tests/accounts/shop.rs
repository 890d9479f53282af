//! A shop with accounts, and what tests ask of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::{Account, ApiKey, ROSTER_ID, Roster, State, stream_of};
use engine::{Clock as _, Engine, Limits, ManualClock, SystemIds};
use event_schemas::{AccountId, ApiKeyId, CommerceEvent, Recorded, StreamId};
use identity::{
    AccountRights, AccountSession, Accounts, ApiKeyRights, AttemptLog, Authenticated, Config, Hashing, IdentityError, Keys,
    Login, LoginAnswer, Mail, MailError, Mailer, OidcConfig, Origin, Parts, Registration, Rights, SignedIn, Subject, TokenError,
};
use tempfile::TempDir;
use vault::{Vault, VaultKey};

use crate::faulty_log::FaultyLog;

pub const EMAIL: &str = "Ana@example.com";
pub const PASSWORD: &str = "correct horse battery";

/// Quick to compute: these tests are about what surrounds a hash.
pub const QUICK: Hashing = Hashing { memory_kib: 64, passes: 1, lanes: 1, workers: 4, waiting: 64 };

/// Mails that were sent.
#[derive(Default)]
pub struct Mails(Mutex<Vec<Mail>>);

#[async_trait]
impl Mailer for Mails {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.0.lock().unwrap().push(mail.clone());
        Ok(())
    }
}

/// Failed logins that were counted.
#[derive(Default)]
pub struct Failed(Mutex<Vec<Option<AccountId>>>);

impl AttemptLog for Failed {
    fn login_failed(&self, account: Option<AccountId>, who: &str) {
        assert!(!who.is_empty() && !who.contains('@'), "{who}");
        self.0.lock().unwrap().push(account);
    }
}

/// What the views would say, folded from the log when it is asked for.
struct FoldedRights(Arc<FaultyLog>);

impl FoldedRights {
    async fn state(&self, stream: StreamId) -> State {
        let mut state = State::absent(stream.aggregate_type.as_ref()).unwrap();
        for recorded in self.0.all().await.iter().filter(|recorded| recorded.event.stream == stream) {
            recorded.decode().unwrap().iter().for_each(|event| state.evolve(event));
        }
        state
    }
}

#[async_trait]
impl Rights for FoldedRights {
    async fn account(&self, id: AccountId) -> Result<Option<AccountRights>, String> {
        let State::Account(Account::Registered(account)) = self.state(stream_of::<Account>(id)).await else { return Ok(None) };
        let roles = account.roles.iter().map(|role| role.as_str().to_owned()).collect();
        Ok(Some(AccountRights { roles, disabled: account.disabled, verified: account.verified }))
    }

    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRights>, String> {
        let stream = stream_of::<ApiKey>(id);
        let mut rights = None;
        for recorded in self.0.all().await.iter().filter(|recorded| recorded.event.stream == stream) {
            match (recorded.event.event_type.as_ref(), recorded.decode().unwrap().remove(0)) {
                (_, CommerceEvent::ApiKey(event_schemas::ApiKeyEvent::ApiKeyIssued(issued))) => {
                    let (permissions, expires_at) = (issued.permissions, issued.expires_at);
                    rights = Some(ApiKeyRights { permissions, expires_at, revoked: false });
                }
                _ => rights.iter_mut().for_each(|rights| rights.revoked = true),
            }
        }
        Ok(rights)
    }

    async fn has_admin(&self) -> Result<bool, String> {
        let State::Roster(roster) = self.state(stream_of::<Roster>(ROSTER_ID)).await else { return Err("no roster".into()) };
        Ok(roster != Roster::default())
    }
}

/// A node of a shop. Its vault, its log, its mails and its clock outlive it.
pub struct Shop {
    pub accounts: Accounts,
    pub vault: Vault,
    pub log: Arc<FaultyLog>,
    pub clock: Arc<ManualClock>,
    hashing: Hashing,
    oidc: Option<OidcConfig>,
    mails: Arc<Mails>,
    failed: Arc<Failed>,
    folder: Arc<TempDir>,
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_with(QUICK, None).await
    }

    pub async fn open_with(hashing: Hashing, oidc: Option<OidcConfig>) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let address = format!("sqlite:{}", folder.path().join("vault.db").display());
        let vault = Vault::open(&address, VaultKey::generate()).await.unwrap();
        let clock = Arc::new(ManualClock::new(chrono::Utc::now()));
        Self::node(vault, Arc::default(), clock, hashing, oidc, Arc::default(), Arc::default(), folder).await
    }

    /// Another node, or this one after a death.
    pub async fn another(&self) -> Self {
        self.another_with(self.hashing.clone()).await
    }

    pub async fn another_with(&self, hashing: Hashing) -> Self {
        let (vault, log, clock) = (self.vault.clone(), self.log.clone(), self.clock.clone());
        let (mails, failed, folder) = (self.mails.clone(), self.failed.clone(), self.folder.clone());
        Self::node(vault, log, clock, hashing, self.oidc.clone(), mails, failed, folder).await
    }

    #[allow(clippy::too_many_arguments, reason = "each is something that two nodes share or not")]
    async fn node(
        vault: Vault,
        log: Arc<FaultyLog>,
        clock: Arc<ManualClock>,
        hashing: Hashing,
        oidc: Option<OidcConfig>,
        mails: Arc<Mails>,
        failed: Arc<Failed>,
        folder: Arc<TempDir>,
    ) -> Self {
        let engine = Engine::start(log.clone(), clock.clone(), Arc::new(SystemIds), Limits::default()).await.unwrap();
        let public_url = url::Url::parse("https://shop.example/").unwrap();
        let keys = Keys::open(vault.clone(), public_url.to_string(), clock.now()).await.unwrap();
        let config = Config { public_url, shop_name: "Tea & Co".into(), oidc: oidc.clone(), hashing: hashing.clone() };
        let rights = Arc::new(FoldedRights(log.clone()));
        let (mailer, attempts) = (mails.clone(), failed.clone());
        let accounts = Accounts::new(Parts { vault: vault.clone(), keys, engine, rights, mailer, attempts, config }).unwrap();
        Self { accounts, vault, log, clock, hashing, oidc, mails, failed, folder }
    }

    /// Mails that were sent, oldest first, once all are.
    pub async fn mails(&self) -> Vec<Mail> {
        tokio::time::timeout(Duration::from_secs(60), self.accounts.settle()).await.unwrap();
        self.mails.0.lock().unwrap().clone()
    }

    /// The code of the last mail that has one of a kind, such as `verify`.
    pub async fn code(&self, kind: &str) -> String {
        let start = format!("https://shop.example/account#{kind}=");
        let mails = self.mails().await;
        let line = mails.iter().rev().find_map(|mail| mail.text.lines().find_map(|line| line.strip_prefix(&start)));
        line.unwrap_or_else(|| panic!("no mail has a code for {kind}")).to_owned()
    }

    pub fn failed(&self) -> Vec<Option<AccountId>> {
        self.failed.0.lock().unwrap().clone()
    }

    pub fn later(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// The events of accounts, by type, without the words that all of them begin with.
    pub async fn events(&self) -> Vec<String> {
        let of_accounts = |recorded: &Recorded| Some(recorded.event.event_type.strip_prefix("Account")?.to_owned());
        self.log.all().await.iter().filter_map(of_accounts).collect()
    }

    /// The events of accounts from a place in their list on.
    pub async fn events_since(&self, known: usize) -> Vec<String> {
        self.events().await.split_off(known)
    }

    pub async fn register(&self, email: &str, password: &str) -> Result<(), IdentityError> {
        let (email, password, display_name) = (email.to_owned(), password.to_owned(), Some("Ana".to_owned()));
        self.accounts.register(Registration { email, password, display_name }, &stranger()).await
    }

    /// Ana's account, registered and verified.
    pub async fn ana(&self) -> AccountId {
        self.account(EMAIL).await
    }

    pub async fn account(&self, email: &str) -> AccountId {
        self.register(email, PASSWORD).await.unwrap();
        let code = self.code("verify").await;
        self.accounts.verify_email(&code, PASSWORD, &stranger()).await.unwrap().account_id
    }

    /// A login with a password, from an address.
    pub async fn try_login(&self, password: &str, origin: &Origin) -> Result<LoginAnswer, IdentityError> {
        let login = Login { email: EMAIL.to_owned(), password: password.to_owned() };
        self.accounts.login(login, origin).await
    }

    /// Ana, logged in.
    pub async fn log_in(&self) -> SignedIn {
        signed_in(self.try_login(PASSWORD, &stranger()).await.unwrap())
    }

    pub async fn authenticate(&self, bearer: &str) -> Result<Authenticated, TokenError> {
        self.accounts.authenticate(bearer, self.clock.now()).await
    }

    /// The roles that a token has; panics if it has none.
    pub async fn roles(&self, bearer: &str) -> Vec<String> {
        match self.authenticate(bearer).await.unwrap().subject {
            Subject::Account { roles, .. } => roles,
            other => panic!("{other:?}"),
        }
    }

    pub async fn is_refused(&self, bearer: &str) -> bool {
        matches!(self.authenticate(bearer).await, Err(TokenError::Invalid))
    }

    /// All that is in the vault's files, as bytes.
    pub fn vault_bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

/// Somebody from an address, on a device that nobody knows.
pub fn stranger() -> Origin {
    from("192.0.2.1")
}

pub fn from(address: &str) -> Origin {
    Origin { address: Some(address.parse().unwrap()), ..Origin::default() }
}

pub fn with_device(address: &str, device: &SignedIn) -> Origin {
    Origin { device_token: device.device_token.clone(), ..from(address) }
}

pub fn staff() -> Origin {
    Origin { actor: "support:ben".into(), ..Origin::default() }
}

pub fn signed_in(answer: LoginAnswer) -> SignedIn {
    match answer {
        LoginAnswer::SignedIn(signed_in) => *signed_in,
        LoginAnswer::SecondFactor(_) => panic!("a second factor is asked for"),
    }
}

pub fn who(signed_in: &SignedIn) -> AccountSession {
    AccountSession { account_id: signed_in.account_id, session_id: signed_in.session_id }
}

/// The code of a refusal.
#[track_caller]
pub fn refusal<T>(result: Result<T, IdentityError>) -> &'static str {
    match result {
        Err(IdentityError::Refused(refusal)) => refusal.code(),
        Err(error) => panic!("a failure instead of a refusal: {error}"),
        Ok(_) => panic!("it was not refused"),
    }
}

#[track_caller]
pub fn is_unavailable<T>(result: Result<T, IdentityError>) {
    match result {
        Err(IdentityError::Unavailable(_)) => {}
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it did not fail"),
    }
}

/// How many of each.
pub fn counted<T: std::hash::Hash + Eq>(all: impl IntoIterator<Item = T>) -> HashMap<T, usize> {
    let mut counted = HashMap::new();
    all.into_iter().for_each(|one| *counted.entry(one).or_default() += 1);
    counted
}
