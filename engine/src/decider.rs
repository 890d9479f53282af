//! The loop that decides: commands that queue up while one batch is written are decided together and form the next.
//!
//! At most one batch is on its way. What it will have changed is already in the cache, so the next batch is decided upon it
//! meanwhile. If the append fails, the effects of both are undone in the cache and their commands decided again (or
//! answered with the fault), so nothing is ever half done, and nobody is answered before the log is durable. If another node
//! was faster and what it wrote touches nothing that they rest upon, both stay as they are and go behind it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use domain::{Change, States as _, World};
use event_schemas::{Position, Proposed, Recorded, StreamId, Timestamp, to_micros};
use event_store::{Log, ReadError, Snapshot};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use crate::{
    Clock, EngineMetrics, Ids, Limits,
    batch::{Batch, Verdict, encode, scope},
    cache::Cache,
    engine::{Fault, Request},
    landing::{End, Landing, NotLanded, landed},
    load::load,
    repeats::Repeats,
};

/// How often a decision may ask for more before it counts as broken: the deepest chain of reads that follow from reads.
const READ_ROUNDS: usize = 64;
/// How many events are read at once to catch up with other nodes.
const CATCH_UP_PAGE: usize = 1000;
/// How long the log may say nothing before a node looks, ahead of its next append, whether what it has seen is still there.
const SURE: Duration = Duration::from_secs(1);

pub(crate) struct Decider {
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    limits: Limits,
    metrics: Arc<EngineMetrics>,
    cache: Cache,
    /// Where the log ends as far as this node knows, and the id of the event there.
    head: Position,
    last: Option<Uuid>,
    /// When the log last answered as it should.
    heard: Option<Instant>,
    /// Why nothing is decided any more: the log has lost what this node has seen.
    lost: Arc<OnceLock<String>>,
    /// `recorded_at` never goes back, even when the clock does.
    recorded_at: Timestamp,
    /// The batch on its way to the log, and how many events it has.
    flight: Option<Batch>,
    flight_events: u64,
    /// The event that the log ends with once that batch has landed.
    flight_last: Option<Uuid>,
    /// The batch that has landed, until its callers are told.
    durable: Option<Batch>,
    /// The batch that is being decided.
    next: Batch,
    /// Whether streams were loaded since the log was last read to its end: they may be newer than `head`.
    loaded: bool,
    repeats: Repeats,
}

impl Decider {
    pub async fn new(
        log: Arc<dyn Log>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        limits: Limits,
        metrics: Arc<EngineMetrics>,
    ) -> Result<Self, ReadError> {
        let head = log.head().await?;
        let End { position, event } = End::of(&*log, head.position).await?;
        let cache = Cache::new(limits.cache_bytes);
        Ok(Self {
            repeats: Repeats::new(log.clone(), metrics.clone()),
            log,
            clock,
            ids,
            limits,
            metrics,
            cache,
            head: position,
            last: event,
            heard: None,
            lost: Arc::default(),
            recorded_at: head.recorded_at.unwrap_or_default(),
            flight: None,
            flight_events: 0,
            flight_last: None,
            durable: None,
            next: Batch::default(),
            loaded: false,
        })
    }

    /// Says, once that is so, why nothing is decided any more.
    pub fn lost(&self) -> Arc<OnceLock<String>> {
        self.lost.clone()
    }

    /// Decides until the queue is closed and empty.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut inbox = Vec::new();
        let mut landing: Option<Landing> = None;
        let mut open = true;
        loop {
            if landing.is_none() && !self.next.is_empty() {
                landing = Some(self.launch());
            }
            // Now that the log has something to do again.
            if let Some(durable) = self.durable.take() {
                self.conclude(durable);
            }
            if landing.is_none() && !open {
                return;
            }
            let room = self.room();
            tokio::select! {
                biased;
                result = landed(&mut landing) => {
                    landing = None;
                    self.settle(result).await;
                }
                taken = queue.recv_many(&mut inbox, room), if open && room > 0 => {
                    open = taken > 0;
                    self.metrics.queued.set(queue.len() as u64);
                    self.decide(std::mem::take(&mut inbox)).await;
                }
            }
        }
    }

    /// How many commands may be decided before the batch on its way has landed. Those that write nothing count too: they wait
    /// for their answer all the same.
    fn room(&self) -> usize {
        let waiting = self.next.waiting() + self.flight.as_ref().map_or(0, Batch::waiting);
        let events = self.limits.batch_events.saturating_sub(self.next.events.len());
        events.min((2 * self.limits.batch_events).saturating_sub(waiting))
    }

    /// Sends the decided batch to the log. One without events only asks whether the log still ends where it was decided upon:
    /// another node may have written what makes a refusal wrong.
    fn launch(&mut self) -> Landing {
        let mut batch = std::mem::take(&mut self.next);
        self.cache.evict();
        self.metrics.cache_bytes.set(self.cache.bytes() as u64);
        self.metrics.cache_hits.set(self.cache.hits());
        let events = std::mem::take(&mut batch.events);
        self.flight_events = events.len() as u64;
        self.flight_last = events.last().map(|event| event.event_id).or(self.last);
        let (log, end, metrics) = (self.log.clone(), self.end(), self.metrics.clone());
        let sure = self.heard.is_some_and(|heard| heard.elapsed() < SURE);
        let landing = if events.is_empty() {
            tokio::spawn(async move { end.still_stands(&*log).await })
        } else {
            self.metrics.batch_events.record(events.len() as u64);
            tokio::spawn(async move {
                let begun = Instant::now();
                let result = end.append(&*log, events, sure).await;
                metrics.append_micros.record_micros(begun.elapsed());
                result
            })
        };
        // Now the cache holds exactly what the log will hold when this lands: the moment to take snapshots.
        let snapshots = self.cache.take_snapshots(batch.before.keys(), self.limits.snapshot_every);
        batch.snapshots.retain(|older| snapshots.iter().all(|newer| newer.stream != older.stream));
        batch.snapshots.extend(snapshots);
        self.flight = Some(batch);
        landing
    }

    /// Ends the flight: answers its callers, or drops its effects and decides again what was decided upon them.
    async fn settle(&mut self, result: Result<Position, NotLanded>) {
        let Some(mut flight) = self.flight.take() else { return };
        self.flight_events = 0;
        self.heard = None;
        match result {
            Ok(head) => {
                self.metrics.events.add(head - self.head);
                (self.head, self.last, self.heard) = (head, self.flight_last, Some(Instant::now()));
                flight.before.keys().for_each(|stream| self.cache.release(stream));
                self.durable = Some(flight);
            }
            Err(NotLanded::Moved { head, .. }) if head < self.head => {
                let reason = format!("the log ends at position {head}, and this node has seen {}", self.head);
                let failed = self.take_back(flight).into_iter().flatten().collect();
                self.lose(failed, reason);
            }
            Err(NotLanded::Lost(reason)) => {
                let failed = self.take_back(flight).into_iter().flatten().collect();
                self.lose(failed, reason);
            }
            Err(NotLanded::Moved { events, .. }) => {
                self.metrics.head_moved.add(1);
                flight.events = events;
                self.catch_up(flight).await;
            }
            Err(error) => {
                let fault = Fault::from(error);
                tracing::error!(%fault, "a batch failed");
                let touched: Vec<StreamId> = flight.before.keys().cloned().collect();
                let [failed, again] = self.take_back(flight);
                // What it rested upon may be older than the log.
                touched.iter().for_each(|stream| self.cache.remove(stream));
                self.fail(failed, &fault);
                self.decide(again).await;
            }
        }
    }

    /// Decides nothing any more: whatever is decided here rests upon events that are gone. A backup was put back, or a
    /// replica that lacked them took over.
    fn lose(&mut self, failed: Vec<Request>, reason: String) {
        tracing::error!(%reason, "the log has lost events");
        self.fail(failed, &Fault::HistoryLost(reason.clone()));
        // The first reason stands.
        let _ = self.lost.set(reason);
    }

    /// Undoes a batch on its way and what was decided upon it, and gives the commands of both back.
    fn take_back(&mut self, flight: Batch) -> [Vec<Request>; 2] {
        // What came last goes first.
        let next = std::mem::take(&mut self.next);
        let [next, flight] = [next, flight].map(|mut batch| {
            std::mem::take(&mut batch.before).into_iter().for_each(|(stream, before)| self.cache.put_back(stream, before));
            batch.into_requests().collect()
        });
        [flight, next]
    }

    fn fail(&self, requests: impl IntoIterator<Item = Request>, fault: &Fault) {
        for request in requests {
            self.metrics.faulted.add(1);
            request.answer(Err(fault.clone().into()));
        }
    }

    /// Tells the callers of a batch that it is durable, and saves the states that it led to.
    fn conclude(&self, mut durable: Batch) {
        self.save_snapshots(std::mem::take(&mut durable.snapshots));
        self.answer(durable);
    }

    fn answer(&self, batch: Batch) {
        let (accepted, refused) = batch.answer(self.head);
        self.metrics.accepted.add(accepted);
        self.metrics.refused.add(refused);
    }

    /// Reads what other nodes wrote, folds it into what is at hand, and puts what was decided here behind it: as it is, when it
    /// rests upon nothing that has changed, and else decided again.
    async fn catch_up(&mut self, flight: Batch) {
        let (from, mut kept, mut again) = (self.head, Some(flight), Vec::new());
        self.loaded = false;
        let read = loop {
            let page = match self.end().read_on(&*self.log, CATCH_UP_PAGE).await {
                Ok(page) => page,
                Err(error) => break Err(error),
            };
            self.heard = Some(Instant::now());
            if let Some(touched) = kept.take_if(|flight| self.is_touched(flight, &page)) {
                again = self.take_back(touched).into_iter().flatten().collect();
            }
            let ended = page.len() < CATCH_UP_PAGE;
            self.fold(page);
            if ended {
                break Ok(());
            }
        };
        match (read, kept) {
            (Ok(()), Some(flight)) => self.put_behind(flight, self.head - from),
            (Ok(()), None) => self.decide(again).await,
            (Err(error), kept) => {
                if let Some(flight) = kept {
                    again = self.take_back(flight).into_iter().flatten().collect();
                }
                return match error {
                    NotLanded::Lost(reason) => self.lose(again, reason),
                    error => self.fail(again, &error.into()),
                };
            }
        }
        // The log was just read to its end. What is refused there is answered at once: a log that others write faster than this
        // node can look twice would never stand still.
        if self.next.events.is_empty() && !self.loaded {
            let refusals = std::mem::take(&mut self.next);
            self.answer(refusals);
        }
    }

    /// Whether what others wrote touches what a batch and the one decided upon it rest upon: a stream that was read for them, or
    /// an idempotency key.
    fn is_touched(&self, flight: &Batch, page: &[Recorded]) -> bool {
        let scopes: HashSet<&str> = flight.scopes().chain(self.next.scopes()).collect();
        let same_key = |recorded: &Recorded| recorded.event.idempotency_scope.as_deref().is_some_and(|key| scopes.contains(key));
        self.cache.has_forgotten_since(flight.since)
            || page.iter().any(|recorded| self.cache.was_read_since(&recorded.event.stream, flight.since) || same_key(recorded))
    }

    /// Puts a batch, and the one decided upon it, after so many events of other nodes.
    fn put_behind(&mut self, mut flight: Batch, moved: u64) {
        let next = std::mem::take(&mut self.next);
        for stream in flight.join(next) {
            self.cache.release(&stream);
        }
        flight.move_by(moved, self.recorded_at);
        self.next = flight;
    }

    /// Folds events of other nodes into what is at hand.
    fn fold(&mut self, page: Vec<Recorded>) {
        for recorded in page {
            (self.head, self.last) = (recorded.position, Some(recorded.event.event_id));
            self.recorded_at = self.recorded_at.max(recorded.event.recorded_at);
            let stream = &recorded.event.stream;
            let Some(entry) = self.cache.get(stream) else { continue };
            if entry.sequence >= recorded.event.sequence {
                continue;
            }
            match recorded.decode() {
                Ok(events) if entry.sequence + 1 == recorded.event.sequence && events.len() == 1 => {
                    self.cache.evolve(stream, &events[0], recorded.event.payload.len());
                }
                _ => self.cache.remove(stream),
            }
        }
    }

    /// Decides commands in the order they came, upon everything decided before, into the next batch.
    ///
    /// A command whose reads are not at hand waits until they are loaded, together with those of the others. Commands that
    /// came at the same time have no promised order.
    async fn decide(&mut self, requests: Vec<Request>) {
        if let Some(reason) = self.lost.get() {
            return self.fail(requests, &Fault::HistoryLost(reason.clone()));
        }
        let mut waiting = self.without_repeats(requests).await;
        for _ in 0..READ_ROUNDS {
            let mut missing = BTreeSet::new();
            let mut incomplete = Vec::new();
            for request in waiting {
                if let Some((request, streams)) = self.decide_one(request) {
                    missing.extend(streams.iter().cloned());
                    incomplete.push((request, streams));
                }
            }
            if incomplete.is_empty() {
                return;
            }
            self.metrics.cache_misses.add(missing.len() as u64);
            self.loaded = true;
            waiting = match load(&*self.log, &mut self.cache, missing.into_iter().collect()).await {
                Ok(unreadable) => self.readable(incomplete, &unreadable),
                Err(error) => return self.fail(incomplete.into_iter().map(|(request, _)| request), &error.into()),
            };
        }
        self.fail(waiting, &Fault::Broken(format!("it asked for more {READ_ROUNDS} times over")));
    }

    /// Answers the commands that the log already holds, by idempotency key, and gives the others back.
    async fn without_repeats(&mut self, requests: Vec<Request>) -> Vec<Request> {
        let pending = |request| match &mut self.flight {
            Some(flight) => flight.repeat(request),
            None => Some(request),
        };
        let mut requests: Vec<Request> = requests.into_iter().filter_map(pending).collect();
        let scopes: Vec<String> = requests.iter().filter_map(scope).map(str::to_owned).collect();
        if scopes.is_empty() {
            return requests;
        }
        let found: Vec<Option<Position>> = match self.log.find_scopes(scopes).await {
            Ok(found) => found,
            Err(error) => {
                let (keyed, keyless) = requests.into_iter().partition(|request| scope(request).is_some());
                self.fail(keyed, &error.into());
                return keyless;
            }
        };
        let mut found = found.into_iter();
        let mut fresh = Vec::with_capacity(requests.len());
        for request in requests.drain(..) {
            let position = scope(&request).and_then(|_| found.next().flatten());
            match position {
                Some(position) => self.repeats.answer(position, request),
                None => fresh.push(request),
            }
        }
        fresh
    }

    /// Fails the commands that need a stream that cannot be read, and gives the others back.
    fn readable(&self, requests: Vec<(Request, Vec<StreamId>)>, unreadable: &BTreeMap<StreamId, Fault>) -> Vec<Request> {
        let mut readable = Vec::with_capacity(requests.len());
        for (request, streams) in requests {
            match streams.iter().find_map(|stream| unreadable.get(stream)) {
                Some(fault) => self.fail([request], fault),
                None => readable.push(request),
            }
        }
        readable
    }

    /// Decides one command into the next batch, or gives it back with the streams that it needs and that are not at hand.
    fn decide_one(&mut self, request: Request) -> Option<(Request, Vec<StreamId>)> {
        let request = self.next.repeat(request)?;
        if self.next.is_empty() {
            self.next.since = self.cache.now();
        }
        let world = World::new(&self.cache);
        let verdict = request.decision.decide(&world);
        let mut missing = world.into_missing();
        if missing.is_empty()
            && let Ok(changes) = &verdict
        {
            // What is written counts as read: it goes on where the stream ends now.
            missing = changes.iter().map(|c| &c.stream).filter(|stream| self.cache.state(stream).is_none()).cloned().collect();
        }
        if !missing.is_empty() {
            return Some((request, missing));
        }
        match verdict {
            Err(refusal) => self.next.push(request, Verdict::Refused(refusal)),
            Ok(changes) => self.accept(request, changes),
        }
        None
    }

    /// Puts a command's events into the next batch and folds them into the cache.
    fn accept(&mut self, request: Request, changes: Vec<Change>) {
        let encoded = match encode(&request.metadata, &changes) {
            Ok(encoded) => encoded,
            Err(error) => return self.fail([request], &Fault::Broken(error.to_string())),
        };
        self.recorded_at = self.recorded_at.max(to_micros(self.clock.now()));
        let mut scope = scope(&request).map(str::to_owned);
        for (change, (payload, metadata)) in changes.iter().zip(encoded) {
            if !self.next.before.contains_key(&change.stream)
                && let Some(before) = self.cache.hold(&change.stream)
            {
                self.next.before.insert(change.stream.clone(), before);
            }
            let Some(sequence) = self.cache.evolve(&change.stream, &change.event, payload.len()) else { continue };
            self.next.events.push(Proposed {
                event_id: self.ids.next(),
                stream: change.stream.clone(),
                sequence,
                event_type: change.event.event_type().into(),
                event_version: change.event.version(),
                payload,
                metadata,
                recorded_at: self.recorded_at,
                occurred_at: change.occurred_at.map_or(self.recorded_at, to_micros),
                idempotency_scope: scope.take(),
            });
        }
        let position = self.base() + self.next.events.len() as u64;
        self.next.push(request, Verdict::Done { changes, position });
    }

    fn end(&self) -> End {
        End { position: self.head, event: self.last }
    }

    /// The position after which the next batch goes, if the one on its way lands.
    fn base(&self) -> Position {
        self.head + self.flight_events
    }

    fn save_snapshots(&self, snapshots: Vec<Snapshot>) {
        if snapshots.is_empty() {
            return;
        }
        let log = self.log.clone();
        tokio::spawn(async move {
            if let Err(error) = log.save_snapshots(snapshots).await {
                // Nothing is lost: the next load folds a longer tail.
                tracing::warn!(%error, "snapshots could not be saved");
            }
        });
    }
}
