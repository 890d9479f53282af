//! Another e-mail address for an account.

use chrono::TimeDelta;
use identity::{IdentityError, LoginAnswer, PasswordReset};

use crate::{
    faulty_log::Fate,
    shop::{EMAIL, PASSWORD, Shop, is_unavailable, refusal, signed_in, stranger, who},
};

const NEW: &str = "ana@new.example";

async fn log_in_as(shop: &Shop, email: &str) -> Result<LoginAnswer, IdentityError> {
    let login = identity::Login { email: email.to_owned(), password: PASSWORD.to_owned() };
    shop.accounts.login(login, &stranger()).await
}

/// Ana has asked for the new address; the code that was mailed to it.
async fn asked(shop: &Shop) -> String {
    let session = shop.log_in().await;
    shop.accounts.request_email_change(who(&session), NEW, &stranger()).await.unwrap();
    let code = shop.code("email").await;
    assert_eq!(shop.mails().await.pop().unwrap().to, NEW);
    code
}

#[tokio::test]
async fn a_new_address_counts_once_its_mail_is_answered_and_the_old_one_is_told() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let session = shop.log_in().await;
    shop.accounts.request_reset(EMAIL, &stranger()).await.unwrap();
    let reset = shop.code("reset").await;
    let code = asked(&shop).await;
    assert_eq!(refusal(log_in_as(&shop, NEW).await), "CREDENTIALS_INVALID", "it is not confirmed yet");
    let known = shop.events().await.len();
    shop.accounts.confirm_email_change(&code, &stranger()).await.unwrap();
    assert_eq!(shop.events_since(known).await, ["EmailChanged", "SessionsEnded"]);
    assert!(shop.is_refused(&session.access_token).await, "whoever had the old mailbox is out");
    assert_eq!(signed_in(log_in_as(&shop, NEW).await.unwrap()).account_id, ana);
    assert_eq!(refusal(log_in_as(&shop, EMAIL).await), "CREDENTIALS_INVALID");
    assert_eq!(shop.accounts.profile(ana).await.unwrap().unwrap().email, NEW);
    let told = shop.mails().await.pop().unwrap();
    assert!(told.to == EMAIL && told.text.contains("another e-mail address"), "{}", told.text);
    // What was mailed to the old address leads nowhere, the code is used up, and the old address is free.
    let reset = PasswordReset { code: reset, new: "a new password of mine".to_owned() };
    assert_eq!(refusal(shop.accounts.reset_password(reset, &stranger()).await), "CODE_INVALID");
    assert_eq!(refusal(shop.accounts.confirm_email_change(&code, &stranger()).await), "CODE_INVALID");
    assert_ne!(shop.account(EMAIL).await, ana);
}

#[tokio::test]
async fn an_address_that_has_an_account_is_answered_alike_and_its_owner_is_told() {
    let shop = Shop::open().await;
    shop.ana().await;
    shop.account(NEW).await;
    let session = shop.log_in().await;
    shop.accounts.request_email_change(who(&session), NEW, &stranger()).await.unwrap();
    let told = shop.mails().await.pop().unwrap();
    assert!(told.to == NEW && told.text.contains("has an account already") && !told.text.contains("#email="), "{}", told.text);
    assert_eq!(refusal(shop.accounts.request_email_change(who(&session), "nonsense", &stranger()).await), "EMAIL_INVALID");
    shop.later(TimeDelta::minutes(16));
    assert_eq!(refusal(shop.accounts.request_email_change(who(&session), NEW, &stranger()).await), "LOGIN_TOO_OLD");
}

#[tokio::test]
async fn an_address_that_went_to_another_meanwhile_is_not_taken() {
    let shop = Shop::open().await;
    shop.ana().await;
    let code = asked(&shop).await;
    let ben = shop.account(NEW).await;
    assert_eq!(refusal(shop.accounts.confirm_email_change(&code, &stranger()).await), "CODE_INVALID");
    assert_eq!(signed_in(log_in_as(&shop, NEW).await.unwrap()).account_id, ben);
    shop.log_in().await;
}

#[tokio::test]
async fn a_change_that_the_log_does_not_take_holds_and_is_written_later() {
    let shop = Shop::open().await;
    shop.ana().await;
    let code = asked(&shop).await;
    let known = shop.events().await.len();
    shop.log.doom([Fate::NotWritten]);
    is_unavailable(shop.accounts.confirm_email_change(&code, &stranger()).await);
    let node = shop.another().await;
    assert_eq!(node.accounts.recover().await.unwrap(), 1);
    assert_eq!(shop.events_since(known).await, ["EmailChanged", "SessionsEnded"]);
    signed_in(log_in_as(&node, NEW).await.unwrap());
    // The old address still points to the account, and counts for nothing: who has it can register.
    assert_eq!(refusal(log_in_as(&node, EMAIL).await), "CREDENTIALS_INVALID");
    node.ana().await;
    node.log_in().await;
}

#[tokio::test]
async fn the_same_address_in_another_case_is_taken_and_still_found() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let session = shop.log_in().await;
    shop.accounts.request_email_change(who(&session), "ANA@EXAMPLE.COM", &stranger()).await.unwrap();
    let code = shop.code("email").await;
    shop.accounts.confirm_email_change(&code, &stranger()).await.unwrap();
    assert_eq!(shop.accounts.profile(ana).await.unwrap().unwrap().email, "ANA@EXAMPLE.COM");
    shop.log_in().await;
}
