//! A receiver of webhooks: a server that keeps what it is sent and answers as it is told to.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::{net::TcpListener, sync::watch};

/// A request that was received.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The stream of the event and its sequence there.
    pub fn event(&self) -> (String, u64) {
        let data = &self.json()["data"];
        (data["stream"].as_str().unwrap().to_owned(), data["sequence"].as_u64().unwrap())
    }

    /// How many of the signatures a receiver with this secret accepts: written after the specification, not after our code.
    pub fn accepted_with(&self, secret: &str) -> usize {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let signed = format!("{}.{}.{}", self.id(), self.header("webhook-timestamp"), self.body);
        let good = |signature: &&str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(signed.as_bytes());
            mac.verify_slice(&STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap()).is_ok()
        };
        self.header("webhook-signature").split(' ').filter(good).count()
    }
}

/// How the receiver answers.
#[derive(Debug, Clone)]
pub enum Answer {
    Status(u16),
    /// A status and one header.
    With(u16, &'static str, String),
    /// Nothing, ever.
    Never,
    /// 200, and a body without end.
    Endless,
}

type Behaviour = Arc<dyn Fn(&Received) -> Answer + Send + Sync>;

pub struct Receiver {
    pub address: SocketAddr,
    received: watch::Sender<Vec<Received>>,
    behaviour: Arc<Mutex<Behaviour>>,
}

type Kept = (watch::Sender<Vec<Received>>, Arc<Mutex<Behaviour>>);

async fn take(State((received, behaviour)): State<Kept>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let request = Received { path: uri.path().to_owned(), headers, body };
    let behave = behaviour.lock().unwrap().clone();
    let answer = behave(&request);
    received.send_modify(|all| all.push(request));
    let status = |status: u16| Response::builder().status(status);
    match answer {
        Answer::Status(code) => status(code).body(Body::from("thank you")).unwrap(),
        Answer::With(code, name, value) => status(code).header(name, value).body(Body::empty()).unwrap(),
        Answer::Never => std::future::pending().await,
        Answer::Endless => {
            let chunks = futures::stream::repeat_with(|| Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 1024])));
            status(200).body(Body::from_stream(chunks)).unwrap()
        }
    }
}

impl Receiver {
    pub async fn start(behaviour: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = watch::Sender::new(Vec::new());
        let behaviour: Arc<Mutex<Behaviour>> = Arc::new(Mutex::new(Arc::new(behaviour)));
        let router = Router::new().fallback(take).with_state((received.clone(), behaviour.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, received, behaviour }
    }

    /// One that takes everything.
    pub async fn willing() -> Self {
        Self::start(|_| Answer::Status(204)).await
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn behave(&self, behaviour: impl Fn(&Received) -> Answer + Send + Sync + 'static) {
        *self.behaviour.lock().unwrap() = Arc::new(behaviour);
    }

    pub fn all(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }

    /// What was received of one stream, as sequences in the order of arrival.
    pub fn of(&self, stream: &str) -> Vec<u64> {
        self.all().iter().map(Received::event).filter(|(name, _)| name == stream).map(|(_, sequence)| sequence).collect()
    }

    /// Waits until what was received is as expected, and gives it.
    pub async fn until(&self, expected: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let mut received = self.received.subscribe();
        let arrived = tokio::time::timeout(Duration::from_secs(60), received.wait_for(|all| expected(all))).await;
        match arrived {
            Ok(all) => all.unwrap().clone(),
            Err(_) => panic!("this was received: {:#?}", self.all()),
        }
    }

    /// Waits until that many requests were received.
    pub async fn count(&self, count: usize) -> Vec<Received> {
        self.until(|all| all.len() >= count).await
    }
}
