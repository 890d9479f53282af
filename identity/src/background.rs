//! Work that nobody waits for: mails, and notes of attempts. Whoever asked must not learn from the time that it takes whether
//! there is such an account.

use std::{future::Future, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::IdentityError;

/// How many pieces of work may be under way.
const ROOM: u32 = 256;

/// Work under way.
pub(crate) struct Background {
    room: Arc<Semaphore>,
}

/// Room for one piece of work.
pub(crate) struct Room(OwnedSemaphorePermit);

impl Background {
    pub fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(ROOM as usize)) }
    }

    /// Room for one piece of work, asked for before anything is done that it would follow.
    pub fn room(&self) -> Result<Room, IdentityError> {
        self.room.clone().try_acquire_owned().map(Room).map_err(|_| IdentityError::overloaded())
    }

    /// Waits until nothing is under way.
    pub async fn settle(&self) {
        // The semaphore is never closed.
        drop(self.room.acquire_many(ROOM).await);
    }
}

impl Room {
    /// Does the work beside the caller.
    pub fn spawn(self, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(async move {
            work.await;
            drop(self.0);
        });
    }
}
