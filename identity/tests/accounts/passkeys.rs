//! Passkeys of accounts.

use chrono::TimeDelta;
use identity::{IdentityError, PasskeyAdded, SignedIn};

use crate::{
    authenticator::Authenticator,
    shop::{EMAIL, Shop, refusal, staff, stranger, who},
};

async fn add(shop: &Shop, session: &SignedIn, authenticator: &Authenticator) -> Result<PasskeyAdded, IdentityError> {
    let begun = shop.accounts.passkey_registration_begin(who(session)).await?;
    let made = authenticator.create(&begun.options);
    shop.accounts.passkey_registration_finish(who(session), &begun.token, &made, " My phone ", &stranger()).await
}

async fn log_in(shop: &Shop, authenticator: &Authenticator) -> Result<SignedIn, IdentityError> {
    let begun = shop.accounts.passkey_login_begin().await?;
    shop.accounts.passkey_login_finish(&begun.token, &authenticator.get(&begun.options), &stranger()).await
}

#[tokio::test]
async fn a_passkey_is_added_logs_in_and_is_removed_on_whichever_node() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let session = shop.log_in().await;
    let mut phone = Authenticator::new(ana);
    assert_eq!(refusal(log_in(&shop, &phone).await), "PASSKEY_INVALID");
    let known = shop.events().await.len();
    let added = add(&shop, &session, &phone).await.unwrap();
    assert_eq!(added.passkey.label, "My phone");
    assert_eq!(shop.accounts.profile(ana).await.unwrap().unwrap().passkeys, std::slice::from_ref(&added.passkey));
    assert_eq!(refusal(add(&shop, &session, &phone).await), "PASSKEY_INVALID");

    phone.counter += 1;
    let other = shop.another().await;
    let begun = shop.accounts.passkey_login_begin().await.unwrap();
    let answer = phone.get(&begun.options);
    let signed_in = other.accounts.passkey_login_finish(&begun.token, &answer, &stranger()).await.unwrap();
    assert_eq!(signed_in.account_id, ana);
    assert_eq!(shop.roles(&signed_in.access_token).await, ["customer"]);
    let again = shop.accounts.passkey_login_finish(&begun.token, &answer, &stranger()).await;
    assert_eq!(refusal(again), "CHALLENGE_INVALID");

    shop.accounts.passkey_remove(who(&session), added.passkey.id, &stranger()).await.unwrap();
    assert_eq!(refusal(shop.accounts.passkey_remove(who(&session), added.passkey.id, &stranger()).await), "PASSKEY_NOT_FOUND");
    phone.counter += 1;
    assert_eq!(refusal(log_in(&shop, &phone).await), "PASSKEY_INVALID");
    assert_eq!(shop.events_since(known).await, ["PasskeyAdded", "PasskeyRemoved"]);
    assert_eq!(shop.mails().await.len(), 3);
}

#[tokio::test]
async fn a_reset_of_the_password_leaves_no_passkey_of_whoever_was_in() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let session = shop.log_in().await;
    let mut phone = Authenticator::new(ana);
    add(&shop, &session, &phone).await.unwrap();
    let known = shop.events().await.len();
    shop.accounts.request_reset(EMAIL, &stranger()).await.unwrap();
    let reset = identity::PasswordReset { code: shop.code("reset").await, new: "a new password of mine".to_owned() };
    shop.accounts.reset_password(reset, &stranger()).await.unwrap();
    phone.counter += 1;
    assert_eq!(refusal(log_in(&shop, &phone).await), "PASSKEY_INVALID");
    assert_eq!(shop.events_since(known).await, ["PasswordChanged", "SessionsEnded", "PasskeyRemoved"]);
}

#[tokio::test]
async fn a_copied_authenticator_and_a_disabled_account_are_kept_out() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let session = shop.log_in().await;
    let mut phone = Authenticator::new(ana);
    add(&shop, &session, &phone).await.unwrap();
    phone.counter = 7;
    log_in(&shop, &phone).await.unwrap();
    phone.counter = 6;
    assert_eq!(refusal(log_in(&shop, &phone).await), "PASSKEY_INVALID");
    phone.counter = 8;
    shop.accounts.disable(ana, None, &staff()).await.unwrap();
    assert_eq!(refusal(log_in(&shop, &phone).await), "ACCOUNT_DISABLED");
}

#[tokio::test]
async fn what_was_begun_by_another_or_too_long_ago_is_refused() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let (session, other) = (shop.log_in().await, shop.log_in().await);
    let phone = Authenticator::new(ana);
    let begun = shop.accounts.passkey_registration_begin(who(&session)).await.unwrap();
    let finish = async |session: &SignedIn, label: &str| {
        let made = phone.create(&begun.options);
        shop.accounts.passkey_registration_finish(who(session), &begun.token, &made, label, &stranger()).await
    };
    assert_eq!(refusal(finish(&other, "My phone").await), "CHALLENGE_INVALID");
    assert_eq!(refusal(finish(&session, " ").await), "LABEL_INVALID");
    shop.later(TimeDelta::minutes(5));
    assert_eq!(refusal(finish(&session, "My phone").await), "CHALLENGE_INVALID");
    shop.later(TimeDelta::minutes(11));
    assert_eq!(refusal(add(&shop, &session, &phone).await), "LOGIN_TOO_OLD");
}

#[tokio::test]
async fn an_account_has_20_passkeys_at_most() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let session = shop.log_in().await;
    for _ in 0..20 {
        add(&shop, &session, &Authenticator::new(ana)).await.unwrap();
    }
    assert_eq!(refusal(add(&shop, &session, &Authenticator::new(ana)).await), "TOO_MANY");
}
