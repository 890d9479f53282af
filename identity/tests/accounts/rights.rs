//! Roles, the first admin, disabled accounts, and the keys of services.

use chrono::TimeDelta;
use engine::Clock as _;
use identity::{AdminClaim, Grant, IdentityError, NewApiKey, Origin, Subject, TokenError, Verified};

use crate::shop::{EMAIL, PASSWORD, Shop, counted, refusal, signed_in, staff, stranger};

async fn claim(shop: &Shop, code: &str, email: &str) -> Result<Verified, IdentityError> {
    let claim = AdminClaim { code: code.to_owned(), email: email.to_owned(), password: PASSWORD.to_owned() };
    shop.accounts.claim_admin(claim, &stranger()).await
}

#[tokio::test]
async fn the_first_admin_is_made_by_a_code_and_there_is_one_first_admin() {
    let shop = Shop::open().await;
    let (one, two) = (shop.accounts.admin_claim_code().await.unwrap(), shop.accounts.admin_claim_code().await.unwrap());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(shop.accounts.account_link("claim", &one), format!("https://shop.example/account#claim={one}"));
    assert_eq!(refusal(claim(&shop, "made up", EMAIL).await), "CODE_INVALID");
    let admin = claim(&shop, &one, EMAIL).await.unwrap();
    assert!(shop.roles(&shop.log_in().await.access_token).await.contains(&"admin".to_owned()));
    assert_eq!(shop.accounts.admin_claim_code().await.unwrap(), None);
    assert_eq!(refusal(claim(&shop, &one, "ben@example.com").await), "CODE_INVALID");
    assert_eq!(refusal(claim(&shop, &two, EMAIL).await), "EMAIL_TAKEN");
    assert_eq!(refusal(claim(&shop, &two, "ben@example.com").await), "ADMIN_EXISTS");
    // The address of the refused one is free.
    shop.account("ben@example.com").await;
    assert_eq!(refusal(shop.accounts.revoke_role(admin.account_id, "admin", &staff()).await), "LAST_ADMIN");
    assert_eq!(refusal(shop.accounts.disable(admin.account_id, None, &staff()).await), "LAST_ADMIN");
    shop.log_in().await;
}

#[tokio::test]
async fn of_two_claims_at_the_same_time_on_two_nodes_one_wins() {
    let shop = Shop::open().await;
    let other = shop.another().await;
    let code = shop.accounts.admin_claim_code().await.unwrap().unwrap();
    let others = other.accounts.admin_claim_code().await.unwrap().unwrap();
    let (one, two) = tokio::join!(claim(&shop, &code, EMAIL), claim(&other, &others, "ben@example.com"));
    assert!(one.is_ok() ^ two.is_ok());
    assert_eq!(counted(shop.events().await)["Registered"], 1);
}

#[tokio::test]
async fn roles_come_and_go_and_are_seen_at_once_on_this_node() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let token = shop.log_in().await.access_token;
    shop.accounts.grant_role(ana, "support", &staff()).await.unwrap();
    assert_eq!(shop.roles(&token).await, ["customer", "support"]);
    assert_eq!(refusal(shop.accounts.grant_role(ana, "night-shift", &staff()).await), "ROLE_NOT_FOUND");
    let permissions = vec!["VIEW_ORDERS".to_owned()];
    shop.accounts.define_role("night-shift", permissions.clone(), "Orders at night", &staff()).await.unwrap();
    shop.accounts.grant_role(ana, "night-shift", &staff()).await.unwrap();
    shop.accounts.revoke_role(ana, "support", &staff()).await.unwrap();
    assert_eq!(shop.roles(&token).await, ["customer", "night-shift"]);
    shop.accounts.remove_role("night-shift", &staff()).await.unwrap();
    for name in ["Admin", "", "a b"] {
        assert_eq!(refusal(shop.accounts.define_role(name, permissions.clone(), "x", &staff()).await), "ROLE_NAME_INVALID");
    }
    assert_eq!(refusal(shop.accounts.define_role("admin", permissions, "x", &staff()).await), "ROLE_BUILT_IN");
    let nobody = event_schemas::AccountId(uuid::Uuid::now_v7());
    assert_eq!(refusal(shop.accounts.grant_role(nobody, "support", &staff()).await), "ACCOUNT_NOT_FOUND");
}

#[tokio::test]
async fn nobody_gives_takes_or_changes_a_role_that_permits_more_than_they_may() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let (few, more) = (vec!["view_orders".to_owned()], vec!["view_orders".to_owned(), "move_money".to_owned()]);
    let clerk = Origin { permissions: Some(few.clone()), ..staff() };
    let accounts = &shop.accounts;
    accounts.define_role("night-shift", more, "Nights", &staff()).await.unwrap();
    assert_eq!(refusal(accounts.grant_role(ana, "night-shift", &clerk).await), "FORBIDDEN");
    assert_eq!(refusal(accounts.revoke_role(ana, "night-shift", &clerk).await), "FORBIDDEN");
    assert_eq!(refusal(accounts.define_role("night-shift", few.clone(), "Less", &clerk).await), "FORBIDDEN");
    assert_eq!(refusal(accounts.remove_role("night-shift", &clerk).await), "FORBIDDEN");
    assert_eq!(refusal(accounts.grant_role(ana, "day-shift", &clerk).await), "ROLE_NOT_FOUND");
    accounts.define_role("night-shift", few, "Nights", &staff()).await.unwrap();
    accounts.grant_role(ana, "night-shift", &clerk).await.unwrap();
}

#[tokio::test]
async fn to_enable_an_account_that_is_not_disabled_ends_no_session() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let session = shop.log_in().await;
    shop.accounts.enable(ana, &staff()).await.unwrap();
    assert_eq!(shop.roles(&session.access_token).await, ["customer"]);
}

#[tokio::test]
async fn a_disabled_account_loses_its_sessions_for_good() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let session = shop.log_in().await;
    let known = shop.events().await.len();
    shop.accounts.disable(ana, Some("fraud".to_owned()), &staff()).await.unwrap();
    assert!(shop.is_refused(&session.access_token).await);
    assert_eq!(refusal(shop.accounts.refresh(&session.refresh_token, &stranger()).await), "SESSION_ENDED");
    shop.accounts.enable(ana, &staff()).await.unwrap();
    assert!(shop.is_refused(&session.access_token).await);
    assert_eq!(shop.events_since(known).await, ["Disabled", "SessionsEnded", "Enabled"]);
    signed_in(shop.try_login(PASSWORD, &stranger()).await.unwrap());
}

#[tokio::test]
async fn a_service_has_a_key_until_it_ends_or_is_revoked() {
    let shop = Shop::open().await;
    let new = |expires_at| {
        let permissions = vec!["VIEW_STOCK".to_owned(), "VIEW_ORDERS".to_owned()];
        NewApiKey { permissions, label: "warehouse".to_owned(), expires_at }
    };
    let shown = shop.accounts.create_api_key(new(None), &staff()).await.unwrap();
    let who = shop.authenticate(&shown.key).await.unwrap();
    let permissions = vec!["VIEW_ORDERS".to_owned(), "VIEW_STOCK".to_owned()];
    assert_eq!((who.subject, who.expires_at), (Subject::ApiKey { id: shown.id, permissions }, None));
    let last = if shown.key.ends_with('0') { "1" } else { "0" };
    let other = format!("{}{last}", &shown.key[..shown.key.len() - 1]);
    for wrong in [other.as_str(), "dbk_", "dbk_x_y", &shown.key[..40], "", "a.b.c"] {
        assert!(shop.is_refused(wrong).await, "{wrong}");
    }
    assert!(!String::from_utf8_lossy(&shop.vault_bytes()).contains(shown.key.rsplit_once('_').unwrap().1));
    shop.accounts.revoke_api_key(shown.id, &staff()).await.unwrap();
    assert!(shop.is_refused(&shown.key).await);

    let end = shop.clock.now() + TimeDelta::hours(1);
    let shown = shop.accounts.create_api_key(new(Some(end)), &staff()).await.unwrap();
    assert_eq!(shop.authenticate(&shown.key).await.unwrap().expires_at, Some(end));
    shop.later(TimeDelta::hours(1));
    assert!(matches!(shop.authenticate(&shown.key).await, Err(TokenError::Expired)));
}

#[tokio::test]
async fn a_token_of_the_machine_says_its_role() {
    let shop = Shop::open().await;
    let grant = Grant::Operator { role: "merchant".to_owned() };
    let hour = std::time::Duration::from_secs(3_600);
    let (token, _) = shop.accounts.keys().issue("ben", &grant, hour, shop.clock.now()).unwrap();
    let operator = Subject::Operator { name: Some("ben".to_owned()), role: "merchant".to_owned() };
    assert_eq!(shop.authenticate(&token).await.unwrap().subject, operator);
}
