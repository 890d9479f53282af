//! Passkeys (WebAuthn level 3): a login that cannot be phished, because the browser signs for one origin only.
//!
//! Credentials are discoverable and the user is verified (by a fingerprint or a PIN), so a passkey alone is both factors. What is
//! kept between the two halves of a ceremony is a value for the vault, so that any node can finish what another began; whoever
//! keeps it must hand it out once (`Vault::take`), because that is what makes a challenge good for one answer.

use std::{fmt, num::NonZeroU32};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use event_schemas::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Host, Url};
use uuid::Uuid;
use webauthn_rp::{
    AuthenticatedCredential, DiscoverableAuthentication16, DiscoverableAuthenticationServerState,
    DiscoverableCredentialRequestOptions, PublicKeyCredentialCreationOptions, Registration, RegistrationServerState,
    bin::{Decode, Encode},
    request::{
        AsciiDomain, ExtensionInfo, PublicKeyCredentialDescriptor, RpId,
        auth::AuthenticationVerificationOptions,
        register::{CredProtect, PublicKeyCredentialUserEntity, RegistrationVerificationOptions, UserHandle16},
    },
    response::{
        AuthTransports, CredentialId,
        auth::error::AuthCeremonyErr,
        register::{DynamicState, StaticState, error::RegCeremonyErr},
    },
};

use crate::proof::ProofError;

/// How long a browser has to answer a challenge, in milliseconds: five minutes.
const CHALLENGE_MILLIS: NonZeroU32 = NonZeroU32::MIN.saturating_add(299_999);

/// The shop as browsers and authenticators know it.
#[derive(Debug, Clone)]
pub struct RelyingParty {
    id: RpId,
    origin: String,
    name: String,
    challenge_millis: NonZeroU32,
}

/// A public key that somebody signs in with.
#[derive(Clone, Serialize, Deserialize)]
pub struct Passkey {
    /// Our id of it, by which it is listed and removed. It is no secret, and not the id that the authenticator uses.
    pub id: Uuid,
    /// What its owner calls it; `Passkey` until they say.
    pub label: String,
    /// When it was registered, by the clock of the machine that finished it.
    pub created_at: Timestamp,
    /// When it was last used to sign in, if it ever was, by the same kind of clock.
    pub last_used_at: Option<Timestamp>,
    account_id: AccountId,
    #[serde(with = "base64url")]
    credential_id: Vec<u8>,
    transports: u8,
    #[serde(with = "base64url")]
    public_key: Vec<u8>,
    /// The signature counter, and whether the key may be and is backed up, as the authenticator said last.
    state: [u8; 7],
}

impl Passkey {
    /// Whether both are the same key of the same authenticator.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.credential_id == other.credential_id
    }
}

impl fmt::Debug for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<passkey {}>", self.id)
    }
}

impl RelyingParty {
    /// The relying party at a public URL: passkeys belong to its host, and only pages of its origin can use them.
    ///
    /// # Errors
    /// [`ProofError::Setup`] if browsers offer no passkeys there: they want a host name (not an IP address), and `https` except
    /// on `localhost`.
    pub fn new(public_url: &Url, name: &str) -> Result<Self, ProofError> {
        let setup = |why: &str| ProofError::Setup(format!("there are no passkeys at {public_url}: {why}"));
        let Some(Host::Domain(host)) = public_url.host() else { return Err(setup("they need a host name")) };
        let local = host == "localhost" || host.ends_with(".localhost");
        if !(public_url.scheme() == "https" || public_url.scheme() == "http" && local) {
            return Err(setup("they need https"));
        }
        let domain = AsciiDomain::try_from(host.to_owned()).map_err(|error| setup(&error.to_string()))?;
        Ok(Self {
            id: RpId::Domain(domain),
            origin: public_url.origin().ascii_serialization(),
            name: name.to_owned(),
            challenge_millis: CHALLENGE_MILLIS,
        })
    }

    /// Begins to register a passkey: the options for `PublicKeyCredential.parseCreationOptionsFromJSON()`, and the state to keep.
    ///
    /// `name` is what the authenticator shows, usually the e-mail address. An authenticator that has one of the existing passkeys
    /// does not make another.
    ///
    /// # Errors
    /// [`ProofError::Broken`] if an existing passkey cannot be read.
    pub fn begin_registration(&self, account: AccountId, name: &str, existing: &[Passkey]) -> Result<(Value, Value), ProofError> {
        let handle = handle(account);
        let existing = existing.iter().map(descriptor).collect::<Result<Vec<_>, _>>()?;
        let user = PublicKeyCredentialUserEntity::from(&handle);
        let mut options = PublicKeyCredentialCreationOptions::passkey(&self.id, user, existing);
        options.timeout = self.challenge_millis;
        // Asked for, not insisted on: some authenticators cannot do it, and the user is verified at each login in any case.
        options.extensions.cred_protect = CredProtect::UserVerificationRequired(ExtensionInfo::AllowDontEnforceValue);
        let (state, options) = options.start_ceremony().map_err(ProofError::broken)?;
        let mut options = serde_json::to_value(&options).map_err(ProofError::broken)?;
        // The library knows no name of a shop, and takes no user name with a space in it. Both are for showing only.
        options["rp"]["name"] = self.name.as_str().into();
        options["user"]["name"] = name.into();
        options["user"]["displayName"] = name.into();
        Ok((options, pack(&state.encode().map_err(ProofError::broken)?)))
    }

    /// Finishes a registration with what the browser answered (`JSON.stringify(credential)`).
    ///
    /// # Errors
    /// [`ProofError::Refused`] or [`ProofError::Expired`] if the answer does not hold; [`ProofError::Broken`] for a bad state.
    pub fn finish_registration(&self, state: Value, response: &str) -> Result<Passkey, ProofError> {
        let state = RegistrationServerState::<16>::decode(&unpack(&state)?).map_err(ProofError::broken)?;
        let response = Registration::from_json_relaxed(response.as_bytes()).map_err(ProofError::refused)?;
        let options = RegistrationVerificationOptions::<&str, &str> {
            allowed_origins: &[&self.origin],
            // The standard lets clients add extensions on their own, and password managers do.
            error_on_unsolicited_extensions: false,
            ..RegistrationVerificationOptions::default()
        };
        let key = state.verify(&self.id, &response, &options).map_err(|error| match error {
            RegCeremonyErr::Timeout => ProofError::Expired,
            error => ProofError::refused(error),
        })?;
        let Ok(transports) = key.transports().encode();
        let Ok(public_key) = key.static_state().encode();
        let Ok(state) = key.dynamic_state().encode();
        Ok(Passkey {
            id: Uuid::now_v7(),
            label: "Passkey".to_owned(),
            created_at: chrono::Utc::now(),
            last_used_at: None,
            account_id: account(key.user_id()),
            credential_id: key.id().as_ref().to_vec(),
            transports,
            public_key,
            state,
        })
    }

    /// Begins a login without saying who: the options for `PublicKeyCredential.parseRequestOptionsFromJSON()`, and the state to
    /// keep.
    ///
    /// # Errors
    /// [`ProofError::Broken`] if the library fails.
    pub fn begin_login(&self) -> Result<(Value, Value), ProofError> {
        let mut options = DiscoverableCredentialRequestOptions::passkey(&self.id);
        options.0.timeout = self.challenge_millis;
        let (state, options) = options.start_ceremony().map_err(ProofError::broken)?;
        let options = serde_json::to_value(&options).map_err(ProofError::broken)?;
        Ok((options, pack(&state.encode().map_err(ProofError::broken)?)))
    }

    /// Whose login an answer claims to be, before anything is checked: the account whose passkeys [`Self::finish_login`] needs.
    pub fn account_of(response: &str) -> Option<AccountId> {
        let response = DiscoverableAuthentication16::from_json_relaxed(response.as_bytes()).ok()?;
        Some(account(response.response().user_handle()))
    }

    /// Finishes a login with what the browser answered, and tells which of the account's passkeys it was.
    ///
    /// That passkey is changed, and must be kept before anybody is let in: its counter is what tells a copied authenticator.
    ///
    /// # Errors
    /// [`ProofError::Refused`] or [`ProofError::Expired`] if the answer does not hold; [`ProofError::Broken`] for a bad state.
    pub fn finish_login(&self, state: Value, response: &str, passkeys: &mut [Passkey]) -> Result<Uuid, ProofError> {
        let state = DiscoverableAuthenticationServerState::decode(&unpack(&state)?).map_err(ProofError::broken)?;
        let response = DiscoverableAuthentication16::from_json_relaxed(response.as_bytes()).map_err(ProofError::refused)?;
        let passkey = passkeys
            .iter_mut()
            .find(|passkey| passkey.credential_id == response.raw_id().as_ref())
            .ok_or_else(|| ProofError::refused("the account has no such passkey"))?;
        let handle = handle(passkey.account_id);
        let mut key = AuthenticatedCredential::new(
            CredentialId::<&[u8]>::decode(&passkey.credential_id).map_err(ProofError::broken)?,
            &handle,
            StaticState::decode(&passkey.public_key).map_err(ProofError::broken)?,
            DynamicState::decode(passkey.state).map_err(ProofError::broken)?,
        )
        .map_err(ProofError::broken)?;
        let options = AuthenticationVerificationOptions::<&str, &str> {
            allowed_origins: &[&self.origin],
            error_on_unsolicited_extensions: false,
            ..AuthenticationVerificationOptions::default()
        };
        state.verify(&self.id, &response, &mut key, &options).map_err(|error| match error {
            AuthCeremonyErr::Timeout => ProofError::Expired,
            error => ProofError::refused(error),
        })?;
        let Ok(state) = key.dynamic_state().encode();
        passkey.state = state;
        passkey.last_used_at = Some(chrono::Utc::now());
        Ok(passkey.id)
    }
}

fn handle(account: AccountId) -> UserHandle16 {
    let Ok(handle) = UserHandle16::decode(account.0.into_bytes());
    handle
}

fn account(handle: &UserHandle16) -> AccountId {
    let Ok(bytes) = handle.encode();
    AccountId(Uuid::from_bytes(bytes))
}

fn descriptor(passkey: &Passkey) -> Result<PublicKeyCredentialDescriptor<Vec<u8>>, ProofError> {
    Ok(PublicKeyCredentialDescriptor {
        id: CredentialId::<Vec<u8>>::decode(passkey.credential_id.clone()).map_err(ProofError::broken)?,
        transports: AuthTransports::decode(passkey.transports).map_err(ProofError::broken)?,
    })
}

fn pack(state: &[u8]) -> Value {
    URL_SAFE_NO_PAD.encode(state).into()
}

fn unpack(state: &Value) -> Result<Vec<u8>, ProofError> {
    let text = state.as_str().ok_or_else(|| ProofError::broken("the state of a ceremony is a text"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(ProofError::broken)
}

mod base64url {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        URL_SAFE_NO_PAD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[path = "../tests/accounts/authenticator.rs"]
mod authenticator;

#[cfg(test)]
mod tests {
    use super::{authenticator::Authenticator, *};

    #[test]
    fn a_challenge_ends() {
        let shop = RelyingParty::new(&"https://shop.example/".parse().unwrap(), "Shop").unwrap();
        let (account, hasty) = (AccountId(Uuid::now_v7()), RelyingParty { challenge_millis: NonZeroU32::MIN, ..shop.clone() });
        let authenticator = Authenticator::new(account);
        let (options, state) = shop.begin_registration(account, "ana@example.com", &[]).unwrap();
        assert_eq!(options["timeout"], 300_000);
        let mut passkeys = [shop.finish_registration(state, &authenticator.create(&options)).unwrap()];
        let (registration, registration_state) = hasty.begin_registration(account, "ana@example.com", &[]).unwrap();
        let (login, login_state) = hasty.begin_login().unwrap();
        // Not a wait for something to happen: the time is over when it returns.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let late = hasty.finish_registration(registration_state, &authenticator.create(&registration));
        assert!(matches!(late, Err(ProofError::Expired)), "{late:?}");
        let late = hasty.finish_login(login_state, &authenticator.get(&login), &mut passkeys);
        assert!(matches!(late, Err(ProofError::Expired)), "{late:?}");
    }
}
