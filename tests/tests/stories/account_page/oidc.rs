//! Logging in elsewhere, in a browser and at a real OpenID provider: the package `oidc-provider` of the npm registry.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{ChildStdin, Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use super::{ANA, AccountPage, PASSWORD, address, counts, log_in, log_out, says, shown, told};
use crate::{
    browser::Browser,
    clients,
    process::{Killed, Process},
};

/// The provider's only person.
const ELSEWHERE: &str = "ana@provider.example";
const SECRET: &str = "a secret of the test";

/// A provider that knows one shop and one person, whom it signs in without asking.
struct Provider {
    _child: Killed,
    /// It ends with this.
    _input: ChildStdin,
    /// What it is made of.
    _clients: TempDir,
    issuer: String,
}

impl Provider {
    /// Starts one out of a folder of clients, for a shop whose page of accounts has this address.
    fn start(clients: TempDir, page: &str) -> Self {
        let mut command = Command::new("node");
        command.arg("oidc-provider.mjs").current_dir(clients.path()).env("REDIRECT_URI", page).env("CLIENT_SECRET", SECRET);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map(Killed).unwrap();
        let (mut line, input) = (String::new(), child.0.stdin.take().unwrap());
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("http://localhost:"), "the provider did not start: {line:?}");
        Self { _child: child, _input: input, _clients: clients, issuer: line.trim().to_owned() }
    }
}

/// The page of a new shop whose customers may log in at a provider. None, with the reason, where one of them cannot be had.
async fn open() -> Option<(AccountPage, Provider)> {
    // Provider and shop have to know each other's address before either runs.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let clients = clients::installed(clients::CLIENTS, 20, "typescript")?;
    let provider = Provider::start(clients, &format!("http://localhost:{port}/account"));
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("DAYBOOK_OIDC_ISSUER", provider.issuer.as_str()),
        ("DAYBOOK_OIDC_CLIENT_ID", "daybook"),
        ("DAYBOOK_OIDC_CLIENT_SECRET", SECRET),
    ];
    let shop = Process::serve_on(folder.path(), port, &settings);
    Some((AccountPage::of(shop, folder).await?, provider))
}

async fn log_in_elsewhere(browser: &mut Browser) {
    browser.click("#oidc-login").await;
    shown(browser, "account").await;
}

#[tokio::test]
async fn who_logs_in_elsewhere_gets_an_account_and_comes_back_to_it() {
    let Some((mut page, provider)) = open().await else { return };
    let (browser, page_of_shop) = (&mut page.browser, address(&page.shop));
    says(browser, "oidc-login", provider.issuer.strip_prefix("http://").unwrap()).await;
    for _ in 0..2 {
        log_in_elsewhere(browser).await;
        says(browser, "who", "Ana Elsewhere").await;
        says(browser, "address", ELSEWHERE).await;
        counts(browser, "issuers", 1).await;
        // Nothing of what came back is left in the address.
        assert_eq!(browser.evaluate("location.href").await, json!(page_of_shop));
        log_out(browser).await;
    }

    // What was called off there, and what was not begun in this browser.
    for (came_back, message) in [
        ("error=access_denied", "The login elsewhere was called off"),
        ("code=made-up", "This was not begun, is done, or is too old"),
    ] {
        browser.evaluate("sessionStorage.setItem('daybook-oidc-token', 'made-up')").await;
        browser.go(&format!("{page_of_shop}?{came_back}&state=made-up")).await;
        told(browser, message).await;
        shown(browser, "login").await;
    }
    page.close();
}

#[tokio::test]
async fn who_has_a_password_links_the_account_elsewhere_logs_in_either_way_and_unlinks_it() {
    let Some((mut page, _provider)) = open().await else { return };
    page.register().await;
    let browser = &mut page.browser;
    log_in(browser, PASSWORD).await;
    browser.click("#oidc-link").await;
    counts(browser, "issuers", 1).await;
    // One session is left, and nothing more to link.
    counts(browser, "sessions", 1).await;
    assert_eq!(browser.evaluate("document.getElementById('oidc-link').checkVisibility()").await, json!(false));
    log_out(browser).await;
    log_in_elsewhere(browser).await;
    says(browser, "address", ANA).await;
    log_out(browser).await;
    log_in(browser, PASSWORD).await;

    // Whoever logs in there after it was unlinked is somebody else here.
    browser.click("#issuers li button").await;
    counts(browser, "issuers", 0).await;
    shown(browser, "oidc-link").await;
    log_out(browser).await;
    log_in_elsewhere(browser).await;
    says(browser, "address", ELSEWHERE).await;
    page.close();
}
