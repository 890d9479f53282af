//! HTTPS by the shop itself: a certificate from files, replaced without a restart.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use api::{TlsFiles, TransportConfig};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CertifiedKey, DnType, IsCa, KeyPair, generate_simple_self_signed,
};
use reqwest::{Certificate, Client, ClientBuilder};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::server::Server;

pub const LONG: Duration = Duration::from_secs(60);

/// Writes a new certificate for this machine, and gives a client that trusts no other.
pub fn certified(folder: &Path) -> (TlsFiles, Client) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let files = TlsFiles { certificate: folder.join("chain.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.certificate, cert.pem()).unwrap();
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    (files, trusting(cert.pem().as_bytes()).build().unwrap())
}

/// A client that trusts a certificate and no other, without a pool, so that every request makes its own handshake.
pub fn trusting(pem: &[u8]) -> ClientBuilder {
    let root = Certificate::from_pem(pem).unwrap();
    Client::builder().tls_built_in_root_certs(false).add_root_certificate(root).pool_max_idle_per_host(0)
}

#[tokio::test]
async fn a_shop_with_a_certificate_speaks_https_only_and_tells_browsers_to_stay_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (files, client) = certified(folder.path());
    let server = Server::reached(TransportConfig { tls: Some(files), ..TransportConfig::default() }).await;
    assert!(server.running.url().starts_with("https://127.0.0.1:"));
    let response = client.get(format!("{}/health/live", server.running.url())).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["strict-transport-security"], "max-age=31536000");
    let stranger = Client::builder().tls_built_in_root_certs(false).build().unwrap();
    assert!(stranger.get(format!("{}/health/live", server.running.url())).send().await.is_err(), "an unknown certificate");

    let mut plain = TcpStream::connect(server.running.address()).await.unwrap();
    plain.write_all(b"GET /health/live HTTP/1.1\r\nHost: shop\r\n\r\n").await.unwrap();
    let mut read = Vec::new();
    let _ = tokio::time::timeout(LONG, plain.read_to_end(&mut read)).await.expect("the connection ends");
    assert!(!String::from_utf8_lossy(&read).contains("HTTP/"), "no plain HTTP");
    server.running.shutdown().await;
}

/// What an authority of this name says of itself.
fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// As a public authority signs: by an authority below the root, which clients do not know and have to be shown.
#[tokio::test]
async fn a_client_that_knows_only_the_root_of_an_authority_is_shown_the_whole_chain() {
    let folder = tempfile::tempdir().unwrap();
    let key = || KeyPair::generate().unwrap();
    let root = CertifiedIssuer::self_signed(authority("root"), key()).unwrap();
    let below = CertifiedIssuer::signed_by(authority("below"), key(), &root).unwrap();
    let shop = key();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&shop, &below).unwrap();
    let files = TlsFiles { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&files.certificate, certificate.pem() + &below.pem()).unwrap();
    std::fs::write(&files.key, shop.serialize_pem()).unwrap();

    let server = Server::reached(TransportConfig { tls: Some(files), ..TransportConfig::default() }).await;
    let url = format!("{}/health/live", server.running.url());
    let stranger = CertifiedIssuer::self_signed(authority("root"), key()).unwrap();
    let asked = async |root: String| trusting(root.as_bytes()).build().unwrap().get(&url).send().await;
    assert_eq!(asked(root.pem()).await.unwrap().status(), 200);
    assert!(asked(stranger.pem()).await.is_err(), "another authority of the same name");
    server.running.shutdown().await;
}

#[tokio::test]
async fn without_a_certificate_nothing_is_said_about_https() {
    let server = Server::start().await;
    let response = server.client.get(server.url("/health/live")).send().await.unwrap();
    assert_eq!(response.headers().get("strict-transport-security"), None);
}

#[tokio::test]
async fn files_that_are_no_certificate_or_not_of_one_pair_are_refused_by_name() {
    let [folder, other, shop] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let (good, _) = certified(folder.path());
    let (foreign, _) = certified(other.path());
    let garbage = folder.path().join("garbage.pem");
    std::fs::write(&garbage, "garbage").unwrap();
    for (files, named) in [
        (TlsFiles { certificate: folder.path().join("none.pem"), ..good.clone() }, "none.pem"),
        (TlsFiles { certificate: garbage.clone(), ..good.clone() }, "garbage.pem"),
        (TlsFiles { key: garbage, ..good.clone() }, "garbage.pem"),
        (TlsFiles { key: foreign.key, ..good }, "chain.pem"),
    ] {
        let transport = TransportConfig { tls: Some(files), ..TransportConfig::default() };
        let config = api::ServeConfig { transport, ..crate::server::config(shop.path()) };
        let error = api::start(config).await.err().expect("it does not start").to_string();
        assert!(error.contains(named), "{error}");
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It fails only when the process has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The binary over a folder with these files, and where it is.
fn served(folder: &Path, files: &TlsFiles) -> (Killed, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--json", "--data"]).arg(folder);
    command.arg("--tls-cert").arg(&files.certificate).arg("--tls-key").arg(&files.key);
    let mut child = Killed(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let url = serde_json::from_str::<Value>(&line).unwrap()["url"].as_str().unwrap().to_owned();
    (child, url)
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_certificate_is_taken_up_on_sighup_and_a_broken_one_is_not() {
    let [folder, shop] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (files, first) = certified(folder.path());
    let (server, url) = served(shop.path(), &files);
    let answers = async |client: &Client| client.get(format!("{url}/health/live")).send().await.is_ok();
    let hang_up = || assert!(Command::new("kill").args(["-HUP", &server.0.id().to_string()]).status().unwrap().success());
    assert!(answers(&first).await);
    std::fs::write(&files.key, "garbage").unwrap();
    hang_up();
    assert!(answers(&first).await, "the old one stays");
    let (_, second) = certified(folder.path());
    hang_up();
    let taken_up = async {
        while !answers(&second).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, taken_up).await.unwrap();
    assert!(!answers(&first).await);
}
