//! The shop as it was: all of the API over a log that ends at a moment, with views built by replay, and nothing that writes.

mod scratch;

use std::sync::{Arc, atomic::AtomicBool};

use domain::StoreConfig;
use engine::{Clock as _, Engine, Limits, LogClock, Processes, SystemIds};
use event_schemas::Timestamp;
use event_store::{Head, Log, Moment, PastLog};
use identity::Keys;
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;
use vault::{Persons, Vault};
use webhooks::{WebhookConfig, Webhooks};

use crate::{
    ServeConfig, StartError,
    access_log::AccessLog,
    accounts::{self, AccountsError, Setup},
    audit_log::AuditLog,
    data_folder::DataFolder,
    lost_vault,
    metrics::Metrics,
    net::Door,
    readiness,
    rights::LogRights,
    serve::{Opened, keep_time},
    shop::Shop,
};

/// What is shown of the past.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    /// The moment that was asked for.
    pub(crate) moment: Moment,
    /// Where the log ended then.
    pub(crate) end: Head,
    /// The time whose prices and taxes hold.
    pub(crate) today: Timestamp,
}

impl Shown {
    fn of(log: &PastLog, now: Timestamp) -> Self {
        let (moment, end) = (log.moment(), log.end());
        let today = match moment {
            Moment::Recorded(time) | Moment::Occurred(time) => time.min(now),
            Moment::Position(_) => end.recorded_at.unwrap_or_default(),
        };
        Self { moment, end, today }
    }

    /// The same for scripts.
    pub(crate) fn describe(&self) -> Value {
        let recorded_at = self.end.recorded_at.map(event_schemas::rfc3339);
        json!({ "moment": self.moment.to_string(), "position": self.end.position, "recorded_at": recorded_at })
    }
}

/// The vault of the shop, with its key and its keys, as they are there: who looks makes none of them.
async fn vault_of(config: &ServeConfig, folder: &DataFolder) -> Result<Vault, AccountsError> {
    let is_told = std::env::var_os("DAYBOOK_VAULT_KEY").is_some_and(|key| !key.is_empty());
    if !is_told && !folder.file("vault.key").exists() {
        let missing =
            "there is no vault.key in the data folder, and who only reads makes none; restore it, or serve the shop first";
        return Err(AccountsError::Unusable(missing.to_owned()));
    }
    let beside = config.events.as_deref().filter(|events| !events.starts_with("sqlite:"));
    let in_folder = folder.sqlite_url("vault.db");
    let url = config.vault.as_deref().or(beside).unwrap_or(&in_folder);
    let vault = Vault::open_existing(url, accounts::vault_key(folder)?).await?;
    if Keys::are_in(&vault).await? {
        return Ok(vault);
    }
    Err(AccountsError::Unusable(
        "the vault has no keys that sign tokens, and who only reads makes none; serve the shop first".to_owned(),
    ))
}

/// Opens the shop of a folder as it was at a moment (or is, if none is named), when its views are built. A server may go on with
/// the same shop meanwhile: its log is only read, its views are left alone, and its vault tells who may look.
///
/// # Errors
/// See [`StartError`].
pub(crate) async fn open(config: &ServeConfig, folder: &DataFolder, public_url: Url, door: Door) -> Result<Opened, StartError> {
    let vault = vault_of(config, folder).await?;
    let url = config.events.clone().unwrap_or_else(|| folder.sqlite_url("events.db"));
    let present = event_store::open_read_only(&url).await?;
    if !config.accept_new_vault {
        lost_vault::must_fit(&vault, &*present).await?;
    }
    let moment = match config.as_of {
        Some(moment) => moment,
        None => Moment::Position(present.head().await?.position),
    };
    let past = PastLog::at(present.clone(), moment).await?;
    let clock = Arc::new(LogClock::of(&*present).await?);
    let shown = Shown::of(&past, clock.now());
    let log: Arc<dyn Log> = Arc::new(past);
    let (views, runner) = scratch::build(folder, log.clone(), &shown).await?;
    let engine = Engine::start(log.clone(), clock.clone(), Arc::new(SystemIds), Limits::default()).await?;
    // Who may look is a matter of now: rights that were taken since then do not come back.
    let rights = Arc::new(LogRights::new(present));
    let keys = accounts::known_keys(&vault, clock.now()).await?;
    let (access_log, recorder) = AccessLog::start_unwritten(engine.clone());
    let (audit_log, auditor) = AuditLog::start_unwritten(engine.clone());
    let setup = Setup { vault: vault.clone(), keys, public_url, oidc: config.oidc.clone() };
    let accounts = accounts::open(setup, folder, engine.clone(), rights.clone(), access_log.clone())?;
    let shop = Shop {
        notary: None,
        processes: Processes::start(log.clone(), engine.clone(), Vec::new(), &[]),
        webhooks: Webhooks::at_rest(log.clone(), engine.clone(), vault.clone(), WebhookConfig::default())?,
        schema: crate::graphql::schema(),
        accounts,
        rights,
        access_log,
        audit_log,
        persons: Persons::new(vault.clone()),
        erasure_approval: false,
        vault,
        vault_key_replaced: AtomicBool::new(false),
        metrics: Metrics::default(),
        config: Arc::new(folder.settings::<StoreConfig>()?),
        cors_origins: config.cors_origins.clone(),
        door,
        as_of: Some(shown),
        freshness: views.watch(),
        head: log.watch(),
        clock,
        log,
        engine,
        views,
        stopping: watch::Sender::new(false),
    };
    let shop = Arc::new(shop);
    tokio::spawn(keep_time(Arc::downgrade(&shop)));
    tokio::spawn(readiness::watch_vault_key(Arc::downgrade(&shop)));
    tokio::spawn(Door::sweep(Arc::downgrade(&shop), |shop| &shop.door));
    Ok((shop, runner, vec![recorder, auditor]))
}
