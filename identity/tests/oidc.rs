//! Login through an OpenID provider: a small one, over HTTP, that can be told to lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use identity::{PendingLogin, ProofError, Provider};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::pkcs8::EncodePrivateKey;
use rsa::{RsaPrivateKey, pkcs1::EncodeRsaPrivateKey, traits::PublicKeyParts};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

const CLIENT: (&str, &str) = ("daybook", "a secret: with/odd characters");
const RETURN_TO: &str = "https://shop.example/account";

/// What signs ID tokens.
#[derive(Clone)]
struct SigningKey {
    algorithm: Algorithm,
    id: String,
    private: EncodingKey,
    public: Value,
}

impl SigningKey {
    fn rs256(id: &str) -> Self {
        let key = RsaPrivateKey::new(&mut rand::rngs::OsRng, 2048).unwrap();
        let private = EncodingKey::from_rsa_der(key.to_pkcs1_der().unwrap().as_bytes());
        let [n, e] = [key.n(), key.e()].map(|number| URL_SAFE_NO_PAD.encode(number.to_bytes_be()));
        let public = json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": n, "e": e });
        Self { algorithm: Algorithm::RS256, id: id.to_owned(), private, public }
    }

    fn es256(id: &str) -> Self {
        let key = p256::ecdsa::SigningKey::random(&mut rand::rngs::OsRng);
        let private = EncodingKey::from_ec_der(key.to_pkcs8_der().unwrap().as_bytes());
        let point = key.verifying_key().to_encoded_point(false);
        let [x, y] = [point.x(), point.y()].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate.unwrap()));
        let public = json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y });
        Self { algorithm: Algorithm::ES256, id: id.to_owned(), private, public }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }
}

/// What makes a document another.
type Change = fn(&mut Value);

/// What the provider does; a test changes it.
struct Conduct {
    issuer: String,
    key: SigningKey,
    published: Vec<Value>,
    /// Changes the claims of an ID token.
    claims: Change,
    /// Makes the token of claims, instead of the key.
    token: Option<fn(&Value) -> String>,
    discovery: Change,
    token_status: StatusCode,
    userinfo: Value,
    /// Codes that were given out, with the PKCE challenge and the nonce.
    codes: HashMap<String, (String, String)>,
    discoveries: usize,
}

type Shared = Arc<Mutex<Conduct>>;

/// A running provider.
struct OpenIdProvider {
    url: String,
    conduct: Shared,
}

impl OpenIdProvider {
    async fn start(key: SigningKey) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let conduct = Arc::new(Mutex::new(Conduct {
            issuer: url.clone(),
            published: vec![key.public.clone()],
            key,
            claims: |_| {},
            token: None,
            discovery: |_| {},
            token_status: StatusCode::OK,
            userinfo: Value::Null,
            codes: HashMap::new(),
            discoveries: 0,
        }));
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(async |State(it): State<Shared>| Json(json!({ "keys": it.lock().unwrap().published }))))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(conduct.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, conduct }
    }

    fn set(&self, change: impl FnOnce(&mut Conduct)) {
        change(&mut self.conduct.lock().unwrap());
    }

    async fn discover(&self) -> Result<Provider, ProofError> {
        Provider::discover(&self.url, CLIENT.0, Some(CLIENT.1), &Url::parse(RETURN_TO).unwrap()).await
    }

    /// Somebody signs in at the page they were sent to: the state and the code that they come back with.
    fn sign_in(&self, page: &Url) -> (String, String) {
        let asked: HashMap<_, _> = page.query_pairs().into_owned().collect();
        let code = uuid::Uuid::new_v4().to_string();
        let kept = (asked["code_challenge"].clone(), asked["nonce"].clone());
        self.conduct.lock().unwrap().codes.insert(code.clone(), kept);
        (asked["state"].clone(), code)
    }

    /// The whole way of a login, from the shop and back.
    async fn log_in(&self, shop: &Provider) -> Result<identity::ExternalIdentity, ProofError> {
        let (page, pending) = shop.authorise();
        let (state, code) = self.sign_in(&page);
        shop.exchange(pending, &state, &code).await
    }
}

async fn discovery(State(conduct): State<Shared>) -> Json<Value> {
    let mut conduct = conduct.lock().unwrap();
    conduct.discoveries += 1;
    let at = &conduct.issuer;
    let mut document = json!({
        "issuer": at, "authorization_endpoint": format!("{at}/authorise"), "token_endpoint": format!("{at}/token"),
        "jwks_uri": format!("{at}/jwks"), "userinfo_endpoint": format!("{at}/userinfo"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
    });
    (conduct.discovery)(&mut document);
    Json(document)
}

async fn token(State(conduct): State<Shared>, headers: HeaderMap, body: String) -> Response {
    let mut conduct = conduct.lock().unwrap();
    if conduct.token_status.is_redirection() {
        return (conduct.token_status, [(LOCATION, format!("{}/jwks", conduct.issuer))]).into_response();
    }
    if conduct.token_status.is_server_error() {
        return (conduct.token_status, "out of order").into_response();
    }
    let sent: HashMap<_, _> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    // RFC 6749, section 2.3.1: both are form-encoded before they go into the header, or both are in the body.
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = STANDARD.encode(format!("{}:{}", encoded(CLIENT.0), encoded(CLIENT.1)));
    let in_header = headers.get("authorization").is_some_and(|sent| *sent == format!("Basic {credentials}"));
    let in_body = sent.get("client_secret").is_some_and(|secret| secret == CLIENT.1) && sent["client_id"] == CLIENT.0;
    if !(in_header ^ in_body) {
        return refused("invalid_client");
    }
    let Some((challenge, nonce)) = conduct.codes.remove(&sent["code"]) else { return refused("invalid_grant") };
    let verified = URL_SAFE_NO_PAD.encode(Sha256::digest(&sent["code_verifier"])) == challenge;
    if !verified || sent["grant_type"] != "authorization_code" || sent["redirect_uri"] != RETURN_TO {
        return refused("invalid_grant");
    }
    let now = chrono::Utc::now().timestamp();
    let mut claims = json!({
        "iss": conduct.issuer, "aud": CLIENT.0, "sub": "248289761001", "nonce": nonce, "iat": now, "exp": now + 300,
        "email": "ana@example.com", "email_verified": true, "name": "Ana",
        "at_hash": URL_SAFE_NO_PAD.encode(&Sha256::digest("the access token")[..16]),
    });
    (conduct.claims)(&mut claims);
    let token = conduct.token.map_or_else(|| conduct.key.sign(&claims), |make| make(&claims));
    Json(json!({ "access_token": "the access token", "token_type": "Bearer", "id_token": token })).into_response()
}

async fn userinfo(State(conduct): State<Shared>, headers: HeaderMap) -> Response {
    if headers.get("authorization").is_none_or(|sent| sent != "Bearer the access token") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(conduct.lock().unwrap().userinfo.clone()).into_response()
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, ProofError>, rule: &str) {
    match result {
        Err(ProofError::Refused(text)) => assert!(text.contains(rule), "`{text}` is not about `{rule}`"),
        other => panic!("{other:?} instead of a refusal about `{rule}`"),
    }
}

#[tokio::test]
async fn somebody_signs_in_elsewhere_and_the_shop_knows_who_it_is() {
    for key in [SigningKey::rs256("one"), SigningKey::es256("one")] {
        let provider = OpenIdProvider::start(key).await;
        let shop = provider.discover().await.unwrap();
        let (page, pending) = shop.authorise();
        assert_eq!(page.as_str().split('?').next(), Some(format!("{}/authorise", provider.url).as_str()));
        let asked: HashMap<_, _> = page.query_pairs().into_owned().collect();
        let expected = [
            ("client_id", CLIENT.0),
            ("redirect_uri", RETURN_TO),
            ("response_type", "code"),
            ("scope", "openid email profile"),
            ("code_challenge_method", "S256"),
            ("state", pending.state()),
        ];
        assert!(expected.iter().all(|(name, value)| asked[*name] == *value), "{asked:?}");
        assert!(!page.as_str().contains("secret"));

        // Another node finishes it.
        let (state, code) = provider.sign_in(&page);
        let stored = serde_json::to_string(&pending).unwrap();
        assert_eq!(format!("{pending:?}"), "<pending login>");
        let pending: PendingLogin = serde_json::from_str(&stored).unwrap();
        let other = provider.discover().await.unwrap();
        let who = other.exchange(pending, &state, &code).await.unwrap();
        assert_eq!((who.issuer.as_str(), who.subject.as_str()), (provider.url.as_str(), "248289761001"));
        assert_eq!((who.email.as_deref(), who.email_verified), (Some("ana@example.com"), true));
        assert_eq!(who.name.as_deref(), Some("Ana"));
        assert!(!format!("{who:?}").contains("ana"));

        let again: PendingLogin = serde_json::from_str(&stored).unwrap();
        assert_refused(shop.exchange(again, &state, &code).await, "invalid_grant");
    }
}

#[tokio::test]
async fn an_id_token_that_does_not_hold_is_refused_by_its_rule() {
    let key = SigningKey::rs256("one");
    let provider = OpenIdProvider::start(key).await;
    let shop = provider.discover().await.unwrap();
    let tries: [(Change, &str); 10] = [
        (|claims| claims["nonce"] = json!("another's"), "nonce"),
        (|claims| drop(claims.as_object_mut().unwrap().remove("nonce")), "nonce"),
        (|claims| claims["aud"] = json!("another shop"), "audience"),
        (|claims| claims["aud"] = json!(["daybook", "another shop"]), "audience"),
        (|claims| claims["iss"] = json!("https://evil.example"), "issuer"),
        (|claims| claims["iss"] = json!(format!("{}/", claims["iss"].as_str().unwrap())), "issuer"),
        (|claims| claims["exp"] = json!(chrono::Utc::now().timestamp() - 1), "Expired"),
        (|claims| claims["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA"), "access token"),
        (|claims| claims["azp"] = json!("another shop"), "authorized party"),
        (|claims| claims["sub"] = json!("248289761001"), ""),
    ];
    let (last, tries) = tries.split_last().unwrap();
    for (change, rule) in tries {
        provider.set(|conduct| conduct.claims = *change);
        assert_refused(provider.log_in(&shop).await, rule);
    }
    // The same way with nothing wrong is taken.
    provider.set(|conduct| conduct.claims = last.0);
    provider.log_in(&shop).await.unwrap();
}

#[tokio::test]
async fn an_id_token_that_the_provider_did_not_sign_is_refused() {
    let provider = OpenIdProvider::start(SigningKey::es256("one")).await;
    let shop = provider.discover().await.unwrap();
    let unsigned: fn(&Value) -> String = |claims| {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()))
    };
    // With the client's secret, which the provider is not alone in knowing.
    let symmetric: fn(&Value) -> String = |claims| {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(CLIENT.1.as_bytes())).unwrap()
    };
    let stranger: fn(&Value) -> String = |claims| SigningKey::es256("one").sign(claims);
    let tampered: fn(&Value) -> String = |claims| {
        let token = SigningKey::es256("one").sign(claims);
        let (rest, _) = token.rsplit_once('.').unwrap();
        format!("{rest}.{}", URL_SAFE_NO_PAD.encode([0; 64]))
    };
    for (make, rule) in [(unsigned, "signature"), (symmetric, "algorithm"), (stranger, "Crypto"), (tampered, "Crypto")] {
        provider.set(|conduct| conduct.token = Some(make));
        assert_refused(provider.log_in(&shop).await, rule);
    }
}

#[tokio::test]
async fn a_login_belongs_to_the_browser_that_began_it_and_to_its_code() {
    let provider = OpenIdProvider::start(SigningKey::es256("one")).await;
    let shop = provider.discover().await.unwrap();
    let (page, pending) = shop.authorise();
    let (_, code) = provider.sign_in(&page);
    let (others_page, others) = shop.authorise();
    let (others_state, others_code) = provider.sign_in(&others_page);
    assert_ne!(pending.state(), others.state());
    assert_refused(shop.exchange(pending, &others_state, &code).await, "begun elsewhere");
    // A code that was stolen on its way is of no use without the verifier, which never left the shop (PKCE).
    assert_refused(shop.exchange(others, &others_state, &code).await, "invalid_grant");
    let (_, third) = shop.authorise();
    let state = third.state().to_owned();
    assert_refused(shop.exchange(third, &state, &others_code).await, "invalid_grant");
    let (_, fourth) = shop.authorise();
    assert_refused(shop.exchange(fourth, "", "no such code").await, "begun elsewhere");
}

#[tokio::test]
async fn a_provider_may_change_its_keys_but_strangers_do_not_make_the_shop_ask() {
    let provider = OpenIdProvider::start(SigningKey::es256("one")).await;
    let shop = provider.discover().await.unwrap();
    let new = SigningKey::es256("two");
    provider.set(|conduct| {
        conduct.published.push(new.public.clone());
        conduct.key = new;
    });
    provider.log_in(&shop).await.unwrap();
    provider.set(|conduct| assert_eq!(conduct.discoveries, 2));
    // Keys that nobody knows: the shop has asked a moment ago.
    provider.set(|conduct| conduct.key = SigningKey::es256("three"));
    for _ in 0..3 {
        assert_refused(provider.log_in(&shop).await, "No matching key");
    }
    provider.set(|conduct| assert_eq!(conduct.discoveries, 2));
}

#[tokio::test]
async fn what_is_not_in_the_id_token_is_asked_for() {
    let provider = OpenIdProvider::start(SigningKey::es256("one")).await;
    let shop = provider.discover().await.unwrap();
    provider.set(|conduct| {
        conduct.claims = |claims| ["email", "email_verified", "name"].iter().for_each(|name| claims[*name] = Value::Null);
        conduct.userinfo = json!({ "sub": "248289761001", "email": "ana@example.com", "name": "Ana" });
    });
    let who = provider.log_in(&shop).await.unwrap();
    assert_eq!((who.email.as_deref(), who.email_verified, who.name.as_deref()), (Some("ana@example.com"), false, Some("Ana")));
    // About somebody else.
    provider.set(|conduct| conduct.userinfo["sub"] = json!("another"));
    let error = provider.log_in(&shop).await.unwrap_err();
    assert!(matches!(&error, ProofError::Unavailable(text) if text.contains("subject")), "{error}");
    // A provider that tells nothing more.
    provider.set(|conduct| conduct.discovery = |document| document["userinfo_endpoint"] = Value::Null);
    let shop = provider.discover().await.unwrap();
    assert_eq!(provider.log_in(&shop).await.unwrap().email, None);
}

#[tokio::test]
async fn the_secret_is_shown_as_the_provider_wants_it_and_never_sent_on() {
    let provider = OpenIdProvider::start(SigningKey::es256("one")).await;
    provider.set(|conduct| {
        conduct.discovery = |document| document["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    });
    let shop = provider.discover().await.unwrap();
    provider.log_in(&shop).await.unwrap();

    let wrong = Provider::discover(&provider.url, CLIENT.0, Some("wrong"), &Url::parse(RETURN_TO).unwrap()).await.unwrap();
    let error = provider.log_in(&wrong).await.unwrap_err();
    assert!(matches!(&error, ProofError::Setup(text) if text.contains("id or secret")), "{error}");

    // A redirect is an answer that is not understood; it is not followed.
    provider.set(|conduct| conduct.token_status = StatusCode::TEMPORARY_REDIRECT);
    let error = provider.log_in(&shop).await.unwrap_err();
    assert!(matches!(error, ProofError::Unavailable(_)), "{error}");
    provider.set(|conduct| conduct.token_status = StatusCode::SERVICE_UNAVAILABLE);
    let error = provider.log_in(&shop).await.unwrap_err();
    assert!(matches!(error, ProofError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn a_provider_that_is_not_the_one_or_not_protected_is_refused_at_the_start() {
    let provider = OpenIdProvider::start(SigningKey::es256("one")).await;
    let setup = async |rule: &str| match provider.discover().await {
        Err(ProofError::Setup(text)) => assert!(text.contains(rule), "`{text}` is not about `{rule}`"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("taken in spite of `{rule}`"),
    };
    provider.set(|conduct| conduct.discovery = |document| document["issuer"] = json!("https://evil.example"));
    setup("issuer").await;
    provider.set(|conduct| {
        conduct.discovery = |document| document["authorization_endpoint"] = json!("http://evil.example/login");
    });
    setup("https").await;

    let return_to = Url::parse(RETURN_TO).unwrap();
    for issuer in ["http://accounts.example", "not a URL", "ftp://localhost"] {
        let refused = Provider::discover(issuer, CLIENT.0, None, &return_to).await;
        assert!(matches!(refused, Err(ProofError::Setup(_))), "{issuer}");
    }
    // The secret is not sent in the clear, wherever the provider wants it.
    provider.set(|conduct| conduct.discovery = |document| document["token_endpoint"] = json!("http://evil.example/token"));
    let shop = provider.discover().await.unwrap();
    let error = provider.log_in(&shop).await.unwrap_err();
    assert!(matches!(&error, ProofError::Unavailable(text) if text.contains("https")), "{error}");
}

#[tokio::test]
async fn a_provider_that_is_not_there_or_says_too_much_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let return_to = Url::parse(RETURN_TO).unwrap();
    let refused = Provider::discover(&gone, CLIENT.0, None, &return_to).await;
    assert!(matches!(refused, Err(ProofError::Unavailable(_))));

    let provider = OpenIdProvider::start(SigningKey::es256("one")).await;
    provider.set(|conduct| conduct.published.push(json!({ "kty": "EC", "kid": "x".repeat(2 << 20) })));
    let Err(ProofError::Unavailable(text)) = provider.discover().await else { panic!("it was read") };
    assert!(text.contains("larger"), "{text}");

    // Takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let refused = tokio::time::timeout(Duration::from_secs(60), Provider::discover(&url, CLIENT.0, None, &return_to));
    assert!(matches!(refused.await.expect("it waits for ever"), Err(ProofError::Unavailable(_))));
}
