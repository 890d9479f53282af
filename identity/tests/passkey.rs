//! Passkeys, with an authenticator written here: what it signs is what browsers send, byte by byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use event_schemas::AccountId;
use identity::{Passkey, ProofError, RelyingParty};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::EncodePublicKey,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

/// The key of a credential, of one of the kinds that authenticators have.
enum Key {
    Es256(SigningKey),
    EdDsa(ed25519_dalek::SigningKey),
}

/// An authenticator and the browser it is plugged into. What an attacker might change of their answer is a field.
struct Authenticator {
    key: Key,
    credential_id: Vec<u8>,
    origin: String,
    rp_id: String,
    user_handle: Vec<u8>,
    flags: u8,
    counter: u32,
}

/// What makes an answer another.
type Change = fn(&mut Authenticator);

impl Authenticator {
    fn es256(account: AccountId, origin: &str, rp_id: &str) -> Self {
        Self {
            key: Key::Es256(SigningKey::random(&mut rand::rngs::OsRng)),
            credential_id: Uuid::new_v4().as_bytes().to_vec(),
            origin: origin.to_owned(),
            rp_id: rp_id.to_owned(),
            user_handle: account.0.as_bytes().to_vec(),
            flags: USER_PRESENT | USER_VERIFIED,
            counter: 1,
        }
    }

    fn eddsa(account: AccountId, origin: &str, rp_id: &str) -> Self {
        let key = Key::EdDsa(ed25519_dalek::SigningKey::generate(&mut rand::rngs::OsRng));
        Self { key, ..Self::es256(account, origin, rp_id) }
    }

    /// `authData` (WebAuthn, section 6.1) up to the counter.
    fn authenticator_data(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(&self.rp_id).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn client_data(&self, kind: &str, challenge: &Value) -> String {
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false }).to_string()
    }

    /// The public key as COSE, as its COSE algorithm, and as `getPublicKey()` gives it.
    fn public_key(&self) -> (Vec<u8>, i64, Vec<u8>) {
        match &self.key {
            Key::Es256(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                let mut cose = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
                cose.extend(point.x().unwrap());
                cose.extend([0x22, 0x58, 0x20]);
                cose.extend(point.y().unwrap());
                (cose, -7, key.verifying_key().to_public_key_der().unwrap().into_vec())
            }
            Key::EdDsa(key) => {
                let mut cose = vec![0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];
                cose.extend(key.verifying_key().as_bytes());
                (cose, -8, key.verifying_key().to_public_key_der().unwrap().into_vec())
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.key {
            Key::Es256(key) => Signer::<Signature>::sign(key, message).to_der().as_bytes().to_vec(),
            Key::EdDsa(key) => Signer::<ed25519_dalek::Signature>::sign(key, message).to_bytes().to_vec(),
        }
    }

    /// `navigator.credentials.create()` and `toJSON()`, with the attestation `none`.
    fn create(&self, options: &Value) -> String {
        let (cose, algorithm, public_key) = self.public_key();
        let mut data = self.authenticator_data(self.flags | ATTESTED);
        data.extend([0; 16]); // No AAGUID: the make of the authenticator is not told.
        data.extend((self.credential_id.len() as u16).to_be_bytes());
        data.extend(&self.credential_id);
        data.extend(cose);
        // {"fmt": "none", "attStmt": {}, "authData": data} in CBOR.
        let mut attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        attestation.push(data.len() as u8);
        attestation.extend(&data);
        let id = text(&self.credential_id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "platform",
            "clientExtensionResults": { "credProps": { "rk": true } },
            "response": {
                "clientDataJSON": text(self.client_data("webauthn.create", &options["challenge"])),
                "attestationObject": text(&attestation), "authenticatorData": text(&data),
                "transports": ["internal", "hybrid"], "publicKeyAlgorithm": algorithm, "publicKey": text(public_key),
            },
        })
        .to_string()
    }

    /// `navigator.credentials.get()` and `toJSON()`.
    fn get(&self, options: &Value) -> String {
        self.get_as("webauthn.get", options)
    }

    fn get_as(&self, kind: &str, options: &Value) -> String {
        let data = self.authenticator_data(self.flags);
        let client_data = self.client_data(kind, &options["challenge"]);
        let signature = self.sign(&[data.as_slice(), &Sha256::digest(&client_data)].concat());
        let id = text(&self.credential_id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": text(client_data), "authenticatorData": text(data),
                "signature": text(signature), "userHandle": text(&self.user_handle),
            },
        })
        .to_string()
    }
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn shop(url: &str) -> RelyingParty {
    RelyingParty::new(&Url::parse(url).unwrap(), "Tea & Co").unwrap()
}

/// What the vault does to a state: text and back.
fn kept(state: Value) -> Value {
    serde_json::from_str(&state.to_string()).unwrap()
}

/// A shop, and an account's authenticator that is registered there.
fn registered() -> (RelyingParty, Authenticator, Vec<Passkey>) {
    let (shop, account) = (shop("https://shop.example/"), AccountId(Uuid::now_v7()));
    let authenticator = Authenticator::es256(account, "https://shop.example", "shop.example");
    let (options, state) = shop.begin_registration(account, "ana@example.com", &[]).unwrap();
    let passkey = shop.finish_registration(kept(state), &authenticator.create(&options)).unwrap();
    (shop, authenticator, vec![passkey])
}

/// Asserts that it was refused, and by which rule.
#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, ProofError>, rule: &str) {
    match result {
        Err(ProofError::Refused(text)) => assert!(text.contains(rule), "`{text}` is not about `{rule}`"),
        other => panic!("{other:?} instead of a refusal about `{rule}`"),
    }
}

#[test]
fn the_options_are_what_browsers_parse_and_ask_for_a_verified_user() {
    let (shop, authenticator, passkeys) = registered();
    let account = AccountId(Uuid::from_slice(&authenticator.user_handle).unwrap());
    let (options, _) = shop.begin_registration(account, "Ana María", &passkeys).unwrap();
    assert_eq!(options["rp"], json!({ "id": "shop.example", "name": "Tea & Co" }));
    let user = json!({ "id": text(&authenticator.user_handle), "name": "Ana María", "displayName": "Ana María" });
    assert_eq!(options["user"], user);
    assert_eq!(URL_SAFE_NO_PAD.decode(options["challenge"].as_str().unwrap()).unwrap().len(), 16);
    let selection = &options["authenticatorSelection"];
    assert_eq!((&selection["residentKey"], &selection["userVerification"]), (&json!("required"), &json!("required")));
    let algorithms: Vec<_> = options["pubKeyCredParams"].as_array().unwrap().iter().map(|kind| &kind["alg"]).collect();
    assert_eq!(algorithms, [&json!(-8), &json!(-7), &json!(-35), &json!(-257)]);
    assert_eq!((&options["attestation"], &options["timeout"]), (&json!("none"), &json!(300_000)));
    // The authenticator that has one already is told.
    assert_eq!(options["excludeCredentials"][0]["id"], text(&authenticator.credential_id));

    let (options, _) = shop.begin_login().unwrap();
    assert_eq!((&options["rpId"], &options["userVerification"]), (&json!("shop.example"), &json!("required")));
    assert_eq!(options["allowCredentials"], json!([]));
    let (again, _) = shop.begin_login().unwrap();
    assert_ne!(options["challenge"], again["challenge"]);
}

#[test]
fn a_passkey_is_registered_on_one_node_and_signs_in_on_others() {
    for (url, origin, rp_id) in [
        ("https://shop.example/", "https://shop.example", "shop.example"),
        ("https://shop.example:8443/some/path", "https://shop.example:8443", "shop.example"),
        ("http://localhost:8080/", "http://localhost:8080", "localhost"),
        ("https://bücher.example/", "https://xn--bcher-kva.example", "xn--bcher-kva.example"),
    ] {
        for make in [Authenticator::es256, Authenticator::eddsa] {
            let account = AccountId(Uuid::now_v7());
            let mut authenticator = make(account, origin, rp_id);
            let (options, state) = shop(url).begin_registration(account, "ana@example.com", &[]).unwrap();
            let answer = authenticator.create(&options);
            let passkey = shop(url).finish_registration(kept(state), &answer).unwrap();
            let stored = serde_json::to_string(std::slice::from_ref(&passkey)).unwrap();
            assert_eq!(format!("{passkey:?}"), format!("<passkey {}>", passkey.id));

            let mut passkeys: Vec<Passkey> = serde_json::from_str(&stored).unwrap();
            for counter in [2, 7] {
                authenticator.counter = counter;
                let (options, state) = shop(url).begin_login().unwrap();
                let answer = authenticator.get(&options);
                assert_eq!(RelyingParty::account_of(&answer), Some(account));
                assert_eq!(shop(url).finish_login(kept(state), &answer, &mut passkeys).unwrap(), passkey.id, "{url}");
            }
            assert!(passkeys[0].last_used_at.is_some() && passkeys[0].is_same_key(&passkey));
        }
    }
}

#[test]
fn a_registration_that_does_not_hold_is_refused_by_its_rule() {
    let tries: [(Change, &str); 6] = [
        (|it| it.origin = "https://shop.example.evil.example".to_owned(), "origin"),
        (|it| it.origin = "http://shop.example".to_owned(), "origin"),
        (|it| it.origin = "https://shop.example:8443".to_owned(), "origin"),
        (|it| it.rp_id = "evil.example".to_owned(), "hash of the RP ID"),
        (|it| it.flags = USER_PRESENT, "user was not verified"),
        (|it| it.flags = USER_VERIFIED, "user was not present"),
    ];
    for (change, rule) in tries {
        let (shop, account) = (shop("https://shop.example/"), AccountId(Uuid::now_v7()));
        let mut authenticator = Authenticator::es256(account, "https://shop.example", "shop.example");
        change(&mut authenticator);
        let (options, state) = shop.begin_registration(account, "ana@example.com", &[]).unwrap();
        assert_refused(shop.finish_registration(state, &authenticator.create(&options)), rule);
    }
}

#[test]
fn a_registration_answers_its_own_challenge_only() {
    let (shop, authenticator, _) = registered();
    let account = AccountId(Uuid::now_v7());
    let (_, state) = shop.begin_registration(account, "ana@example.com", &[]).unwrap();
    let (others, _) = shop.begin_registration(account, "ana@example.com", &[]).unwrap();
    assert_refused(shop.finish_registration(state.clone(), &authenticator.create(&others)), "challenge");
    // An answer to a login is none to a registration, nor is nonsense.
    for answer in [authenticator.get(&others), "{}".to_owned(), "not JSON".to_owned(), String::new()] {
        assert_refused(shop.finish_registration(state.clone(), &answer), "");
    }
}

#[test]
fn a_login_that_does_not_hold_is_refused_by_its_rule_and_changes_nothing() {
    let tries: [(Change, &str); 9] = [
        (|it| it.origin = "https://evil.example".to_owned(), "origin"),
        (|it| it.origin = "https://shop.example/".to_owned(), "origin"),
        (|it| it.rp_id = "evil.example".to_owned(), "hash of the RP ID"),
        (|it| it.flags = USER_PRESENT, "user was not verified"),
        (|it| it.flags = USER_VERIFIED, "user was not present"),
        (|it| it.key = Key::Es256(SigningKey::random(&mut rand::rngs::OsRng)), "signature"),
        (|it| it.user_handle = Uuid::now_v7().as_bytes().to_vec(), "user handle"),
        (|it| it.credential_id = vec![7; 16], "no such passkey"),
        (|it| it.counter = 1, "signature counter"),
    ];
    let (shop, mut authenticator, mut passkeys) = registered();
    authenticator.counter = 5;
    let (options, state) = shop.begin_login().unwrap();
    shop.finish_login(state, &authenticator.get(&options), &mut passkeys).unwrap();
    let before = serde_json::to_value(&passkeys).unwrap();
    for (change, rule) in tries {
        let key = match &authenticator.key {
            Key::Es256(key) => Key::Es256(key.clone()),
            Key::EdDsa(key) => Key::EdDsa(key.clone()),
        };
        let (credential_id, user_handle) = (authenticator.credential_id.clone(), authenticator.user_handle.clone());
        let (origin, rp_id) = (authenticator.origin.clone(), authenticator.rp_id.clone());
        let mut changed =
            Authenticator { key, credential_id, user_handle, origin, rp_id, flags: authenticator.flags, counter: 6 };
        change(&mut changed);
        let (options, state) = shop.begin_login().unwrap();
        assert_refused(shop.finish_login(state, &changed.get(&options), &mut passkeys), rule);
        assert_eq!(serde_json::to_value(&passkeys).unwrap(), before, "{rule}");
    }
}

#[test]
fn a_login_answers_its_own_challenge_once() {
    let (shop, mut authenticator, mut passkeys) = registered();
    authenticator.counter = 2;
    let (options, state) = shop.begin_login().unwrap();
    let answer = authenticator.get(&options);
    // Not the challenge of another login, of a registration, or under another name.
    let (_, others) = shop.begin_login().unwrap();
    assert_refused(shop.finish_login(others, &answer, &mut passkeys), "challenge");
    let as_registration = authenticator.get_as("webauthn.create", &options);
    assert_refused(shop.finish_login(state.clone(), &as_registration, &mut passkeys), "");
    let account = RelyingParty::account_of(&answer).unwrap();
    let (_, registration) = shop.begin_registration(account, "ana@example.com", &[]).unwrap();
    assert!(matches!(shop.finish_login(registration, &answer, &mut passkeys), Err(ProofError::Broken(_))));

    shop.finish_login(state.clone(), &answer, &mut passkeys).unwrap();
    // The same answer again: the state is gone from the vault by then, and the counter holds even if it were not.
    assert_refused(shop.finish_login(state.clone(), &answer, &mut passkeys), "signature counter");
    authenticator.counter = 0;
    assert_refused(shop.finish_login(state.clone(), &authenticator.get(&options), &mut passkeys), "signature counter");
    for answer in ["{}", "not JSON", ""] {
        assert_refused(shop.finish_login(state.clone(), answer, &mut passkeys), "");
        assert_eq!(RelyingParty::account_of(answer), None);
    }
}

#[test]
fn a_counter_that_stays_at_zero_is_right() {
    // Passkeys that are kept in step between devices have no counter.
    let (shop, account) = (shop("https://shop.example/"), AccountId(Uuid::now_v7()));
    let authenticator = Authenticator { counter: 0, ..Authenticator::es256(account, "https://shop.example", "shop.example") };
    let (options, state) = shop.begin_registration(account, "ana@example.com", &[]).unwrap();
    let mut passkeys = [shop.finish_registration(state, &authenticator.create(&options)).unwrap()];
    for _ in 0..2 {
        let (options, state) = shop.begin_login().unwrap();
        shop.finish_login(state, &authenticator.get(&options), &mut passkeys).unwrap();
    }
}

#[test]
fn a_state_that_is_not_ours_is_a_fault() {
    let (shop, authenticator, mut passkeys) = registered();
    let (options, _) = shop.begin_login().unwrap();
    for state in [json!(null), json!(""), json!("AAAA"), json!("not base64url!"), json!({ "state": 1 })] {
        let login = shop.finish_login(state.clone(), &authenticator.get(&options), &mut passkeys);
        assert!(matches!(login, Err(ProofError::Broken(_))), "{state}: {login:?}");
        let registration = shop.finish_registration(state.clone(), &authenticator.create(&options));
        assert!(matches!(registration, Err(ProofError::Broken(_))), "{state}: {registration:?}");
    }
}

#[test]
fn where_browsers_offer_no_passkeys_the_shop_says_so() {
    for url in ["http://shop.example/", "https://127.0.0.1/", "http://127.0.0.1:8080/", "https://[::1]/", "ftp://localhost/"] {
        let refused = RelyingParty::new(&Url::parse(url).unwrap(), "Tea & Co");
        assert!(matches!(&refused, Err(ProofError::Setup(text)) if text.contains(url)), "{refused:?}");
    }
}
