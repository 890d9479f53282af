//! A small OpenID provider, over HTTP.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use identity::{OidcBegun, OidcConfig, OidcReturn};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::pkcs8::EncodePrivateKey;
use serde_json::{Value, json};

/// A running provider.
pub struct Provider {
    url: String,
    desk: Arc<Desk>,
}

struct Desk {
    url: String,
    private: EncodingKey,
    public: Value,
    /// Codes that were given out, with the nonce of the login and what is said of the person.
    codes: Mutex<HashMap<String, (String, Value)>>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = p256::ecdsa::SigningKey::random(&mut rand::rngs::OsRng);
        let private = EncodingKey::from_ec_der(key.to_pkcs8_der().unwrap().as_bytes());
        let point = key.verifying_key().to_encoded_point(false);
        let [x, y] = [point.x(), point.y()].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate.unwrap()));
        let public = json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "one", "x": x, "y": y });
        let desk = Arc::new(Desk { url: url.clone(), private, public, codes: Mutex::default() });
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(async |State(desk): State<Arc<Desk>>| Json(json!({ "keys": [desk.public] }))))
            .route("/token", post(token))
            .with_state(desk.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, desk }
    }

    pub fn config(&self) -> OidcConfig {
        OidcConfig { issuer: self.url.clone(), client_id: "daybook".to_owned(), client_secret: None }
    }

    /// Somebody, of whom this is said, logs in at the page they were sent to, and comes back.
    pub fn log_in(&self, begun: &OidcBegun, person: Value) -> OidcReturn {
        let page = url::Url::parse(&begun.url).unwrap();
        let asked: HashMap<_, _> = page.query_pairs().into_owned().collect();
        assert_eq!(asked["redirect_uri"], "https://shop.example/account");
        let code = uuid::Uuid::new_v4().to_string();
        self.desk.codes.lock().unwrap().insert(code.clone(), (asked["nonce"].clone(), person));
        OidcReturn { token: begun.token.clone(), state: asked["state"].clone(), code }
    }
}

async fn discovery(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let at = &desk.url;
    Json(json!({
        "issuer": at, "authorization_endpoint": format!("{at}/authorise"), "token_endpoint": format!("{at}/token"),
        "jwks_uri": format!("{at}/jwks"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn token(State(desk): State<Arc<Desk>>, body: String) -> Json<Value> {
    let sent: HashMap<_, _> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let Some((nonce, mut claims)) = desk.codes.lock().unwrap().remove(&sent["code"]) else {
        return Json(json!({ "error": "invalid_grant" }));
    };
    let now = chrono::Utc::now().timestamp();
    for (name, value) in [("iss", json!(desk.url)), ("aud", json!("daybook")), ("nonce", json!(nonce))] {
        claims[name] = value;
    }
    (claims["iat"], claims["exp"]) = (json!(now), json!(now + 300));
    let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::ES256) };
    let id_token = jsonwebtoken::encode(&header, &claims, &desk.private).unwrap();
    Json(json!({ "access_token": "an access token", "token_type": "Bearer", "id_token": id_token }))
}
