//! Registering, logging in, second factors, devices, passwords, and the first admin.

use std::time::Duration;

use serde_json::json;

use super::{
    ANA, AccountPage, PASSWORD, add_app, address, counts, log_in, log_in_with, log_out, recovery_codes, says, shown, submit, told,
};
use crate::{browser::Browser, codes::code_of_app};

#[tokio::test]
async fn whoever_registers_confirms_the_address_by_mail_logs_in_and_stays_so_over_a_reload() {
    let Some(mut page) = AccountPage::open().await else { return };
    let browser = &mut page.browser;
    browser.click("a[href='#register']").await;
    submit(browser, "register", &[("email", ANA), ("displayName", "Ana"), ("password", "short")]).await;
    told(browser, "at least 12 characters").await;
    let focused = "document.activeElement.name + document.activeElement.getAttribute('aria-invalid')";
    assert_eq!(browser.evaluate(focused).await, json!("passwordtrue"));
    submit(browser, "register", &[("password", PASSWORD)]).await;
    says(browser, "sent", ANA).await;
    browser.click("#resend").await;
    told(browser, "Another mail").await;

    page.follow_mail("verify").await;
    let browser = &mut page.browser;
    submit(browser, "verify", &[("password", "another password")]).await;
    told(browser, "The password is wrong").await;
    submit(browser, "verify", &[("password", PASSWORD)]).await;
    told(browser, "The address is confirmed").await;

    log_in(browser, "another password").await;
    told(browser, "is wrong").await;
    log_in(browser, PASSWORD).await;
    shown(browser, "account").await;
    says(browser, "account", "Chrome on Linux").await;
    browser.reload().await;
    shown(browser, "account").await;
    says(browser, "who", "Ana").await;
    says(browser, "address", ANA).await;
    log_out(browser).await;
    browser.reload().await;
    shown(browser, "login").await;
    page.close();
}

#[tokio::test]
async fn a_second_factor_is_added_by_qr_code_asked_for_and_taken_away() {
    let Some(mut page) = AccountPage::open().await else { return };
    page.register().await;
    let browser = &mut page.browser;
    log_in(browser, PASSWORD).await;
    let (secret, codes) = add_app(browser).await;
    assert_eq!(codes.len(), 10);
    // They are shown this once.
    browser.reload().await;
    says(browser, "factor-state", "10 recovery codes").await;
    assert_eq!(recovery_codes(browser).await, [""; 0]);
    log_out(browser).await;

    // The code of the app, of the step after that of its first one.
    log_in(browser, PASSWORD).await;
    submit(browser, "second-factor", &[("code", "not a code")]).await;
    told(browser, "The code is wrong").await;
    submit(browser, "second-factor", &[("code", &code_of_app(&secret, 30))]).await;
    shown(browser, "account").await;
    log_out(browser).await;
    log_in(browser, PASSWORD).await;
    // Whoever wants to begin anew can.
    browser.click("#second-factor a").await;
    log_in_with(browser, &codes[0]).await;
    says(browser, "factor-state", "9 recovery codes").await;

    browser.click("#codes-renew").await;
    says(browser, "factor-state", "10 recovery codes").await;
    let others = recovery_codes(browser).await;
    assert!(others.len() == 10 && !others.contains(&codes[1]), "{others:?}");
    browser.click("#factor-remove").await;
    told(browser, "The password alone is enough again").await;
    log_out(browser).await;
    log_in(browser, PASSWORD).await;
    shown(browser, "account").await;
    page.close();
}

#[tokio::test]
async fn devices_are_listed_and_ended_and_passwords_are_changed_and_reset() {
    let Some(mut page) = AccountPage::open().await else { return };
    page.register().await;
    let Some(mut other) = Browser::open(&address(&page.shop)).await else { return };
    log_in(&mut other, PASSWORD).await;
    shown(&mut other, "account").await;
    let browser = &mut page.browser;
    log_in(browser, PASSWORD).await;
    counts(browser, "sessions", 2).await;
    browser.click("#sessions li button").await;
    counts(browser, "sessions", 1).await;
    // The other one has to log in again.
    other.reload().await;
    shown(&mut other, "login").await;

    let change = [("currentPassword", "another password"), ("newPassword", "two-tins-of-gyokuro")];
    submit(browser, "password", &change).await;
    told(browser, "The password is wrong").await;
    submit(browser, "password", &[("currentPassword", PASSWORD)]).await;
    told(browser, "The password is changed").await;
    browser.click("#sessions-end").await;
    told(browser, "Logged out everywhere").await;

    browser.click("a[href='#forgot']").await;
    submit(browser, "forgot", &[("email", ANA)]).await;
    told(browser, "If there is such an account").await;
    page.follow_mail("reset").await;
    let browser = &mut page.browser;
    submit(browser, "reset", &[("newPassword", "three-tins-of-gyokuro")]).await;
    told(browser, "The password is set").await;
    log_in(browser, "two-tins-of-gyokuro").await;
    told(browser, "is wrong").await;
    log_in(browser, "three-tins-of-gyokuro").await;
    shown(browser, "account").await;
    page.close();
}

#[tokio::test]
async fn a_new_address_counts_once_its_mail_was_answered() {
    let Some(mut page) = AccountPage::open().await else { return };
    page.register().await;
    let browser = &mut page.browser;
    log_in(browser, PASSWORD).await;
    submit(browser, "new-email", &[("email", "ana@new.example")]).await;
    told(browser, "A mail is on its way to ana@new.example").await;
    page.follow_mail("email").await;
    let browser = &mut page.browser;
    browser.click("#email-form button").await;
    told(browser, "The address is changed").await;
    log_in(browser, PASSWORD).await;
    told(browser, "is wrong").await;
    submit(browser, "login", &[("email", "ana@new.example"), ("password", PASSWORD)]).await;
    says(browser, "address", "ana@new.example").await;
    page.close();
}

#[tokio::test]
async fn somebody_takes_their_data_along_and_deletes_the_account() {
    let Some(mut page) = AccountPage::open().await else { return };
    page.register().await;
    let (browser, downloads) = (&mut page.browser, tempfile::tempdir().unwrap());
    browser.send("Browser.setDownloadBehavior", json!({ "behavior": "allow", "downloadPath": downloads.path() })).await;
    log_in(browser, PASSWORD).await;
    browser.click("#export").await;
    let file = downloads.path().join("my-data.json");
    let arrived = async {
        while !std::fs::read_to_string(&file).is_ok_and(|text| text.contains(ANA)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), arrived).await.expect("a file with what is kept about Ana");

    // It takes a tick in a box.
    browser.click("#delete-form button").await;
    assert_eq!(browser.evaluate("document.querySelector('#delete-form :invalid').name").await, json!("meant"));
    browser.click("#delete-form [name=meant]").await;
    browser.click("#delete-form button").await;
    told(browser, "The account is deleted").await;
    shown(browser, "login").await;
    log_in(browser, PASSWORD).await;
    told(browser, "is wrong").await;
    page.close();
}

#[tokio::test]
async fn the_first_admin_is_made_by_the_link_that_serve_prints() {
    let Some(mut page) = AccountPage::open().await else { return };
    let (browser, link) = (&mut page.browser, page.shop.admin_link.clone().unwrap());
    browser.go(&link).await;
    submit(browser, "claim", &[("email", "admin@example.com"), ("password", PASSWORD)]).await;
    told(browser, "The admin's account is there").await;
    // The address is filled in already.
    submit(browser, "login", &[("password", PASSWORD)]).await;
    says(browser, "roles", "admin").await;
    log_out(browser).await;
    // The link works once.
    browser.go(&link).await;
    submit(browser, "claim", &[("email", "eve@example.com"), ("password", PASSWORD)]).await;
    browser.wait_until("document.getElementById('message').className.includes('bad')").await;
    page.close();
}
