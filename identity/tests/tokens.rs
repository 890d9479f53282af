//! Access tokens under attack (RFC 8725), rotation, and the key set that others read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chrono::TimeDelta;
use ed25519_dalek::{Signer as _, SigningKey};
use event_schemas::Timestamp;
use identity::{ACCESS_TTL, Claims, Grant, Keys, TokenError};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use vault::{Vault, VaultKey};

const ISSUER: &str = "https://shop.test";
const MINUTE: Duration = Duration::from_secs(60);

/// A shop's vault, which nodes open.
struct Shop {
    folder: TempDir,
    vault: Vault,
}

impl Shop {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("vault.db").display());
        let vault = Vault::open(&url, VaultKey::from_bytes([7; 32])).await.unwrap();
        Self { folder, vault }
    }

    async fn node(&self) -> Arc<Keys> {
        Keys::open(self.vault.clone(), ISSUER.to_owned(), now()).await.unwrap()
    }

    /// The key that signs now, as somebody would have it who has taken the vault and its key.
    async fn stolen_key(&self) -> SigningKey {
        let ring = self.vault.get::<Value>("signing-key/ring").await.unwrap().unwrap().value;
        let seed = BASE64.decode(ring["seed"].as_str().unwrap()).unwrap();
        SigningKey::from_bytes(&seed.try_into().unwrap())
    }
}

/// A whole second, as tokens have them.
fn now() -> Timestamp {
    Timestamp::from_timestamp(1_795_000_000, 0).unwrap()
}

fn after(time: Duration) -> Timestamp {
    now() + TimeDelta::from_std(time).unwrap()
}

fn session() -> Grant {
    Grant::Session { session_id: Uuid::from_u128(1) }
}

fn operator() -> Grant {
    Grant::Operator { role: "merchant".to_owned() }
}

fn issue(keys: &Keys, grant: &Grant, ttl: Duration) -> String {
    keys.issue("ana", grant, ttl, now()).unwrap().0
}

fn part(token: &str, number: usize) -> Value {
    serde_json::from_slice(&BASE64.decode(token.split('.').nth(number).unwrap()).unwrap()).unwrap()
}

fn encoded(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

/// A token of these parts, signed with this key.
fn signed(header: &Value, payload: &Value, key: &SigningKey) -> String {
    let message = format!("{}.{}", encoded(header), encoded(payload));
    let signature = BASE64.encode(key.sign(message.as_bytes()).to_bytes());
    format!("{message}.{signature}")
}

/// A value with some fields set; null takes one away.
fn with(mut value: Value, changes: Value) -> Value {
    for (name, change) in changes.as_object().unwrap() {
        let fields = value.as_object_mut().unwrap();
        if change.is_null() {
            fields.remove(name)
        } else {
            fields.insert(name.clone(), change.clone())
        };
    }
    value
}

#[tokio::test]
async fn a_token_says_whose_it_is_what_it_stands_for_and_when_it_ends() {
    let keys = Shop::new().await.node().await;
    for grant in [session(), operator()] {
        let (token, expires_at) = keys.issue("ana", &grant, ACCESS_TTL, now() + TimeDelta::milliseconds(900)).unwrap();
        assert_eq!(expires_at, after(ACCESS_TTL));
        let claims = Claims { subject: "ana".to_owned(), grant: grant.clone(), expires_at };
        assert_eq!(keys.verify(&token, now()).await, Ok(claims.clone()));
        assert_eq!(keys.verify(&token, expires_at - TimeDelta::microseconds(1)).await, Ok(claims));
        for late in [expires_at, expires_at + TimeDelta::days(1)] {
            assert_eq!(keys.verify(&token, late).await, Err(TokenError::Expired));
        }
    }
    assert!(keys.issue("ana", &session(), Duration::MAX, now()).is_err());
}

#[tokio::test]
async fn a_token_has_the_header_and_the_claims_of_rfc_9068_and_an_id_of_its_own() {
    let keys = Shop::new().await.node().await;
    let token = issue(&keys, &session(), ACCESS_TTL);
    let kid = &keys.jwks()["keys"][0]["kid"];
    assert_eq!(part(&token, 0), json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": kid }));
    let payload = part(&token, 1);
    let seconds = now().timestamp();
    let expected = json!({
        "iss": ISSUER, "aud": "daybook", "client_id": "daybook", "sub": "ana", "iat": seconds, "exp": seconds + 900,
        "sid": Uuid::from_u128(1),
    });
    assert_eq!(with(payload.clone(), json!({ "jti": null })), expected);
    assert_ne!(payload["jti"], part(&issue(&keys, &session(), ACCESS_TTL), 1)["jti"]);
    assert_eq!(part(&issue(&keys, &operator(), ACCESS_TTL), 1)["role"], "merchant");
}

/// RFC 8725, sections 2.1 and 3.1: the algorithm is ours and not the token's.
#[tokio::test]
async fn no_algorithm_and_a_public_key_as_a_secret_are_refused() {
    let shop = Shop::new().await;
    let keys = shop.node().await;
    let token = issue(&keys, &operator(), ACCESS_TTL);
    let (header, payload) = (part(&token, 0), with(part(&token, 1), json!({ "role": "admin" })));
    for alg in ["none", "None", "NONE", ""] {
        let header = with(header.clone(), json!({ "alg": alg }));
        for signature in ["", token.split('.').nth(2).unwrap()] {
            let forged = format!("{}.{}.{signature}", encoded(&header), encoded(&payload));
            assert_eq!(keys.verify(&forged, now()).await, Err(TokenError::Invalid), "{alg}");
        }
    }
    let jwk = &keys.jwks()["keys"][0];
    let x = jwk["x"].as_str().unwrap();
    for secret in [BASE64.decode(x).unwrap(), x.as_bytes().to_vec(), jwk.to_string().into_bytes()] {
        let mut header = jsonwebtoken::Header::new(Algorithm::HS256);
        (header.typ, header.kid) = (Some("at+jwt".to_owned()), jwk["kid"].as_str().map(str::to_owned));
        let forged = jsonwebtoken::encode(&header, &payload, &jsonwebtoken::EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(keys.verify(&forged, now()).await, Err(TokenError::Invalid));
    }
    // Signed with the right key, but said to be otherwise.
    let key = shop.stolen_key().await;
    for alg in ["ES256", "RS256", "HS512", "Ed25519ph"] {
        let forged = signed(&with(header.clone(), json!({ "alg": alg })), &payload, &key);
        assert_eq!(keys.verify(&forged, now()).await, Err(TokenError::Invalid), "{alg}");
    }
}

/// RFC 8725, sections 2.8, 3.9, 3.11 and 3.12: another token of the same key is not an access token of this shop.
#[tokio::test]
async fn a_token_of_another_issuer_audience_kind_or_without_them_is_refused_whoever_signed_it() {
    let shop = Shop::new().await;
    let (keys, key) = (shop.node().await, shop.stolen_key().await);
    let token = issue(&keys, &session(), ACCESS_TTL);
    let (header, payload) = (part(&token, 0), part(&token, 1));
    assert!(keys.verify(&signed(&header, &payload, &key), now()).await.is_ok(), "the forger has the right key");
    let headers = [
        json!({ "typ": "JWT" }),
        json!({ "typ": "id+jwt" }),
        json!({ "typ": null }),
        json!({ "kid": null }),
        json!({ "crit": ["exp"] }),
        json!({ "crit": ["b64"], "b64": false }),
    ];
    for change in headers {
        let forged = signed(&with(header.clone(), change.clone()), &payload, &key);
        assert_eq!(keys.verify(&forged, now()).await, Err(TokenError::Invalid), "{change}");
    }
    let payloads = [
        json!({ "iss": "https://other.test" }),
        json!({ "iss": format!("{ISSUER}/") }),
        json!({ "iss": null }),
        json!({ "aud": "other" }),
        json!({ "aud": ["other"] }),
        json!({ "aud": null }),
        json!({ "sub": null }),
        json!({ "exp": null }),
        json!({ "exp": "never" }),
        json!({ "exp": i64::MAX }),
        json!({ "sid": null }),
        json!({ "sid": "not an id" }),
        json!({ "role": "admin" }),
    ];
    for change in payloads {
        let forged = signed(&header, &with(payload.clone(), change.clone()), &key);
        assert_eq!(keys.verify(&forged, now()).await, Err(TokenError::Invalid), "{change}");
    }
    let old = signed(&header, &with(payload, json!({ "exp": now().timestamp() - 1 })), &key);
    assert_eq!(keys.verify(&old, now()).await, Err(TokenError::Expired));
    for typ in ["AT+JWT", "application/at+jwt"] {
        let same = signed(&with(header.clone(), json!({ "typ": typ })), &part(&token, 1), &key);
        assert!(keys.verify(&same, now()).await.is_ok(), "{typ}");
    }
}

/// RFC 8725, sections 2.7 and 3.10: keys come from the vault and from nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_key_is_refused_however_the_token_brings_it_along() {
    let shop = Shop::new().await;
    let keys = shop.node().await;
    let token = issue(&keys, &operator(), ACCESS_TTL);
    let (header, payload) = (part(&token, 0), part(&token, 1));
    let foreign = SigningKey::from_bytes(&[1; 32]);
    let x = BASE64.encode(foreign.verifying_key());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
    // Whoever fetched what a token names would be heard here.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys.json", listener.local_addr().unwrap());
    let headers = [
        json!({}),
        json!({ "kid": "another" }),
        json!({ "kid": "../../etc/passwd" }),
        json!({ "kid": "' OR 1=1 --" }),
        json!({ "jwk": jwk }),
        json!({ "jwk": jwk, "kid": "another" }),
        json!({ "jku": url }),
        json!({ "x5u": url, "x5c": ["AAAA"] }),
    ];
    for change in headers {
        let forged = signed(&with(header.clone(), change.clone()), &payload, &foreign);
        assert_eq!(keys.verify(&forged, now()).await, Err(TokenError::Invalid), "{change}");
    }
    assert!(listener.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "nobody asked");
    // Ours stays ours, whatever else its header says: that is not looked at.
    let own = signed(&with(header, json!({ "jwk": jwk, "jku": url })), &payload, &shop.stolen_key().await);
    assert!(keys.verify(&own, now()).await.is_ok());
}

#[tokio::test]
async fn a_token_that_was_changed_anywhere_is_refused() {
    let keys = Shop::new().await.node().await;
    let token = issue(&keys, &operator(), ACCESS_TTL);
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    let admin = encoded(&with(part(&token, 1), json!({ "role": "admin" })));
    let longer = encoded(&with(part(&token, 1), json!({ "exp": now().timestamp() + 99_999 })));
    for payload in [admin, longer] {
        assert_eq!(keys.verify(&format!("{header}.{payload}.{signature}"), now()).await, Err(TokenError::Invalid));
    }
    let other = issue(&keys, &session(), ACCESS_TTL);
    let of_other = other.split('.').nth(2).unwrap();
    let broken = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}.{of_other}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}.{payload}.{}", &signature[1..]),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{header}.{}.{signature}", "A".repeat(1 << 20)),
    ];
    for broken in broken {
        assert_eq!(keys.verify(&broken, now()).await, Err(TokenError::Invalid), "{}", &broken[..broken.len().min(80)]);
    }
    // Every bit of the signature counts.
    let bytes = BASE64.decode(signature).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = format!("{header}.{payload}.{}", BASE64.encode(changed));
        assert_eq!(keys.verify(&changed, now()).await, Err(TokenError::Invalid), "bit {bit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_key_verifies_until_what_it_signed_has_ended_and_not_longer() {
    let shop = Shop::new().await;
    let (one, other) = (shop.node().await, shop.node().await);
    let (old, long) = (issue(&one, &session(), ACCESS_TTL), issue(&one, &operator(), 24 * 60 * MINUTE));
    let kid = one.rotate(now()).await.unwrap();
    let new = issue(&one, &session(), 24 * 60 * MINUTE);
    assert_eq!((part(&new, 0)["kid"].as_str(), part(&old, 0)["kid"] == part(&new, 0)["kid"]), (Some(kid.as_str()), false));
    for node in [&one, &other] {
        // The other one has not heard of the new key: it looks for it.
        assert!(node.verify(&new, now()).await.is_ok());
        assert!(node.verify(&old, after(ACCESS_TTL) - TimeDelta::seconds(1)).await.is_ok());
        assert_eq!(node.verify(&old, after(ACCESS_TTL)).await, Err(TokenError::Expired));
        assert!(node.verify(&long, after(ACCESS_TTL)).await.is_ok());
        assert_eq!(node.verify(&long, after(ACCESS_TTL + MINUTE)).await, Err(TokenError::Invalid));
        assert!(node.verify(&new, after(ACCESS_TTL + MINUTE)).await.is_ok());
        assert_eq!(node.jwks()["keys"].as_array().unwrap().len(), 2);
        // Having read the keys again, it signs with the new one too.
        assert_eq!(part(&issue(node, &session(), MINUTE), 0)["kid"], kid.as_str());
    }
    // The next rotation forgets what does not verify any more, and the secret half went with the first.
    let later = after(ACCESS_TTL + MINUTE);
    other.rotate(later).await.unwrap();
    assert_eq!(other.jwks()["keys"].as_array().unwrap().len(), 2);
    assert_eq!(other.verify(&long, later).await, Err(TokenError::Invalid));
    let ring = shop.vault.get::<Value>("signing-key/ring").await.unwrap().unwrap().value;
    assert_eq!(ring["retired"].as_array().unwrap().len(), 1);
    assert_eq!(ring["retired"][0].as_object().unwrap().keys().collect::<Vec<_>>(), ["until", "x"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_have_one_key_and_rotations_at_once_are_all_made() {
    let shop = Shop::new().await;
    let opened = (0..8).map(|_| tokio::spawn(Keys::open(shop.vault.clone(), ISSUER.to_owned(), now())));
    let mut nodes = Vec::new();
    for node in opened.collect::<Vec<_>>() {
        nodes.push(node.await.unwrap().unwrap());
    }
    assert!(nodes.iter().all(|node| node.jwks() == nodes[0].jwks()));
    let rotated = nodes.iter().map(|node| {
        let node = Arc::clone(node);
        tokio::spawn(async move { node.rotate(now()).await.unwrap() })
    });
    let mut kids = std::collections::BTreeSet::new();
    for kid in rotated.collect::<Vec<_>>() {
        kids.insert(kid.await.unwrap());
    }
    assert_eq!(kids.len(), 8);
    let last = shop.node().await;
    assert_eq!(last.jwks()["keys"].as_array().unwrap().len(), 9);
    // Each node verifies what any of them signs.
    for signer in &nodes {
        let token = issue(signer, &session(), MINUTE);
        assert!(nodes[0].verify(&token, now()).await.is_ok() && last.verify(&token, now()).await.is_ok());
    }
}

/// RFC 7517 and RFC 8037, as a library that is not ours reads them.
#[tokio::test]
async fn others_verify_our_tokens_by_the_key_set_which_has_nothing_secret() {
    let shop = Shop::new().await;
    let keys = shop.node().await;
    let old = issue(&keys, &session(), ACCESS_TTL);
    keys.rotate(now()).await.unwrap();
    let new = issue(&keys, &session(), ACCESS_TTL);
    let text = keys.jwks().to_string();
    let set: JwkSet = serde_json::from_str(&text).unwrap();
    for token in [&old, &new] {
        let header = jsonwebtoken::decode_header(token).unwrap();
        let key = DecodingKey::from_jwk(set.find(&header.kid.unwrap()).unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["daybook"]);
        validation.set_issuer(&[ISSUER]);
        validation.validate_exp = false;
        assert_eq!(jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims["sub"], "ana");
    }
    for key in keys.jwks()["keys"].as_array().unwrap() {
        let fields: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(fields.iter().all(|field| ["alg", "crv", "kid", "kty", "use", "x"].contains(field)), "{fields:?}");
        assert_eq!((&key["kty"], &key["crv"], &key["use"]), (&json!("OKP"), &json!("Ed25519"), &json!("sig")));
    }
    let seed = BASE64.encode(shop.stolen_key().await.to_bytes());
    assert!(!text.contains(&seed) && !format!("{keys:?}").contains(&seed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_vault_known_keys_verify_and_of_others_nothing_is_said() {
    let shop = Shop::new().await;
    let (one, other) = (shop.node().await, shop.node().await);
    let old = issue(&one, &session(), ACCESS_TTL);
    one.rotate(now()).await.unwrap();
    let new = issue(&one, &session(), ACCESS_TTL);
    let (path, away) = (shop.folder.path().join("vault.db"), shop.folder.path().join("away.db"));
    std::fs::rename(&path, &away).unwrap();
    assert!(other.verify(&old, now()).await.is_ok());
    assert!(matches!(other.verify(&new, now()).await, Err(TokenError::Unavailable(_))));
    std::fs::rename(&away, &path).unwrap();
    assert!(other.verify(&new, now()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tokens_of_made_up_keys_at_once_are_refused_and_ours_hold_all_the_same() {
    let shop = Shop::new().await;
    let keys = shop.node().await;
    let token = issue(&keys, &session(), ACCESS_TTL);
    let foreign = SigningKey::from_bytes(&[1; 32]);
    let forged = (0..500).map(|n| {
        let header = with(part(&token, 0), json!({ "kid": format!("made-up-{n}") }));
        let (keys, forged) = (Arc::clone(&keys), signed(&header, &part(&token, 1), &foreign));
        tokio::spawn(async move { keys.verify(&forged, now()).await })
    });
    for answer in forged.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), Err(TokenError::Invalid));
    }
    assert!(keys.verify(&token, now()).await.is_ok());
}
