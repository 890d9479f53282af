//! Login through a provider elsewhere: OpenID Connect, the authorisation code flow with PKCE.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use openidconnect::{
    AccessTokenHash, AsyncHttpClient, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    DiscoveryError, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError,
    TokenResponse,
    core::{
        CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreIdTokenClaims,
        CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreTokenResponse, CoreUserInfoClaims,
    },
    http,
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use url::{Host, Url};

use crate::proof::ProofError;

/// How long a request to the provider may take in all.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long connecting to it may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// How old the provider's keys may be before they are read again, so that one that it took back is not trusted for ever.
const METADATA_AGE: Duration = Duration::from_secs(60 * 60);
/// The least time between two readings because of a key that is not known: tokens of strangers must not make us ask all day.
const REREAD_PAUSE: Duration = Duration::from_secs(30);

type Client = CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// An OpenID provider that people may sign in with, and the shop as its client.
pub struct Provider {
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: Option<ClientSecret>,
    redirect_url: RedirectUrl,
    http: Http,
    known: RwLock<Known>,
    reread: tokio::sync::Mutex<Option<Instant>>,
}

/// What the provider says about itself, its keys included.
#[derive(Clone)]
struct Known {
    metadata: Arc<CoreProviderMetadata>,
    read_at: Instant,
}

/// A login that somebody was sent away for. Kept until they are back, for one attempt: take it out of where it is kept.
///
/// It belongs to the browser that began. Whoever finishes a login begun elsewhere would be signed in as somebody else.
#[derive(Serialize, Deserialize)]
pub struct PendingLogin {
    state: CsrfToken,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
}

impl PendingLogin {
    /// The `state` that the provider will send back with the browser. It is a secret until then; use it to find this again.
    pub fn state(&self) -> &str {
        self.state.secret()
    }
}

impl fmt::Debug for PendingLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<pending login>")
    }
}

/// Who somebody is, as their provider says.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalIdentity {
    /// The provider.
    pub issuer: String,
    /// The provider's id of the person: the only thing about them that never changes and is never given to another.
    pub subject: String,
    /// Their e-mail address, if the provider tells it.
    pub email: Option<String>,
    /// Whether the provider has made sure that the address is theirs. Otherwise it proves nothing.
    pub email_verified: bool,
    /// What they are called, if the provider tells it.
    pub name: Option<String>,
}

impl fmt::Debug for ExternalIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<somebody at {}>", self.issuer)
    }
}

impl Provider {
    /// Reads what a provider says about itself (`/.well-known/openid-configuration`), and its keys.
    ///
    /// The issuer is the URL as the provider writes it, with or without a slash at the end. A client without a secret is a public
    /// one. `redirect_url` is the page that people come back to; the provider must know it.
    ///
    /// # Errors
    /// [`ProofError::Unavailable`] if the provider does not answer, [`ProofError::Setup`] if it is not the one asked for or a URL
    /// is not `https` (plain `http` is for this machine only).
    pub async fn discover(
        issuer: &str,
        client_id: &str,
        client_secret: Option<&str>,
        redirect_url: &Url,
    ) -> Result<Self, ProofError> {
        let setup = |error: &dyn fmt::Display| ProofError::Setup(format!("the OpenID provider {issuer}: {error}"));
        let issuer = IssuerUrl::new(issuer.to_owned()).map_err(|error| setup(&error))?;
        if !is_protected(issuer.url()) {
            return Err(setup(&"it needs https"));
        }
        let client = reqwest::Client::builder()
            .timeout(REQUEST_TIME)
            .connect_timeout(CONNECT_TIME)
            // A provider that redirects could send the shop, and its secret, to any address inside its network.
            .redirect(reqwest::redirect::Policy::none());
        let http = Http(client.build().map_err(|error| setup(&error))?);
        let known = read(&issuer, &http).await?;
        Ok(Self {
            issuer,
            client_id: ClientId::new(client_id.to_owned()),
            client_secret: client_secret.map(|secret| ClientSecret::new(secret.to_owned())),
            redirect_url: RedirectUrl::from_url(redirect_url.clone()),
            http,
            known: RwLock::new(known),
            reread: tokio::sync::Mutex::new(None),
        })
    }

    /// The provider, as it writes itself.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Begins a login: where to send the browser, and what to keep until it is back.
    pub fn authorise(&self) -> (Url, PendingLogin) {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state, nonce) = self
            .client(&self.known())
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
            .add_scope(Scope::new("email".to_owned()))
            .add_scope(Scope::new("profile".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        (url, PendingLogin { state, nonce, verifier })
    }

    /// Finishes a login with the `state` and the `code` that the browser came back with.
    ///
    /// # Errors
    /// [`ProofError::Refused`] if the state is another's, the provider refuses the code, or its ID token does not hold;
    /// [`ProofError::Unavailable`] if the provider does not answer; [`ProofError::Setup`] if it does not know the shop.
    pub async fn exchange(&self, pending: PendingLogin, state: &str, code: &str) -> Result<ExternalIdentity, ProofError> {
        if !bool::from(pending.state().as_bytes().ct_eq(state.as_bytes())) {
            return Err(ProofError::refused("the login was begun elsewhere"));
        }
        if self.known().read_at.elapsed() > METADATA_AGE
            && let Err(error) = self.read_again().await
        {
            tracing::warn!(%error, "the OpenID provider's keys could not be read again");
        }
        let client = self.client(&self.known());
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned())).map_err(unavailable)?;
        let request = request.set_pkce_verifier(pending.verifier);
        let answer: CoreTokenResponse = Box::pin(request.request_async(&self.http)).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(answer) => match answer.error() {
                CoreErrorResponseType::InvalidClient | CoreErrorResponseType::UnauthorizedClient => {
                    ProofError::Setup(format!("the OpenID provider {} does not take the shop's id or secret", self.issuer()))
                }
                error => ProofError::refused(error),
            },
            error => unavailable(error),
        })?;
        let claims = match verified(&client, &answer, &pending.nonce) {
            // The provider may have new keys since they were read.
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
                self.read_again().await?;
                verified(&self.client(&self.known()), &answer, &pending.nonce)
            }
            verified => verified,
        };
        let claims = claims.map_err(|error| ProofError::refused(in_full(&error)))?;
        self.identity(&client, &answer, claims).await
    }

    async fn identity(
        &self,
        client: &Client,
        answer: &CoreTokenResponse,
        claims: &CoreIdTokenClaims,
    ) -> Result<ExternalIdentity, ProofError> {
        let mut identity = ExternalIdentity {
            issuer: self.issuer().to_owned(),
            subject: claims.subject().to_string(),
            email: claims.email().map(|email| email.to_string()),
            email_verified: claims.email_verified() == Some(true),
            name: claims.name().and_then(|name| name.get(None)).map(|name| name.to_string()),
        };
        // Providers need not repeat in the ID token what they tell there, and some do not.
        if identity.email.is_none() && self.known().metadata.userinfo_endpoint().is_some() {
            let subject = Some(claims.subject().clone());
            let request = client.user_info(answer.access_token().clone(), subject).map_err(unavailable)?;
            let about: CoreUserInfoClaims = Box::pin(request.request_async(&self.http)).await.map_err(unavailable)?;
            identity.email = about.email().map(|email| email.to_string());
            identity.email_verified = about.email_verified() == Some(true);
            let name = about.name().and_then(|name| name.get(None)).map(|name| name.to_string());
            identity.name = identity.name.or(name);
        }
        Ok(identity)
    }

    fn client(&self, known: &Known) -> Client {
        let metadata = &known.metadata;
        // What the provider names besides must be no way to a weaker check; these two are what the shop verifies.
        let metadata = CoreProviderMetadata::clone(metadata).set_id_token_signing_alg_values_supported(vec![
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            CoreJwsSigningAlgorithm::EcdsaP256Sha256,
        ]);
        // The standard's default, where the provider names no way to show the secret, is the header.
        let in_body = metadata.token_endpoint_auth_methods_supported().is_some_and(|methods| {
            methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
        });
        CoreClient::from_provider_metadata(metadata, self.client_id.clone(), self.client_secret.clone())
            .set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth })
            .set_redirect_uri(self.redirect_url.clone())
    }

    fn known(&self) -> Known {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn read_again(&self) -> Result<(), ProofError> {
        let mut last = self.reread.lock().await;
        if last.is_some_and(|last| last.elapsed() < REREAD_PAUSE) {
            return Ok(());
        }
        *last = Some(Instant::now());
        let known = read(&self.issuer, &self.http).await?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }
}

async fn read(issuer: &IssuerUrl, http: &Http) -> Result<Known, ProofError> {
    let read_at = Instant::now();
    let metadata = CoreProviderMetadata::discover_async(issuer.clone(), http).await.map_err(|error| match error {
        DiscoveryError::Validation(why) => ProofError::Setup(format!("the OpenID provider {}: {why}", issuer.as_str())),
        error => unavailable(error),
    })?;
    // Browsers are sent there.
    if !is_protected(metadata.authorization_endpoint().url()) {
        return Err(ProofError::Setup(format!("the OpenID provider {}: its login page needs https", issuer.as_str())));
    }
    Ok(Known { metadata: Arc::new(metadata), read_at })
}

/// The claims of an ID token whose signature, issuer, audience, end and nonce are right, for this client and this access token.
fn verified<'a>(
    client: &Client,
    answer: &'a CoreTokenResponse,
    nonce: &Nonce,
) -> Result<&'a CoreIdTokenClaims, ClaimsVerificationError> {
    let token = answer.id_token().ok_or_else(|| ClaimsVerificationError::Other("there is no ID token".to_owned()))?;
    let verifier = client.id_token_verifier();
    let claims = token.claims(&verifier, nonce)?;
    // The library leaves this one to its caller (OpenID Connect Core 1.0, section 3.1.3.7, step 5).
    if claims.authorized_party().is_some_and(|party| party != client.client_id()) {
        return Err(ClaimsVerificationError::Other("the authorized party is another client".to_owned()));
    }
    if let Some(expected) = claims.access_token_hash() {
        let (algorithm, key) = token
            .signing_alg()
            .and_then(|algorithm| Ok((algorithm, token.signing_key(&verifier)?)))
            .map_err(ClaimsVerificationError::SignatureVerification)?;
        let actual = AccessTokenHash::from_token(answer.access_token(), algorithm, key)
            .map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
        if actual != *expected {
            return Err(ClaimsVerificationError::Other("the access token is another's".to_owned()));
        }
    }
    Ok(claims)
}

/// Whether what is sent there cannot be read or changed on the way: `https`, or this machine (for development and tests).
fn is_protected(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && local
}

fn unavailable(error: impl Error) -> ProofError {
    ProofError::Unavailable(format!("the OpenID provider cannot be used: {}", in_full(&error)))
}

/// An error with its causes, which the library's own texts leave out.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// How the shop speaks to a provider: to protected addresses only, and it reads no more than it must.
struct Http(reqwest::Client);

#[derive(Debug, thiserror::Error)]
enum HttpError {
    #[error("`{0}` needs https")]
    Unprotected(String),
    #[error("the answer is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    #[error(transparent)]
    Request(#[from] reqwest::Error),
    #[error(transparent)]
    Answer(#[from] http::Error),
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let request = reqwest::Request::try_from(request)?;
            if !is_protected(request.url()) {
                return Err(HttpError::Unprotected(request.url().to_string()));
            }
            let mut answer = self.0.execute(request).await?;
            let mut read = http::Response::builder().status(answer.status());
            for (name, value) in answer.headers() {
                read = read.header(name, value);
            }
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                    return Err(HttpError::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(read.body(body)?)
        })
    }
}
