//! The distinct connections mode of graphql-sse: the answers of one operation as the events of one HTTP response.

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_graphql::Response;
use axum::{body::Body, http::StatusCode};
use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;

use crate::{
    http::{Refused, callers::SESSION_ENDED, outgoing::Answer},
    net::Held,
    shop::{Shop, Subscribed},
};

/// How long a response may be silent: then a comment shows proxies and the client that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(12);
/// A comment, which clients pass over.
const COMMENT: &str = ":\n\n";
/// The end of an operation. Browsers tell of an event only when it has data, be it empty.
pub(crate) const COMPLETE: &str = "event: complete\ndata:\n\n";

/// An answer as an event. JSON has no line breaks of its own, so it is one line of data.
pub(crate) fn next(answer: &impl Serialize) -> serde_json::Result<String> {
    Ok(format!("event: next\ndata: {}\n\n", serde_json::to_string(answer)?))
}

/// The body of the response to a subscription, which ends when the caller's session has. Nothing is read from the log for a
/// client that does not read, and its connection is cut when it goes on like that (`net/connection.rs`).
pub(crate) fn body(
    shop: &Arc<Shop>,
    answers: BoxStream<'static, Response>,
    ended: BoxFuture<'static, ()>,
    held: Option<Held>,
) -> Body {
    let stopping = shop.stopping.subscribe();
    let subscriber = Subscriber { _counted: shop.subscribed(), _held: held, answers, ended, stopping };
    let events = stream::unfold(Some(subscriber), |subscriber| async move { subscriber?.event().await });
    // Some browsers take a response for begun only when something of its body has come.
    let begun = stream::once(std::future::ready(COMMENT.to_owned()));
    Body::from_stream(begun.chain(events).map(Ok::<_, Infallible>))
}

/// A subscription whose answers are being written.
struct Subscriber {
    _counted: Subscribed,
    _held: Option<Held>,
    answers: BoxStream<'static, Response>,
    ended: BoxFuture<'static, ()>,
    stopping: watch::Receiver<bool>,
}

impl Subscriber {
    /// What to write next, and the subscriber unless that was the last. Nothing when the server stops: a client that has
    /// not heard `complete` comes again, to whoever answers then.
    async fn event(mut self) -> Option<(String, Option<Self>)> {
        let Self { answers, ended, stopping, .. } = &mut self;
        tokio::select! {
            biased;
            () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => None,
            () = ended => {
                let refused = Refused::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", SESSION_ENDED);
                Some((written(&json!({ "errors": refused.errors }))? + COMPLETE, None))
            }
            answer = answers.next() => match answer {
                Some(response) => Some((written(&Answer(&response))?, Some(self))),
                None => Some((COMPLETE.to_owned(), None)),
            },
            () = tokio::time::sleep(KEEP_ALIVE) => Some((COMMENT.to_owned(), Some(self))),
        }
    }
}

fn written(answer: &impl Serialize) -> Option<String> {
    next(answer).inspect_err(|error| tracing::error!(%error, "an answer could not be written as JSON")).ok()
}
