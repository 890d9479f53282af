//! A death between the vault and the log, and the log that fails.

use std::sync::Arc;

use chrono::TimeDelta;
use identity::{AdminClaim, PasswordChange};
use tokio::sync::Notify;

use crate::{
    faulty_log::Fate,
    shop::{EMAIL, PASSWORD, Shop, counted, is_unavailable, refusal, signed_in, staff, stranger, who},
};

const NEW: &str = "a new password of mine";

/// The flow dies when its next event is written, before anybody hears of it.
async fn die_after_writing(shop: &Shop, flow: impl Future<Output = ()> + Send + 'static) {
    let written = Arc::new(Notify::new());
    shop.log.doom([Fate::WrittenUnheard(written.clone())]);
    let flow = tokio::spawn(flow);
    written.notified().await;
    flow.abort();
    assert!(flow.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_verification_that_fails_before_the_log_can_be_done_again() {
    let shop = Shop::open().await;
    shop.register(EMAIL, PASSWORD).await.unwrap();
    let code = shop.code("verify").await;
    for fates in [vec![Fate::NotWritten], vec![Fate::Written, Fate::NotWritten]] {
        shop.log.doom(fates);
        is_unavailable(shop.accounts.verify_email(&code, PASSWORD, &stranger()).await);
        let refused = shop.try_login(PASSWORD, &stranger()).await;
        assert_eq!(refusal(refused), "CREDENTIALS_INVALID", "half an account lets nobody in");
    }
    shop.another().await.accounts.verify_email(&code, PASSWORD, &stranger()).await.unwrap();
    assert_eq!(shop.events().await, ["Registered", "RoleGranted", "Verified"]);
    shop.log_in().await;
}

#[tokio::test]
async fn a_verification_that_dies_after_the_log_goes_on_with_the_same_account() {
    let shop = Shop::open().await;
    shop.register(EMAIL, PASSWORD).await.unwrap();
    let code = shop.code("verify").await;
    let (accounts, again) = (shop.accounts.clone(), code.clone());
    die_after_writing(&shop, async move { drop(accounts.verify_email(&again, PASSWORD, &stranger()).await) }).await;
    assert_eq!(shop.events().await, ["Registered", "RoleGranted"]);
    let node = shop.another().await;
    assert_eq!(refusal(node.try_login(PASSWORD, &stranger()).await), "CREDENTIALS_INVALID");
    node.accounts.verify_email(&code, PASSWORD, &stranger()).await.unwrap();
    assert_eq!(shop.events().await, ["Registered", "RoleGranted", "Verified"]);
    node.log_in().await;
}

#[tokio::test]
async fn a_verification_that_nobody_repeats_leaves_the_address_free() {
    let shop = Shop::open().await;
    shop.register(EMAIL, PASSWORD).await.unwrap();
    let code = shop.code("verify").await;
    shop.log.doom([Fate::NotWritten]);
    is_unavailable(shop.accounts.verify_email(&code, PASSWORD, &stranger()).await);
    // Another registration with the address does not have to wait for the end of the first.
    shop.account(EMAIL).await;
    shop.log_in().await;
    assert_eq!(refusal(shop.accounts.verify_email(&code, PASSWORD, &stranger()).await), "CODE_INVALID");
}

#[tokio::test]
async fn a_password_change_that_the_log_does_not_take_holds_and_is_written_later() {
    let shop = Shop::open().await;
    shop.ana().await;
    let session = shop.log_in().await;
    let known = shop.events().await.len();
    shop.log.doom([Fate::NotWritten]);
    let change = PasswordChange { current: Some(PASSWORD.to_owned()), new: NEW.to_owned() };
    is_unavailable(shop.accounts.change_password(who(&session), change, &stranger()).await);
    assert!(shop.events_since(known).await.is_empty());
    let node = shop.another().await;
    assert!(node.is_refused(&session.access_token).await, "the old session works with the new password in place");
    assert_eq!(refusal(node.accounts.refresh(&session.refresh_token, &stranger()).await), "SESSION_ENDED");
    assert_eq!(refusal(node.try_login(PASSWORD, &stranger()).await), "CREDENTIALS_INVALID");
    signed_in(node.try_login(NEW, &stranger()).await.unwrap());
    assert_eq!(shop.events_since(known).await, ["PasswordChanged", "SessionsEnded"]);
}

#[tokio::test]
async fn a_password_change_that_dies_after_the_log_is_not_written_twice() {
    let shop = Shop::open().await;
    shop.ana().await;
    let session = shop.log_in().await;
    let known = shop.events().await.len();
    let accounts = shop.accounts.clone();
    die_after_writing(&shop, async move {
        let change = PasswordChange { current: Some(PASSWORD.to_owned()), new: NEW.to_owned() };
        drop(accounts.change_password(who(&session), change, &stranger()).await);
    })
    .await;
    assert_eq!(shop.events_since(known).await, ["PasswordChanged"]);
    let node = shop.another().await;
    assert_eq!(node.accounts.recover().await.unwrap(), 1);
    assert_eq!(node.accounts.recover().await.unwrap(), 0);
    assert_eq!(shop.events_since(known).await, ["PasswordChanged", "SessionsEnded"]);
    signed_in(node.try_login(NEW, &stranger()).await.unwrap());
    assert_eq!(counted(shop.events().await)["PasswordChanged"], 1);
}

#[tokio::test]
async fn a_logout_that_the_log_does_not_take_is_one_and_is_written_at_the_next_login_or_start() {
    let shop = Shop::open().await;
    shop.ana().await;
    let session = shop.log_in().await;
    let known = shop.events().await.len();
    shop.log.doom([Fate::NotWritten]);
    is_unavailable(shop.accounts.logout(who(&session), &stranger()).await);
    assert!(shop.is_refused(&session.access_token).await);
    assert_eq!(refusal(shop.accounts.refresh(&session.refresh_token, &stranger()).await), "SESSION_ENDED");
    shop.log_in().await;
    assert_eq!(shop.events_since(known).await, ["SessionsEnded"]);

    let session = shop.log_in().await;
    shop.log.doom([Fate::NotWritten]);
    is_unavailable(shop.accounts.logout(who(&session), &stranger()).await);
    assert_eq!(shop.another().await.accounts.recover().await.unwrap(), 1);
    assert_eq!(shop.events_since(known).await, ["SessionsEnded", "SessionsEnded"]);
}

#[tokio::test]
async fn a_death_while_an_account_is_disabled_does_not_bring_its_sessions_back() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let session = shop.log_in().await;
    let accounts = shop.accounts.clone();
    die_after_writing(&shop, async move { drop(accounts.disable(ana, None, &staff()).await) }).await;
    let node = shop.another().await;
    assert!(node.is_refused(&session.access_token).await);
    node.accounts.enable(ana, &staff()).await.unwrap();
    shop.later(TimeDelta::seconds(2));
    assert!(node.is_refused(&session.access_token).await);
    assert_eq!(refusal(node.accounts.refresh(&session.refresh_token, &stranger()).await), "SESSION_ENDED");
}

#[tokio::test]
async fn the_claim_of_the_first_admin_can_be_repeated_after_a_death() {
    let shop = Shop::open().await;
    let code = shop.accounts.admin_claim_code().await.unwrap().unwrap();
    let claim = move || AdminClaim { code: code.clone(), email: EMAIL.to_owned(), password: PASSWORD.to_owned() };
    let (accounts, first) = (shop.accounts.clone(), claim());
    die_after_writing(&shop, async move { drop(accounts.claim_admin(first, &stranger()).await) }).await;
    let node = shop.another().await;
    assert_eq!(refusal(node.try_login(PASSWORD, &stranger()).await), "CREDENTIALS_INVALID");
    node.accounts.claim_admin(claim(), &stranger()).await.unwrap();
    assert_eq!(counted(shop.events().await)["Registered"], 1);
    assert!(node.roles(&node.log_in().await.access_token).await.contains(&"admin".to_owned()));
}
