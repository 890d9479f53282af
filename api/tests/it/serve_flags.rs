//! Flags of `daybook serve` that nothing but the binary passes on: each is seen at work from outside, each with a value of its
//! own, so that none can stand in for another.

use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    people::PASSWORD,
    process::{Killed, daybook, opened},
    server::{code, parts},
};

const ME: &str = "{ me { actor } }";
/// Somebody far away, as a proxy tells it.
const FAR_AWAY: &str = "203.0.113.9";

/// A shop that is served by the binary.
struct Served {
    _process: Killed,
    said: Value,
    client: reqwest::Client,
    folder: TempDir,
}

impl Served {
    /// A shop with these flags, whose log lines are in the file `lines` beside its folder, one JSON object each.
    fn with(scratch: &Path, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = daybook(folder.path());
        command.env("DAYBOOK_LOG_FORMAT", "json").stderr(File::create(scratch.join("lines")).unwrap());
        let (process, said) = opened(command, flags);
        Self { _process: process, said, client: reqwest::Client::new(), folder }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.said["url"].as_str().unwrap())
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    fn post(&self, body: &Value) -> RequestBuilder {
        self.client.post(self.url("/graphql")).header("content-type", "application/json").body(body.to_string())
    }

    /// A token of the operator for a role.
    fn token(&self, role: &str) -> String {
        let output = daybook(self.folder.path()).args(["token", "--role", role]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What a mutation with one input answers, sent from this machine.
    async fn done(&self, token: Option<&str>, mutation: &str, selection: &str, input: Value) -> Value {
        let kind = format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]);
        let query = format!("mutation($i: {kind}!) {{ {mutation}(input: $i) {{ {selection} userErrors {{ code }} }} }}");
        let mut request = self.post(&json!({ "query": query, "variables": { "i": input } }));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = parts(request.send().await.unwrap()).await.2;
        assert_eq!(answer["data"][mutation]["userErrors"], json!([]), "{mutation}: {answer}");
        answer["data"][mutation].clone()
    }

    /// The access token of the first admin, whose account is made by the link that the shop prints.
    async fn admin(&self) -> String {
        let claim = self.said["adminLink"].as_str().unwrap().split_once("#claim=").unwrap().1;
        let input = json!({ "code": claim, "email": "root@example.com", "password": PASSWORD });
        self.done(None, "adminClaim", "accountId", input).await;
        let input = json!({ "email": "root@example.com", "password": PASSWORD });
        let login = self.done(None, "login", "signedIn { accessToken }", input).await;
        login["signedIn"]["accessToken"].as_str().unwrap().to_owned()
    }
}

/// A file of trusted documents, with one that shows who asks and one that makes a cart.
fn documents(folder: &Path) -> String {
    let path = folder.join("documents.json");
    let cart = "mutation { cartCreate(input: { currency: \"EUR\" }) { position } }";
    std::fs::write(&path, json!({ "who": ME, "cart": cart }).to_string()).unwrap();
    path.display().to_string()
}

fn policy(response: &Response) -> String {
    response.headers().get("ratelimit-policy").map_or("", |value| value.to_str().unwrap()).to_owned()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn each_rate_is_that_of_its_callers_behind_a_proxy_that_is_trusted_in_a_shop_in_production() {
    let scratch = tempfile::tempdir().unwrap();
    let documents = documents(scratch.path());
    let flags = "--production --trusted-proxy 127.0.0.1 --rate-limit 7/h --account-rate-limit 3/h --api-key-rate-limit 5/h \
                 --sign-in-rate-limit 2/h --trusted-documents";
    let flags: Vec<&str> = flags.split(' ').chain([documents.as_str()]).collect();
    let shop = Served::with(scratch.path(), &flags);
    let operator = shop.token("admin");
    assert_eq!(shop.get("/").send().await.unwrap().status(), 404, "no GraphiQL");
    assert_eq!(shop.get("/schema.graphql").send().await.unwrap().status(), 404);
    assert_eq!(shop.get("/schema.graphql").bearer_auth(&operator).send().await.unwrap().status(), 200);

    // Trusted documents can be named, and others are run as well.
    for body in [json!({ "documentId": "who" }), json!({ "query": ME })] {
        let response = shop.post(&body).send().await.unwrap();
        assert_eq!(policy(&response), "", "this machine is not limited");
        assert_eq!(parts(response).await.2["data"]["me"]["actor"], "customer", "{body}");
    }
    let admin = shop.admin().await;
    let input = json!({ "label": "a test", "permissions": ["VIEW_EVENTS"] });
    let key = shop.done(Some(&operator), "apiKeyCreate", "key", input).await["key"].as_str().unwrap().to_owned();
    for (bearer, name, most) in [(Some(&admin), "account", 3), (Some(&key), "api-key", 5), (None, "address", 7)] {
        for asked in 0..=most {
            let mut request = shop.post(&json!({ "query": ME })).header("x-forwarded-for", FAR_AWAY);
            if let Some(bearer) = bearer {
                request = request.bearer_auth(bearer);
            }
            let response = request.send().await.unwrap();
            assert_eq!(policy(&response), format!("\"{name}\";q={most};w=3600"));
            assert_eq!(response.status(), if asked < most { 200 } else { 429 }, "{name} {asked}");
        }
    }
    let attempt = json!({ "query": "mutation { login { x } }" });
    let response = shop.post(&attempt).header("x-forwarded-for", "203.0.113.10").send().await.unwrap();
    assert_eq!(policy(&response), r#""address";q=7;w=3600, "sign-in";q=2;w=3600"#);
}

#[tokio::test]
async fn hosts_documents_heads_and_days_of_retention_are_those_of_the_command_line() {
    let scratch = tempfile::tempdir().unwrap();
    let (documents, heads) = (documents(scratch.path()), scratch.path().join("heads.txt"));
    let named = ["--trusted-documents", &documents, "--notary-publish", heads.to_str().unwrap()];
    let flags = ["--trusted-only", "--allowed-host", "shop.example", "--retain", "cart=90"];
    let shop = Served::with(scratch.path(), &[&named[..], &flags].concat());
    let ours = |request: RequestBuilder| request.header("host", "shop.example").send();
    assert_eq!(ours(shop.get("/")).await.unwrap().status(), 200, "it is not in production");
    let (status, _, answer) = parts(shop.get("/").send().await.unwrap()).await;
    assert_eq!((status, code(&answer)), (421, "HOST_NOT_ALLOWED"), "by its address");

    let (_, _, answer) = parts(ours(shop.post(&json!({ "documentId": "who" }))).await.unwrap()).await;
    assert_eq!(answer["data"]["me"]["actor"], "customer");
    let other = ours(shop.post(&json!({ "query": "{ me { role } }" })).header("x-forwarded-for", FAR_AWAY)).await.unwrap();
    assert_eq!(policy(&other), "", "no proxy is believed");
    let (status, _, answer) = parts(other).await;
    assert_eq!((status, code(&answer)), (403, "DOCUMENT_NOT_TRUSTED"));

    let (_, _, made) = parts(ours(shop.post(&json!({ "documentId": "cart" }))).await.unwrap()).await;
    assert!(made["data"]["cartCreate"]["position"].is_u64(), "there is something to sign: {made}");
    let sign = shop.client.post(shop.url("/notary/checkpoint")).bearer_auth(shop.token("analyst"));
    let signed = ours(sign).await.unwrap();
    assert_eq!(signed.status(), 200);
    let signed = signed.text().await.unwrap();
    let published = || std::fs::read_to_string(&heads).unwrap_or_default();
    until("the head is not in the file", || published().contains(&signed)).await;
    assert!(shop.folder.path().join("notary").is_dir(), "its own folder stays where it is");

    // There is nobody to erase. That the rule is followed, and which, is in the log lines a few seconds after the start.
    let lines = || std::fs::read_to_string(scratch.path().join("lines")).unwrap();
    let is_it = |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|line| line["days"] == 90 && line["erased"] == 0);
    until("the rule of retention is not followed", || lines().lines().any(is_it)).await;
}
