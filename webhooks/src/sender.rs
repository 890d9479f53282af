//! One try to deliver one message: a POST to an address that was checked, with no redirect, no proxy and little patience.

use std::{error::Error, fmt, net::IpAddr, sync::Arc, time::Duration};

use event_schemas::Timestamp;
use reqwest::{Client, Response, StatusCode, header::RETRY_AFTER, redirect::Policy};
use url::{Host, Url};

use crate::{
    AddressRules, Resolver,
    message::Message,
    resolver::{Forbidden, Guard, Trust, Unresolved},
    secrets::Secrets,
    sign,
};

/// How much of an answer's body is read: only its status counts, but a short body is read so that the connection can be used
/// again.
const ANSWER: usize = 4096;
/// How long a connection that nothing is sent on is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Connections that are kept for one receiver.
const KEPT: usize = 4;

/// Why a message was not delivered. Says nothing of addresses: it is written to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The receiver answered with a status that is not 2xx.
    Status(u16),
    /// No answer in time.
    TimedOut,
    /// The name does not resolve.
    Unresolved,
    /// The address is not one that webhooks may be sent to.
    Forbidden,
    /// No connection, no TLS, or it broke off.
    Connection,
    /// The URL is not one that can be sent to.
    Url,
    /// What the log holds cannot be sent.
    Message,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) if (300..400).contains(status) => {
                write!(f, "the receiver answered {status}, and redirects are not followed")
            }
            Self::Status(status) => write!(f, "the receiver answered {status}"),
            Self::TimedOut => f.write_str("the receiver did not answer in time"),
            Self::Unresolved => write!(f, "{Unresolved}"),
            Self::Forbidden => write!(f, "{Forbidden}"),
            Self::Connection => f.write_str("the connection failed"),
            Self::Url => f.write_str("the URL cannot be sent to"),
            Self::Message => f.write_str("the event cannot be read"),
        }
    }
}

/// A try that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// How long the receiver asked us to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    /// The receiver says that it wants no more.
    pub(crate) fn is_gone(&self) -> bool {
        self.reason == Reason::Status(StatusCode::GONE.as_u16())
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, retry_after: None }
    }
}

/// How one try went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Why it failed; none when the receiver took the message.
    pub failed: Option<Reason>,
    /// How long it took.
    pub took: Duration,
}

/// Why a URL is not one for a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// It is not a URL with a host, `https` or `http`, and without a user name and a password.
    #[error("a webhook's URL reads https://HOST/PATH, without a user name or a password")]
    Malformed,
    /// It points to an address that nothing is sent to.
    #[error("{Forbidden}")]
    Forbidden,
    /// It is `http`, and its host is not known to be in a network that the operator has named.
    #[error("a webhook's URL must be https, unless the operator has named the network of its host (--webhook-allow)")]
    Plain,
}

/// Sends messages.
pub(crate) struct Sender {
    encrypted: (Client, Guard),
    plain: (Client, Guard),
}

impl Sender {
    /// A sender that keeps to the rules.
    ///
    /// # Errors
    /// If this machine cannot do TLS.
    pub(crate) fn new(resolver: Arc<dyn Resolver>, rules: AddressRules, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = |trust: Trust| {
            let guard = Guard { resolver: resolver.clone(), rules: rules.clone(), trust };
            let client = Client::builder()
                .dns_resolver(Arc::new(guard.clone()))
                .redirect(Policy::none())
                .no_proxy()
                .referer(false)
                .https_only(trust == Trust::Encrypted)
                .connect_timeout(timeout)
                .timeout(timeout)
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(KEPT)
                .user_agent(concat!("Daybook/", env!("CARGO_PKG_VERSION")))
                .build()?;
            Ok((client, guard))
        };
        Ok(Self { encrypted: client(Trust::Encrypted)?, plain: client(Trust::Plain)? })
    }

    /// Tries once. Delivered means that the receiver answered 2xx.
    pub(crate) async fn send(&self, url: &str, message: &Message, secrets: &Secrets, now: Timestamp) -> Result<(), Failure> {
        let (url, client, guard) = self.parts(url).ok_or(Reason::Url)?;
        // A literal address needs no resolver, so none would check it.
        if literal(&url).is_some_and(|address| !guard.permits(address)) {
            return Err(Reason::Forbidden.into());
        }
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", now.timestamp())
            .header("webhook-signature", sign(&secrets.signing(now), &message.id, now, &message.body))
            .body(message.body.clone());
        let answer = request.send().await.map_err(|error| reason_of(&error))?;
        let (status, retry_after) = (answer.status(), retry_after(&answer));
        skim(answer).await;
        if status.is_success() {
            return Ok(());
        }
        Err(Failure { reason: Reason::Status(status.as_u16()), retry_after })
    }

    /// Whether a webhook may have a URL, as far as can be said now: a name that does not resolve may do so later, unless what
    /// is sent to it would not be encrypted.
    pub(crate) async fn check(&self, url: &str) -> Result<(), UrlRefusal> {
        let (url, _, guard) = self.parts(url).ok_or(UrlRefusal::Malformed)?;
        let refusal = if guard.trust == Trust::Plain { UrlRefusal::Plain } else { UrlRefusal::Forbidden };
        if let Some(address) = literal(&url) {
            return if guard.permits(address) { Ok(()) } else { Err(refusal) };
        }
        match guard.addresses(url.host_str().unwrap_or_default()).await {
            Ok(_) => Ok(()),
            Err(error) if error.is::<Unresolved>() && guard.trust == Trust::Encrypted => Ok(()),
            Err(_) => Err(refusal),
        }
    }

    fn parts(&self, url: &str) -> Option<(Url, &Client, &Guard)> {
        let url = Url::parse(url).ok()?;
        let (client, guard) = match url.scheme() {
            "https" => &self.encrypted,
            "http" => &self.plain,
            _ => return None,
        };
        let plain = url.has_host() && url.username().is_empty() && url.password().is_none();
        plain.then_some((url, client, guard))
    }
}

/// The address that a URL names without a name.
fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}

fn reason_of(error: &reqwest::Error) -> Reason {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if cause.is::<Forbidden>() {
            return Reason::Forbidden;
        }
        if cause.is::<Unresolved>() {
            return Reason::Unresolved;
        }
        source = cause.source();
    }
    match error {
        error if error.is_timeout() => Reason::TimedOut,
        error if error.is_builder() => Reason::Url,
        _ => Reason::Connection,
    }
}

/// The seconds of `Retry-After`; its other form, a date, is not worth trusting another's clock.
fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Reads a short body to its end, and leaves a long one, which closes the connection.
async fn skim(mut answer: Response) {
    let mut read = 0;
    while read < ANSWER {
        match answer.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) | Err(_) => return,
        }
    }
}
