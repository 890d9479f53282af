//! Registration and verification.

use chrono::TimeDelta;

use crate::shop::{EMAIL, PASSWORD, Shop, counted, refusal, signed_in, stranger};

#[tokio::test]
async fn an_account_comes_to_be_when_the_mail_is_answered() {
    let shop = Shop::open().await;
    shop.register(EMAIL, PASSWORD).await.unwrap();
    assert!(shop.events().await.is_empty(), "a stranger made the log grow");
    assert_eq!(refusal(shop.try_login(PASSWORD, &stranger()).await), "CREDENTIALS_INVALID");

    let code = shop.code("verify").await;
    let verified = shop.accounts.verify_email(&code, PASSWORD, &stranger()).await.unwrap();
    assert_eq!(shop.events().await, ["Registered", "RoleGranted", "Verified"]);
    assert_eq!(verified.position, Some(3));
    let profile = shop.accounts.profile(verified.account_id).await.unwrap().unwrap();
    assert_eq!((profile.email.as_str(), profile.display_name.as_deref()), (EMAIL, Some("Ana")));

    let answer = signed_in(shop.try_login(PASSWORD, &stranger()).await.unwrap());
    assert_eq!(answer.account_id, verified.account_id);
    assert_eq!(shop.roles(&answer.access_token).await, ["customer"]);
    assert_eq!(refusal(shop.accounts.verify_email(&code, PASSWORD, &stranger()).await), "CODE_INVALID");
}

#[tokio::test]
async fn neither_the_log_nor_the_vault_shows_what_is_personal_or_secret() {
    let shop = Shop::open().await;
    shop.ana().await;
    let session = shop.log_in().await;
    let mut kept = shop.vault_bytes();
    for recorded in shop.log.all().await {
        kept.extend(format!("{recorded:?}").into_bytes());
    }
    let kept = String::from_utf8_lossy(&kept).to_lowercase();
    let device = session.device_token.as_deref().unwrap();
    for secret in ["ana@", "example.com", "\"ana\"", PASSWORD, "argon2id", &session.refresh_token, device, "192.0.2.1"] {
        assert!(!kept.contains(&secret.to_lowercase()), "{secret} is kept readable");
    }
}

#[tokio::test]
async fn a_known_address_is_answered_as_a_new_one_and_its_owner_is_told() {
    let shop = Shop::open().await;
    shop.ana().await;
    let before = shop.events().await;
    shop.register("ANA@EXAMPLE.COM", "another password").await.unwrap();
    let told = shop.mails().await.pop().unwrap();
    assert_eq!((told.to.as_str(), told.subject.as_str()), ("ANA@EXAMPLE.COM", "You have an account at Tea & Co"));
    assert!(!told.text.contains('#'), "a code was sent");
    assert_eq!(refusal(shop.try_login("another password", &stranger()).await), "CREDENTIALS_INVALID");
    assert_eq!(shop.events().await, before);

    shop.accounts.resend_verification(EMAIL, &stranger()).await.unwrap();
    shop.accounts.resend_verification("nobody@example.com", &stranger()).await.unwrap();
    assert_eq!(shop.mails().await.len(), 2, "nothing is to be verified");
}

#[tokio::test]
async fn of_two_registrations_with_an_address_the_one_whose_mail_is_answered_counts() {
    let shop = Shop::open().await;
    shop.register(EMAIL, PASSWORD).await.unwrap();
    let owners = shop.code("verify").await;
    shop.register(EMAIL, "what a thief would like").await.unwrap();
    let thiefs = shop.code("verify").await;
    // Who reads the mail does not open the thief's account by it, whichever mail it is.
    shop.accounts.resend_verification("ANA@EXAMPLE.COM", &stranger()).await.unwrap();
    let again = shop.mails().await.pop().unwrap();
    assert_eq!(again.to, EMAIL, "mailed to what the asker typed");
    let thiefs_again = shop.code("verify").await;
    let long = "x".repeat(1_000);
    for (code, password) in [(&thiefs, PASSWORD), (&thiefs_again, PASSWORD), (&owners, ""), (&owners, long.as_str())] {
        assert_eq!(refusal(shop.accounts.verify_email(code, password, &stranger()).await), "PASSWORD_WRONG");
    }
    shop.accounts.verify_email(&owners, PASSWORD, &stranger()).await.unwrap();
    let thief = shop.accounts.verify_email(&thiefs, "what a thief would like", &stranger()).await;
    assert_eq!(refusal(thief), "CODE_INVALID");
    assert_eq!(refusal(shop.try_login("what a thief would like", &stranger()).await), "CREDENTIALS_INVALID");
    shop.log_in().await;
}

#[tokio::test]
async fn a_mail_can_be_sent_again_and_a_code_ends() {
    let shop = Shop::open().await;
    shop.register(EMAIL, PASSWORD).await.unwrap();
    let first = shop.code("verify").await;
    shop.accounts.resend_verification("ana@example.com", &stranger()).await.unwrap();
    let second = shop.code("verify").await;
    assert_ne!(first, second);
    shop.later(TimeDelta::hours(24));
    for code in [&first, &second, "made up", ""] {
        assert_eq!(refusal(shop.accounts.verify_email(code, PASSWORD, &stranger()).await), "CODE_INVALID");
    }
    assert!(shop.events().await.is_empty());
}

#[tokio::test]
async fn either_code_of_a_registration_opens_the_same_account_also_at_the_same_time() {
    let shop = Shop::open().await;
    shop.register(EMAIL, PASSWORD).await.unwrap();
    let first = shop.code("verify").await;
    shop.accounts.resend_verification(EMAIL, &stranger()).await.unwrap();
    let second = shop.code("verify").await;
    let other = shop.another().await;
    let origin = stranger();
    let (one, two) = tokio::join!(
        shop.accounts.verify_email(&first, PASSWORD, &origin),
        other.accounts.verify_email(&second, PASSWORD, &origin),
    );
    assert_eq!(one.unwrap().account_id, two.unwrap().account_id);
    assert_eq!(counted(shop.events().await)["Registered"], 1);
    shop.log_in().await;
}

#[tokio::test]
async fn what_is_no_address_no_name_or_no_password_is_refused_by_its_field() {
    let shop = Shop::open().await;
    let cases = [
        ("ana", PASSWORD, "EMAIL_INVALID"),
        ("ana@example.com\nBcc: ben@example.com", PASSWORD, "EMAIL_INVALID"),
        (EMAIL, "too short", "PASSWORD_TOO_SHORT"),
        (EMAIL, "password1234", "PASSWORD_TOO_COMMON"),
        (EMAIL, "ANA@example.com", "PASSWORD_TOO_COMMON"),
    ];
    for (email, password, code) in cases {
        assert_eq!(refusal(shop.register(email, password).await), code);
    }
    assert_eq!(refusal(shop.register(EMAIL, &"x".repeat(129)).await), "PASSWORD_TOO_LONG");
    assert!(shop.mails().await.is_empty());
}

#[tokio::test]
async fn strangers_cannot_flood_a_mailbox() {
    let shop = Shop::open().await;
    for _ in 0..20 {
        shop.register(EMAIL, PASSWORD).await.unwrap();
    }
    assert_eq!(shop.mails().await.len(), 5);
    shop.later(TimeDelta::minutes(61));
    shop.register(EMAIL, PASSWORD).await.unwrap();
    assert_eq!(shop.mails().await.len(), 6);
}
