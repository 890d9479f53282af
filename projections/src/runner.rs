//! The runner: follows the log and keeps every projection up to date, each event exactly once.

use std::{sync::Arc, time::Duration};

use event_schemas::Position;
use event_store::Log;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    Freshness, Projection, ViewError, Views,
    batch::Batch,
    writer::{self, Writer},
};

/// At most so many events are folded in one transaction.
const BATCH: usize = 4_096;
/// How often the log is asked for its head when nothing wakes the runner.
const POLL: Duration = Duration::from_secs(1);
/// How often a process that does not keep the views looks how they stand, and whether it should.
pub(crate) const LOOK: Duration = Duration::from_millis(500);
/// The longest pause after a failure of the log or of the view store.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A running runner. Dropping it stops it after the batch at hand.
#[derive(Debug)]
pub struct Runner {
    stop: watch::Sender<bool>,
    rebuilds: mpsc::Sender<Rebuild>,
    task: JoinHandle<()>,
}

type Rebuild = (String, oneshot::Sender<Result<(), ViewError>>);

impl Runner {
    /// Opens the views for these projections ([`crate::ALL`] for the shop's) and follows the log. If another process keeps
    /// them and the store may be shared, this one watches how they stand, and takes over when the other has gone.
    ///
    /// # Errors
    /// If the store cannot be opened, belongs to another log, or has seen more than the log holds.
    pub async fn start(log: Arc<dyn Log>, views: Views, projections: &[&'static Projection]) -> Result<Self, ViewError> {
        Self::start_with(log, views, projections, BATCH).await
    }

    /// As [`Runner::start`], with at most `batch` events in one transaction.
    ///
    /// # Errors
    /// As [`Runner::start`].
    pub async fn start_with(
        log: Arc<dyn Log>,
        views: Views,
        projections: &[&'static Projection],
        batch: usize,
    ) -> Result<Self, ViewError> {
        let projections = projections.to_vec();
        let feed = Feed { log, batch: batch.max(1), ahead: None };
        let (stop, stopped) = watch::channel(false);
        let (rebuilds, asked) = mpsc::channel(16);
        let mut following = Following { feed, views, projections, writer: None, refused: None, stopped, asked };
        following.open().await?;
        Ok(Self { stop, rebuilds, task: tokio::spawn(following.run()) })
    }

    /// Begins to build a projection anew beside the one that serves; [`Views::status`] shows how far it has come.
    ///
    /// # Errors
    /// If there is no such projection, the store fails, or the runner has stopped.
    pub async fn rebuild(&self, projection: &str) -> Result<(), ViewError> {
        let stopped = || ViewError::Unavailable("the runner has stopped".to_owned());
        let (answer, answered) = oneshot::channel();
        self.rebuilds.send((projection.to_owned(), answer)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// Stops after the batch at hand, and waits for that.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the projection runner ended badly");
        }
    }
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ViewError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ViewError::Unavailable(error.to_string()))
}

/// Reads and decodes the log in batches; while one is folded, the next is already on its way.
pub(crate) struct Feed {
    pub log: Arc<dyn Log>,
    pub batch: usize,
    pub ahead: Option<(Position, JoinHandle<Result<Batch, ViewError>>)>,
}

impl Feed {
    /// The events after a position, as far as `head`.
    pub async fn next(&mut self, after: Position, head: Position) -> Result<Batch, ViewError> {
        let batch = match self.ahead.take_if(|(from, _)| *from == after) {
            Some((_, task)) => task.await.map_err(|error| ViewError::Unavailable(error.to_string()))??,
            None => read(Arc::clone(&self.log), after, self.batch, head).await?,
        };
        let last = batch.last();
        // What was read ahead for someone else, if anything, is given up: few ever catch up from two places at once.
        if batch.unreadable.is_none() && last < head {
            self.ahead = Some((last, tokio::spawn(read(Arc::clone(&self.log), last, self.batch, head))));
        }
        Ok(batch)
    }
}

async fn read(log: Arc<dyn Log>, after: Position, batch: usize, head: Position) -> Result<Batch, ViewError> {
    let limit = usize::try_from(head.saturating_sub(after)).unwrap_or(batch).min(batch);
    let page = log.read(after, limit).await?;
    blocking(move || Batch::decode(after, page)).await
}

struct Following {
    feed: Feed,
    views: Views,
    projections: Vec<&'static Projection>,
    /// Away while it works on a thread for blocking work, and lost if that panics.
    writer: Option<Writer>,
    /// When it was last asked for, if another process had it.
    refused: Option<Instant>,
    stopped: watch::Receiver<bool>,
    asked: mpsc::Receiver<Rebuild>,
}

impl Following {
    async fn run(mut self) {
        let (mut log_moved, views_moved) = (self.feed.log.watch(), self.views.store().moved());
        let mut views_moved = views_moved.unwrap_or_else(|| watch::channel(0).1);
        let mut pause = Duration::from_millis(100);
        while !self.is_stopped() {
            let wait = match self.turn().await {
                Ok(true) => {
                    pause = Duration::from_millis(100);
                    continue;
                }
                Ok(false) if self.writer.is_some() => POLL,
                Ok(false) => LOOK,
                Err(error) => {
                    tracing::error!(%error, "the views cannot follow the log; trying again");
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    pause
                }
            };
            // A process that only watches hears when the views have moved; the log's events are not for it.
            let watches = self.writer.is_none();
            tokio::select! {
                _ = self.stopped.changed() => {}
                Some(rebuild) = self.asked.recv() => self.rebuild(rebuild).await,
                woken = log_moved.changed(), if !watches => {
                    // A log that is gone wakes no one any more; then only the poll is left.
                    if woken.is_err() { tokio::time::sleep(wait).await; }
                }
                Ok(()) = views_moved.changed(), if watches => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        if let Some(writer) = self.writer.take()
            && let Err(error) = blocking(move || writer.close()).await
        {
            tracing::debug!(%error, "the views were not let go of");
        }
    }

    fn is_stopped(&self) -> bool {
        *self.stopped.borrow() || self.stopped.has_changed().is_err()
    }

    /// Opens the writer, which takes up what the stored checkpoints say, unless another process has it; and tells how
    /// the views stand. Who was refused only looks how they stand, until it is time to ask again.
    async fn open(&mut self) -> Result<(), ViewError> {
        let mut head = self.feed.log.head().await?.position;
        if self.refused.is_some_and(|refused| refused.elapsed() < LOOK) {
            return self.look(head).await;
        }
        loop {
            let (log_id, projections, views) = (self.feed.log.id(), self.projections.clone(), self.views.clone());
            let opened = blocking(move || Writer::open(&views, log_id, head, &projections)).await?;
            let projections = match opened {
                Ok(writer) => {
                    let projections = writer.status(head);
                    (self.writer, self.refused) = (Some(writer), None);
                    projections
                }
                Err(ViewError::InUse(_)) if self.views.store().take_over_after().is_some() => {
                    self.refused = Some(Instant::now());
                    return self.look(head).await;
                }
                Err(ViewError::AheadOfLog { position, .. }) if self.feed.log.head().await?.position >= position => {
                    // Another process moved the views on between our look at the log and ours at them.
                    head = self.feed.log.head().await?.position;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.views.freshness().send_replace(Freshness { head, projections });
            return Ok(());
        }
    }

    /// Tells how the views stand that another process keeps.
    async fn look(&mut self, head: Position) -> Result<(), ViewError> {
        let stored = self.views.read(|reader| reader.checkpoints()).await?;
        stored.iter().try_for_each(|checkpoint| checkpoint.check_log(self.feed.log.id()))?;
        let projections = writer::statuses(&self.projections, &stored, head);
        self.views.freshness().send_replace(Freshness { head, projections });
        Ok(())
    }

    async fn with_writer<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Writer) -> Result<T, ViewError> + Send + 'static,
    ) -> Result<T, ViewError> {
        let elsewhere = || ViewError::InUse(self.views.store().name().to_owned());
        let mut writer = self.writer.take().ok_or_else(elsewhere)?;
        let worked = blocking(move || {
            let result = work(&mut writer);
            (writer, result)
        });
        let (writer, result) = worked.await.inspect_err(|error| self.lose(error))?;
        if writer.is_lost() {
            self.lose(result.as_ref().err().unwrap_or(&elsewhere()));
        } else {
            self.writer = Some(writer);
        }
        result
    }

    /// Until a writer is open again nothing moves on, and whoever asks how the views stand must see that.
    fn lose(&self, error: &ViewError) {
        let reason = format!("the writer of the views is gone: {error}");
        self.views.freshness().send_modify(|freshness| freshness.halt(&reason, chrono::Utc::now()));
    }

    /// Brings everyone who is behind one batch further; false when no one was.
    async fn turn(&mut self) -> Result<bool, ViewError> {
        while let Ok(rebuild) = self.asked.try_recv() {
            self.rebuild(rebuild).await;
        }
        if self.writer.as_ref().is_some_and(Writer::is_lost) {
            self.writer = None;
            self.lose(&ViewError::InUse(self.views.store().name().to_owned()));
        }
        if self.writer.is_none() {
            self.open().await?;
        }
        if self.writer.is_none() {
            return Ok(false);
        }
        let head = self.feed.log.head().await?.position;
        let cohorts = self.writer.as_ref().map(|writer| writer.cohorts(head)).unwrap_or_default();
        for after in &cohorts {
            let batch = self.feed.next(*after, head).await?;
            let freshness = self.views.freshness().clone();
            self.with_writer(move |writer| {
                writer.apply(&batch)?;
                writer.publish_caught_up(head)?;
                freshness.send_replace(Freshness { head, projections: writer.status(head) });
                Ok(())
            })
            .await?;
            if self.is_stopped() {
                return Ok(true);
            }
        }
        if cohorts.is_empty() && self.writer.as_ref().is_some_and(Writer::is_tending_due) {
            let freshness = self.views.freshness().clone();
            self.with_writer(move |writer| {
                // A generation whose swap failed, or was cut off by a crash, has nothing left to read.
                if writer.publish_caught_up(head)? {
                    freshness.send_replace(Freshness { head, projections: writer.status(head) });
                }
                writer.tend()
            })
            .await?;
        }
        Ok(!cohorts.is_empty())
    }

    async fn rebuild(&mut self, (projection, answer): Rebuild) {
        let result = self.with_writer(move |writer| writer.rebuild(&projection)).await;
        if answer.send(result).is_err() {
            tracing::debug!("whoever asked for the rebuild did not wait for the answer");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use event_store::MemoryLog;

    use super::*;
    use crate::{CATEGORIES, ProjectionState};

    #[tokio::test]
    async fn a_writer_lost_to_a_panic_shows_in_every_status_and_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let views = Views::open(&format!("sqlite:{}", folder.path().join("views.db").display())).unwrap();
        let feed = Feed { log: Arc::new(MemoryLog::new()), batch: 1, ahead: None };
        let ((_stop, stopped), (_rebuilds, asked)) = (watch::channel(false), mpsc::channel(1));
        let projections = vec![&CATEGORIES];
        let mut following = Following { feed, views: views.clone(), projections, writer: None, refused: None, stopped, asked };
        following.open().await.unwrap();
        let states = || views.status().into_iter().map(|status| (status.state, status.reason)).collect::<Vec<_>>();
        assert_eq!(states(), [(ProjectionState::Live, None)]);

        following.with_writer(|_| -> Result<(), ViewError> { panic!("out of luck") }).await.unwrap_err();
        let [(ProjectionState::Halted, Some(reason))] = &states()[..] else { panic!("{:?}", states()) };
        assert!(reason.starts_with("the writer of the views is gone"), "{reason}");

        following.turn().await.unwrap();
        assert_eq!(states(), [(ProjectionState::Live, None)]);
    }
}
