//! Accounts that are removed for ever.

use identity::{AdminClaim, IdentityError, LoginAnswer};
use serde_json::json;

use crate::{
    faulty_log::Fate,
    provider::Provider,
    shop::{EMAIL, PASSWORD, QUICK, Shop, is_unavailable, refusal, signed_in, staff, stranger, who},
};

async fn log_in_there(shop: &Shop, provider: &Provider) -> Result<LoginAnswer, IdentityError> {
    let begun = shop.accounts.oidc_begin(None).await?;
    let person = json!({ "sub": "1", "email": "ana@example.com", "email_verified": true });
    shop.accounts.oidc_finish(provider.log_in(&begun, person), &stranger()).await
}

#[tokio::test]
async fn an_account_that_was_removed_is_gone_and_its_address_is_free() {
    let provider = Provider::start().await;
    let shop = Shop::open_with(QUICK, Some(provider.config())).await;
    let ana = shop.ana().await;
    let session = shop.log_in().await;
    signed_in(log_in_there(&shop, &provider).await.unwrap());
    shop.accounts.must_be_recent(who(&session)).await.unwrap();
    shop.accounts.request_reset(EMAIL, &stranger()).await.unwrap();
    let reset = shop.code("reset").await;
    let known = shop.events().await.len();
    shop.accounts.remove(ana, &stranger()).await.unwrap();
    assert_eq!(shop.events_since(known).await, ["Removed"]);
    assert!(shop.mails().await.pop().unwrap().text.contains("was removed"));

    assert!(shop.accounts.profile(ana).await.unwrap().is_none());
    assert!(shop.is_refused(&session.access_token).await);
    assert_eq!(refusal(shop.accounts.refresh(&session.refresh_token, &stranger()).await), "SESSION_ENDED");
    assert_eq!(refusal(shop.try_login(PASSWORD, &stranger()).await), "CREDENTIALS_INVALID");
    let reset = identity::PasswordReset { code: reset, new: "a new password of mine".to_owned() };
    assert_eq!(refusal(shop.accounts.reset_password(reset, &stranger()).await), "CODE_INVALID");
    assert_eq!(refusal(shop.accounts.grant_role(ana, "support", &staff()).await), "ACCOUNT_NOT_FOUND");
    let disabled = shop.accounts.disable(ana, Some("fraud".to_owned()), &staff()).await;
    assert_eq!(refusal(disabled), "ACCOUNT_NOT_FOUND", "and no key is made for a reason that nobody keeps");
    for prefix in ["account/", "session/", "email/", "oidc/", "person/", "person-keys/"] {
        let left = shop.vault.list::<serde_json::Value>(prefix, None, 9).await.unwrap();
        assert!(left.is_empty(), "{prefix}: {} left", left.len());
    }
    let known = shop.events().await.len();
    shop.accounts.remove(ana, &stranger()).await.unwrap();
    assert_eq!(shop.events_since(known).await, Vec::<String>::new(), "a repeat changes nothing");

    // Whoever comes with the address, or the login elsewhere, is somebody new.
    let new = signed_in(log_in_there(&shop, &provider).await.unwrap());
    assert_ne!(new.account_id, ana);
}

#[tokio::test]
async fn the_last_administrator_stays_and_can_still_log_in() {
    let shop = Shop::open().await;
    let code = shop.accounts.admin_claim_code().await.unwrap().unwrap();
    let claim = AdminClaim { code, email: EMAIL.to_owned(), password: PASSWORD.to_owned() };
    shop.accounts.claim_admin(claim, &stranger()).await.unwrap();
    let admin = shop.log_in().await;
    assert_eq!(refusal(shop.accounts.remove(admin.account_id, &stranger()).await), "LAST_ADMIN");
    shop.log_in().await;
    let nobody = event_schemas::AccountId(uuid::Uuid::now_v7());
    assert_eq!(refusal(shop.accounts.remove(nobody, &staff()).await), "ACCOUNT_NOT_FOUND");
}

#[tokio::test]
async fn a_removal_that_the_log_does_not_take_is_finished_after_the_next_start() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let session = shop.log_in().await;
    shop.log.doom([Fate::NotWritten]);
    is_unavailable(shop.accounts.remove(ana, &stranger()).await);
    let node = shop.another().await;
    assert!(node.is_refused(&session.access_token).await, "nobody is let in meanwhile");
    assert_eq!(node.accounts.recover().await.unwrap(), 1);
    assert_eq!(node.events().await.pop().unwrap(), "Removed");
    assert!(node.accounts.profile(ana).await.unwrap().is_none());
    node.ana().await;
}
