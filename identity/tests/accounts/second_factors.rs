//! The second factor.

use chrono::TimeDelta;
use engine::Clock as _;
use futures::future::join_all;
use identity::{IdentityError, LoginAnswer, SecondFactorLogin, SignedIn};
use totp_rs::{Algorithm, Secret, TOTP};

use crate::shop::{EMAIL, PASSWORD, Shop, counted, from, refusal, stranger, who};

/// The authenticator app.
struct App(TOTP);

impl App {
    fn new(secret: &str) -> Self {
        let secret = Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
        Self(TOTP::new_unchecked(Algorithm::SHA1, 6, 0, 30, secret, None, String::new()))
    }

    fn code(&self, shop: &Shop) -> String {
        self.0.generate(shop.clock.now().timestamp() as u64)
    }
}

/// Ana with a second factor: her app and her recovery codes.
async fn protected(shop: &Shop) -> (App, Vec<String>) {
    shop.ana().await;
    let session = shop.log_in().await;
    let begun = shop.accounts.second_factor_begin(who(&session)).await.unwrap();
    assert!(begun.uri.starts_with("otpauth://totp/") && begun.qr_svg.contains("<svg"));
    let app = App::new(&begun.secret);
    let shown = shop.accounts.second_factor_confirm(who(&session), &begun.token, &app.code(shop), &stranger()).await.unwrap();
    assert_eq!(shown.codes.len(), 10);
    shop.later(TimeDelta::seconds(30));
    (app, shown.codes)
}

async fn challenge(shop: &Shop) -> String {
    match shop.try_login(PASSWORD, &stranger()).await.unwrap() {
        LoginAnswer::SecondFactor(challenge) => challenge.challenge,
        LoginAnswer::SignedIn(_) => panic!("no second factor is asked for"),
    }
}

async fn answer(shop: &Shop, challenge: &str, code: &str) -> Result<SignedIn, IdentityError> {
    let login = SecondFactorLogin { challenge: challenge.to_owned(), code: code.to_owned() };
    shop.accounts.login_second_factor(login, &stranger()).await
}

#[tokio::test]
async fn a_login_takes_a_code_of_the_app_too_and_each_code_once() {
    let shop = Shop::open().await;
    let (app, _) = protected(&shop).await;
    assert!(shop.events().await.contains(&"SecondFactorAdded".to_owned()));
    let first = challenge(&shop).await;
    let code = app.code(&shop);
    let signed_in = answer(&shop, &first, &code).await.unwrap();
    assert_eq!(shop.roles(&signed_in.access_token).await, ["customer"]);
    assert_eq!(refusal(answer(&shop, &first, &code).await), "CHALLENGE_INVALID");
    let second = challenge(&shop).await;
    assert_eq!(refusal(answer(&shop, &second, &code).await), "SECOND_FACTOR_INVALID");
    shop.later(TimeDelta::seconds(30));
    answer(&shop, &second, &app.code(&shop)).await.unwrap();
}

#[tokio::test]
async fn of_many_logins_at_once_with_a_code_one_gets_in() {
    let shop = Shop::open().await;
    let (app, recovery) = protected(&shop).await;
    for code in [app.code(&shop), recovery[0].clone()] {
        let mut challenges = Vec::new();
        for _ in 0..3 {
            challenges.push(challenge(&shop).await);
        }
        let answers = join_all(challenges.iter().map(|challenge| answer(&shop, challenge, &code))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        shop.later(TimeDelta::minutes(20));
    }
    let one = challenge(&shop).await;
    let codes = &recovery[1..5];
    let answers = join_all(codes.iter().map(|code| answer(&shop, &one, code))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "a challenge works once");
}

#[tokio::test]
async fn a_recovery_code_works_once_and_new_ones_replace_the_old() {
    let shop = Shop::open().await;
    let (_, codes) = protected(&shop).await;
    let session = answer(&shop, &challenge(&shop).await, &codes[0].to_uppercase()).await.unwrap();
    assert_eq!(refusal(answer(&shop, &challenge(&shop).await, &codes[0]).await), "SECOND_FACTOR_INVALID");
    let profile = shop.accounts.profile(session.account_id).await.unwrap().unwrap();
    assert_eq!((profile.second_factor, profile.recovery_codes_left), (true, 9));
    let renewed = shop.accounts.recovery_codes_renew(who(&session), &stranger()).await.unwrap().codes;
    shop.later(TimeDelta::minutes(16));
    assert_eq!(refusal(answer(&shop, &challenge(&shop).await, &codes[1]).await), "SECOND_FACTOR_INVALID");
    answer(&shop, &challenge(&shop).await, &renewed[0]).await.unwrap();
}

#[tokio::test]
async fn who_has_the_password_cannot_guess_codes_for_ever() {
    let shop = Shop::open().await;
    let (app, _) = protected(&shop).await;
    for _ in 0..9 {
        challenge(&shop).await;
    }
    let first = challenge(&shop).await;
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(refusal(answer(&shop, &first, "000000").await));
    }
    // A right password is no guess, and takes none off.
    assert_eq!(counted(codes)["SECOND_FACTOR_INVALID"], 5);
    assert_eq!(refusal(answer(&shop, &first, &app.code(&shop)).await), "LOGIN_LOCKED");
    assert_eq!(refusal(shop.try_login(PASSWORD, &stranger()).await), "LOGIN_LOCKED");
    let elsewhere = shop.try_login(PASSWORD, &from("198.51.100.7")).await.unwrap();
    assert!(matches!(elsewhere, LoginAnswer::SecondFactor(_)));
}

#[tokio::test]
async fn a_challenge_ends_and_does_not_outlive_the_password() {
    let shop = Shop::open().await;
    let (app, _) = protected(&shop).await;
    let old = challenge(&shop).await;
    shop.later(TimeDelta::minutes(5));
    assert_eq!(refusal(answer(&shop, &old, &app.code(&shop)).await), "CHALLENGE_INVALID");
    let of_old_password = challenge(&shop).await;
    shop.accounts.request_reset(EMAIL, &stranger()).await.unwrap();
    let code = shop.code("reset").await;
    let reset = identity::PasswordReset { code, new: "a new password of mine".to_owned() };
    shop.accounts.reset_password(reset, &stranger()).await.unwrap();
    assert_eq!(refusal(answer(&shop, &of_old_password, &app.code(&shop)).await), "CHALLENGE_INVALID");
    let answer = shop.try_login("a new password of mine", &stranger()).await.unwrap();
    assert!(matches!(answer, LoginAnswer::SecondFactor(_)), "a reset does not remove the second factor");
}

#[tokio::test]
async fn it_is_changed_by_who_logged_in_a_short_while_ago_only() {
    let shop = Shop::open().await;
    shop.ana().await;
    let session = shop.log_in().await;
    let begun = shop.accounts.second_factor_begin(who(&session)).await.unwrap();
    let app = App::new(&begun.secret);
    let confirm = async |session: &SignedIn, code: &str| {
        shop.accounts.second_factor_confirm(who(session), &begun.token, code, &stranger()).await
    };
    assert_eq!(refusal(confirm(&session, "000000").await), "SECOND_FACTOR_INVALID");
    let other = shop.log_in().await;
    assert_eq!(refusal(confirm(&other, &app.code(&shop)).await), "CHALLENGE_INVALID");
    confirm(&session, &app.code(&shop)).await.unwrap();
    assert_eq!(refusal(confirm(&session, &app.code(&shop)).await), "CHALLENGE_INVALID");
    assert_eq!(refusal(shop.accounts.second_factor_begin(who(&session)).await), "SECOND_FACTOR_ON");

    shop.later(TimeDelta::minutes(16));
    assert_eq!(refusal(shop.accounts.second_factor_remove(who(&session), &stranger()).await), "LOGIN_TOO_OLD");
    assert_eq!(refusal(shop.accounts.recovery_codes_renew(who(&session), &stranger()).await), "LOGIN_TOO_OLD");
    let session = answer(&shop, &challenge(&shop).await, &app.code(&shop)).await.unwrap();
    let known = shop.events().await.len();
    shop.accounts.second_factor_remove(who(&session), &stranger()).await.unwrap();
    assert_eq!(shop.events_since(known).await, ["SecondFactorRemoved"]);
    assert_eq!(refusal(shop.accounts.second_factor_remove(who(&session), &stranger()).await), "SECOND_FACTOR_OFF");
    shop.log_in().await;
}
