//! Lockout: how often may be guessed, and by whom.

use chrono::TimeDelta;
use futures::future::join_all;

use crate::shop::{PASSWORD, Shop, counted, from, refusal, signed_in, stranger, with_device};

const WRONG: &str = "a wrong password";

#[tokio::test]
async fn five_failures_lock_an_account_for_an_address_and_not_for_others() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let known = shop.events().await.len();
    for _ in 0..5 {
        assert_eq!(refusal(shop.try_login(WRONG, &stranger()).await), "CREDENTIALS_INVALID");
    }
    assert_eq!(refusal(shop.try_login(PASSWORD, &stranger()).await), "LOGIN_LOCKED");
    shop.accounts.settle().await;
    assert!(shop.events_since(known).await.is_empty(), "the log tells that there is such an account");
    assert_eq!(shop.failed(), vec![Some(ana); 6]);

    signed_in(shop.try_login(PASSWORD, &from("198.51.100.7")).await.unwrap());
    // Another node knows of it too.
    let other = shop.another().await;
    assert_eq!(refusal(other.try_login(PASSWORD, &stranger()).await), "LOGIN_LOCKED");
    shop.later(TimeDelta::minutes(15));
    signed_in(shop.try_login(PASSWORD, &stranger()).await.unwrap());
}

#[tokio::test]
async fn an_unknown_address_is_locked_like_a_known_one() {
    let shop = Shop::open().await;
    let mut codes = Vec::new();
    for _ in 0..6 {
        codes.push(refusal(shop.try_login(WRONG, &stranger()).await));
    }
    assert_eq!(counted(codes), counted([["CREDENTIALS_INVALID"; 5].as_slice(), &["LOGIN_LOCKED"]].concat()));
    shop.accounts.settle().await;
    assert!(shop.log.all().await.is_empty(), "there is no account that could be locked");
}

#[tokio::test]
async fn a_success_forgets_the_failures_before_it() {
    let shop = Shop::open().await;
    shop.ana().await;
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(refusal(shop.try_login(WRONG, &stranger()).await), "CREDENTIALS_INVALID");
        }
        shop.log_in().await;
    }
}

#[tokio::test]
async fn guesses_at_the_same_time_are_counted_one_by_one() {
    let shop = Shop::open().await;
    shop.ana().await;
    let origin = stranger();
    let codes = join_all((0..24).map(|_| async { refusal(shop.try_login(WRONG, &origin).await) })).await;
    assert_eq!(counted(codes)["CREDENTIALS_INVALID"], 5);
}

#[tokio::test]
async fn a_stranger_with_many_addresses_locks_out_strangers_but_not_the_owners_device() {
    let shop = Shop::open().await;
    shop.ana().await;
    let owner = shop.log_in().await;
    let known = shop.events().await.len();
    for n in 1..=50 {
        assert_eq!(refusal(shop.try_login(WRONG, &from(&format!("203.0.113.{n}"))).await), "CREDENTIALS_INVALID");
    }
    for address in ["203.0.113.200", "192.0.2.1", "2001:db8::1"] {
        assert_eq!(refusal(shop.try_login(PASSWORD, &from(address)).await), "LOGIN_LOCKED", "{address}");
    }
    shop.accounts.settle().await;
    assert!(shop.events_since(known).await.is_empty());
    // Also from an address that is locked: the owner sits behind the same router.
    for _ in 0..5 {
        assert_eq!(refusal(shop.try_login(WRONG, &from("192.0.2.99")).await), "LOGIN_LOCKED");
    }
    signed_in(shop.try_login(PASSWORD, &with_device("192.0.2.99", &owner)).await.unwrap());
    // Who has stolen the device cannot guess for ever either.
    for _ in 0..5 {
        let refused = shop.try_login(WRONG, &with_device("192.0.2.99", &owner)).await;
        assert_eq!(refusal(refused), "CREDENTIALS_INVALID");
    }
    assert_eq!(refusal(shop.try_login(PASSWORD, &with_device("192.0.2.1", &owner)).await), "LOGIN_LOCKED");
    shop.later(TimeDelta::minutes(61));
    shop.log_in().await;
}

#[tokio::test]
async fn a_made_up_device_is_no_known_one() {
    let shop = Shop::open().await;
    shop.ana().await;
    let mut origin = stranger();
    for n in 0..5 {
        origin.device_token = Some(format!("dbd_{n}"));
        assert_eq!(refusal(shop.try_login(WRONG, &origin).await), "CREDENTIALS_INVALID");
    }
    assert_eq!(refusal(shop.try_login(PASSWORD, &origin).await), "LOGIN_LOCKED");
}
