//! Mails through a mail server (SMTP, RFC 5321).

use std::time::Duration;

use async_trait::async_trait;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use url::{Host, Url};

use crate::{Mail, MailError, Mailer, mail::Sender};

/// How long one step of the conversation may take.
const STEP: Duration = Duration::from_secs(20);
/// How long to wait before each further try, if the server cannot be reached or is busy. A code is wanted now or not at all.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];

/// A mail server.
#[derive(Clone)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Sender,
}

impl Smtp {
    /// The mail server at a URL, and who the mails are from.
    ///
    /// `smtps://USER:PASSWORD@HOST` is TLS from the first byte (port 465); `smtp://USER:PASSWORD@HOST?tls=required` begins in
    /// the clear and upgrades (STARTTLS, port 587). `smtp://HOST` without TLS is for a server on this machine only. A path is
    /// the name to say hello with.
    ///
    /// # Errors
    /// [`MailError::Settings`], which does not repeat the URL: it may hold a password.
    pub fn new(url: &str, from: &str) -> Result<Self, MailError> {
        let settings = |why: &str| MailError::Settings(why.to_owned());
        let parsed = Url::parse(url).map_err(|_| settings("the address of the mail server is not a URL"))?;
        let protected =
            parsed.scheme() == "smtps" || parsed.query_pairs().any(|(key, value)| key == "tls" && value == "required");
        if !protected && !is_here(&parsed) {
            return Err(settings("a mail server on another machine needs smtps:// or ?tls=required, since mails carry codes"));
        }
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
        let transport = transport.map_err(|_| settings("the address of the mail server reads smtps://USER:PASSWORD@HOST"))?;
        Ok(Self { transport: transport.timeout(Some(STEP)).build(), sender: Sender::new(from)? })
    }
}

fn is_here(url: &Url) -> bool {
    // `Url` reads hosts of unknown schemes as plain text.
    let host = url.host_str().and_then(|host| Host::parse(host).ok());
    match host {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What went wrong. Of an answer only its code: its text may repeat the recipient.
fn reason(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("it answered {code}"),
        None if error.is_response() => "its answer cannot be understood".to_owned(),
        None => error.to_string(),
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.sender.message(mail)?;
        let mut pauses = PAUSES.into_iter();
        loop {
            let Err(error) = self.transport.send(message.clone()).await else { return Ok(()) };
            // A refusal for good stays one.
            match pauses.next().filter(|_| !error.is_permanent()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(MailError::NotTaken(reason(&error))),
            }
        }
    }
}
