//! Changing and resetting a password.

use chrono::TimeDelta;
use futures::future::join_all;
use identity::{IdentityError, PasswordChange, PasswordReset, SignedIn, Written};

use crate::shop::{EMAIL, PASSWORD, Shop, refusal, signed_in, stranger, who, with_device};

const NEW: &str = "a new password of mine";

async fn change(shop: &Shop, session: &SignedIn, current: &str, new: &str) -> Result<SignedIn, IdentityError> {
    let change = PasswordChange { current: Some(current.to_owned()), new: new.to_owned() };
    shop.accounts.change_password(who(session), change, &stranger()).await
}

async fn reset(shop: &Shop, code: &str, new: &str) -> Result<Written, IdentityError> {
    let reset = PasswordReset { code: code.to_owned(), new: new.to_owned() };
    shop.accounts.reset_password(reset, &stranger()).await
}

#[tokio::test]
async fn a_changed_password_ends_all_sessions_and_answers_a_new_one() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let (mine, elsewhere) = (shop.log_in().await, shop.log_in().await);
    let known = shop.events().await.len();
    let changed = change(&shop, &mine, PASSWORD, NEW).await.unwrap();
    assert_eq!(shop.events_since(known).await, ["PasswordChanged", "SessionsEnded"]);
    assert_eq!(changed.position, Some(known as u64 + 2));
    for over in [&mine, &elsewhere] {
        assert!(shop.is_refused(&over.access_token).await);
        assert_eq!(refusal(shop.accounts.refresh(&over.refresh_token, &stranger()).await), "SESSION_ENDED");
    }
    assert_eq!(shop.roles(&changed.access_token).await, ["customer"]);
    assert_eq!(shop.accounts.sessions(ana).await.unwrap().len(), 1);
    assert_eq!(refusal(shop.try_login(PASSWORD, &stranger()).await), "CREDENTIALS_INVALID");
    signed_in(shop.try_login(NEW, &stranger()).await.unwrap());
    assert!(shop.mails().await.pop().unwrap().text.contains("The password was changed"));
    // A session that is over changes nothing.
    assert_eq!(refusal(change(&shop, &mine, NEW, PASSWORD).await), "SESSION_ENDED");
}

#[tokio::test]
async fn who_has_found_a_session_cannot_guess_the_password_with_it() {
    let shop = Shop::open().await;
    shop.ana().await;
    let session = shop.log_in().await;
    for _ in 0..5 {
        assert_eq!(refusal(change(&shop, &session, "a wrong password", NEW).await), "PASSWORD_WRONG");
    }
    assert_eq!(refusal(change(&shop, &session, PASSWORD, NEW).await), "LOGIN_LOCKED");
    assert_eq!(refusal(change(&shop, &session, PASSWORD, "short").await), "PASSWORD_TOO_SHORT");
    shop.later(TimeDelta::minutes(15));
    let session = shop.log_in().await;
    let nothing = PasswordChange { current: None, new: NEW.to_owned() };
    let refused = shop.accounts.change_password(who(&session), nothing, &stranger()).await;
    assert_eq!(refusal(refused), "PASSWORD_WRONG");
    change(&shop, &session, PASSWORD, NEW).await.unwrap();
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_once_by_the_code_of_a_mail() {
    let shop = Shop::open().await;
    shop.ana().await;
    let session = shop.log_in().await;
    let known = shop.events().await.len();
    shop.accounts.request_reset("ana@example.com", &stranger()).await.unwrap();
    let first = shop.code("reset").await;
    shop.accounts.request_reset(EMAIL, &stranger()).await.unwrap();
    let second = shop.code("reset").await;
    assert_eq!(refusal(reset(&shop, &first, "short").await), "PASSWORD_TOO_SHORT");
    reset(&shop, &first, NEW).await.unwrap();
    assert_eq!(shop.events_since(known).await, ["PasswordChanged", "SessionsEnded"]);
    for used in [&first, &second] {
        assert_eq!(refusal(reset(&shop, used, "yet another password").await), "CODE_INVALID");
    }
    assert!(shop.is_refused(&session.access_token).await);
    // The device is not known any more: whoever had it may be who made a new password necessary.
    let again = signed_in(shop.try_login(NEW, &with_device("192.0.2.1", &session)).await.unwrap());
    assert!(again.device_token.is_some());
}

#[tokio::test]
async fn a_reset_of_nobody_is_answered_the_same_and_mails_nobody() {
    let shop = Shop::open().await;
    shop.accounts.request_reset("nobody@example.com", &stranger()).await.unwrap();
    assert!(shop.mails().await.is_empty());
    assert_eq!(refusal(shop.accounts.request_reset("nobody", &stranger()).await), "EMAIL_INVALID");
}

#[tokio::test]
async fn a_code_for_a_reset_holds_for_an_hour_and_until_the_password_changes() {
    let shop = Shop::open().await;
    shop.ana().await;
    shop.accounts.request_reset(EMAIL, &stranger()).await.unwrap();
    let code = shop.code("reset").await;
    change(&shop, &shop.log_in().await, PASSWORD, NEW).await.unwrap();
    assert_eq!(refusal(reset(&shop, &code, "yet another password").await), "CODE_INVALID");
    shop.accounts.request_reset(EMAIL, &stranger()).await.unwrap();
    let code = shop.code("reset").await;
    shop.later(TimeDelta::hours(1));
    assert_eq!(refusal(reset(&shop, &code, "yet another password").await), "CODE_INVALID");
}

#[tokio::test]
async fn of_many_resets_at_once_with_a_code_one_counts() {
    let shop = Shop::open().await;
    shop.ana().await;
    shop.accounts.request_reset(EMAIL, &stranger()).await.unwrap();
    let code = shop.code("reset").await;
    let passwords: Vec<String> = (0..8).map(|n| format!("{NEW} number {n}")).collect();
    let answers = join_all(passwords.iter().map(|password| reset(&shop, &code, password))).await;
    let winners: Vec<&String> = passwords.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(p, _)| p).collect();
    assert_eq!(winners.len(), 1);
    signed_in(shop.try_login(winners[0], &stranger()).await.unwrap());
}

#[tokio::test]
async fn a_code_is_good_for_what_it_was_made_for_only() {
    let shop = Shop::open().await;
    shop.ana().await;
    shop.accounts.request_reset(EMAIL, &stranger()).await.unwrap();
    let for_reset = shop.code("reset").await;
    shop.register("ben@example.com", PASSWORD).await.unwrap();
    let for_ben = shop.code("verify").await;
    assert_eq!(refusal(shop.accounts.verify_email(&for_reset, PASSWORD, &stranger()).await), "CODE_INVALID");
    assert_eq!(refusal(reset(&shop, &for_ben, NEW).await), "CODE_INVALID");
    reset(&shop, &for_reset, NEW).await.unwrap();
    shop.accounts.verify_email(&for_ben, PASSWORD, &stranger()).await.unwrap();
}
