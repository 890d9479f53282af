//! The log as one node sees it on a bad day: slow, unreachable, silent about what it did. What the planted bugs do to it is
//! marked by `bites`.

use std::sync::Arc;

use async_trait::async_trait;
use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId, Timestamp};
use event_store::{AppendError, Bookkeeping, Head, Log, Progress, ReadError, Snapshot, Task};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    bugs::{self, Bug},
    world::{Life, World},
};

/// The log of one node. The engine and the processes of a node have one each.
pub struct NodeLog {
    pub world: Arc<World>,
    pub life: Arc<Life>,
    pub for_engine: bool,
}

impl NodeLog {
    pub fn new(world: &Arc<World>, life: &Arc<Life>, for_engine: bool) -> Arc<Self> {
        Arc::new(Self { world: world.clone(), life: life.clone(), for_engine })
    }

    /// A call on its way out or back. A dead node never hears of it again.
    async fn travel(&self) {
        self.world.delay(self.world.profile.latency).await;
        if self.life.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    async fn ask<T>(&self, what: &str, answer: impl FnOnce(&World) -> T) -> Result<T, ReadError> {
        self.travel().await;
        if self.world.chance(self.world.profile.read_fails) {
            self.world.note(format_args!("node {}: {what} fails", self.life.node));
            return Err(ReadError::Unavailable("simulated".to_owned()));
        }
        let answer = answer(&self.world);
        self.travel().await;
        Ok(answer)
    }

    /// The store does not say what became of a batch: it was lost, written, or will be written later.
    async fn leave_unknown(&self, head: Position, batch: Vec<Proposed>, silent: bool) -> AppendError {
        // What is written is found by a read. While the store is silent nothing is, or the engine would always learn what became of it.
        let fate = if silent { 0 } else { self.world.below(3) };
        let world = self.world.clone();
        world.note(format_args!("node {}: append after {head}, outcome unknown, fate {fate}", self.life.node));
        match fate {
            0 => {}
            1 => {
                let written = world.commit(head, batch.clone());
                if written.is_ok() && world.bites(Bug::DoubleApply, 500) {
                    let _ = world.commit(head + batch.len() as Position, bugs::once_more(&world, batch));
                }
            }
            _ => {
                tokio::spawn(async move {
                    world.delay(8_000).await;
                    let _ = world.commit(head, batch);
                });
            }
        }
        self.travel().await;
        AppendError::OutcomeUnknown("simulated".to_owned())
    }
}

#[async_trait]
impl Log for NodeLog {
    fn id(&self) -> Uuid {
        Uuid::from_u128(1)
    }

    async fn append(&self, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError> {
        let (world, profile) = (&self.world, &self.world.profile);
        if self.life.is_dead() {
            std::future::pending::<()>().await;
        }
        world.delay(profile.latency).await;
        // What a node sent before it died may arrive all the same.
        if self.life.is_dead() && world.below(2) == 0 {
            std::future::pending::<()>().await;
        }
        if world.chance(profile.append_refused) {
            world.note(format_args!("node {}: append after {head} refused", self.life.node));
            if world.bites(Bug::RefusedButWritten, 1000) {
                let _ = world.commit(head, batch);
            }
            self.travel().await;
            return Err(AppendError::Unavailable("simulated".to_owned()));
        }
        let silent = world.is_silent();
        if silent || world.chance(profile.append_unknown) {
            if !silent && world.chance(profile.silence) {
                world.fall_silent();
            }
            return Err(self.leave_unknown(head, batch, silent).await);
        }
        let outcome = match bugs::append(world, &self.life, head, &batch) {
            Some(outcome) => outcome,
            None => world.commit(head, batch),
        };
        self.travel().await;
        outcome
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        let page = self.ask("a read", |world| world.contents().truth.read(after, limit)).await?;
        Ok(bugs::read(&self.world, self.for_engine, limit, page))
    }

    async fn read_stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        self.ask("a read of a stream", |world| world.contents().truth.read_stream(stream, after, limit)).await
    }

    async fn read_streams(&self, streams: Vec<(StreamId, Sequence)>, limit: usize) -> Result<Vec<Vec<Recorded>>, ReadError> {
        self.ask("a read of streams", |world| {
            let truth = &world.contents().truth;
            streams.iter().map(|(stream, after)| truth.read_stream(stream, *after, limit)).collect()
        })
        .await
    }

    async fn find_scopes(&self, scopes: Vec<String>) -> Result<Vec<Option<Position>>, ReadError> {
        let found = self.ask("a look for keys", |world| {
            let truth = &world.contents().truth;
            scopes.iter().map(|scope| truth.find_scope(scope)).collect::<Vec<_>>()
        });
        Ok(found.await?.into_iter().map(|position| bugs::find_scope(&self.world, &self.life, position)).collect())
    }

    async fn head(&self) -> Result<Head, ReadError> {
        self.ask("a look at the head", |world| world.contents().truth.head()).await
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.life.follow()
    }
}

#[async_trait]
impl Bookkeeping for NodeLog {
    async fn load_snapshots(&self, streams: Vec<StreamId>) -> Result<Vec<Option<Snapshot>>, ReadError> {
        self.ask("a load of snapshots", |world| {
            let mut found = Vec::with_capacity(streams.len());
            for stream in &streams {
                let stale = world.chance(world.profile.snapshot_lost);
                let back = if stale { 1 + usize::try_from(world.below(3)).unwrap() } else { 0 };
                let snapshot = world.contents().truth.snapshot(stream, back);
                found.push(snapshot.map(|snapshot| bugs::snapshot(world, snapshot)));
            }
            found
        })
        .await
    }

    async fn list_snapshots(&self, after: Option<StreamId>, limit: usize) -> Result<Vec<Snapshot>, ReadError> {
        self.ask("a list of snapshots", |world| world.contents().truth.list_snapshots(after.as_ref(), limit)).await
    }

    async fn save_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), ReadError> {
        self.ask("a save of snapshots", |world| {
            for snapshot in snapshots {
                if !world.chance(world.profile.snapshot_lost) {
                    world.contents().truth.save_snapshot(snapshot);
                }
            }
        })
        .await
    }

    async fn checkpoint(&self, process: &str) -> Result<Position, ReadError> {
        self.ask("a look at a checkpoint", |world| world.contents().truth.checkpoint(process)).await
    }

    async fn save_progress(&self, progress: Progress) -> Result<(), ReadError> {
        let progress = bugs::progress(&self.world, progress);
        // A step that failed may have been saved all the same.
        let anyway = self.world.below(2) == 0;
        let (process, saved) = (progress.process.clone(), progress.clone());
        let outcome = self
            .ask("a save of progress", |world| {
                world.note(format_args!("{process}: {:?}, put {}", progress.checkpoint, progress.put.len()));
                let dead = progress.put.iter().filter(|task| task.due_at.is_none());
                let unexpected = dead.filter_map(bugs::needs_an_operator).collect::<Vec<_>>();
                world.contents().truth.save_progress(progress);
                unexpected.into_iter().for_each(|letter| world.find(letter));
            })
            .await;
        if outcome.is_err() && anyway {
            self.world.contents().truth.save_progress(saved);
        }
        outcome
    }

    async fn due_tasks(&self, process: &str, now: Timestamp, limit: usize) -> Result<Vec<Task>, ReadError> {
        self.ask("a look at tasks", |world| world.contents().truth.due_tasks(process, now, limit)).await
    }

    async fn next_due(&self, process: &str) -> Result<Option<Timestamp>, ReadError> {
        self.ask("a look at deadlines", |world| world.contents().truth.next_due(process)).await
    }

    async fn dead_letters(&self) -> Result<Vec<Task>, ReadError> {
        self.ask("a look at dead letters", |world| world.contents().truth.dead_letters()).await
    }
}
