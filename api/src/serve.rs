//! A running server: opened from its configuration, stopped without losing what it has begun.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use domain::{DeadlineProcess, GatewayProcess, OrderProcess, Process, StoreConfig};
use engine::{Engine, Gateway, Limits, LogClock, Processes, SandboxGateway, SystemIds};
use event_store::Log;
use projections::{Runner, Views};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    data_folder::{DataFolder, DataFolderError, FolderLock, FolderUse},
    demo::{self, DemoError},
    http,
    metrics::Metrics,
    shop::Shop,
    token::{TokenError, TokenKey},
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
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether an empty shop is filled with the demo's past.
    pub demo: bool,
    /// Origins of pages, other than the shop's own, that may use it from a browser.
    pub cors_origins: Vec<http::Origin>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// The token key cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] event_store::OpenError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] event_store::ReadError),
    /// The views cannot be opened or do not belong to the log.
    #[error(transparent)]
    Views(#[from] projections::ViewError),
    /// The demo shop cannot be made.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

/// A server that answers.
pub struct RunningServer {
    address: SocketAddr,
    shop: Arc<Shop>,
    runner: Runner,
    serving: JoinHandle<()>,
    _lock: FolderLock,
}

/// Opens the shop and begins to answer.
///
/// # Errors
/// See [`StartError`]; nothing is left running.
pub async fn start(config: ServeConfig) -> Result<RunningServer, StartError> {
    let folder = DataFolder::create(&config.data)?;
    let lock = folder.lock(FolderUse::of(&[&config.events, &config.views]))?;
    let token_key = TokenKey::open(&folder)?;
    // The address comes first: without it nothing is to be decided.
    let failed = |error| StartError::Listen(config.listen, error);
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (shop, runner) = open(&config, &folder, token_key).await?;
    let router = http::router(shop.clone());
    let mut stopping = shop.stopping.subscribe();
    let serving = tokio::spawn(async move {
        let stopped = async move { drop(stopping.wait_for(|stopping| *stopping).await) };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
            tracing::error!(%error, "the server stopped by itself");
        }
    });
    tracing::info!(%address, data = %config.data.display(), "serving");
    Ok(RunningServer { address, shop, runner, serving, _lock: lock })
}

async fn open(config: &ServeConfig, folder: &DataFolder, token_key: TokenKey) -> Result<(Arc<Shop>, Runner), StartError> {
    let log: Arc<dyn Log> = event_store::open(config.events.as_deref().unwrap_or(&folder.sqlite_url("events.db"))).await?;
    if config.demo {
        fill_demo(folder, &*log).await?;
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
    let processes: Vec<Box<dyn Process>> = vec![Box::new(GatewayProcess), Box::new(OrderProcess), Box::new(DeadlineProcess)];
    let gateways: [Arc<dyn Gateway>; 1] = [Arc::new(SandboxGateway)];
    let processes = Processes::start(log.clone(), engine.clone(), processes, &gateways);
    let shop = Shop {
        processes,
        schema: crate::graphql::schema(),
        token_key,
        metrics: Metrics::default(),
        config: store_config,
        cors_origins: config.cors_origins.clone(),
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
    Ok((shop, runner))
}

/// Keeps the shop's clock with the log's for as long as the shop is there, and says when this machine's is wrong.
async fn keep_time(shop: Weak<Shop>) {
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
async fn fill_demo(folder: &DataFolder, log: &dyn Log) -> Result<(), StartError> {
    let begun = Instant::now();
    if log.head().await?.position > 0 {
        return Ok(());
    }
    folder.keep_settings(&demo::config()?)?;
    let events = demo::fill(log, chrono::Utc::now().date_naive()).await?;
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

    /// Stops: no new requests, those that have begun are answered.
    pub async fn shutdown(self) {
        tracing::info!("stopping");
        self.shop.stopping.send_replace(true);
        let mut serving = self.serving;
        if tokio::time::timeout(DRAIN, &mut serving).await.is_err() {
            tracing::warn!("requests did not end in time and were cut off");
            serving.abort();
        }
        self.shop.processes.stop().await;
        self.shop.engine.drain().await;
        self.runner.stop().await;
        tracing::info!("stopped");
    }
}
