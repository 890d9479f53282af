//! A browser with an authenticator: what it signs is what browsers send.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use event_schemas::AccountId;
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::EncodePublicKey,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Present and verified (WebAuthn, section 6.1).
const USER: u8 = 0x05;
const ATTESTED: u8 = 0x40;

/// One credential for `https://shop.example`.
pub struct Authenticator {
    key: SigningKey,
    credential_id: Vec<u8>,
    user_handle: Vec<u8>,
    pub counter: u32,
}

impl Authenticator {
    pub fn new(account: AccountId) -> Self {
        let key = SigningKey::random(&mut rand::rngs::OsRng);
        let credential_id = uuid::Uuid::new_v4().as_bytes().to_vec();
        Self { key, credential_id, user_handle: account.0.as_bytes().to_vec(), counter: 1 }
    }

    /// `authData` up to the counter.
    fn data(&self, flags: u8) -> Vec<u8> {
        [&*Sha256::digest("shop.example"), &[flags], &self.counter.to_be_bytes()].concat()
    }

    fn client_data(kind: &str, options: &Value) -> String {
        let challenge = &options["challenge"];
        json!({ "type": kind, "challenge": challenge, "origin": "https://shop.example", "crossOrigin": false }).to_string()
    }

    /// `navigator.credentials.create()` and `toJSON()`, with the attestation `none`.
    pub fn create(&self, options: &Value) -> String {
        let point = self.key.verifying_key().to_encoded_point(false);
        let mut data = self.data(USER | ATTESTED);
        data.extend([0; 16]);
        data.extend((self.credential_id.len() as u16).to_be_bytes());
        data.extend(&self.credential_id);
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(point.x().unwrap());
        data.extend([0x22, 0x58, 0x20]);
        data.extend(point.y().unwrap());
        // {"fmt": "none", "attStmt": {}, "authData": data} in CBOR.
        let mut attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        attestation.push(data.len() as u8);
        attestation.extend(&data);
        let id = text(&self.credential_id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": text(Self::client_data("webauthn.create", options)), "attestationObject": text(attestation),
                "authenticatorData": text(data), "transports": ["internal"], "publicKeyAlgorithm": -7,
                "publicKey": text(self.key.verifying_key().to_public_key_der().unwrap()),
            },
        })
        .to_string()
    }

    /// `navigator.credentials.get()` and `toJSON()`.
    pub fn get(&self, options: &Value) -> String {
        let (data, client_data) = (self.data(USER), Self::client_data("webauthn.get", options));
        let signed = [data.as_slice(), &Sha256::digest(&client_data)].concat();
        let signature: Signature = self.key.sign(&signed);
        let id = text(&self.credential_id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": text(client_data), "authenticatorData": text(data),
                "signature": text(signature.to_der()), "userHandle": text(&self.user_handle),
            },
        })
        .to_string()
    }
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
