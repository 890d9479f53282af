//! The `graphql-transport-ws` protocol: one loop per socket, one task per operation.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use async_graphql::Response as GraphQlResponse;
use axum::{
    extract::{
        FromRequestParts, Request, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, pending},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};
use tokio_tungstenite::tungstenite;

use crate::{
    access::Caller,
    graphql::Prepared,
    http::{
        Incoming, Refused, callers, cors, incoming,
        limited::Meter,
        outgoing::{Answer, MediaType},
        tracing_ids,
    },
    shop::Shop,
};

const PROTOCOL: &str = "graphql-transport-ws";
/// How long a client may take to say `connection_init`.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to read a message before it is dropped: nobody waits for a reader that has gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to say that it closes too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Operations that may run on one socket at once.
const OPERATIONS: usize = 100;
/// Answers that wait to be written; an operation that is ahead of its reader pauses.
const QUEUE: usize = 64;
/// The largest message that a client may send, in bytes.
const MESSAGE_LIMIT: usize = 256 * 1024;
/// The largest message that is read at all, in bytes: who sends a larger one may not hear why the socket closes.
const READ_LIMIT: usize = 1024 * 1024;
/// How often a client is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(25);
/// How long nothing may be heard of a client, not even the answer to a ping.
const SILENCE: Duration = Duration::from_secs(75);

/// A reason to close, with its code.
type Close = (u16, String);

/// `/graphql/ws`.
pub(crate) async fn upgrade(State(shop): State<Arc<Shop>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => {
            let meter = Meter::of(&shop, &parts);
            open(shop, upgrade, parts.headers, meter)
        }
        Err(rejection) => rejection.into_response(),
    }
}

/// Accepts a socket. The door has counted the request.
pub(crate) fn open(shop: Arc<Shop>, upgrade: WebSocketUpgrade, headers: HeaderMap, meter: Meter) -> Response {
    if !cors::may_open_socket(&headers, &shop.cors_origins) {
        let message = "a page of this origin may not open a socket; `daybook serve --cors-origin` allows it";
        return Refused::new(StatusCode::FORBIDDEN, "ORIGIN_NOT_ALLOWED", message).into_http(MediaType::Json);
    }
    let held = match meter.stream(&shop) {
        Ok(held) => held,
        Err(refused) => return refused.into_http(MediaType::Json),
    };
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(READ_LIMIT)
        // A frame's length is believed, and room for it made, before any of it is there.
        .max_frame_size(READ_LIMIT)
        .on_upgrade(async move |mut socket| {
            shop.metrics.sockets.fetch_add(1, Relaxed);
            let known = socket.protocol().is_some_and(|protocol| protocol == PROTOCOL);
            let close = match known {
                true => Box::pin(Session::new(shop.clone(), headers, meter).run(&mut socket)).await,
                false => Some((4406, "Subprotocol not acceptable".to_owned())),
            };
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, end(&mut socket, close)).await;
            shop.metrics.sockets.fetch_sub(1, Relaxed);
            drop(held);
        })
        .into_response()
}

/// Closes as RFC 6455 has it, section 7.1.1: both sides say so before the connection goes. What the client still sends is
/// read, because a connection that goes with something unread takes along what its client has not read yet.
async fn end(socket: &mut WebSocket, close: Option<Close>) {
    if let Some((code, reason)) = close {
        let frame = CloseFrame { code, reason: reason.into() };
        if socket.send(Message::Close(Some(frame))).await.is_err() {
            return;
        }
    }
    while let Some(Ok(_)) = socket.recv().await {}
}

/// A message of the client.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ClientMessage {
    ConnectionInit {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    Ping {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    Pong {
        #[serde(default, rename = "payload")]
        _payload: Option<Map<String, Value>>,
    },
    Subscribe {
        id: String,
        payload: Value,
    },
    Complete {
        id: String,
    },
}

/// Something that an operation's task wants written.
struct Note {
    id: String,
    /// Which operation of that id: a client may use an id again.
    number: u64,
    message: Value,
    is_last: bool,
}

struct Session {
    shop: Arc<Shop>,
    headers: HeaderMap,
    meter: Meter,
    caller: Option<Caller>,
    /// Done when the caller's token ends, and the session with it.
    ended: BoxFuture<'static, ()>,
    /// Running operations by id, with their number and task.
    running: BTreeMap<String, (u64, JoinHandle<()>)>,
    started: u64,
    notes: (mpsc::Sender<Note>, mpsc::Receiver<Note>),
}

impl Session {
    fn new(shop: Arc<Shop>, headers: HeaderMap, meter: Meter) -> Self {
        let (ended, running, notes) = (pending().boxed(), BTreeMap::new(), mpsc::channel(QUEUE));
        Self { shop, headers, meter, caller: None, ended, running, started: 0, notes }
    }

    /// Serves the socket until it closes; `Some` when it is for us to close it.
    async fn run(mut self, socket: &mut WebSocket) -> Option<Close> {
        let init_by = Instant::now() + INIT_TIMEOUT;
        let mut stopping = self.shop.stopping.subscribe();
        let mut heard = Instant::now();
        let mut pings = tokio::time::interval_at(heard + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = socket.recv() => match message {
                    None => return None,
                    Some(Err(error)) => return too_large(error),
                    Some(Ok(message)) => {
                        heard = Instant::now();
                        match self.handle(message).await {
                            Ok(None) => {}
                            Ok(Some(reply)) => write(socket, &reply).await?,
                            Err(close) => return close,
                        }
                    }
                },
                Some(note) = self.notes.1.recv() => {
                    if self.running.get(&note.id).is_none_or(|(number, _)| *number != note.number) {
                        continue;
                    }
                    if note.is_last {
                        self.finish(&note.id);
                    }
                    write(socket, &note.message).await?;
                }
                () = tokio::time::sleep_until(init_by), if self.caller.is_none() => {
                    return Some((4408, "Connection initialisation timeout".to_owned()));
                }
                () = &mut self.ended => return Some((4403, "Token expired or taken back".to_owned())),
                _ = pings.tick() => {
                    // Whoever has gone without a word, such as into a tunnel, is not waited for.
                    if heard.elapsed() > SILENCE {
                        return None;
                    }
                    send(socket, Message::Ping(Vec::new().into())).await?;
                }
                () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => return Some((1001, "The server is stopping".to_owned())),
            }
        }
    }

    /// Takes up a message: a reply to write at once, or a reason to end, with a close frame unless the client closed.
    async fn handle(&mut self, message: Message) -> Result<Option<Value>, Option<Close>> {
        let text = match message {
            Message::Text(text) if text.len() > MESSAGE_LIMIT => return Err(Some(message_too_large())),
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Some((4400, "Invalid message: not text".to_owned()))),
            Message::Close(_) => return Err(None),
            Message::Ping(_) | Message::Pong(_) => return Ok(None),
        };
        let message = serde_json::from_str(&text).map_err(|error| Some((4400, short(&format!("Invalid message: {error}")))))?;
        match message {
            ClientMessage::ConnectionInit { payload } => self.init(payload).await.map(Some).map_err(Some),
            ClientMessage::Ping { payload: None } => Ok(Some(json!({ "type": "pong" }))),
            ClientMessage::Ping { payload: Some(payload) } => Ok(Some(json!({ "type": "pong", "payload": payload }))),
            ClientMessage::Pong { .. } => Ok(None),
            ClientMessage::Subscribe { id, payload } => {
                let request = match Incoming::from_json(payload, &self.shop.door.documents) {
                    Ok(request) => Ok(request),
                    // The message has its form; only the document is not there, or not for everyone.
                    Err(refused) if refused.is_about_document() => Err(refused),
                    Err(refused) => return Err(Some((4400, short(refused.message())))),
                };
                self.subscribe(id, request).map_err(Some)
            }
            ClientMessage::Complete { id } => {
                self.finish(&id);
                Ok(None)
            }
        }
    }

    async fn init(&mut self, payload: Option<Map<String, Value>>) -> Result<Value, Close> {
        if self.caller.is_some() {
            return Err((4429, "Too many initialisation requests".to_owned()));
        }
        let field = |name: &str| payload.as_ref()?.get(name)?.as_str();
        let known = match field("authorization").or_else(|| field("Authorization")) {
            Some(authorization) => callers::authenticate(&self.shop, authorization).await,
            None => callers::caller(&self.shop, &self.headers).await,
        };
        let known = match known {
            Ok(known) => known,
            Err(refused) if refused.status() == StatusCode::SERVICE_UNAVAILABLE => {
                return Err((1013, "Try again later".to_owned()));
            }
            // Guessing tokens counts, over sockets too.
            Err(_) => {
                let _ = self.meter.anonymous(&self.shop);
                return Err((4403, "Forbidden".to_owned()));
            }
        };
        self.ended = callers::ended(&self.shop, &known);
        self.caller = Some(known.caller);
        Ok(json!({ "type": "connection_ack" }))
    }

    fn subscribe(&mut self, id: String, request: Result<Incoming, Refused>) -> Result<Option<Value>, Close> {
        let Some(caller) = self.caller.clone() else {
            return Err((4401, "Unauthorized".to_owned()));
        };
        if id.is_empty() {
            return Err((4400, "Invalid message: the id is empty".to_owned()));
        }
        if self.running.contains_key(&id) {
            return Err((4409, short(&format!("Subscriber for {id} already exists"))));
        }
        let prepared = match self.prepare(request, caller) {
            Ok(prepared) => prepared,
            Err(refused) => return Ok(Some(json!({ "id": id, "type": "error", "payload": refused.errors }))),
        };
        self.started += 1;
        let operation = Operation { id: id.clone(), number: self.started, notes: self.notes.0.clone() };
        let task = tokio::spawn(operation.run(self.shop.clone(), prepared));
        self.running.insert(id, (self.started, task));
        Ok(None)
    }

    fn prepare(&mut self, request: Result<Incoming, Refused>, caller: Caller) -> Result<Prepared, Refused> {
        // Whatever becomes of it.
        self.meter.request(&self.shop, &caller)?;
        if self.running.len() >= OPERATIONS {
            return Err(Refused::bad_request("OPERATION_LIMIT", "too many operations are running on this socket"));
        }
        let request = request?;
        let correlation_id = tracing_ids::correlation_id(&self.headers);
        let context = incoming::context(caller, self.meter.client(), &self.headers, correlation_id)?;
        incoming::prepare(&self.shop, request, context, &mut self.meter, true)
    }

    fn finish(&mut self, id: &str) {
        if let Some((_, task)) = self.running.remove(id) {
            task.abort();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for (_, task) in self.running.values() {
            task.abort();
        }
    }
}

struct Operation {
    id: String,
    number: u64,
    notes: mpsc::Sender<Note>,
}

impl Operation {
    async fn run(self, shop: Arc<Shop>, prepared: Prepared) {
        let _counted = shop.subscribed();
        let mut answers = match prepared.stream(&shop).await {
            Ok(answers) => answers,
            Err(refused) => return self.error(json!(refused.errors)).await,
        };
        while let Some(response) = answers.next().await {
            if Answer(&response).is_request_error() {
                return self.error(json!(response.errors)).await;
            }
            self.next(&response).await;
        }
        let message = json!({ "id": self.id, "type": "complete" });
        self.send(message, true).await;
    }

    async fn next(&self, response: &GraphQlResponse) {
        self.send(json!({ "id": self.id, "type": "next", "payload": Answer(response) }), false).await;
    }

    async fn error(&self, errors: Value) {
        self.send(json!({ "id": self.id, "type": "error", "payload": errors }), true).await;
    }

    async fn send(&self, message: Value, is_last: bool) {
        // The socket is gone when nobody receives; its session aborts this task.
        let _ = self.notes.send(Note { id: self.id.clone(), number: self.number, message, is_last }).await;
    }
}

/// Writes a message; `None` ends the session because the client has gone or does not read.
async fn write(socket: &mut WebSocket, message: &Value) -> Option<()> {
    send(socket, Message::Text(message.to_string().into())).await
}

async fn send(socket: &mut WebSocket, message: Message) -> Option<()> {
    tokio::time::timeout(WRITE_TIMEOUT, socket.send(message)).await.ok()?.ok()
}

/// How a socket closes whose client sent too much at once (RFC 6455, section 7.4.1).
fn message_too_large() -> Close {
    (1009, format!("A message may have at most {MESSAGE_LIMIT} bytes"))
}

/// The close that an error while reading calls for, if the client has not gone.
fn too_large(error: axum::Error) -> Option<Close> {
    let error = error.into_inner();
    matches!(error.downcast_ref(), Some(tungstenite::Error::Capacity(_))).then(message_too_large)
}

/// Cut to what a close frame can carry: 123 bytes.
fn short(reason: &str) -> String {
    reason.chars().take(120).filter(char::is_ascii).collect()
}
