//! A running server: opened from its configuration, stopped without losing what it has begun.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Weak, atomic::AtomicBool},
    time::{Duration, Instant},
};

use domain::{DeadlineProcess, GatewayProcess, OrderProcess, Process, StoreConfig};
use engine::{Clock as _, Engine, Gateway, Limits, LogClock, Processes, SandboxGateway, SystemIds};
use event_store::{Log, Moment, PastError};
use ipnet::IpNet;
use projections::{Runner, Views};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use url::Url;
use vault::Persons;
use webhooks::{WebhookConfig, Webhooks};

use crate::{
    access::Role,
    access_log::AccessLog,
    accounts::{self, AccountsError, OidcIssuer, Setup},
    as_of,
    audit_log::AuditLog,
    data_folder::{DataFolder, DataFolderError, FolderLock, FolderUse},
    demo::{self, DemoError},
    http, lost_vault,
    metrics::Metrics,
    net::{self, Door, Serving, TransportConfig, TransportError},
    notary::{self, NotaryArgs, NotaryError},
    persons::{self, Retention},
    readiness,
    rights::LogRights,
    shop::Shop,
    webhook_directory::ViewDirectory,
};

/// How long requests that have begun may take once the server is stopping.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the demo shop waits for its views before it opens: a newcomer's first query must not find it empty.
const FIRST_LOOK: Duration = Duration::from_secs(30);

/// How often the log is asked for the time.
const TIME_CHECK: Duration = Duration::from_secs(15);

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The folder that holds the shop.
    pub data: PathBuf,
    /// The URL of the log; `events.db` in the folder unless given.
    pub events: Option<String>,
    /// The URL of the views; `views.db` in the folder unless given.
    pub views: Option<String>,
    /// The URL of the vault; beside the log if that is in PostgreSQL, else `vault.db` in the folder, unless given.
    pub vault: Option<String>,
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where browsers reach the shop, such as `https://shop.example/`: for links in mails, passkeys, and as the issuer of
    /// tokens. `http://localhost` with the port unless given.
    pub public_url: Option<Url>,
    /// Where else somebody may log in.
    pub oidc: Option<OidcIssuer>,
    /// Whether an empty shop is filled with the demo's past.
    pub demo: bool,
    /// Origins of pages, other than the shop's own, that may use it from a browser.
    pub cors_origins: Vec<http::Origin>,
    /// Networks beyond the public one that webhooks may be sent to, also without TLS.
    pub webhook_allow: Vec<IpNet>,
    /// How heads of the log are signed.
    pub notary: NotaryArgs,
    /// TLS, proxies, connections, limits and documents.
    pub transport: TransportConfig,
    /// Whether a new vault may take the place of one that was lost.
    pub accept_new_vault: bool,
    /// Whether a second person has to agree that a person be erased.
    pub erasure_approval: bool,
    /// How long what is known of who never bought is kept; for ever unless given.
    pub retention: Option<Retention>,
    /// Whether nothing is written, neither by callers nor by the shop itself.
    pub read_only: bool,
    /// The moment that a shop is shown as of that is only read; its end when it is opened unless given.
    pub as_of: Option<Moment>,
}

impl ServeConfig {
    /// The shop of a folder at an address, with everything else as it is unless given.
    pub fn new(data: PathBuf, listen: SocketAddr) -> Self {
        Self {
            data,
            events: None,
            views: None,
            vault: None,
            listen,
            public_url: None,
            oidc: None,
            demo: false,
            cors_origins: Vec::new(),
            webhook_allow: Vec::new(),
            notary: NotaryArgs::default(),
            transport: TransportConfig::default(),
            accept_new_vault: false,
            erasure_approval: false,
            retention: None,
            read_only: false,
            as_of: None,
        }
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// Accounts cannot be used: their vault, their keys, or their mails.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] event_store::OpenError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] event_store::ReadError),
    /// The log cannot be shown as it was.
    #[error(transparent)]
    Past(#[from] PastError),
    /// The views cannot be opened or do not belong to the log.
    #[error(transparent)]
    Views(#[from] projections::ViewError),
    /// Webhooks cannot be sent.
    #[error(transparent)]
    Webhooks(#[from] webhooks::WebhookError),
    /// The log cannot be signed.
    #[error(transparent)]
    Notary(#[from] NotaryError),
    /// The demo shop cannot be made.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// It cannot be reached as the operator wants it: a certificate or the trusted documents cannot be used.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

/// A server that answers.
pub struct RunningServer {
    address: SocketAddr,
    shop: Arc<Shop>,
    runner: Runner,
    serving: Serving,
    /// What goes on in the background until the shop closes.
    background: Vec<JoinHandle<()>>,
    _lock: Option<FolderLock>,
}

/// Opens the shop and begins to answer.
///
/// # Errors
/// See [`StartError`]; nothing is left running.
pub async fn start(config: ServeConfig) -> Result<RunningServer, StartError> {
    // What can be wrong with files that were named is found before anything is made.
    let door = Door::open(&config.transport)?;
    let tls = match &config.transport.tls {
        Some(files) => Some((files.load().await?, files.clone())),
        None => None,
    };
    let folder = if config.read_only { DataFolder::existing(&config.data)? } else { DataFolder::create(&config.data)? };
    // Who only reads may do so beside the server that writes.
    let lock = if config.read_only { None } else { Some(lock(&folder, &config)?) };
    // The address comes first: without it nothing is to be decided.
    let failed = |error| StartError::Listen(config.listen, error);
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let public_url = config.public_url.clone().map_or_else(|| local_url(address, door.tls), Ok)?;
    let (shop, runner, background) = if config.read_only {
        as_of::open(&config, &folder, public_url, door).await?
    } else {
        open(&config, &folder, public_url, door, true).await?
    };
    let serving = net::serve(listener, http::router(shop.clone()), shop.door.connections.clone(), tls);
    tracing::info!(%address, data = %config.data.display(), "serving");
    Ok(RunningServer { address, shop, runner, serving, background, _lock: lock })
}

/// Takes what this shop writes.
fn lock(folder: &DataFolder, config: &ServeConfig) -> Result<FolderLock, DataFolderError> {
    folder.lock_with_log(FolderUse::of(&[&config.events, &config.views]), config.events.as_deref())
}

/// A shop that is open to work on, without a door.
pub(crate) struct Workshop {
    pub(crate) shop: Arc<Shop>,
    runner: Runner,
    background: Vec<JoinHandle<()>>,
    _lock: FolderLock,
}

/// Opens the shop as for serving, and nobody comes in.
///
/// # Errors
/// See [`StartError`].
pub(crate) async fn workshop(config: ServeConfig) -> Result<Workshop, StartError> {
    let folder = DataFolder::of_shop(&config.data, config.events.as_deref(), config.vault.as_deref())?;
    let lock = lock(&folder, &config)?;
    let public_url = local_url(config.listen, false)?;
    let (shop, runner, background) = open(&config, &folder, public_url, Door::open(&config.transport)?, false).await?;
    Ok(Workshop { shop, runner, background, _lock: lock })
}

/// Ends what goes on in the background, and writes what waits to be written.
async fn close(shop: &Shop, background: &[JoinHandle<()>], runner: Runner) {
    tokio::join!(shop.processes.stop(), shop.webhooks.stop());
    background.iter().for_each(JoinHandle::abort);
    shop.accounts.settle().await;
    shop.access_log.finish().await;
    shop.audit_log.finish().await;
    shop.engine.drain().await;
    if let Some(notary) = &shop.notary {
        notary.notary.stop().await;
    }
    runner.stop().await;
}

impl Workshop {
    /// Closes the shop when what has begun is done.
    pub(crate) async fn close(self) {
        close(&self.shop, &self.background, self.runner).await;
    }
}

/// Where a browser on this machine reaches the shop. A name and not an address: passkeys are for names.
fn local_url(address: SocketAddr, tls: bool) -> Result<Url, StartError> {
    let unusable = |error: url::ParseError| AccountsError::Unusable(error.to_string());
    let scheme = if tls { "https" } else { "http" };
    Ok(Url::parse(&format!("{scheme}://localhost:{}/", address.port())).map_err(unusable)?)
}

pub(crate) type Opened = (Arc<Shop>, Runner, Vec<JoinHandle<()>>);

/// Opens the shop; one that is not `served` leaves it as it is who signs tokens.
async fn open(
    config: &ServeConfig,
    folder: &DataFolder,
    public_url: Url,
    door: Door,
    served: bool,
) -> Result<Opened, StartError> {
    let vault = accounts::open_vault(folder, config.vault.as_deref(), config.events.as_deref()).await?;
    let persons = Persons::new(vault.clone());
    let log: Arc<dyn Log> = event_store::open(config.events.as_deref().unwrap_or(&folder.sqlite_url("events.db"))).await?;
    lost_vault::must_not_be_lost(&vault, &*log, config.accept_new_vault).await?;
    if config.demo {
        fill_demo(folder, &*log, &persons).await?;
    }
    // A shop without settings gets the defaults to change.
    folder.keep_settings(&StoreConfig::default())?;
    let store_config = Arc::new(folder.settings::<StoreConfig>()?);
    let views = Views::open(config.views.as_deref().unwrap_or(&folder.sqlite_url("views.db")))?;
    let clock = Arc::new(LogClock::of(&*log).await?);
    let engine = Engine::start(log.clone(), clock.clone(), Arc::new(SystemIds), Limits::default()).await?;
    let runner = Runner::start(log.clone(), views.clone(), projections::ALL).await?;
    if config.demo
        && let Err(late) = views.wait_for(log.head().await?.position, FIRST_LOOK).await
    {
        tracing::warn!(%late, "the demo shop opens before all of it can be seen");
    }
    let keys = if served {
        accounts::serving_keys(&vault, config.public_url.as_ref(), clock.now()).await?
    } else {
        accounts::known_keys(&vault, clock.now()).await?
    };
    let rights = Arc::new(LogRights::new(log.clone()));
    let (access_log, recorder) = AccessLog::start(engine.clone());
    let (audit_log, auditor) = AuditLog::start(engine.clone());
    let setup = Setup { vault: vault.clone(), keys, public_url, oidc: config.oidc.clone() };
    let accounts = accounts::open(setup, folder, engine.clone(), rights.clone(), access_log.clone())?;
    let sending = WebhookConfig { allow: config.webhook_allow.clone(), ..WebhookConfig::default() };
    let webhooks = Webhooks::start(log.clone(), engine.clone(), vault.clone(), Arc::new(ViewDirectory(views.clone())), sending)?;
    let notary = if served { Some(notary::start(&config.notary, folder, &vault, &log).await?) } else { None };
    let shop = Shop {
        notary,
        processes: processes(&log, &engine),
        webhooks,
        schema: crate::graphql::schema(),
        accounts,
        rights,
        access_log,
        audit_log,
        vault,
        vault_key_replaced: AtomicBool::new(false),
        persons,
        erasure_approval: config.erasure_approval,
        metrics: Metrics::default(),
        config: store_config,
        cors_origins: config.cors_origins.clone(),
        door,
        as_of: None,
        freshness: views.watch(),
        head: log.watch(),
        clock,
        log,
        engine,
        views,
        stopping: watch::Sender::new(false),
    };
    let shop = Arc::new(shop);
    let mut background = look_after(&shop, config.retention);
    background.extend([recorder, auditor]);
    Ok((shop, runner, background))
}

/// What has to be done now and again; gives what is to be ended when the shop closes.
fn look_after(shop: &Arc<Shop>, retention: Option<Retention>) -> Vec<JoinHandle<()>> {
    let shop = || Arc::downgrade(shop);
    tokio::spawn(keep_time(shop()));
    tokio::spawn(readiness::watch_vault_key(shop()));
    tokio::spawn(Door::sweep(shop(), |shop| &shop.door));
    let kept = [tokio::spawn(keep_vault(shop())), tokio::spawn(persons::keep_erased(shop()))];
    kept.into_iter().chain(retention.map(|rule| tokio::spawn(persons::keep_short(shop(), rule)))).collect()
}

/// What goes on by itself in answer to what happens.
fn processes(log: &Arc<dyn Log>, engine: &Engine) -> Processes {
    let processes: Vec<Box<dyn Process>> = vec![Box::new(GatewayProcess), Box::new(OrderProcess), Box::new(DeadlineProcess)];
    let gateways: [Arc<dyn Gateway>; 1] = [Arc::new(SandboxGateway)];
    Processes::start(log.clone(), engine.clone(), processes, &gateways)
}

/// Writes what accounts still owe the log after a death, then takes what has expired from the vault's disk, now and again.
async fn keep_vault(shop: Weak<Shop>) {
    if let Some(shop) = shop.upgrade()
        && let Err(error) = shop.accounts.recover().await
    {
        tracing::warn!(%error, "what accounts owe the log could not be written yet");
    }
    while let Some(shop) = shop.upgrade() {
        if let Err(error) = shop.vault.sweep(shop.clock.now()).await {
            tracing::warn!(%error, "what has expired could not be taken from the vault yet");
        }
        drop(shop);
        tokio::time::sleep(accounts::SWEEP).await;
    }
}

/// Keeps the shop's clock with the log's for as long as the shop is there, and says when this machine's is wrong.
pub(crate) async fn keep_time(shop: Weak<Shop>) {
    let mut told = false;
    while let Some(shop) = shop.upgrade() {
        if let Err(error) = shop.clock.synchronise(&*shop.log).await {
            tracing::debug!(%error, "the log did not tell the time");
        }
        let off_by = -shop.clock.offset().num_seconds();
        if off_by != 0 && !told {
            tracing::warn!(off_by, "this machine's clock is wrong, in seconds; the log's time is used. Set the clock");
        }
        told = off_by != 0;
        drop(shop);
        tokio::time::sleep(TIME_CHECK).await;
    }
}

/// Gives an empty shop the demo's settings and past; a shop that has a past keeps its own.
async fn fill_demo(folder: &DataFolder, log: &dyn Log, persons: &Persons) -> Result<(), StartError> {
    let begun = Instant::now();
    if log.head().await?.position > 0 {
        return Ok(());
    }
    folder.keep_settings(&demo::config()?)?;
    let events = demo::fill(log, persons, chrono::Utc::now().date_naive()).await?;
    if events > 0 {
        tracing::info!(events, ms = begun.elapsed().as_millis(), "made the demo shop");
    }
    Ok(())
}

impl RunningServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL, by HTTPS if it has a certificate.
    pub fn url(&self) -> String {
        let scheme = if self.shop.door.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// A token for a role, and perhaps for somebody, as `daybook token` makes it.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn token(&self, role: Role, name: Option<&str>, ttl: Duration) -> Result<String, AccountsError> {
        let keys = self.shop.accounts.keys();
        Ok(accounts::operator_token(keys, role, name, ttl, self.shop.clock.now())?.0)
    }

    /// The moment that the shop is shown as of, as JSON; none if it is shown as it is, and can be changed.
    pub fn as_of(&self) -> Option<serde_json::Value> {
        self.shop.as_of.map(|shown| shown.describe())
    }

    /// A link that makes the account of the first admin, once; none when there is an admin, or nothing can be changed.
    ///
    /// # Errors
    /// If the log or the vault cannot be read.
    pub async fn admin_link(&self) -> Result<Option<String>, AccountsError> {
        if self.shop.as_of.is_some() {
            return Ok(None);
        }
        let accounts = &self.shop.accounts;
        let code = accounts.admin_claim_code().await.map_err(|error| AccountsError::Unusable(error.to_string()))?;
        Ok(code.map(|code| accounts.account_link("claim", &code)))
    }

    /// Stops: no new requests, those that have begun are answered.
    pub async fn shutdown(self) {
        tracing::info!("stopping");
        self.shop.stopping.send_replace(true);
        if !self.serving.stop(DRAIN).await {
            tracing::warn!("requests did not end in time and were cut off");
        }
        close(&self.shop, &self.background, self.runner).await;
        tracing::info!("stopped");
    }
}
