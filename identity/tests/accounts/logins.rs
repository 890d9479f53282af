//! Logins with a password.

use chrono::TimeDelta;
use identity::{Hashing, IdentityError, Login};

use crate::shop::{EMAIL, PASSWORD, QUICK, Shop, refusal, signed_in, staff, stranger};

#[tokio::test]
async fn one_logs_in_with_the_address_in_any_case_and_with_the_password_only() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let login = |email: &str, password: &str| Login { email: email.to_owned(), password: password.to_owned() };
    let answer = shop.accounts.login(login(" ana@EXAMPLE.com ", PASSWORD), &stranger()).await.unwrap();
    assert_eq!(signed_in(answer).account_id, ana);
    let upper = PASSWORD.to_uppercase();
    for (email, password) in [(EMAIL, "a wrong password"), (EMAIL, ""), (EMAIL, upper.as_str()), ("ben@example.com", PASSWORD)] {
        let refused = shop.accounts.login(login(email, password), &stranger()).await;
        assert_eq!(refusal(refused), "CREDENTIALS_INVALID", "{email} {password}");
    }
    assert_eq!(shop.failed(), [Some(ana), Some(ana), Some(ana), None]);
    let endless = shop.accounts.login(login(EMAIL, &"x".repeat(1 << 20)), &stranger()).await;
    assert_eq!(refusal(endless), "CREDENTIALS_INVALID");
}

#[tokio::test]
async fn a_known_device_is_known_again_and_gets_no_second_token() {
    let shop = Shop::open().await;
    shop.ana().await;
    let first = shop.log_in().await;
    let origin = crate::shop::with_device("198.51.100.7", &first);
    let second = signed_in(shop.try_login(PASSWORD, &origin).await.unwrap());
    assert_eq!(second.device_token, None);
    assert!(shop.log_in().await.device_token.is_some_and(|other| Some(other) != first.device_token));
}

#[tokio::test]
async fn a_disabled_account_is_told_so_only_to_who_knows_the_password() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    shop.accounts.disable(ana, Some("fraud".to_owned()), &staff()).await.unwrap();
    assert_eq!(refusal(shop.try_login("a wrong password", &stranger()).await), "CREDENTIALS_INVALID");
    assert_eq!(refusal(shop.try_login(PASSWORD, &stranger()).await), "ACCOUNT_DISABLED");
    shop.accounts.enable(ana, &staff()).await.unwrap();
    shop.log_in().await;
}

#[tokio::test]
async fn a_password_is_hashed_anew_at_the_login_after_the_parameters_changed() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let name = format!("account/{}", ana.0.simple());
    let hash = async || {
        let entry = shop.vault.get::<serde_json::Value>(&name).await.unwrap().unwrap();
        entry.value["password"].as_str().unwrap().to_owned()
    };
    assert!(hash().await.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
    let stronger = shop.another_with(Hashing { memory_kib: 128, passes: 2, ..QUICK }).await;
    assert_eq!(refusal(stronger.try_login("a wrong password", &stranger()).await), "CREDENTIALS_INVALID");
    assert!(hash().await.contains("m=64"));
    stronger.log_in().await;
    let rehashed = hash().await;
    assert!(rehashed.starts_with("$argon2id$v=19$m=128,t=2,p=1$"), "{rehashed}");
    stronger.log_in().await;
    assert_eq!(hash().await, rehashed);
}

#[tokio::test]
async fn a_password_holds_until_it_is_changed_however_old_it_is() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    shop.later(TimeDelta::days(10 * 365));
    let signed_in = shop.log_in().await;
    assert_eq!(signed_in.account_id, ana);
    assert!(shop.authenticate(&signed_in.access_token).await.is_ok(), "and what it opened holds");
}

#[tokio::test]
async fn more_logins_than_can_wait_are_turned_away_and_not_counted_as_failures() {
    let shop = Shop::open_with(Hashing { workers: 1, waiting: 0, memory_kib: 1 << 15, passes: 2, lanes: 1 }, None).await;
    let login = |n: usize| {
        let (accounts, origin) = (shop.accounts.clone(), stranger());
        let login = Login { email: format!("nobody-{n}@example.com"), password: PASSWORD.to_owned() };
        tokio::spawn(async move { accounts.login(login, &origin).await })
    };
    let logins: Vec<_> = (0..40).map(login).collect();
    let mut turned_away = 0;
    for login in logins {
        match login.await.unwrap() {
            Err(IdentityError::Overloaded { retry_after }) => {
                assert!(!retry_after.is_zero());
                turned_away += 1;
            }
            other => assert_eq!(refusal(other), "CREDENTIALS_INVALID"),
        }
    }
    assert!(turned_away > 0, "40 logins at once with one place");
    assert_eq!(shop.failed().len(), 40 - turned_away);
}
