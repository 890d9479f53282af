//! Sessions and their tokens.

use chrono::TimeDelta;
use event_schemas::{CommerceEvent, SessionEndReason};
use futures::future::join_all;
use uuid::Uuid;

use crate::shop::{PASSWORD, Shop, counted, refusal, signed_in, staff, stranger, who};

/// Why sessions ended, and which, in order.
async fn ends(shop: &Shop) -> Vec<(SessionEndReason, Vec<Uuid>)> {
    let mut ends = Vec::new();
    for event in shop.log.all().await.iter().flat_map(|recorded| recorded.decode().unwrap()) {
        if let CommerceEvent::Account(event_schemas::AccountEvent::AccountSessionsEnded(ended)) = event {
            ends.push((ended.reason, ended.session_ids));
        }
    }
    ends
}

#[tokio::test]
async fn a_session_goes_on_by_refreshing_for_7_days_at_a_time_and_30_in_all() {
    let shop = Shop::open().await;
    shop.ana().await;
    let mut session = shop.log_in().await;
    assert_eq!(session.access_expires_at.timestamp(), (engine::Clock::now(&*shop.clock) + TimeDelta::minutes(15)).timestamp());
    let id = session.session_id;
    for _ in 0..4 {
        shop.later(TimeDelta::days(6) + TimeDelta::hours(23));
        assert!(shop.authenticate(&session.access_token).await.is_err());
        session = shop.accounts.refresh(&session.refresh_token, &stranger()).await.unwrap();
        assert_eq!(session.session_id, id);
        assert_eq!(shop.roles(&session.access_token).await, ["customer"]);
    }
    shop.later(TimeDelta::days(3));
    assert_eq!(refusal(shop.accounts.refresh(&session.refresh_token, &stranger()).await), "SESSION_ENDED");

    let session = shop.log_in().await;
    shop.later(TimeDelta::days(7));
    assert_eq!(refusal(shop.accounts.refresh(&session.refresh_token, &stranger()).await), "SESSION_ENDED");
    assert!(ends(&shop).await.is_empty(), "the end of its time is no event");
}

#[tokio::test]
async fn a_refresh_token_that_comes_twice_ends_the_family_on_all_nodes() {
    let shop = Shop::open().await;
    shop.ana().await;
    let (stolen, other) = (shop.log_in().await, shop.log_in().await);
    let thief = shop.accounts.refresh(&stolen.refresh_token, &stranger()).await.unwrap();
    let node = shop.another().await;
    assert_eq!(refusal(node.accounts.refresh(&stolen.refresh_token, &stranger()).await), "SESSION_ENDED");
    assert_eq!(refusal(shop.accounts.refresh(&thief.refresh_token, &stranger()).await), "SESSION_ENDED");
    shop.later(TimeDelta::seconds(1));
    assert!(shop.is_refused(&thief.access_token).await && shop.is_refused(&stolen.access_token).await);
    assert_eq!(ends(&shop).await, [(SessionEndReason::TokenReused, vec![stolen.session_id])]);
    assert_eq!(node.mails().await.pop().unwrap().subject, "Your account at Tea & Co was changed");
    assert_eq!(shop.roles(&other.access_token).await, ["customer"]);
}

#[tokio::test]
async fn of_many_refreshes_at_once_with_a_token_at_most_one_is_answered() {
    let shop = Shop::open().await;
    shop.ana().await;
    let session = shop.log_in().await;
    let origin = stranger();
    let answers = join_all((0..16).map(|_| shop.accounts.refresh(&session.refresh_token, &origin))).await;
    assert!(answers.iter().filter(|answer| answer.is_ok()).count() <= 1);
    assert!(shop.is_refused(&session.access_token).await);
}

#[tokio::test]
async fn a_made_up_refresh_token_ends_nothing() {
    let shop = Shop::open().await;
    shop.ana().await;
    let session = shop.log_in().await;
    let token = &session.refresh_token;
    let (body, fingerprint) = token.rsplit_once('_').unwrap();
    let mut parts: Vec<&str> = token.split('_').collect();
    parts[3] = "0";
    let other = shop.log_in().await.refresh_token;
    let swapped = format!("{body}_{}", other.rsplit_once('_').unwrap().1);
    for made_up in [parts.join("_"), swapped, format!("{body}_"), fingerprint.to_owned(), String::new(), "dbr_".to_owned()] {
        assert_eq!(refusal(shop.accounts.refresh(&made_up, &stranger()).await), "SESSION_ENDED", "{made_up}");
    }
    assert!(ends(&shop).await.is_empty());
    shop.accounts.refresh(token, &stranger()).await.unwrap();
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_or_all() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let mut origin = stranger();
    origin.device_label = Some(format!("Firefox{}", "x".repeat(300)));
    let first = signed_in(shop.try_login(PASSWORD, &origin).await.unwrap());
    shop.later(TimeDelta::seconds(1));
    let (second, third) = (shop.log_in().await, shop.log_in().await);
    let listed = shop.accounts.sessions(ana).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[2].id, first.session_id);
    assert_eq!(listed[2].device_label.as_ref().unwrap().len(), 200);

    shop.accounts.logout(who(&first), &origin).await.unwrap();
    shop.accounts.logout(who(&first), &origin).await.unwrap();
    let ended = shop.accounts.end_session(ana, second.session_id, &staff()).await.unwrap();
    assert!(ended.position.is_some());
    assert!(shop.is_refused(&first.access_token).await && shop.is_refused(&second.access_token).await);
    assert_eq!(refusal(shop.accounts.end_session(ana, second.session_id, &staff()).await), "SESSION_NOT_FOUND");
    assert_eq!(shop.accounts.sessions(ana).await.unwrap().len(), 1);

    let fourth = shop.log_in().await;
    shop.accounts.end_all_sessions(ana, &staff()).await.unwrap();
    assert!(shop.is_refused(&third.access_token).await && shop.is_refused(&fourth.access_token).await);
    assert_eq!(refusal(shop.accounts.refresh(&third.refresh_token, &stranger()).await), "SESSION_ENDED");
    let ended = ends(&shop).await;
    let reasons: Vec<SessionEndReason> = ended.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(reasons, [SessionEndReason::Logout, SessionEndReason::Revoked, SessionEndReason::Revoked]);
    assert_eq!(counted(ended[2].1.clone()), counted([third.session_id, fourth.session_id]));
    assert!(shop.accounts.sessions(ana).await.unwrap().is_empty());
    shop.log_in().await;
}

#[tokio::test]
async fn nobody_ends_or_sees_the_session_of_another() {
    let shop = Shop::open().await;
    shop.ana().await;
    let session = shop.log_in().await;
    let ben = shop.account("ben@example.com").await;
    assert_eq!(refusal(shop.accounts.end_session(ben, session.session_id, &stranger()).await), "SESSION_NOT_FOUND");
    assert!(shop.accounts.sessions(ben).await.unwrap().is_empty());
    assert_eq!(shop.roles(&session.access_token).await, ["customer"]);
}

#[tokio::test]
async fn the_oldest_of_too_many_sessions_makes_room() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let mut sessions = Vec::new();
    for _ in 0..21 {
        sessions.push(shop.log_in().await);
        shop.later(TimeDelta::milliseconds(1));
    }
    assert_eq!(shop.accounts.sessions(ana).await.unwrap().len(), 20);
    assert!(shop.is_refused(&sessions[0].access_token).await);
    assert_eq!(shop.roles(&sessions[1].access_token).await, ["customer"]);
    assert_eq!(ends(&shop).await, [(SessionEndReason::TooMany, vec![sessions[0].session_id])]);
}

#[tokio::test]
async fn what_is_ended_on_one_node_is_over_on_another_within_a_second() {
    let shop = Shop::open().await;
    let ana = shop.ana().await;
    let session = shop.log_in().await;
    let other = shop.another().await;
    assert_eq!(other.roles(&session.access_token).await, ["customer"]);
    shop.accounts.end_all_sessions(ana, &stranger()).await.unwrap();
    assert!(shop.is_refused(&session.access_token).await);
    shop.later(TimeDelta::seconds(1));
    assert!(other.is_refused(&session.access_token).await);
}
