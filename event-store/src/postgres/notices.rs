//! Word between nodes that the log has grown: told with NOTIFY, heard with LISTEN, and looked for all the same.

use std::time::Duration;

use event_schemas::Position;
use sqlx::postgres::{PgListener, PgPool};
use tokio::{sync::watch, time};

use super::rows;

const CHANNEL: &str = "daybook_log";
/// Appends that follow each other faster are told of together.
const PAUSE: Duration = Duration::from_millis(5);
/// How often the head is looked for, should no word of it come through.
const POLL: Duration = Duration::from_secs(1);

/// Tells the other nodes how far this one has written. Not part of the append: a server that takes no more notices must not
/// keep events from being written.
pub(super) async fn tell(pool: PgPool, mut written: watch::Receiver<Position>) {
    while written.changed().await.is_ok() {
        let head = written.borrow_and_update().to_string();
        if let Err(error) = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(head).execute(&pool).await {
            tracing::debug!(%error, "the other nodes could not be told of an append; they will look");
        }
        time::sleep(PAUSE).await;
    }
}

/// Keeps `head` up to what other nodes write.
pub(super) async fn hear(pool: PgPool, head: watch::Sender<Position>) {
    let raise = |found: Position| {
        head.send_if_modified(|known| std::mem::replace(known, (*known).max(found)) < found);
    };
    loop {
        match listen(&pool, raise).await {
            // A server that is away, or a replica, on which nobody can listen.
            Err(error) => tracing::debug!(%error, "no word of other nodes' appends; looking instead"),
            Ok(()) => return,
        }
        time::sleep(POLL).await;
        look(&pool, raise).await;
    }
}

async fn listen(pool: &PgPool, raise: impl Fn(Position)) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        match time::timeout(POLL, listener.recv()).await {
            Ok(Ok(notice)) => {
                if let Ok(position) = notice.payload().parse() {
                    raise(position);
                }
            }
            Ok(Err(sqlx::Error::PoolClosed)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => look(pool, &raise).await,
        }
    }
}

async fn look(pool: &PgPool, raise: impl Fn(Position)) {
    match rows::head(pool).await {
        Ok(found) => raise(found.position),
        Err(error) => tracing::debug!(%error, "the log's end could not be looked for"),
    }
}
