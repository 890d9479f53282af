//! The flows of accounts over HTTP: registering, logging in, second factors, devices, forgotten passwords, the first admin.

use std::time::Duration;

use serde_json::{Value, json};
use totp_rs::TOTP;

use crate::{
    people::{PASSWORD, Person, SIGNED_IN, one_input, refusal},
    server::{Server, code},
};

const ME: &str = "{ me { actor role roles account { id email displayName verified secondFactor recoveryCodesLeft \
                  sessions { id current deviceLabel } } } }";

/// The code of an authenticator app, some seconds from now.
fn totp(uri: &Value, later: u64) -> String {
    let app = TOTP::from_url(uri.as_str().unwrap()).unwrap();
    app.generate(u64::try_from(chrono::Utc::now().timestamp()).unwrap() + later)
}

/// What a refresh token is answered with.
async fn refreshed(server: &Server, refresh: &str) -> Value {
    server.mutate_of("tokenRefresh", "TokenRefreshInput", SIGNED_IN, json!({ "refreshToken": refresh })).await
}

/// Waits until an access token is refused: a node may take its word for a second.
async fn refused(server: &Server, person: &Person) {
    for _ in 0..600 {
        if code(&server.ask_as(person, "{ me { role } }", json!({})).await) == "UNAUTHENTICATED" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the token still holds");
}

#[tokio::test]
async fn an_account_comes_to_be_by_mail_and_knows_itself() {
    let server = Server::start().await;
    let ana = server.person("Ana@Example.com").await;
    let me = server.ask_as(&ana, ME, json!({})).await["data"]["me"].clone();
    let account = &me["account"];
    assert_eq!((&account["email"], &account["displayName"]), (&json!("Ana@Example.com"), &json!("Ana")));
    assert_eq!((&account["verified"], &me["role"], &me["roles"]), (&json!(true), &json!("CUSTOMER"), &json!(["customer"])));
    assert_eq!((&account["id"], &account["sessions"][0]["current"]), (&json!(ana.id), &json!(true)));
    assert!(me["actor"].as_str().unwrap().starts_with("customer:"), "{me}");
    // The log has nothing personal of it.
    let events = server.run(Some(api::access::Role::Auditor), "{ log { head } }", json!({})).await;
    assert!(events["data"]["log"]["head"].as_u64().unwrap() >= 2);
    let log = std::fs::read(server.folder.path().join("events.db")).unwrap();
    let text = String::from_utf8_lossy(&log).to_lowercase();
    assert!(!text.contains("ana@example.com") && !text.contains("teapots"));
}

#[tokio::test]
async fn a_stranger_is_not_told_which_addresses_have_an_account() {
    let server = Server::start().await;
    server.registered("ana@example.com").await;
    let (known, unknown) = ("ana@example.com", "eve@example.com");
    for (mutation, kind) in [
        ("accountRegister", "AccountRegisterInput"),
        ("passwordResetRequest", "EmailInput"),
        ("accountVerificationResend", "EmailInput"),
    ] {
        let ask = async |email: &str| {
            let mut input = json!({ "email": email });
            if mutation == "accountRegister" {
                input["password"] = json!(PASSWORD);
            }
            let mut payload = server.mutate_of(mutation, kind, "accepted", input).await;
            payload["position"] = json!(null);
            payload
        };
        assert_eq!(ask(known).await, ask(unknown).await, "{mutation}");
    }
    let wrong = server.login(known, "not the password").await;
    let nobody = server.login("nobody@example.com", "not the password").await;
    assert_eq!((refusal(&wrong), &wrong["userErrors"]), ("CREDENTIALS_INVALID", &nobody["userErrors"]));
    // A second registration does not change whose account it is.
    assert!(server.mailed(known, "verify").await.len() > 10);
    assert_eq!(refusal(&server.login(known, PASSWORD).await), "none");
}

#[tokio::test]
async fn passwords_are_long_and_not_the_first_that_are_tried() {
    let server = Server::start().await;
    for (password, expected) in
        [("short", "PASSWORD_TOO_SHORT"), ("ana@example.com", "PASSWORD_TOO_COMMON"), (&"x".repeat(129), "PASSWORD_TOO_LONG")]
    {
        let input = json!({ "email": "ana@example.com", "password": password });
        let refused = server.mutate_of("accountRegister", "AccountRegisterInput", "accepted", input).await;
        assert_eq!((refusal(&refused), &refused["userErrors"][0]["field"]), (expected, &json!(["password"])), "{password}");
    }
    let input = json!({ "email": "not an address", "password": PASSWORD });
    let refused = server.mutate_of("accountRegister", "AccountRegisterInput", "accepted", input).await;
    assert_eq!(refusal(&refused), "EMAIL_INVALID");
}

#[tokio::test]
async fn the_first_admin_is_made_by_a_link_that_works_once() {
    let server = Server::start().await;
    let link = server.running.admin_link().await.unwrap().unwrap();
    let claim = link.split_once("/account#claim=").unwrap().1.to_owned();
    let admin = server.admin().await;
    let me = server.ask_as(&admin, ME, json!({})).await["data"]["me"].clone();
    assert_eq!((&me["role"], &me["account"]["verified"]), (&json!("ADMIN"), &json!(true)));
    assert_eq!(server.running.admin_link().await.unwrap(), None);
    let again = json!({ "code": claim, "email": "eve@example.com", "password": PASSWORD });
    let refused = server.mutate_of("adminClaim", "AdminClaimInput", "accountId", again).await;
    assert!(["CODE_INVALID", "ADMIN_EXISTS"].contains(&refusal(&refused)), "{refused}");
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_second_use_ends_the_session() {
    let server = Server::start().await;
    let ana = server.person("ana@example.com").await;
    let next = refreshed(&server, &ana.refresh).await;
    let ana_again = Person::of(&next["signedIn"], "ana@example.com");
    assert!(!ana_again.refresh.is_empty() && ana_again.refresh != ana.refresh);
    assert_eq!(refusal(&refreshed(&server, &ana.refresh).await), "SESSION_ENDED");
    assert_eq!(refusal(&refreshed(&server, &ana_again.refresh).await), "SESSION_ENDED", "the thief's is gone too");
    refused(&server, &ana_again).await;
}

#[tokio::test]
async fn five_failed_logins_lock_strangers_out_and_not_a_device_that_is_known() {
    let server = Server::start().await;
    let ana = server.person("ana@example.com").await;
    for _ in 0..5 {
        assert_eq!(refusal(&server.login("ana@example.com", "not the password").await), "CREDENTIALS_INVALID");
    }
    assert_eq!(refusal(&server.login("ana@example.com", PASSWORD).await), "LOGIN_LOCKED");
    let known = json!({ "email": "ana@example.com", "password": PASSWORD, "deviceToken": ana.device });
    let answer = server.mutate_of("login", "LoginInput", SIGNED_IN, known).await;
    assert_eq!(refusal(&answer), "none", "{answer}");
}

#[tokio::test]
async fn a_second_factor_is_added_asked_for_and_taken_away() {
    let server = Server::start().await;
    let ana = server.person("ana@example.com").await;
    let begin = "mutation { secondFactorBegin { setup { token uri qrSvg } userErrors { code } } }";
    let setup = server.ask_as(&ana, begin, json!({})).await["data"]["secondFactorBegin"]["setup"].clone();
    assert!(setup["qrSvg"].as_str().unwrap().contains("<svg"));
    let confirm = async |code: String| {
        let input = json!({ "token": setup["token"], "code": code });
        server.mutate_as(&ana, "secondFactorConfirm", "SecondFactorConfirmInput", "recoveryCodes", input).await
    };
    assert_eq!(refusal(&confirm("000000".to_owned()).await), "SECOND_FACTOR_INVALID");
    let codes = confirm(totp(&setup["uri"], 0)).await["recoveryCodes"].clone();
    assert_eq!(codes.as_array().unwrap().len(), 10, "{codes}");

    let factor = async |code: &str| {
        let asked = server.login("ana@example.com", PASSWORD).await;
        assert_eq!(asked["signedIn"], json!(null));
        let input = json!({ "challenge": asked["challenge"]["challenge"], "code": code });
        server.mutate_of("loginSecondFactor", "LoginSecondFactorInput", SIGNED_IN, input).await
    };
    let next = totp(&setup["uri"], 30);
    assert_eq!(refusal(&factor(&next).await), "none");
    assert_eq!(refusal(&factor(&next).await), "SECOND_FACTOR_INVALID", "each code works once");
    let code = codes[0].as_str().unwrap();
    assert_eq!(refusal(&factor(code).await), "none");
    assert_eq!(refusal(&factor(code).await), "SECOND_FACTOR_INVALID", "recovery codes too");

    let remove = "mutation { secondFactorRemove { account { secondFactor } userErrors { code } } }";
    let removed = server.ask_as(&ana, remove, json!({})).await["data"]["secondFactorRemove"].clone();
    assert_eq!(removed, json!({ "account": { "secondFactor": false }, "userErrors": [] }));
    assert!(server.login("ana@example.com", PASSWORD).await["signedIn"]["accessToken"].is_string());
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_mail_once_and_ends_every_session() {
    let server = Server::start().await;
    let ana = server.person("ana@example.com").await;
    server.mutate_of("passwordResetRequest", "EmailInput", "accepted", json!({ "email": "ana@example.com" })).await;
    let mailed = server.mailed("ana@example.com", "reset").await;
    let reset = async |password: &str| {
        let input = json!({ "code": mailed, "newPassword": password });
        server.mutate_of("passwordReset", "PasswordResetInput", "changed", input).await
    };
    assert_eq!(reset("another seven teapots").await["changed"], json!(true));
    assert_eq!(refusal(&reset("yet another password").await), "CODE_INVALID");
    refused(&server, &ana).await;
    assert_eq!(refusal(&refreshed(&server, &ana.refresh).await), "SESSION_ENDED");
    assert_eq!(refusal(&server.login("ana@example.com", PASSWORD).await), "CREDENTIALS_INVALID");
    assert_eq!(refusal(&server.login("ana@example.com", "another seven teapots").await), "none");
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it_and_only_the_device_that_did_it_stays_in() {
    let server = Server::start().await;
    let ana = server.person("ana@example.com").await;
    let elsewhere = server.logged_in("ana@example.com").await;
    let change = async |current: &str| {
        let input = json!({ "currentPassword": current, "newPassword": "another seven teapots" });
        server.mutate_as(&ana, "passwordChange", "PasswordChangeInput", SIGNED_IN, input).await
    };
    assert_eq!(refusal(&change("not the password").await), "PASSWORD_WRONG");
    let changed = change(PASSWORD).await;
    let here = Person::of(&changed["signedIn"], "ana@example.com");
    refused(&server, &elsewhere).await;
    let me = server.ask_as(&here, ME, json!({})).await["data"]["me"].clone();
    assert_eq!(me["account"]["sessions"].as_array().unwrap().len(), 1, "{me}");
}

#[tokio::test]
async fn devices_are_listed_and_each_can_be_logged_out_from_another() {
    let server = Server::start().await;
    let (ana, eve) = (server.person("ana@example.com").await, server.person("eve@example.com").await);
    let phone = server.logged_in("ana@example.com").await;
    let sessions = server.ask_as(&ana, ME, json!({})).await["data"]["me"]["account"]["sessions"].clone();
    let others: Vec<&Value> = sessions.as_array().unwrap().iter().filter(|session| session["current"] == json!(false)).collect();
    assert_eq!((sessions.as_array().unwrap().len(), others.len()), (2, 1));
    let end = json!({ "sessionId": others[0]["id"] });
    let by_eve = server.mutate_as(&eve, "sessionEnd", "SessionEndInput", "account { id }", end.clone()).await;
    assert_eq!(refusal(&by_eve), "SESSION_NOT_FOUND");
    let named = json!({ "sessionId": others[0]["id"], "accountId": ana.id });
    let by_eve = server.mutate_as(&eve, "sessionEnd", "SessionEndInput", "account { id }", named).await;
    assert_eq!(refusal(&by_eve), "ACCOUNT_NOT_FOUND");
    let ended = server.mutate_as(&ana, "sessionEnd", "SessionEndInput", "account { sessions { id } }", end).await;
    assert_eq!(ended["account"]["sessions"].as_array().unwrap().len(), 1, "{ended}");
    refused(&server, &phone).await;
    server.mutate_as(&ana, "sessionsEndAll", "SessionsEndAllInput", "account { id }", json!({})).await;
    refused(&server, &ana).await;
}

#[tokio::test]
async fn what_needs_an_account_is_refused_to_who_has_none() {
    let server = Server::start().await;
    let query = "mutation { logout { userErrors { code } } }";
    assert_eq!(code(&server.ask(query).await), "UNAUTHENTICATED");
    assert_eq!(code(&server.run(Some(api::access::Role::Admin), query, json!({})).await), "FORBIDDEN");
    let end = one_input("sessionsEndAll", "SessionsEndAllInput", "account { id }");
    assert_eq!(code(&server.run(None, &end, json!({ "i": {} })).await), "UNAUTHENTICATED");
}

#[tokio::test]
async fn tokens_that_were_tampered_with_are_refused() {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
    let server = Server::start().await;
    let ana = server.person("ana@example.com").await;
    let [header, payload, signature] = ana.access.splitn(3, '.').collect::<Vec<_>>().try_into().unwrap();
    let encode = |value: Value| BASE64.encode(value.to_string());
    let mut claims: Value = serde_json::from_slice(&BASE64.decode(payload).unwrap()).unwrap();
    claims["role"] = json!("admin");
    let none = encode(json!({ "alg": "none", "typ": "at+jwt" }));
    let hmac = encode(json!({ "alg": "HS256", "typ": "at+jwt", "jku": "https://evil.example/jwks.json" }));
    for token in [
        format!("{header}.{}.{signature}", encode(claims.clone())),
        format!("{none}.{payload}."),
        format!("{none}.{}.{signature}", encode(claims.clone())),
        format!("{hmac}.{payload}.{signature}"),
        format!("{header}.{payload}."),
        ana.refresh.clone(),
        "dbk_0197a3f0-7c1e-7000-8000-000000000001_AAAA".to_owned(),
    ] {
        let forged = Person { access: token, ..Person::of(&json!({}), "eve@example.com") };
        assert_eq!(code(&server.ask_as(&forged, "{ me { role } }", json!({})).await), "UNAUTHENTICATED", "{}", forged.access);
    }
}
