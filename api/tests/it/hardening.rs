//! What a security standard asks of every answer and every page, beside what has a file of its own: methods, cookies, fields of
//! passwords, scripts, and the versions of TLS.

use api::TransportConfig;
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    server::Server,
    tls::{LONG, certified, trusting},
};

#[tokio::test]
async fn methods_that_are_not_used_are_refused_and_tell_nothing() {
    let server = Server::start().await;
    for path in ["/graphql", "/graphql/stream", "/", "/account", "/metrics", "/health/live", "/.well-known/jwks.json"] {
        for method in [Method::TRACE, Method::PUT, Method::DELETE, Method::PATCH] {
            let request = server.client.request(method.clone(), server.url(path)).header("x-secret", "marzipan");
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            assert!([404, 405].contains(&status), "{method} {path}: {status}");
            assert!(!response.text().await.unwrap().contains("marzipan"), "{method} {path} sends back what it was sent");
        }
    }
}

/// The status and the rest of the answer to a path that is sent as it is written: a client would tidy it up first.
async fn answer_to(server: &Server, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server.running.address()).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = tokio::time::timeout(LONG, stream.read_to_string(&mut answer)).await.expect("the connection ends");
    let (status, rest) = answer.split_once("\r\n").unwrap();
    (status.to_owned(), rest.to_owned())
}

#[tokio::test]
async fn no_file_of_the_folder_or_of_source_control_is_served_however_it_is_asked_for() {
    let server = Server::start().await;
    let folder = server.folder.path();
    std::fs::create_dir(folder.join(".git")).unwrap();
    for name in [".git/HEAD", ".git/config", ".env", "account.sql"] {
        std::fs::write(folder.join(name), "marzipan").unwrap();
    }
    let absolute = folder.join(".git/HEAD").display().to_string();
    let files = [".git/HEAD", ".git/config", ".git/", ".svn/entries", ".hg/store", ".env", "account.sql", "Cargo.toml"];
    let kept = ["events.db", "vault.db", "vault.key", "views.db"];
    for file in files.into_iter().chain(kept).chain([absolute.as_str()]) {
        let encoded = file.replace('/', "%2F").replace('.', "%2e");
        for before in ["/", "//", "/../", "/./", "/account/", "/account/../", "/graphiql/../", "/graphiql/..%2f", "/%2e%2e/"] {
            for path in [format!("{before}{file}"), format!("{before}{encoded}")] {
                let (status, rest) = answer_to(&server, &path).await;
                assert!(status.starts_with("HTTP/1.1 4"), "{path}: {status}");
                assert!(!rest.contains("marzipan") && !rest.contains("SQLite format"), "{path}: {rest}");
            }
        }
    }
    let (status, _) = answer_to(&server, "/health/live").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn no_answer_sets_a_cookie_and_no_error_tells_inner_workings() {
    let server = Server::start().await;
    let login =
        r#"mutation { login(input: { email: "ana@example.com", password: "a wrong password" }) { userErrors { code } } }"#;
    let asked = [
        server.client.get(server.url("/")),
        server.client.get(server.url("/account")),
        server.client.get(server.url("/nothing")),
        server.post("{"),
        server.post(serde_json::json!({ "query": login }).to_string()),
        server.post(r#"{"query":"{ order(id: \"nonsense\") { number } }"}"#),
    ];
    for request in asked {
        let response = request.send().await.unwrap();
        let url = response.url().clone();
        for name in ["set-cookie", "server", "x-powered-by"] {
            assert!(!response.headers().contains_key(name), "{url}: {name}");
        }
        let text = response.text().await.unwrap();
        for inner in ["panicked", ".rs:", "SELECT ", "rusqlite", "sqlx", "RUST_BACKTRACE"] {
            assert!(!text.contains(inner), "{url}: {inner}");
        }
    }
}

#[tokio::test]
async fn fields_for_passwords_hide_them_and_let_password_managers_in() {
    let server = Server::start().await;
    let page = server.client.get(server.url("/account")).send().await.unwrap().text().await.unwrap();
    let fields: Vec<&str> = page.split("<input").skip(1).filter_map(|rest| rest.split('>').next()).collect();
    let passwords: Vec<_> = fields.iter().filter(|field| field.to_lowercase().contains("password\"")).collect();
    assert!(passwords.len() >= 4, "{fields:?}");
    for field in passwords {
        assert!(field.contains("type=\"password\""), "{field}");
        let meant = ["autocomplete=\"current-password\"", "autocomplete=\"new-password\""];
        assert!(meant.iter().any(|meant| field.contains(meant)), "{field}");
        assert!(!field.contains("maxlength") && !field.contains("onpaste"), "{field}");
    }
}

#[tokio::test]
async fn scripts_of_the_account_page_put_texts_in_as_texts() {
    let server = Server::start().await;
    let script = server.client.get(server.url("/account/page.js")).send().await.unwrap().text().await.unwrap();
    assert!(script.contains("textContent"));
    for dangerous in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "postMessage"] {
        assert!(!script.contains(dangerous), "{dangerous}");
    }
}

#[tokio::test]
async fn tls_is_1_2_or_1_3_and_an_older_one_gets_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = certified(folder.path());
    let root = std::fs::read(&files.certificate).unwrap();
    let server = Server::reached(TransportConfig { tls: Some(files), ..TransportConfig::default() }).await;
    let url = format!("{}/health/live", server.running.url());
    for version in [reqwest::tls::Version::TLS_1_2, reqwest::tls::Version::TLS_1_3] {
        let client = trusting(&root).min_tls_version(version).max_tls_version(version).build().unwrap();
        assert_eq!(client.get(&url).send().await.unwrap().status(), 200, "{version:?}");
    }
    // A ClientHello of TLS 1.1 (RFC 4346) with one suite, TLS_RSA_WITH_AES_128_CBC_SHA, and no extensions.
    let body = [&[3, 2][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
    let hello = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let record = [&[0x16, 3, 1, 0, hello.len() as u8][..], &hello].concat();
    let mut old = TcpStream::connect(server.running.address()).await.unwrap();
    old.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(LONG, old.read_to_end(&mut answer)).await.expect("the connection ends");
    // An alert, or nothing at all; never a ServerHello.
    assert!(answer.first().is_none_or(|first| *first == 0x15), "{answer:?}");
    server.running.shutdown().await;
}
