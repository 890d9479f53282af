//! The notary beside a running shop, as the shop sees it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use event_store::Log;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    Hashes as _, HeadError, KnownKeys, Node, SignedCheckpoint, SigningKey, TILE_HEIGHT, TILE_WIDTH, Tile, TileError, TileFolder,
    follow::{Follower, with},
    tile::fold,
    writer::TileWriter,
};

/// Where signing keys come from. A key is asked for again before each signature, so that it can be replaced meanwhile.
#[async_trait]
pub trait Signer: Send + Sync + 'static {
    /// The key that signs a head of that size; none while the key in use is not for such a small one. All keys of a log have
    /// one name.
    ///
    /// # Errors
    /// Why there is no key now. It is asked for again later.
    async fn key(&self, size: u64) -> Result<Option<SigningKey>, String>;

    /// All keys that the log ever had: what one of them signed is believed when a folder is opened.
    ///
    /// # Errors
    /// Why they cannot be had now. They are asked for again later.
    async fn known(&self) -> Result<KnownKeys, String>;
}

/// One key for everything.
#[async_trait]
impl Signer for SigningKey {
    async fn key(&self, _: u64) -> Result<Option<SigningKey>, String> {
        Ok(Some(self.clone()))
    }

    async fn known(&self) -> Result<KnownKeys, String> {
        Ok(KnownKeys::from_iter([self.verifier()]))
    }
}

/// How a notary works.
#[derive(Debug, Clone)]
pub struct NotaryConfig {
    /// The folder of its tiles and its last head; made when it is not there.
    pub folder: PathBuf,
    /// The name of its keys, which its heads begin with.
    pub origin: String,
    /// How long after a head the next is signed, if there is something new.
    pub interval: Duration,
    /// A file, best on another machine, to which each head is appended.
    pub publish: Option<PathBuf>,
}

/// How a notary is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotaryStatus {
    /// How many events its tree has.
    pub size: u64,
    /// How many events the last signed head has.
    pub signed: u64,
    /// Why nothing is signed any more: the log is not what was signed. Only a restart asks again.
    pub broken: Option<String>,
    /// Why it cannot go on just now; it tries again.
    pub trouble: Option<String>,
    /// Whether another process keeps the folder, so that this one only reads it.
    pub is_elsewhere: bool,
}

/// Why a head cannot be signed now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The log is not what was signed before.
    #[error("nothing is signed any more: {0}")]
    Broken(String),
    /// It cannot be done now.
    #[error("no head can be signed now: {0}")]
    Unavailable(String),
}

/// A tile that the last head rests upon, to be told to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldTile {
    /// Its hashes, 32 bytes each.
    pub bytes: Vec<u8>,
    /// Whether this process has held it against a signed head. Of what another process keeps it cannot know.
    pub is_held: bool,
}

/// Why a tile cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// The last head has no such tile.
    #[error("there is no such tile below the last head")]
    NoTile,
    /// The tiles were not held against the last head yet, or do not have its root: a power cut may have left anything.
    #[error("the tiles were not held against their head yet")]
    NotHeld,
    /// The last head cannot be read.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The tile cannot be read.
    #[error(transparent)]
    Tile(TileError),
}

/// Somebody who waits for a head.
pub(crate) type Ask = oneshot::Sender<Result<SignedCheckpoint, SignError>>;

/// The tree, once it is opened.
pub(crate) type SharedTree = Arc<Mutex<Option<TileWriter>>>;

/// A notary that follows a log.
pub struct Notary {
    folder: TileFolder,
    status: watch::Receiver<NotaryStatus>,
    asks: mpsc::Sender<Ask>,
    tree: SharedTree,
    task: Mutex<Option<JoinHandle<()>>>,
    stop: watch::Sender<bool>,
}

impl Notary {
    /// Begins to follow a log. What goes wrong later is in [`Notary::status`].
    pub fn start(log: Arc<dyn Log>, signer: Arc<dyn Signer>, config: NotaryConfig) -> Self {
        let folder = TileFolder::new(&config.folder);
        let (asks, asked) = mpsc::channel(16);
        let (told, status) = watch::channel(NotaryStatus::default());
        let (stop, stopping) = watch::channel(false);
        let tree = SharedTree::default();
        let follower = Follower::new(log, signer, config, Arc::clone(&tree), told, stopping);
        let task = Mutex::new(Some(tokio::spawn(follower.run(asked))));
        Self { folder, status, asks, tree, task, stop }
    }

    /// The folder of its tiles and its last head.
    pub fn folder(&self) -> &TileFolder {
        &self.folder
    }

    /// How it is doing.
    pub fn status(&self) -> NotaryStatus {
        self.status.borrow().clone()
    }

    /// A tile that the last head rests upon. Beyond it there may be tiles of a history that was never signed: those are nobody's
    /// to keep.
    ///
    /// # Errors
    /// [`TellError`]
    pub fn tile(&self, tile: Tile) -> Result<ToldTile, TellError> {
        let size = self.folder.head()?.ok_or(TellError::NoTile)?.unchecked().size;
        if !tile.is_within(size) {
            return Err(TellError::NoTile);
        }
        let status = self.status();
        if status.size < size && !status.is_elsewhere {
            return Err(TellError::NotHeld);
        }
        match told(&self.folder, tile) {
            Ok(bytes) => Ok(ToldTile { bytes, is_held: !status.is_elsewhere }),
            Err(TileError::Missing(missing)) if missing == tile => Err(TellError::NoTile),
            Err(error) => Err(TellError::Tile(error)),
        }
    }

    /// The root of the first `size` events; none while the notary has not come so far, or does not keep the tree itself.
    pub async fn root(&self, size: u64) -> Option<Node> {
        let tree = Arc::clone(&self.tree);
        let root = move || with(&tree, |tree| tree.as_ref().and_then(|tree| tree.root(size).ok()));
        tokio::task::spawn_blocking(root).await.ok().flatten()
    }

    /// Waits until the tree has so many events, at most for a time; whether it has. There is no waiting for a tree that does not
    /// grow here.
    pub async fn wait_for(&self, size: u64, time: Duration) -> bool {
        let mut status = self.status.clone();
        let is_over = |status: &NotaryStatus| status.size >= size || status.broken.is_some() || status.is_elsewhere;
        timeout(time, status.wait_for(is_over)).await.is_ok_and(|status| status.is_ok_and(|status| status.size >= size))
    }

    /// Signs the log as it is now, and gives that head, which is on the disk.
    ///
    /// # Errors
    /// [`SignError`]
    pub async fn sign(&self) -> Result<SignedCheckpoint, SignError> {
        let (answer, answered) = oneshot::channel();
        let ended = || SignError::Unavailable("the notary has stopped".to_owned());
        self.asks.send(answer).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    /// Stops following, with a last head of what the log holds by then.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the notary did not end as it should");
        }
    }
}

/// A tile as it is told. A full one, which others keep for good, is held against the hash in the tile above that stands for it:
/// it was when the folder was opened, and a disk may have damaged it since.
fn told(folder: &TileFolder, tile: Tile) -> Result<Vec<u8>, TileError> {
    let bytes = folder.bytes(tile)?;
    let width = (tile.index % u64::from(TILE_WIDTH)) as u16 + 1;
    let above = Tile { level: tile.level + 1, index: tile.index >> TILE_HEIGHT, width };
    if !tile.is_full() {
        return Ok(bytes);
    }
    let hashes: Vec<Node> = bytes.chunks_exact(32).filter_map(|hash| hash.try_into().ok()).collect();
    if folder.tile(above)?.last() == Some(&fold(&hashes)) { Ok(bytes) } else { Err(TileError::Wrong(tile)) }
}
