//! Mails: the outbox folder, and a conversation with a mail server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use identity::{Mail, MailError, Mailer, Outbox, Smtp};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

const LINK: &str = "https://shop.example/account#verify=abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

fn mail(to: &str) -> Mail {
    let text = format!("Confirm it within 24 hours:\n\n{LINK}\n\n.a line that begins with a dot\n");
    Mail { to: to.to_owned(), subject: "Confirm your account at Tea & Co".to_owned(), text }
}

#[tokio::test]
async fn the_outbox_keeps_each_mail_in_a_file_that_only_its_owner_can_read() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Outbox::new(folder.path().join("mail"), "not an address"), Err(MailError::Settings(_))));
    let outbox = Outbox::new(folder.path().join("mail"), "\"Tea & Co\" <shop@example.com>").unwrap();
    for to in ["ana@example.com", "ben@example.com"] {
        outbox.send(&mail(to)).await.unwrap();
    }
    let mut files: Vec<_> = std::fs::read_dir(folder.path().join("mail")).unwrap().map(|file| file.unwrap()).collect();
    files.sort_by_key(|file| file.file_name());
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|file| file.file_name().to_string_lossy().ends_with(".eml")));
    let first = std::fs::read_to_string(files[0].path()).unwrap();
    for line in ["To: ana@example.com", "Subject: Confirm your account at Tea & Co", LINK, "shop@example.com"] {
        assert!(first.contains(line), "{line} is not in {first}");
    }
    #[cfg(unix)]
    for (path, mode) in [(files[0].path(), 0o600), (folder.path().join("mail"), 0o700)] {
        let found = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
        assert_eq!(found & 0o777, mode);
    }
    let crooked = outbox.send(&mail("ana@example.com\r\nBcc: ben@example.com")).await;
    assert!(matches!(crooked, Err(MailError::Invalid(_))));
}

/// A mail server that speaks as much of RFC 5321 as it takes, and refuses what it is told to.
struct Server {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `busy` times it says that it is busy; a recipient at `nobody.example` it does not know.
    async fn start(busy: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}/shop.example", listener.local_addr().unwrap());
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let kept = heard.clone();
        tokio::spawn(async move {
            for conversation in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(converse(stream, conversation < busy, kept.clone()));
            }
        });
        Self { url, heard }
    }
}

async fn converse(stream: TcpStream, busy: bool, heard: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    let mut answer = "220 mail.example ready\r\n";
    let mut in_data = false;
    loop {
        if !answer.is_empty() && stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim_end_matches("\r\n").to_owned();
        heard.lock().unwrap().push(line.clone());
        answer = match line.split([' ', ':']).next() {
            _ if in_data && line == "." => {
                in_data = false;
                "250 taken\r\n"
            }
            _ if in_data => "",
            Some("EHLO") => "250-mail.example\r\n250 8BITMIME\r\n",
            Some("MAIL") if busy => "451 busy, come again\r\n",
            Some("RCPT") if line.contains("nobody.example") => "550 no such mailbox\r\n",
            Some("MAIL" | "RCPT" | "RSET" | "NOOP") => "250 fine\r\n",
            Some("DATA") => {
                in_data = true;
                "354 go on\r\n"
            }
            Some("QUIT") => "221 bye\r\n",
            _ => "500 what?\r\n",
        };
    }
}

#[tokio::test]
async fn a_mail_server_gets_the_mail() {
    let server = Server::start(0).await;
    let smtp = Smtp::new(&server.url, "shop@example.com").unwrap();
    smtp.send(&mail("ana@example.com")).await.unwrap();
    let heard = server.heard.lock().unwrap().clone();
    for line in ["EHLO shop.example", "MAIL FROM:<shop@example.com>", "RCPT TO:<ana@example.com>", LINK, ".."] {
        assert!(heard.iter().any(|said| said.starts_with(line)), "{line} was not said in {heard:?}");
    }
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_refusal_for_good_is_not() {
    let server = Server::start(1).await;
    let smtp = Smtp::new(&server.url, "shop@example.com").unwrap();
    tokio::time::timeout(Duration::from_secs(60), smtp.send(&mail("ana@example.com"))).await.unwrap().unwrap();
    let refused = smtp.send(&mail("ana@nobody.example")).await;
    assert!(matches!(&refused, Err(MailError::NotTaken(reason)) if reason == "it answered 550"), "{refused:?}");
    let heard = server.heard.lock().unwrap().clone();
    assert_eq!(heard.iter().filter(|said| said.starts_with("RCPT TO:<ana@nobody.example>")).count(), 1);
}

#[test]
fn codes_leave_the_machine_encrypted_only_and_no_error_repeats_the_password() {
    let from = "shop@example.com";
    for open in ["smtp://ana:s3cret@mail.example", "smtp://ana:s3cret@192.0.2.1:25", "http://ana:s3cret@mail.example", "s3cret"] {
        let error = Smtp::new(open, from).err().unwrap();
        assert!(matches!(error, MailError::Settings(_)) && !error.to_string().contains("s3cret"), "{error}");
    }
    let opportunistic = Smtp::new("smtp://mail.example?tls=opportunistic", from);
    assert!(opportunistic.is_err(), "whoever sits in between would just not offer it");
    for fine in ["smtps://ana:s3cret@mail.example", "smtp://ana:s3cret@mail.example:587?tls=required", "smtp://[::1]:25"] {
        assert!(Smtp::new(fine, from).is_ok(), "{fine}");
    }
    assert!(Smtp::new("smtp://localhost", "not an address").is_err());
    assert!(Smtp::new("smtp://localhost", "Daybook <daybook@localhost>").is_ok());
}
