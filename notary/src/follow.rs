//! Following the log: the loop that reads digests, keeps the tree, and signs its heads.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use event_store::{Log, ReadError};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use crate::{
    HeadError, Node, NotaryConfig, NotaryStatus, SignError, SignedCheckpoint, Signer, TileError, TileFolder, hex,
    notary::{Ask, SharedTree},
    open::{self, Opened},
    publish::Published,
    writer::TileWriter,
};

/// How many digests are read at once.
const PAGE: usize = 16_384;
/// How long the log is left alone after a look at its end, so that following it costs a busy shop nothing: few reads of many
/// digests cost it less than many of few, and nobody needs a tree that is fresher.
const PAUSE: Duration = Duration::from_millis(250);
/// How long it is left alone when somebody waits for a head.
const ASKED_PAUSE: Duration = Duration::from_millis(50);
/// How long the notary waits for the log to say that it moved before it looks by itself.
const POLL: Duration = Duration::from_millis(500);
/// How long it waits after something could not be read or written.
const RETRY: Duration = Duration::from_secs(1);

/// The name of the file whose lock says that a process keeps the folder.
const LOCK: &str = "lock";

/// What stops the notary for now, or for good.
pub(crate) enum Fault {
    /// The log is not what was signed.
    Broken(String),
    /// It may be better the next time.
    Trouble(String),
    /// Tiles are not there or damaged: the folder is opened again, which has them made anew.
    Damaged(String),
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        Self::Trouble(error.to_string())
    }
}

impl From<TileError> for Fault {
    fn from(error: TileError) -> Self {
        match error {
            TileError::Missing(_) | TileError::Damaged(..) | TileError::Wrong(_) | TileError::OtherRoot(_) => {
                Self::Damaged(error.to_string())
            }
            TileError::File(..) | TileError::Outside { .. } => Self::Trouble(error.to_string()),
        }
    }
}

impl From<HeadError> for Fault {
    fn from(error: HeadError) -> Self {
        Self::Trouble(error.to_string())
    }
}

/// Who follows a log.
pub(crate) struct Follower {
    log: Arc<dyn Log>,
    signer: Arc<dyn Signer>,
    folder: TileFolder,
    config: NotaryConfig,
    told: watch::Sender<NotaryStatus>,
    tree: SharedTree,
    /// Roots that the tree must have at sizes that it has not come to yet: they were signed.
    known: BTreeMap<u64, Node>,
    /// The last head in the folder.
    head: Option<SignedCheckpoint>,
    published: Option<Published>,
    signed_at: Option<Instant>,
    broken: Option<String>,
    stopping: watch::Receiver<bool>,
}

impl Follower {
    /// Somebody who follows a log, says how it goes, and ends when told.
    pub(crate) fn new(
        log: Arc<dyn Log>,
        signer: Arc<dyn Signer>,
        config: NotaryConfig,
        tree: SharedTree,
        told: watch::Sender<NotaryStatus>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            log,
            signer,
            folder: TileFolder::new(&config.folder),
            config,
            told,
            tree,
            known: BTreeMap::new(),
            head: None,
            published: None,
            signed_at: None,
            broken: None,
            stopping,
        }
    }

    /// Follows until it is told to end, or nobody can ask for a head any more.
    pub(crate) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let (mut moved, mut stopping) = (self.log.watch(), self.stopping.clone());
        let Some(_lock) = self.take_folder(&mut asks).await else { return };
        let mut asked: Vec<Ask> = Vec::new();
        loop {
            let ends = *stopping.borrow() || asks.is_closed();
            let outcome = self.turn(ends || !asked.is_empty()).await.map_err(|fault| self.kept(fault));
            let failed = outcome.is_err();
            self.tell(outcome, &mut asked);
            if ends {
                return;
            }
            // A look at the log takes its time from the shop: there is a pause behind each, and a longer one behind a fault.
            let pause = if failed { RETRY } else { ASKED_PAUSE };
            let _ = timeout(pause, stopping.wait_for(|stopping| *stopping)).await;
            if asks.is_empty() {
                let looks = async {
                    sleep(PAUSE.saturating_sub(ASKED_PAUSE)).await;
                    let _ = timeout(POLL.min(self.config.interval), moved.changed()).await;
                };
                tokio::select! {
                    () = looks => {}
                    ask = asks.recv() => asked.extend(ask),
                    _ = stopping.wait_for(|stopping| *stopping) => {}
                }
            }
            while let Ok(ask) = asks.try_recv() {
                asked.push(ask);
            }
        }
    }

    /// Takes the folder for this process, as soon as no other has it.
    async fn take_folder(&mut self, asks: &mut mpsc::Receiver<Ask>) -> Option<File> {
        let mut stopping = self.stopping.clone();
        loop {
            let (is_elsewhere, trouble) = match lock(&self.config.folder) {
                Ok(Some(lock)) => {
                    self.told.send_modify(|status| (status.is_elsewhere, status.trouble) = (false, None));
                    return Some(lock);
                }
                Ok(None) => (true, None),
                Err(error) => (false, Some(format!("{}: {error}", self.config.folder.display()))),
            };
            self.told.send_modify(|status| {
                (status.is_elsewhere, status.trouble) = (is_elsewhere, trouble);
                status.signed = self.folder.head().ok().flatten().map_or(0, |head| head.unchecked().size);
            });
            let until = tokio::time::Instant::now() + RETRY;
            loop {
                tokio::select! {
                    ask = asks.recv() => {
                        let reason = "another process keeps the notary's folder, or it cannot be used".to_owned();
                        ask?.send(Err(SignError::Unavailable(reason))).ok();
                    }
                    _ = stopping.wait_for(|stopping| *stopping) => return None,
                    () = tokio::time::sleep_until(until) => break,
                }
            }
        }
    }

    /// Follows the log to its end and signs what is due.
    async fn turn(&mut self, is_asked: bool) -> Result<(), Fault> {
        if let Some(reason) = &self.broken {
            return Err(Fault::Broken(reason.clone()));
        }
        if with(&self.tree, |tree| tree.is_none()) {
            self.open().await?;
        }
        while !self.take_page().await? && !*self.stopping.borrow() {
            if self.is_due() {
                self.sign(false).await?;
            }
        }
        if is_asked || self.is_due() {
            self.sign(is_asked).await?;
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        self.signed_at.is_none_or(|at| at.elapsed() >= self.config.interval)
    }

    /// Opens the tree where its last head left it.
    async fn open(&mut self) -> Result<(), Fault> {
        let keys = self.signer.known().await.map_err(Fault::Trouble)?;
        let (folder, config) = (self.folder.clone(), self.config.clone());
        let Opened { head, tree, known } = blocking(move || open::open(&folder, config, &keys)).await?;
        self.known = known;
        // What waits to be published still waits after the tiles were made anew.
        if self.published.is_none() {
            self.published = self.config.publish.clone().map(Published::new);
        }
        let (size, signed) = (tree.size(), head.as_ref().map_or(0, |head| head.unchecked().size));
        self.told.send_modify(|status| (status.size, status.signed) = (size, signed));
        self.head = head;
        with(&self.tree, |place| *place = Some(tree));
        Ok(())
    }

    /// Adds the digests of the next events. Gives whether the log ends there.
    async fn take_page(&mut self) -> Result<bool, Fault> {
        let size = with(&self.tree, |tree| tree.as_ref().map_or(0, TileWriter::size));
        // The last one that is known is read again: it must still be what it was.
        let mut digests = self.log.digests(size.saturating_sub(1), PAGE).await?;
        let is_end = digests.len() < PAGE;
        if size > 0 && digests.is_empty() {
            let end = self.log.head().await?.position;
            return Err(Fault::Broken(format!("the log ended at position {size}, and ends at {end} now")));
        }
        let seen = if size > 0 { Some(digests.remove(0)) } else { None };
        let (tree, mut known) = (Arc::clone(&self.tree), self.known.clone());
        // What the tree came past stays passed also when the disk is full meanwhile.
        let work = move || {
            let taken = with(&tree, |tree| match tree.as_mut() {
                Some(tree) => take(tree, seen, digests, &mut known),
                None => Ok(()),
            });
            Ok((known, taken))
        };
        let (known, taken) = blocking(work).await?;
        self.known = known;
        taken?;
        let size = with(&self.tree, |tree| tree.as_ref().map_or(0, TileWriter::size));
        self.told.send_if_modified(|status| std::mem::replace(&mut status.size, size) != size);
        match self.known.last_key_value() {
            Some((signed, _)) if is_end && *signed > size => {
                Err(Fault::Broken(format!("the log ends at position {size}, and had {signed} events when that was signed")))
            }
            _ => Ok(is_end),
        }
    }

    /// Signs the tree as it is, if that was not done yet.
    async fn sign(&mut self, is_asked: bool) -> Result<(), Fault> {
        let size = with(&self.tree, |tree| tree.as_ref().map_or(0, TileWriter::size));
        let is_signed = self.head.as_ref().is_some_and(|head| head.unchecked().size >= size);
        // A head is never smaller than one that was signed before.
        let is_small = self.known.last_key_value().is_some_and(|(signed, _)| *signed > size);
        if is_signed || is_small || (size == 0 && !is_asked) {
            return self.publish(None).await;
        }
        // Asked for after the size is fixed: a key that was replaced before signs nothing that is larger.
        let Some(key) = self.signer.key(size).await.map_err(Fault::Trouble)? else {
            return Err(Fault::Trouble(format!("the key in use does not sign a log of {size} events, which is too few")));
        };
        if key.name() != self.config.origin {
            return Err(Fault::Trouble(format!("the key is called {}, and the log {}", key.name(), self.config.origin)));
        }
        let tree = Arc::clone(&self.tree);
        let work = move || {
            with(&tree, |tree| {
                let Some(tree) = tree.as_mut() else { return Ok(None) };
                let head = SignedCheckpoint::sign(size, tree.root(size)?, &key);
                tree.keep(&head)?;
                Ok(Some(head))
            })
        };
        let Some(head) = blocking(work).await? else { return Ok(()) };
        self.signed_at = Some(Instant::now());
        self.told.send_modify(|status| status.signed = size);
        self.head = Some(head.clone());
        self.publish(Some(head)).await
    }

    /// Appends a head, and what could not be appended before, to the file outside.
    async fn publish(&mut self, head: Option<SignedCheckpoint>) -> Result<(), Fault> {
        let Some(mut published) = self.published.take() else { return Ok(()) };
        let path = self.config.publish.clone().unwrap_or_default();
        let work = move || {
            let done = match head {
                Some(head) => published.append(&head),
                None => published.flush(),
            };
            Ok((published, done))
        };
        let (published, done) = blocking(work).await?;
        self.published = Some(published);
        done.map_err(|error| Fault::Trouble(format!("a head could not be appended to {}: {error}", path.display())))
    }

    /// If the log is not what was signed, nothing is signed from now on. If a tile is damaged, the tree is opened anew.
    fn kept(&mut self, fault: Fault) -> Fault {
        if matches!(fault, Fault::Damaged(_)) {
            with(&self.tree, |tree| *tree = None);
            // Nobody is given tiles of it before they were held against their head; those made anew are signed at once.
            self.signed_at = None;
            self.told.send_modify(|status| status.size = 0);
        }
        if let Fault::Broken(reason) = &fault
            && self.broken.is_none()
        {
            tracing::error!(reason, "the log is not what was signed before: the notary signs nothing more");
            self.broken = Some(reason.clone());
        }
        fault
    }

    /// Says how it went, and answers who asked for a head.
    fn tell(&mut self, outcome: Result<(), Fault>, asked: &mut Vec<Ask>) {
        let (broken, trouble, answer) = match outcome {
            Ok(()) => (None, None, self.head.clone().ok_or_else(|| SignError::Unavailable("nothing was signed yet".to_owned()))),
            Err(Fault::Broken(reason)) => (Some(reason.clone()), None, Err(SignError::Broken(reason))),
            Err(Fault::Trouble(reason) | Fault::Damaged(reason)) => {
                (None, Some(reason.clone()), Err(SignError::Unavailable(reason)))
            }
        };
        if let Some(reason) = trouble.as_ref().filter(|_| self.told.borrow().trouble.is_none()) {
            tracing::warn!(reason, "the notary cannot go on; it tries again");
        }
        self.told.send_if_modified(|status| {
            let before = (std::mem::replace(&mut status.broken, broken), std::mem::replace(&mut status.trouble, trouble));
            before != (status.broken.clone(), status.trouble.clone())
        });
        asked.drain(..).for_each(|ask| drop(ask.send(answer.clone())));
    }
}

/// Adds digests to a tree that ends with the one that was seen again, and holds it against the roots that it comes to.
fn take(tree: &mut TileWriter, seen: Option<Node>, digests: Vec<Node>, known: &mut BTreeMap<u64, Node>) -> Result<(), Fault> {
    // First what could not be written before: no more than a page waits for a disk that is full.
    tree.write_full()?;
    let size = tree.size();
    if tree.last()? != seen {
        return Err(Fault::Broken(format!("position {size} holds another event than before")));
    }
    for digest in digests {
        tree.push(digest);
        if let Some(root) = known.get(&tree.size()).copied() {
            if tree.root(tree.size())? != root {
                return Err(Fault::Broken(another_root(tree.size(), &root)));
            }
            known.remove(&tree.size());
        }
    }
    Ok(tree.write_full()?)
}

/// What is wrong with a log that does not come to a root that was signed.
pub(crate) fn another_root(size: u64, root: &Node) -> String {
    format!("the first {size} events had root {} when that was signed, and have another now", hex(root))
}

/// Looks at the tree, or changes it.
pub(crate) fn with<T>(tree: &SharedTree, look: impl FnOnce(&mut Option<TileWriter>) -> T) -> T {
    look(&mut tree.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Does work that hashes and writes, where it may take its time.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Fault::Trouble(error.to_string())))
}

/// Takes the lock of a folder, which is made when it is not there; none if another process has it.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    std::fs::create_dir_all(folder)?;
    let file = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(folder.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_a_page_waits_for_a_disk_that_takes_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        // A file stands where its folder should be.
        let path = scratch.path().join("notary");
        std::fs::write(&path, "").unwrap();
        let mut tree = TileWriter::new(TileFolder::new(&path));
        let mut take = |seen| take(&mut tree, seen, vec![[7; 32]; 600], &mut BTreeMap::new()).map_err(|_| tree.size());
        assert_eq!([take(None), take(Some([7; 32])), take(Some([7; 32]))], [Err(600); 3]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!((take(Some([7; 32])), tree.size()), (Ok(()), 1200));
    }
}
