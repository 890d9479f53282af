//! Leaves, keys and logs for the tests.

use std::{path::Path, sync::Arc, time::Duration};

use event_schemas::{Proposed, StreamId, Timestamp};
use event_store::Log;
use notary::{Leaves, Node, Notary, NotaryConfig, NotaryStatus, SigningKey, Tree};
use uuid::Uuid;

pub const ORIGIN: &str = "daybook/tea";

pub fn key() -> SigningKey {
    SigningKey::new(ORIGIN, [7; 32]).unwrap()
}

/// A leaf hash like no other.
pub fn leaf(n: u64) -> Node {
    let mut leaf = [n as u8; 32];
    leaf[..8].copy_from_slice(&n.to_be_bytes());
    leaf
}

pub fn leaves(size: u64) -> Leaves {
    let mut leaves = Leaves::default();
    (0..size).for_each(|n| leaves.push(leaf(n)));
    leaves
}

/// Events with sequences from `first` on of one stream.
pub fn events(first: u64, count: u64) -> Vec<Proposed> {
    let at = Timestamp::from_timestamp_micros(1_700_000_000_000_000).unwrap();
    let event = |sequence| Proposed {
        event_id: Uuid::new_v4(),
        stream: StreamId::new("order", "busy"),
        sequence,
        event_type: "OrderExpired".into(),
        event_version: 1,
        payload: "{}".into(),
        metadata: "{}".into(),
        recorded_at: at,
        occurred_at: at,
        idempotency_scope: None,
    };
    (first..first + count).map(event).collect()
}

/// Appends so many events of that stream.
pub async fn grow(log: &dyn Log, count: u64) -> u64 {
    let head = log.head().await.unwrap().position;
    log.append(head, events(head + 1, count)).await.unwrap()
}

/// The root of the first `size` events.
pub async fn root_of(log: &dyn Log, size: u64) -> Node {
    let mut tree = Tree::default();
    let digests = log.digests(0, usize::try_from(size).unwrap()).await.unwrap();
    digests.into_iter().for_each(|digest| tree.push(digest));
    assert_eq!(tree.size(), size);
    tree.root()
}

pub fn config(folder: &Path) -> NotaryConfig {
    let interval = Duration::from_millis(50);
    NotaryConfig { folder: folder.to_owned(), origin: ORIGIN.to_owned(), interval, publish: None }
}

pub fn start(log: &Arc<dyn Log>, folder: &Path) -> Notary {
    Notary::start(Arc::clone(log), Arc::new(key()), config(folder))
}

/// Waits until the notary is as it should be.
pub async fn until(notary: &Notary, is: impl Fn(&NotaryStatus) -> bool) -> NotaryStatus {
    for _ in 0..1000 {
        let status = notary.status();
        if is(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it stays {:?}", notary.status());
}
