//! Logins at an OpenID provider.

use identity::{IdentityError, LoginAnswer};
use serde_json::{Value, json};

use crate::{
    provider::Provider,
    shop::{EMAIL, PASSWORD, QUICK, Shop, counted, refusal, signed_in, staff, stranger, who},
};

async fn open() -> (Shop, Provider) {
    let provider = Provider::start().await;
    (Shop::open_with(QUICK, Some(provider.config())).await, provider)
}

fn ana(subject: &str) -> Value {
    json!({ "sub": subject, "email": "ana@example.com", "email_verified": true, "name": "Ana" })
}

async fn log_in(shop: &Shop, provider: &Provider, person: Value) -> Result<LoginAnswer, IdentityError> {
    let begun = shop.accounts.oidc_begin(None).await?;
    shop.accounts.oidc_finish(provider.log_in(&begun, person), &stranger()).await
}

#[tokio::test]
async fn the_first_login_opens_an_account_and_the_next_finds_it_whatever_the_address_is_by_then() {
    let (shop, provider) = open().await;
    let first = signed_in(log_in(&shop, &provider, ana("1")).await.unwrap());
    assert_eq!(shop.events().await, ["Registered", "RoleGranted", "Verified", "Linked"]);
    let profile = shop.accounts.profile(first.account_id).await.unwrap().unwrap();
    assert_eq!((profile.email.as_str(), profile.display_name.as_deref()), ("ana@example.com", Some("Ana")));
    assert!(!profile.has_password);
    let moved = json!({ "sub": "1", "email": "ana@elsewhere.example", "email_verified": false });
    let second = signed_in(log_in(&shop, &provider, moved).await.unwrap());
    assert_eq!(second.account_id, first.account_id);
    assert_eq!(counted(shop.events().await)["Registered"], 1);
    // It has no password that could be right, and gets one by mail.
    assert_eq!(refusal(shop.try_login("", &stranger()).await), "CREDENTIALS_INVALID");
    shop.accounts.request_reset(EMAIL, &stranger()).await.unwrap();
    let reset = identity::PasswordReset { code: shop.code("reset").await, new: PASSWORD.to_owned() };
    shop.accounts.reset_password(reset, &stranger()).await.unwrap();
    shop.log_in().await;
    // Links go with a reset: one may be that of whoever made it necessary.
    assert!(shop.accounts.profile(first.account_id).await.unwrap().unwrap().linked_issuers.is_empty());
}

#[tokio::test]
async fn a_customer_with_the_address_is_found_if_the_provider_vouches_for_it() {
    let (shop, provider) = open().await;
    let account = shop.ana().await;
    for person in [json!({ "sub": "1", "email": EMAIL, "email_verified": false }), json!({ "sub": "1" })] {
        assert_eq!(refusal(log_in(&shop, &provider, person).await), "OIDC_EMAIL_MISSING");
    }
    let found = signed_in(log_in(&shop, &provider, ana("1")).await.unwrap());
    assert_eq!(found.account_id, account);
    let profile = shop.accounts.profile(account).await.unwrap().unwrap();
    assert_eq!((profile.has_password, profile.linked_issuers), (true, vec![provider.config().issuer]));
    assert!(shop.mails().await.pop().unwrap().text.contains("linked to one elsewhere"));
}

#[tokio::test]
async fn staff_links_its_account_itself() {
    let (shop, provider) = open().await;
    let account = shop.ana().await;
    shop.accounts.grant_role(account, "support", &staff()).await.unwrap();
    assert_eq!(refusal(log_in(&shop, &provider, ana("1")).await), "OIDC_LINK_NEEDED");
    let session = shop.log_in().await;
    let begun = shop.accounts.oidc_begin(Some(who(&session))).await.unwrap();
    let back = provider.log_in(&begun, json!({ "sub": "1" }));
    let linked = signed_in(shop.accounts.oidc_finish(back, &stranger()).await.unwrap());
    assert_eq!(linked.account_id, account);
    assert_eq!(signed_in(log_in(&shop, &provider, json!({ "sub": "1" })).await.unwrap()).account_id, account);

    shop.account("ben@example.com").await;
    let login = identity::Login { email: "ben@example.com".to_owned(), password: PASSWORD.to_owned() };
    let ben = signed_in(shop.accounts.login(login, &stranger()).await.unwrap());
    let begun = shop.accounts.oidc_begin(Some(who(&ben))).await.unwrap();
    let back = provider.log_in(&begun, json!({ "sub": "1" }));
    assert_eq!(refusal(shop.accounts.oidc_finish(back, &stranger()).await), "OIDC_LINKED_ELSEWHERE");
}

#[tokio::test]
async fn what_comes_back_belongs_to_the_browser_that_began_and_is_answered_once() {
    let (shop, provider) = open().await;
    let (one, two) = (shop.accounts.oidc_begin(None).await.unwrap(), shop.accounts.oidc_begin(None).await.unwrap());
    let mut crossed = provider.log_in(&one, ana("1"));
    crossed.token = two.token.clone();
    assert_eq!(refusal(shop.accounts.oidc_finish(crossed, &stranger()).await), "OIDC_FAILED");
    let back = provider.log_in(&one, ana("1"));
    let (token, state, code) = (back.token.clone(), back.state.clone(), back.code.clone());
    shop.accounts.oidc_finish(back, &stranger()).await.unwrap();
    let again = identity::OidcReturn { token, state, code };
    assert_eq!(refusal(shop.accounts.oidc_finish(again, &stranger()).await), "CHALLENGE_INVALID");
}

#[tokio::test]
async fn a_login_elsewhere_that_was_unlinked_lets_nobody_in_by_itself() {
    let (shop, provider) = open().await;
    let account = shop.ana().await;
    let session = shop.log_in().await;
    let issuer = provider.config().issuer;
    assert_eq!(refusal(shop.accounts.oidc_unlink(who(&session), &issuer, &stranger()).await), "OIDC_NOT_LINKED");
    shop.accounts.grant_role(account, "support", &staff()).await.unwrap();
    let begun = shop.accounts.oidc_begin(Some(who(&session))).await.unwrap();
    signed_in(shop.accounts.oidc_finish(provider.log_in(&begun, ana("1")), &stranger()).await.unwrap());
    let known = shop.events().await.len();
    shop.accounts.oidc_unlink(who(&session), &issuer, &stranger()).await.unwrap();
    assert_eq!(shop.events_since(known).await, ["Unlinked"]);
    assert!(shop.accounts.profile(account).await.unwrap().unwrap().linked_issuers.is_empty());
    assert!(shop.mails().await.pop().unwrap().text.contains("was unlinked"));
    // Staff would have to link it again, logged in.
    assert_eq!(refusal(log_in(&shop, &provider, ana("1")).await), "OIDC_LINK_NEEDED");
    shop.later(chrono::TimeDelta::minutes(16));
    assert_eq!(refusal(shop.accounts.oidc_unlink(who(&session), &issuer, &stranger()).await), "LOGIN_TOO_OLD");
}

#[tokio::test]
async fn a_shop_without_a_provider_says_so() {
    let shop = Shop::open().await;
    assert_eq!(refusal(shop.accounts.oidc_begin(None).await), "OIDC_OFF");
}
