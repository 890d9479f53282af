//! The page `/account` in a real browser: what people do there, they do by clicking and typing.

mod flows;
mod oidc;
mod passkeys;

use serde_json::json;
use tempfile::TempDir;

use crate::{
    browser::Browser,
    codes::{code_of_app, code_of_mail},
    process::Process,
};

/// Ana's e-mail address.
const ANA: &str = "ana@example.com";
/// Her password, until she changes it.
const PASSWORD: &str = "a-tin-of-gyokuro-for-ana";

/// A shop with the page of its accounts in a browser.
struct AccountPage {
    browser: Browser,
    shop: Process,
    folder: TempDir,
}

/// The page of a shop's accounts.
fn address(shop: &Process) -> String {
    format!("{}/account", shop.public_url())
}

impl AccountPage {
    /// The page of a new shop. None, with the reason, where there is no browser.
    async fn open() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let shop = Process::serve(folder.path());
        Self::of(shop, folder).await
    }

    /// The page of a shop.
    async fn of(shop: Process, folder: TempDir) -> Option<Self> {
        let browser = Browser::open(&address(&shop)).await?;
        Some(Self { browser, shop, folder })
    }

    /// Opens a link of the last mail of a kind, such as `verify`.
    async fn follow_mail(&mut self, what: &str) {
        let link = format!("{}#{what}={}", address(&self.shop), code_of_mail(self.folder.path(), what));
        self.browser.go(&link).await;
        shown(&mut self.browser, what).await;
        // The code stays neither on the screen nor in the history.
        assert_eq!(self.browser.evaluate("location.href").await, json!(address(&self.shop)));
    }

    /// Registers and verifies Ana, from the page as it comes up to the question for who she is.
    async fn register(&mut self) {
        self.browser.click("a[href='#register']").await;
        submit(&mut self.browser, "register", &[("email", ANA), ("displayName", "Ana"), ("password", PASSWORD)]).await;
        shown(&mut self.browser, "sent").await;
        self.follow_mail("verify").await;
        submit(&mut self.browser, "verify", &[("password", PASSWORD)]).await;
        told(&mut self.browser, "The address is confirmed").await;
        shown(&mut self.browser, "login").await;
    }

    /// Everything went without an objection of the browser.
    fn close(self) {
        let objections = self.browser.objections();
        assert!(objections.is_empty(), "{objections:?}");
    }
}

/// Waits for a part of the page.
async fn shown(browser: &mut Browser, section: &str) {
    browser.wait_until(&format!("document.getElementById('{section}')?.checkVisibility() === true")).await;
}

/// Waits until the page tells something, of which this is a part.
async fn told(browser: &mut Browser, message: &str) {
    browser.wait_until(&format!("document.getElementById('message')?.textContent.includes({})", json!(message))).await;
}

/// Waits until a part of the page has this among its words.
async fn says(browser: &mut Browser, id: &str, words: &str) {
    browser.wait_until(&format!("document.getElementById('{id}')?.innerText.includes({})", json!(words))).await;
}

/// Waits until a list has so many lines.
async fn counts(browser: &mut Browser, list: &str, lines: usize) {
    browser.wait_until(&format!("document.querySelectorAll('#{list} li').length === {lines}")).await;
}

/// Fills in a form and sends it off.
async fn submit(browser: &mut Browser, form: &str, fields: &[(&str, &str)]) {
    for (name, text) in fields {
        browser.fill(&format!("#{form}-form [name={name}]"), text).await;
    }
    browser.click(&format!("#{form}-form button")).await;
}

/// Logs Ana in with her password, as far as that goes.
async fn log_in(browser: &mut Browser, password: &str) {
    submit(browser, "login", &[("email", ANA), ("password", password)]).await;
}

async fn log_out(browser: &mut Browser) {
    browser.click("#logout").await;
    told(browser, "Logged out").await;
    shown(browser, "login").await;
}

/// Logs Ana in with her password and a code.
async fn log_in_with(browser: &mut Browser, code: &str) {
    log_in(browser, PASSWORD).await;
    submit(browser, "second-factor", &[("code", code)]).await;
    shown(browser, "account").await;
}

/// Adds an authenticator app; answers its secret and the recovery codes.
async fn add_app(browser: &mut Browser) -> (String, Vec<String>) {
    browser.click("#factor-begin").await;
    shown(browser, "factor-setup").await;
    // A QR code that can be seen, and the same in letters.
    browser.wait_until("document.getElementById('factor-qr').naturalWidth > 0").await;
    let secret = browser.evaluate("document.getElementById('factor-secret').textContent").await;
    let secret = secret.as_str().unwrap().to_owned();
    submit(browser, "factor", &[("code", &code_of_app(&secret, 0))]).await;
    told(browser, "takes a code too").await;
    (secret, recovery_codes(browser).await)
}

/// The recovery codes on the screen.
async fn recovery_codes(browser: &mut Browser) -> Vec<String> {
    let codes = browser.evaluate("[...document.querySelectorAll('#codes-list li')].map((line) => line.textContent)").await;
    codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}
