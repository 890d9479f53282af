//! Accounts over this shop: the vault and its key, the keys that sign tokens, the mails, and who is the first admin.

use std::{sync::Arc, time::Duration};

use engine::Engine;
use event_schemas::Timestamp;
use identity::{Accounts, Config, Grant, Hashing, KeyError, Keys, MailError, Mailer, OidcConfig, Outbox, Parts, Smtp};
use serde::{Deserialize, Serialize};
use url::Url;
use vault::{Vault, VaultError, VaultKey};

use crate::{
    access::Role,
    access_log::AccessLog,
    data_folder::{DataFolder, DataFolderError},
    rights::LogRights,
};

/// What the shop is called in mails, authenticator apps and passkeys.
const SHOP_NAME: &str = "Daybook";
/// Who signs tokens of a shop that was not told how it is reached.
const ISSUER: &str = "daybook";
/// Where the vault holds who signs tokens, so that `daybook token` says the same as the shop that is being served.
pub(crate) const ISSUER_NAME: &str = "setting/issuer";
/// Who sends mails unless `DAYBOOK_MAIL_FROM` says so.
const MAIL_FROM: &str = "Daybook <daybook@localhost>";
/// How often a setting is written when others write it at the same time.
const ATTEMPTS: usize = 20;

/// How long expired entries may stay on the vault's disk.
pub(crate) const SWEEP: Duration = Duration::from_secs(10 * 60);

/// Where else somebody may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcIssuer {
    /// The issuer, as its discovery document names it.
    pub issuer: String,
    /// This shop's id there. Its secret, if it has one, is `DAYBOOK_OIDC_CLIENT_SECRET` in the environment.
    pub client_id: String,
}

/// Why accounts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    /// The vault cannot be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The keys that sign tokens cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Mails cannot be sent as configured.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// There is a vault, and no key to it.
    #[error(
        "there is no vault.key in the data folder, and {0} was made with one: put the key back from its backup, or give it as \
         DAYBOOK_VAULT_KEY"
    )]
    KeyMissing(String),
    /// The vault is new, and the log needs the one that was there.
    #[error(
        "{vault} is new, and the log has {what} at position {position}, which only the vault that was there can open. Is it the \
         right --data, --events and --vault? If that vault was lost, restore it from a backup. `daybook serve` with \
         --accept-new-vault goes on without it: what it sealed can never be read again, nobody can log in, and API keys and \
         webhooks have to be made anew (docs/runbooks.md, \"The vault is lost\")"
    )]
    VaultLost {
        /// The new vault.
        vault: String,
        /// What the log has.
        what: String,
        /// Where first.
        position: u64,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] event_store::ReadError),
    /// The environment holds something that is not text.
    #[error("{0} in the environment is not text")]
    NotText(&'static str),
    /// Accounts cannot be set up.
    #[error("accounts cannot be used: {0}")]
    Unusable(String),
}

#[derive(Serialize, Deserialize)]
struct Issuer {
    issuer: String,
}

/// Opens the shop's vault: at `url`, else beside a log that is in PostgreSQL, else in the folder.
///
/// # Errors
/// See [`AccountsError`].
pub(crate) async fn open_vault(folder: &DataFolder, url: Option<&str>, events: Option<&str>) -> Result<Vault, AccountsError> {
    let beside = events.filter(|events| !events.starts_with("sqlite:"));
    let in_folder = folder.sqlite_url("vault.db");
    let url = url.or(beside).unwrap_or(&in_folder);
    let had_key = folder.has("vault.key")?;
    match Vault::open(url, vault_key(folder)?).await {
        // A key that was made just now and opens nothing must not stay where the next backup takes it for the true one.
        Err(VaultError::WrongKey(vault)) if !had_key && folder.has("vault.key")? => {
            folder.remove("vault.key")?;
            Err(AccountsError::KeyMissing(vault))
        }
        opened => Ok(opened?),
    }
}

/// The key of the shop's vault: of the environment, else of the folder.
///
/// # Errors
/// See [`AccountsError`].
pub(crate) fn vault_key(folder: &DataFolder) -> Result<VaultKey, AccountsError> {
    match secret("DAYBOOK_VAULT_KEY")? {
        Some(key) => Ok(VaultKey::from_base64(&key)?),
        None => Ok(folder.vault_key()?),
    }
}

/// The keys that sign tokens, for a shop that is reached there.
///
/// # Errors
/// See [`AccountsError`].
pub(crate) async fn serving_keys(vault: &Vault, public_url: Option<&Url>, now: Timestamp) -> Result<Arc<Keys>, AccountsError> {
    let issuer = public_url.map_or(ISSUER, Url::as_str).to_owned();
    for _ in 0..ATTEMPTS {
        let known = vault.get::<Issuer>(ISSUER_NAME).await?;
        if known.as_ref().is_some_and(|known| known.value.issuer == issuer) {
            return Ok(Keys::open(vault.clone(), issuer, now).await?);
        }
        let setting = Issuer { issuer: issuer.clone() };
        match vault.put(ISSUER_NAME, known.map(|known| known.version), &setting, None).await {
            Ok(_) | Err(VaultError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(AccountsError::Unusable("another node says all the time that the shop is reached elsewhere".to_owned()))
}

/// The keys that sign tokens, as the shop that was last served with this vault used them.
///
/// # Errors
/// See [`AccountsError`].
pub(crate) async fn known_keys(vault: &Vault, now: Timestamp) -> Result<Arc<Keys>, AccountsError> {
    let known = vault.get::<Issuer>(ISSUER_NAME).await?;
    let issuer = known.map_or_else(|| ISSUER.to_owned(), |known| known.value.issuer);
    Ok(Keys::open(vault.clone(), issuer, now).await?)
}

/// A token for a role, and perhaps for somebody.
///
/// # Errors
/// If it cannot be signed.
pub(crate) fn operator_token(
    keys: &Keys,
    role: Role,
    name: Option<&str>,
    ttl: Duration,
    now: Timestamp,
) -> Result<(String, Timestamp), KeyError> {
    keys.issue(name.unwrap_or_default(), &Grant::Operator { role: role.name().to_owned() }, ttl, now)
}

/// What accounts are made of besides the shop itself.
pub(crate) struct Setup {
    /// The vault.
    pub(crate) vault: Vault,
    /// The keys that sign tokens.
    pub(crate) keys: Arc<Keys>,
    /// Where the shop is reached.
    pub(crate) public_url: Url,
    /// Where else one may log in.
    pub(crate) oidc: Option<OidcIssuer>,
}

/// The accounts of a shop.
///
/// # Errors
/// See [`AccountsError`].
pub(crate) fn open(
    setup: Setup,
    folder: &DataFolder,
    engine: Engine,
    rights: Arc<LogRights>,
    access_log: Arc<AccessLog>,
) -> Result<Accounts, AccountsError> {
    let Setup { vault, keys, public_url, oidc } = setup;
    let client_secret = secret("DAYBOOK_OIDC_CLIENT_SECRET")?;
    let oidc = oidc.map(|OidcIssuer { issuer, client_id }| OidcConfig { issuer, client_id, client_secret });
    let config = Config { public_url, shop_name: SHOP_NAME.to_owned(), oidc, hashing: Hashing::default() };
    let parts = Parts { vault, keys, engine, rights, mailer: mailer(folder)?, attempts: access_log, config };
    Accounts::new(parts).map_err(|error| AccountsError::Unusable(error.to_string()))
}

/// By SMTP if the environment says where to; else each mail becomes a file.
fn mailer(folder: &DataFolder) -> Result<Arc<dyn Mailer>, AccountsError> {
    let from = secret("DAYBOOK_MAIL_FROM")?.unwrap_or_else(|| MAIL_FROM.to_owned());
    if let Some(url) = secret("DAYBOOK_SMTP_URL")? {
        return Ok(Arc::new(Smtp::new(&url, &from)?));
    }
    let outbox = folder.file("mail");
    tracing::warn!(folder = %outbox.display(), "mails are not sent but written to files; set DAYBOOK_SMTP_URL to send them");
    Ok(Arc::new(Outbox::new(outbox, &from)?))
}

/// What the environment says, which is never shown; nothing if it is empty.
fn secret(name: &'static str) -> Result<Option<String>, AccountsError> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(AccountsError::NotText(name)),
    }
}
