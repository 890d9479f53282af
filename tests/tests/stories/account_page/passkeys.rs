//! Passkeys, with the browser's own WebAuthn and a virtual authenticator:
//! <https://chromedevtools.github.io/devtools-protocol/tot/WebAuthn/>.

use serde_json::{Value, json};

use super::{AccountPage, PASSWORD, counts, log_in, log_out, shown, submit, told};
use crate::browser::Browser;

/// What an authenticator in the device does, such as a fingerprint reader.
struct Authenticator(Value);

impl Authenticator {
    /// One whose owner is there and has shown who they are.
    async fn add(browser: &mut Browser) -> Self {
        browser.send("WebAuthn.enable", json!({})).await;
        let options = json!({
            "protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": true
        });
        Self(browser.send("WebAuthn.addVirtualAuthenticator", json!({ "options": options })).await["authenticatorId"].take())
    }

    async fn passkeys(&self, browser: &mut Browser) -> Vec<Value> {
        let held = browser.send("WebAuthn.getCredentials", json!({ "authenticatorId": self.0 })).await;
        held["credentials"].as_array().unwrap().clone()
    }

    /// Whether its owner shows who they are from now on.
    async fn verifies(&self, browser: &mut Browser, verifies: bool) {
        browser.send("WebAuthn.setUserVerified", json!({ "authenticatorId": self.0, "isUserVerified": verifies })).await;
    }

    /// Puts a passkey in the place of the one that it has.
    async fn replace(&self, browser: &mut Browser, passkey: &Value) {
        let old = json!({ "authenticatorId": self.0, "credentialId": passkey["credentialId"] });
        browser.send("WebAuthn.removeCredential", old).await;
        browser.send("WebAuthn.addCredential", json!({ "authenticatorId": self.0, "credential": passkey })).await;
    }
}

/// Logs in with a passkey.
async fn log_in_by_passkey(browser: &mut Browser) {
    browser.click("#passkey-login").await;
    shown(browser, "account").await;
}

#[tokio::test]
async fn a_passkey_is_added_logs_in_and_is_removed() {
    let Some(mut page) = AccountPage::open().await else { return };
    let authenticator = Authenticator::add(&mut page.browser).await;
    page.register().await;
    let browser = &mut page.browser;
    browser.click("#passkey-login").await;
    told(browser, "No passkey was used").await;

    log_in(browser, PASSWORD).await;
    submit(browser, "passkey", &[("label", "Laptop")]).await;
    told(browser, "The passkey is added").await;
    submit(browser, "passkey", &[("label", "Laptop again")]).await;
    told(browser, "This device has a passkey of the account already").await;
    let held = authenticator.passkeys(browser).await;
    let [passkey] = held.as_slice() else { panic!("{held:?}") };
    assert_eq!((&passkey["rpId"], &passkey["isResidentCredential"]), (&json!("localhost"), &json!(true)));
    log_out(browser).await;

    log_in_by_passkey(browser).await;
    log_out(browser).await;
    // The device alone is not enough.
    authenticator.verifies(browser, false).await;
    browser.click("#passkey-login").await;
    told(browser, "No passkey was used").await;
    authenticator.verifies(browser, true).await;

    log_in_by_passkey(browser).await;
    browser.click("#passkeys li button").await;
    counts(browser, "passkeys", 0).await;
    log_out(browser).await;
    // The device still has it; the shop does not take it any more.
    browser.click("#passkey-login").await;
    told(browser, "The passkey was not accepted").await;
    page.close();
}

#[tokio::test]
async fn a_copy_of_a_passkey_whose_counter_is_behind_is_refused() {
    let Some(mut page) = AccountPage::open().await else { return };
    let authenticator = Authenticator::add(&mut page.browser).await;
    page.register().await;
    let browser = &mut page.browser;
    log_in(browser, PASSWORD).await;
    submit(browser, "passkey", &[("label", "Laptop")]).await;
    told(browser, "The passkey is added").await;
    let mut copy = authenticator.passkeys(browser).await.remove(0);
    log_out(browser).await;
    log_in_by_passkey(browser).await;
    log_out(browser).await;

    authenticator.replace(browser, &copy).await;
    browser.click("#passkey-login").await;
    told(browser, "The passkey was not accepted").await;
    copy["signCount"] = json!(100);
    authenticator.replace(browser, &copy).await;
    log_in_by_passkey(browser).await;
    page.close();
}
