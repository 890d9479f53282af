//! The `graphql-transport-ws` protocol: one loop per socket, one task per operation.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use async_graphql::Response as GraphQlResponse;
use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use crate::{
    access::Caller,
    graphql::Prepared,
    http::{
        Incoming, Refused, cors, incoming,
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

/// A reason to close, with its code.
type Close = (u16, String);

/// `/graphql/ws`.
pub(crate) async fn upgrade(State(shop): State<Arc<Shop>>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    open(shop, upgrade, headers)
}

/// Accepts a socket.
pub(crate) fn open(shop: Arc<Shop>, upgrade: WebSocketUpgrade, headers: HeaderMap) -> Response {
    if !cors::may_open_socket(&headers, &shop.cors_origins) {
        let message = "a page of this origin may not open a socket; `daybook serve --cors-origin` allows it";
        return Refused::new(StatusCode::FORBIDDEN, "ORIGIN_NOT_ALLOWED", message).into_http(MediaType::Json);
    }
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(MESSAGE_LIMIT)
        // A frame's length is believed, and room for it made, before any of it is there.
        .max_frame_size(MESSAGE_LIMIT)
        .on_upgrade(async move |mut socket| {
            shop.metrics.sockets.fetch_add(1, Relaxed);
            let known = socket.protocol().is_some_and(|protocol| protocol == PROTOCOL);
            let close = match known {
                true => Session::new(shop.clone(), headers).run(&mut socket).await,
                false => Some((4406, "Subprotocol not acceptable".to_owned())),
            };
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, end(&mut socket, close)).await;
            shop.metrics.sockets.fetch_sub(1, Relaxed);
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
    caller: Option<Caller>,
    /// When the caller's token ends, and the session with it.
    expires: Option<Instant>,
    /// Running operations by id, with their number and task.
    running: BTreeMap<String, (u64, JoinHandle<()>)>,
    started: u64,
    notes: (mpsc::Sender<Note>, mpsc::Receiver<Note>),
}

impl Session {
    fn new(shop: Arc<Shop>, headers: HeaderMap) -> Self {
        Self { shop, headers, caller: None, expires: None, running: BTreeMap::new(), started: 0, notes: mpsc::channel(QUEUE) }
    }

    /// Serves the socket until it closes; `Some` when it is for us to close it.
    async fn run(mut self, socket: &mut WebSocket) -> Option<Close> {
        let init_by = Instant::now() + INIT_TIMEOUT;
        let mut stopping = self.shop.stopping.subscribe();
        loop {
            tokio::select! {
                message = socket.recv() => match message {
                    None | Some(Err(_)) => return None,
                    Some(Ok(message)) => match self.handle(message) {
                        Ok(None) => {}
                        Ok(Some(reply)) => write(socket, &reply).await?,
                        Err(close) => return close,
                    },
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
                () = tokio::time::sleep_until(self.expires.unwrap_or(init_by)), if self.expires.is_some() => {
                    return Some((4403, "Token expired".to_owned()));
                }
                () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => return Some((1001, "The server is stopping".to_owned())),
            }
        }
    }

    /// Takes up a message: a reply to write at once, or a reason to end, with a close frame unless the client closed.
    fn handle(&mut self, message: Message) -> Result<Option<Value>, Option<Close>> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Some((4400, "Invalid message: not text".to_owned()))),
            Message::Close(_) => return Err(None),
            Message::Ping(_) | Message::Pong(_) => return Ok(None),
        };
        let message = serde_json::from_str(&text).map_err(|error| Some((4400, short(&format!("Invalid message: {error}")))))?;
        match message {
            ClientMessage::ConnectionInit { payload } => self.init(payload).map(Some).map_err(Some),
            ClientMessage::Ping { payload: None } => Ok(Some(json!({ "type": "pong" }))),
            ClientMessage::Ping { payload: Some(payload) } => Ok(Some(json!({ "type": "pong", "payload": payload }))),
            ClientMessage::Pong { .. } => Ok(None),
            ClientMessage::Subscribe { id, payload } => {
                let request = Incoming::from_json(payload).map_err(|refused| Some((4400, short(refused.message()))))?;
                self.subscribe(id, request).map_err(Some)
            }
            ClientMessage::Complete { id } => {
                self.finish(&id);
                Ok(None)
            }
        }
    }

    fn init(&mut self, payload: Option<Map<String, Value>>) -> Result<Value, Close> {
        if self.caller.is_some() {
            return Err((4429, "Too many initialisation requests".to_owned()));
        }
        let field = |name: &str| payload.as_ref()?.get(name)?.as_str();
        let caller = match field("authorization").or_else(|| field("Authorization")) {
            Some(authorization) => incoming::authenticate(&self.shop, authorization),
            None => incoming::caller(&self.shop, &self.headers),
        };
        let (caller, expires_at) = caller.map_err(|_| (4403, "Forbidden".to_owned()))?;
        self.expires = incoming::session_end(&self.shop, expires_at);
        self.caller = Some(caller);
        Ok(json!({ "type": "connection_ack" }))
    }

    fn subscribe(&mut self, id: String, request: Incoming) -> Result<Option<Value>, Close> {
        let Some(caller) = self.caller.clone() else {
            return Err((4401, "Unauthorized".to_owned()));
        };
        if id.is_empty() {
            return Err((4400, "Invalid message: the id is empty".to_owned()));
        }
        if self.running.contains_key(&id) {
            return Err((4409, short(&format!("Subscriber for {id} already exists"))));
        }
        if self.running.len() >= OPERATIONS {
            let refused = Refused::bad_request("OPERATION_LIMIT", "too many operations are running on this socket");
            return Ok(Some(json!({ "id": id, "type": "error", "payload": refused.errors })));
        }
        let correlation_id = tracing_ids::correlation_id(&self.headers);
        let prepared =
            incoming::context(caller, &self.headers, correlation_id).and_then(|context| Prepared::new(request, context));
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(refused) => return Ok(Some(json!({ "id": id, "type": "error", "payload": refused.errors }))),
        };
        self.started += 1;
        let operation = Operation { id: id.clone(), number: self.started, notes: self.notes.0.clone() };
        let task = tokio::spawn(operation.run(self.shop.clone(), prepared));
        self.running.insert(id, (self.started, task));
        Ok(None)
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
    let write = socket.send(Message::Text(message.to_string().into()));
    tokio::time::timeout(WRITE_TIMEOUT, write).await.ok()?.ok()
}

/// Cut to what a close frame can carry: 123 bytes.
fn short(reason: &str) -> String {
    reason.chars().take(120).filter(char::is_ascii).collect()
}
