//! Mails: what one is, and the folder that they go to when nothing sends them.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use lettre::{
    Message,
    message::{
        Body, Mailbox,
        header::{ContentTransferEncoding, ContentType},
    },
};
use uuid::Uuid;

/// The longest line of a mail, without its end.
const LONGEST_LINE: usize = 998;

/// A mail to one person. It has codes in it: it is not for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The e-mail address that it goes to.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// Why a mail was not sent. It holds nothing of the mail.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The settings are wrong.
    #[error("mails cannot be sent with these settings: {0}")]
    Settings(String),
    /// An address is none that mail can go to.
    #[error("the mail cannot be written: {0}")]
    Invalid(String),
    /// The server does not take it, or cannot be reached.
    #[error("the mail server did not take the mail: {0}")]
    NotTaken(String),
    /// It cannot be written to the outbox.
    #[error("the mail cannot be written to {0}: {1}")]
    Outbox(PathBuf, io::Error),
}

/// What sends mails.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Sends a mail, or hands it over for good.
    ///
    /// # Errors
    /// See [`MailError`].
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// Who mails are from.
#[derive(Clone)]
pub(crate) struct Sender(Mailbox);

impl Sender {
    /// A sender such as `shop@example.com` or `The Shop <shop@example.com>`.
    pub fn new(from: &str) -> Result<Self, MailError> {
        from.parse().map(Self).map_err(|error| MailError::Settings(format!("the sender: {error}")))
    }

    /// A mail as it goes out (RFC 5322).
    pub fn message(&self, mail: &Mail) -> Result<Message, MailError> {
        let invalid = |error: &dyn std::fmt::Display| MailError::Invalid(error.to_string());
        let to = mail.to.parse().map_err(|error| invalid(&error))?;
        let id = format!("<{}@{}>", Uuid::new_v4(), self.0.email.domain());
        Message::builder()
            .from(self.0.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject.as_str())
            .message_id(Some(id))
            .date_now()
            .header(ContentType::TEXT_PLAIN)
            .body(body(&mail.text))
            .map_err(|error| invalid(&error))
    }
}

/// A text as it goes out: plain wherever that is allowed (RFC 5322, section 2.1.1), so that links can be read in the file of an
/// outbox, and by programs that look for them.
fn body(text: &str) -> Body {
    let plain = text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte));
    if plain && text.lines().all(|line| line.len() <= LONGEST_LINE) {
        return Body::dangerous_pre_encoded(text.replace('\n', "\r\n").into_bytes(), ContentTransferEncoding::SevenBit);
    }
    Body::new(text.to_owned())
}

/// A folder that mails are written to, each a file `<time>-<id>.eml` that only its owner can read. For a shop that has no mail
/// server yet: the operator opens them, or another program sends them.
#[derive(Clone)]
pub struct Outbox {
    folder: PathBuf,
    sender: Sender,
}

impl Outbox {
    /// An outbox in this folder, which is made with the first mail.
    ///
    /// # Errors
    /// [`MailError::Settings`] if `from` is no e-mail address.
    pub fn new(folder: PathBuf, from: &str) -> Result<Self, MailError> {
        Ok(Self { folder, sender: Sender::new(from)? })
    }
}

#[async_trait]
impl Mailer for Outbox {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let content = self.sender.message(mail)?.formatted();
        let folder = self.folder.clone();
        let failed = |error| MailError::Outbox(self.folder.clone(), error);
        let written = tokio::task::spawn_blocking(move || write(&folder, &content)).await;
        written.map_err(|error| failed(io::Error::other(error)))?.map_err(failed)
    }
}

/// Writes a mail under another name first, so that nobody sees half of one.
fn write(folder: &Path, content: &[u8]) -> io::Result<()> {
    make_private(folder)?;
    let name = format!("{}-{}", chrono::Utc::now().format("%Y%m%dT%H%M%S%.6fZ"), Uuid::new_v4().simple());
    let unfinished = folder.join(format!(".{name}.part"));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, folder.join(format!("{name}.eml")))
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
