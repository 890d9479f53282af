//! What the flows take and answer. Nothing that holds a secret can be printed.

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::Engine;
use event_schemas::{AccountId, ApiKeyId, Position, Sequence, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use uuid::Uuid;
use vault::Vault;

use crate::{Keys, Mailer, passwords::Hashing};

/// What [`crate::Accounts`] is made of.
pub struct Parts {
    /// Where secrets and personal data of accounts are.
    pub vault: Vault,
    /// What signs access tokens.
    pub keys: Arc<Keys>,
    /// What writes the events.
    pub engine: Engine,
    /// What the log says of accounts and API keys.
    pub rights: Arc<dyn Rights>,
    /// What sends mails.
    pub mailer: Arc<dyn Mailer>,
    /// Who counts failed logins.
    pub attempts: Arc<dyn AttemptLog>,
    /// How it is set up.
    pub config: Config,
}

/// How accounts are set up.
pub struct Config {
    /// Where the shop is reached, such as `https://shop.example/`: for links in mails and for passkeys.
    pub public_url: Url,
    /// The shop's name, for mails, authenticator apps and passkeys.
    pub shop_name: String,
    /// Where else one may log in, if anywhere.
    pub oidc: Option<OidcConfig>,
    /// How passwords are hashed; [`Hashing::default`] is right.
    pub hashing: Hashing,
}

impl Config {
    /// What anybody would call the shop: its name, and its host.
    pub(crate) fn names(&self) -> String {
        format!("{} {}", self.shop_name, self.public_url.host_str().unwrap_or_default())
    }
}

/// An OpenID Connect provider. Its callback is `<public url>/account`.
#[derive(Clone)]
pub struct OidcConfig {
    /// The issuer, as its discovery document names it.
    pub issuer: String,
    /// This shop's id there.
    pub client_id: String,
    /// This shop's secret there, if it has one.
    pub client_secret: Option<String>,
}

/// What the log says of accounts and API keys. Views are no answer: they may be behind, rebuilt or halted.
#[async_trait]
pub trait Rights: Send + Sync + 'static {
    /// The rights of an account; none if there is none.
    ///
    /// # Errors
    /// What is wrong with the log.
    async fn account(&self, id: AccountId) -> Result<Option<AccountRights>, String>;

    /// The rights of an API key; none if there is none.
    ///
    /// # Errors
    /// What is wrong with the log.
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRights>, String>;

    /// Whether any account is an admin.
    ///
    /// # Errors
    /// What is wrong with the log.
    async fn has_admin(&self) -> Result<bool, String>;
}

/// The rights of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountRights {
    /// Its roles, that of a customer included.
    pub roles: Vec<String>,
    /// Whether it may not log in.
    pub disabled: bool,
    /// Whether its e-mail address was verified.
    pub verified: bool,
}

/// The rights of an API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRights {
    /// The names of the permissions that it carries.
    pub permissions: Vec<String>,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// Whether it was taken back.
    pub revoked: bool,
}

/// Who counts failed logins. It must be quick.
pub trait AttemptLog: Send + Sync + 'static {
    /// A login failed; `account` is none if there is no such account. `who` was typed, hashed with a key: what is counted
    /// together is told apart by it, so that accounts that there are and those that there are not are counted alike.
    fn login_failed(&self, account: Option<AccountId>, who: &str);
}

/// Who asks, from where, and in which request.
#[derive(Clone, Default)]
pub struct Origin {
    /// As events record who asks, such as `customer` for nobody in particular, or `support:<account id>`.
    pub actor: String,
    /// The client's address. Kept nowhere but, hashed with a key, in the counters of failed logins.
    pub address: Option<IpAddr>,
    /// The device token of an earlier login ([`SignedIn::device_token`]), if the client has one.
    pub device_token: Option<String>,
    /// What the owner of the account is shown of the device, such as the `User-Agent`; cut to 200 characters.
    pub device_label: Option<String>,
    /// The request, as events record it.
    pub correlation_id: Option<Uuid>,
    /// The W3C trace id of the request.
    pub trace_id: Option<String>,
    /// The names of the permissions of who asks: they change and give no role of the shop's own that permits more. None where
    /// nobody in particular asks, and nothing is compared.
    pub permissions: Option<Vec<String>>,
    /// The version of the account, role or API key that who asks has looked at: staff change nothing that has changed since.
    pub expected_version: Option<Sequence>,
}

/// Whose access token it is: [`Subject::Account`] without the roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccountSession {
    /// The account.
    pub account_id: AccountId,
    /// The session.
    pub session_id: Uuid,
}

/// Who an access token or API key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Who it is.
    pub subject: Subject,
    /// When the token or key ends, if it does.
    pub expires_at: Option<Timestamp>,
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An account, logged in.
    Account {
        /// The account.
        id: AccountId,
        /// The session.
        session: Uuid,
        /// The roles of the account.
        roles: Vec<String>,
    },
    /// A service with a key.
    ApiKey {
        /// The key.
        id: ApiKeyId,
        /// The names of the permissions that it carries.
        permissions: Vec<String>,
    },
    /// Somebody with a token that was made on the machine.
    Operator {
        /// Their name, if the token says it.
        name: Option<String>,
        /// Their role.
        role: String,
    },
}

/// A flow that answers nothing but where the log was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// The position of the last event, if one was written.
    pub position: Option<Position>,
}

/// Somebody wants an account.
pub struct Registration {
    /// Where mails go, and what one logs in with.
    pub email: String,
    /// 12 to 128 characters.
    pub password: String,
    /// What to call them; at most 100 characters.
    pub display_name: Option<String>,
}

/// An account that is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The account.
    pub account_id: AccountId,
    /// The position of the last event, if one was written.
    pub position: Option<Position>,
}

/// A login with a password.
pub struct Login {
    /// The account's e-mail address, in any case.
    pub email: String,
    /// Its password.
    pub password: String,
}

/// The answer to a password or to a login elsewhere.
pub enum LoginAnswer {
    /// In.
    SignedIn(Box<SignedIn>),
    /// Right so far; a second factor is needed.
    SecondFactor(Challenge),
}

/// What a second factor has to answer.
pub struct Challenge {
    /// To be given with the code.
    pub challenge: String,
    /// When it ends: 5 minutes.
    pub expires_at: Timestamp,
}

/// The second half of a login.
pub struct SecondFactorLogin {
    /// [`Challenge::challenge`].
    pub challenge: String,
    /// Six digits of the authenticator app, or a recovery code.
    pub code: String,
}

/// Somebody is in.
pub struct SignedIn {
    /// The account.
    pub account_id: AccountId,
    /// The session.
    pub session_id: Uuid,
    /// For `Authorization: Bearer`; holds 15 minutes.
    pub access_token: String,
    /// When the access token ends.
    pub access_expires_at: Timestamp,
    /// For the next access token. Works once.
    pub refresh_token: String,
    /// When the refresh token ends: 7 days, or 30 days after the login if that is sooner.
    pub refresh_expires_at: Timestamp,
    /// To be kept by the client, also after a logout, and given with later logins; none if it gave a valid one.
    pub device_token: Option<String>,
    /// The position of the last event, if one was written.
    pub position: Option<Position>,
}

/// A new password in place of a known one.
pub struct PasswordChange {
    /// The password so far; none only for an account that has none, which must have logged in within the last 15 minutes.
    pub current: Option<String>,
    /// 12 to 128 characters.
    pub new: String,
}

/// A new password in place of a forgotten one.
pub struct PasswordReset {
    /// From the mail.
    pub code: String,
    /// 12 to 128 characters.
    pub new: String,
}

/// A second factor that waits to be confirmed by its first code.
pub struct SecondFactorEnrolment {
    /// To be given with the first code.
    pub token: String,
    /// `otpauth://…` for authenticator apps.
    pub uri: String,
    /// The same as a QR code, an SVG image.
    pub qr_svg: String,
    /// The secret in base 32, to type in.
    pub secret: String,
    /// When it ends: 15 minutes.
    pub expires_at: Timestamp,
}

/// Recovery codes, shown once.
pub struct RecoveryCodesShown {
    /// The codes; each works once.
    pub codes: Vec<String>,
    /// The position of the last event, if one was written.
    pub position: Option<Position>,
}

/// What a browser needs to make or use a passkey.
pub struct PasskeyBegun {
    /// To be given with the browser's answer.
    pub token: String,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    pub options: Value,
    /// When it ends: 5 minutes.
    pub expires_at: Timestamp,
}

/// What the owner is shown of a passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyInfo {
    /// Its id here.
    pub id: Uuid,
    /// What the owner calls it.
    pub label: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last used to log in, if it ever was.
    pub last_used_at: Option<Timestamp>,
}

/// A passkey that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyAdded {
    /// The passkey.
    pub passkey: PasskeyInfo,
    /// The position of the last event, if one was written.
    pub position: Option<Position>,
}

/// Where to send the browser for a login elsewhere.
pub struct OidcBegun {
    /// To be kept by the page (`sessionStorage`) and given with what comes back: it ties the answer to this browser.
    pub token: String,
    /// Where to go.
    pub url: String,
    /// When it ends: 10 minutes.
    pub expires_at: Timestamp,
}

/// What came back from a login elsewhere.
pub struct OidcReturn {
    /// [`OidcBegun::token`].
    pub token: String,
    /// The parameter `state` of the callback.
    pub state: String,
    /// The parameter `code` of the callback.
    pub code: String,
}

/// What the owner is shown of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id.
    pub id: Uuid,
    /// What the device said it is.
    pub device_label: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last got an access token.
    pub last_used_at: Timestamp,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
}

/// What the owner and staff may see of an account's personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// The account.
    pub account_id: AccountId,
    /// Its e-mail address, as it was typed.
    pub email: String,
    /// What to call them.
    pub display_name: Option<String>,
    /// Whether it has a password.
    pub has_password: bool,
    /// Whether a login with a password needs a second factor.
    pub second_factor: bool,
    /// Recovery codes that still work.
    pub recovery_codes_left: usize,
    /// Its passkeys.
    pub passkeys: Vec<PasskeyInfo>,
    /// The issuers that it may log in with.
    pub linked_issuers: Vec<String>,
}

/// A key for a service.
pub struct NewApiKey {
    /// The names of the permissions that it carries. Whether the caller has them all is the caller's to check.
    pub permissions: Vec<String>,
    /// What it is for.
    pub label: String,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
}

/// An API key, shown once.
pub struct ApiKeyShown {
    /// Its id.
    pub id: ApiKeyId,
    /// `dbk_<id>_<secret>`, for `Authorization: Bearer`.
    pub key: String,
    /// The position of the last event, if one was written.
    pub position: Option<Position>,
}

/// The first admin's account.
pub struct AdminClaim {
    /// From the link that the server printed.
    pub code: String,
    /// Where mails go, and what one logs in with.
    pub email: String,
    /// 12 to 128 characters.
    pub password: String,
}

/// How long an access token of a session holds.
pub const ACCESS_TTL: Duration = Duration::from_secs(15 * 60);
