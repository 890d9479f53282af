//! Following the log for a subscriber: first what it has missed, then what happens, in order, each event once.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use event_schemas::{LocationId, OrderId, Position, Recorded, Sequence, Sku, StockId, StreamId};
use event_store::ReadError;
use futures::{Stream, stream};
use projections::{Anomaly, Freshness, Projection, ViewError};
use tokio::sync::watch;

use crate::{graphql::history, shop::Shop};

/// Events read at once.
const CHUNK: usize = 500;
/// How long to wait before reading on after something happened, so that a busy log is read in chunks.
const PAUSE: Duration = Duration::from_millis(10);

/// How long to wait before it is looked again for what seldom happens.
const SELDOM: Duration = Duration::from_millis(500);

/// The whole log after a position: events that have happened, then events as they happen.
pub(crate) fn log(shop: Arc<Shop>, from: Position) -> impl Stream<Item = Result<Recorded, ReadError>> {
    let state = (shop.head.clone(), VecDeque::new(), from);
    stream::unfold(state, move |(mut head, mut ready, mut at)| {
        let shop = shop.clone();
        async move {
            loop {
                if let Some(recorded) = ready.pop_front() {
                    let recorded: Recorded = recorded;
                    at = recorded.position;
                    return Some((Ok(recorded), (head, ready, at)));
                }
                match shop.log.read(at, CHUNK).await {
                    Ok(chunk) if chunk.is_empty() => wait(&mut head).await?,
                    Ok(chunk) => ready.extend(chunk),
                    Err(error) => {
                        wait(&mut head).await?;
                        return Some((Err(error), (head, ready, at)));
                    }
                }
            }
        }
    })
}

/// Anomalies that were found after a position, together with those that the same event brought.
pub(crate) fn anomalies(shop: Arc<Shop>, from: Position) -> impl Stream<Item = Result<Vec<Anomaly>, ViewError>> {
    let state = (shop.freshness.clone(), VecDeque::new(), from);
    stream::unfold(state, move |(mut moved, mut ready, mut at)| {
        let shop = shop.clone();
        async move {
            loop {
                if let Some(found) = ready.pop_front() {
                    return Some((Ok(found), (moved, ready, at)));
                }
                let applied = moved.borrow_and_update().position_of(&[&projections::ANOMALIES]);
                if applied <= at {
                    wait(&mut moved).await?;
                    // Days are judged once a day, and the view moves with every event.
                    tokio::time::sleep(SELDOM).await;
                    continue;
                }
                match shop.views.read(move |reader| reader.anomalies_between(at, applied)).await {
                    Ok(found) => {
                        at = applied;
                        ready.extend(found.chunk_by(|one, next| one.position == next.position).map(<[Anomaly]>::to_vec));
                    }
                    Err(error) => {
                        wait(&mut moved).await?;
                        return Some((Err(error), (moved, ready, at)));
                    }
                }
            }
        }
    })
}

/// Waits for the next move of the log, or for a while: the watch is a hint, and another process may write too.
async fn wait<T>(moved: &mut watch::Receiver<T>) -> Option<()> {
    match tokio::time::timeout(Duration::from_secs(1), moved.changed()).await {
        Ok(Err(_)) => None,
        Ok(Ok(())) => {
            tokio::time::sleep(PAUSE).await;
            Some(())
        }
        Err(_) => Some(()),
    }
}

/// What a subscriber follows.
pub(crate) enum Subject {
    /// An order with its payments.
    Order(OrderId),
    /// The stock of a SKU at all locations of the store.
    Stock(Sku),
}

impl Subject {
    /// The views that know its streams and show what became of it; if one is halted, the subscriber waits and loses nothing.
    fn views(&self) -> &'static [&'static Projection] {
        match self {
            Self::Order(_) => &[&projections::ORDERS, &projections::PAYMENTS],
            Self::Stock(_) => &[&projections::STOCK],
        }
    }

    /// The streams of the subject, as the views know them.
    async fn streams(&self, shop: &Shop) -> Result<Vec<StreamId>, ViewError> {
        match self {
            Self::Order(id) => {
                let id = *id;
                let payments = shop.views.read(move |reader| Ok(reader.payments_of(&[id])?.remove(&id))).await?;
                let payments = payments.into_iter().flatten().map(|payment| StreamId::new("payment", payment.payment_id));
                Ok(std::iter::once(StreamId::new("order", id)).chain(payments).collect())
            }
            Self::Stock(sku) => {
                let at = |location: &LocationId| StockId { sku: sku.clone(), location: location.clone() };
                Ok(shop.config.locations.iter().map(|location| StreamId::new("stock", at(location))).collect())
            }
        }
    }
}

/// The streams of a subject, as far as the views have come: whoever is told of an event also sees what it did.
pub(crate) struct Streams {
    shop: Arc<Shop>,
    moved: watch::Receiver<Freshness>,
    from: Position,
    subject: Subject,
    read: BTreeMap<StreamId, Sequence>,
}

impl Streams {
    /// The streams of a subject after a position.
    pub(crate) fn after(shop: Arc<Shop>, from: Position, subject: Subject) -> Self {
        let moved = shop.freshness.clone();
        Self { shop, moved, from, subject, read: BTreeMap::new() }
    }

    /// The next events, in the order of the log, at least one; `None` when the shop closes.
    pub(crate) async fn next(&mut self) -> Option<Result<Vec<Recorded>, ViewError>> {
        loop {
            let applied = self.moved.borrow_and_update().position_of(self.subject.views());
            match self.visible(applied).await {
                Ok(events) if events.is_empty() => wait(&mut self.moved).await?,
                Ok(events) => return Some(Ok(events)),
                Err(error) => {
                    wait(&mut self.moved).await?;
                    return Some(Err(error));
                }
            }
        }
    }

    async fn visible(&mut self, applied: Position) -> Result<Vec<Recorded>, ViewError> {
        let mut found = Vec::new();
        let mut read = self.read.clone();
        for stream in self.subject.streams(&self.shop).await? {
            let known = read.get(&stream).copied().unwrap_or(0);
            let events = history::after(self.shop.log.as_ref(), &stream, known).await?;
            let events = events.into_iter().take_while(|recorded| recorded.position <= applied);
            for event in events {
                read.insert(stream.clone(), event.event.sequence);
                // A stream that is seen for the first time has a past that the subscriber knows.
                if event.position > self.from {
                    found.push(event);
                }
            }
        }
        (self.read, self.from) = (read, self.from.max(applied));
        found.sort_by_key(|recorded| recorded.position);
        Ok(found)
    }
}
