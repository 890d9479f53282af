//! Receivers that fail: order, tries, dead letters, pauses.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use chrono::TimeDelta;
use domain::WebhookCommand;
use event_schemas::{WebhookDeliveryFailed, WebhookEvent, WebhookPauseReason, WebhookPaused};
use webhooks::WebhookConfig;

use crate::{
    receiver::{Answer, Received, Receiver},
    shop::{Shop, stream, to_loopback},
};

/// A receiver that does not take what is about one SKU.
fn fails_for(sku: &'static str, status: u16) -> impl Fn(&Received) -> Answer + Send + Sync {
    move |received| Answer::Status(if received.event().0 == stream(sku) { status } else { 204 })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_fails_keeps_its_order_and_holds_up_no_other() {
    let (shop, receiver) = (Shop::open().await, Receiver::start(fails_for("BAD", 500)).await);
    let node = shop.node(to_loopback());
    let (id, _) = shop.webhook(&node, &receiver.url(), &[]).await;
    for _ in 0..5 {
        shop.receive("BAD").await;
        shop.receive("GOOD").await;
    }
    receiver.until(|_| receiver.of(&stream("GOOD")).len() == 5).await;
    assert_eq!(receiver.of(&stream("GOOD")), [1, 2, 3, 4, 5]);
    shop.tried(id, 1).await;
    assert_eq!(receiver.of(&stream("BAD")), [1]);

    receiver.behave(|_| Answer::Status(200));
    shop.advance(TimeDelta::seconds(10));
    receiver.until(|_| receiver.of(&stream("BAD")).len() == 6).await;
    assert_eq!(receiver.of(&stream("BAD")), [1, 1, 2, 3, 4, 5]);
    let tries: Vec<_> = receiver.all().into_iter().filter(|message| message.event() == (stream("BAD"), 1)).collect();
    assert_eq!(tries[0].id(), tries[1].id());
    assert_ne!(tries[0].header("webhook-timestamp"), tries[1].header("webhook-timestamp"));
    assert_ne!(tries[0].header("webhook-signature"), tries[1].header("webhook-signature"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_tried_again_with_growing_waits_and_then_given_up_until_staff_have_it_sent_again() {
    let (shop, receiver) = (Shop::open().await, Receiver::start(fails_for("BAD", 503)).await);
    let node = shop.node(to_loopback());
    let (id, _) = shop.webhook(&node, &receiver.url(), &[]).await;
    let position = shop.receive("BAD").await;
    shop.receive("BAD").await;
    let bad = || receiver.of(&stream("BAD"));
    for (tries, wait) in [5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600, 43_200, 43_200, 43_200, 43_200].into_iter().enumerate() {
        receiver.until(|_| bad().len() == tries + 1).await;
        shop.tried(id, tries as u64 + 1).await;
        // Before it is due nothing is tried: what another stream is told meanwhile shows that the worker has looked.
        shop.advance(TimeDelta::seconds(wait - 1));
        shop.receive("GOOD").await;
        receiver.until(|_| receiver.of(&stream("GOOD")).len() == tries + 1).await;
        assert_eq!(bad(), vec![1; tries + 1], "after {tries} waits");
        shop.advance(TimeDelta::seconds(wait / 4 + 2));
    }
    let history = shop.history(id, |events| events.len() == 2).await;
    let reason = "the receiver answered 503".to_owned();
    assert_eq!(history[1], WebhookDeliveryFailed { position, attempts: 12, reason }.into());

    // The stream goes on after what was given up, with tries of its own.
    shop.tried(id, 1).await;
    assert_eq!(bad()[11..], [1, 2]);
    receiver.behave(|_| Answer::Status(200));
    shop.advance(TimeDelta::seconds(10));
    receiver.until(|_| bad().len() == 14).await;
    let asked_at = shop.change(id, WebhookCommand::DeliveryRetried { position }).await;
    receiver.until(|_| bad().len() == 15).await;
    assert_eq!(bad()[11..], [1, 2, 2, 1]);
    let again: Vec<_> = receiver.all().into_iter().filter(|message| message.event() == (stream("BAD"), 1)).collect();
    assert!(again.iter().all(|message| message.id() == again[0].id()), "a repeat is known by its id");
    shop.standing(&node, id, |standing| standing.waiting == 0 && standing.last_failure.is_none()).await;
    assert!(asked_at > position);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_and_fails_again_is_given_up_again() {
    let (shop, receiver) = (Shop::open().await, Receiver::start(fails_for("BAD", 404)).await);
    let node = shop.node(to_loopback());
    let (id, _) = shop.webhook(&node, &receiver.url(), &[]).await;
    let position = shop.receive("BAD").await;
    let given_up =
        |events: &[WebhookEvent]| events.iter().filter(|event| matches!(event, WebhookEvent::WebhookDeliveryFailed(_))).count();
    for round in 1..=2 {
        for tries in 1..12 {
            shop.tried(id, tries).await;
            // Something else gets through now and then, or the webhook would be paused after five days.
            shop.advance(TimeDelta::hours(15));
            shop.receive("GOOD").await;
        }
        shop.history(id, |events| given_up(events) == round).await;
        assert_eq!(receiver.of(&stream("BAD")).len(), round * 12);
        if round == 1 {
            // Asked for twice before it is tried, it is sent once more.
            receiver.behave(|_| Answer::Status(500));
            shop.change(id, WebhookCommand::DeliveryRetried { position }).await;
            shop.change(id, WebhookCommand::DeliveryRetried { position }).await;
            shop.tried(id, 1).await;
            receiver.behave(fails_for("BAD", 404));
        }
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_time_gets_it() {
    let busy = |_: &Received| Answer::With(429, "retry-after", "600".to_owned());
    let (shop, receiver) = (Shop::open().await, Receiver::start(busy).await);
    let node = shop.node(to_loopback());
    let (id, _) = shop.webhook(&node, &receiver.url(), &[]).await;
    shop.receive("TEA").await;
    shop.tried(id, 1).await;
    receiver.behave(|_| Answer::Status(204));
    shop.advance(TimeDelta::seconds(599));
    shop.receive("OTHER").await;
    receiver.count(2).await;
    assert_eq!(receiver.of(&stream("TEA")), [1]);
    shop.advance(TimeDelta::seconds(1));
    receiver.until(|_| receiver.of(&stream("TEA")) == [1, 1]).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_answer_in_time_has_failed_and_one_that_talks_without_end_has_not() {
    let (shop, receiver) = (Shop::open().await, Receiver::start(|_| Answer::Never).await);
    let node = shop.node(WebhookConfig { timeout: Duration::from_millis(300), ..to_loopback() });
    let (id, _) = shop.webhook(&node, &receiver.url(), &[]).await;
    shop.receive("TEA").await;
    let standing = shop.standing(&node, id, |standing| standing.last_failure.is_some()).await;
    assert_eq!(standing.last_failure.as_deref(), Some("the receiver did not answer in time"));

    receiver.behave(|_| Answer::Endless);
    shop.advance(TimeDelta::seconds(10));
    let standing = shop.standing(&node, id, |standing| standing.delivered_at.is_some()).await;
    assert_eq!((standing.waiting, standing.last_failure, standing.failing_since), (0, None, None));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let elsewhere = Receiver::willing().await;
    let target = elsewhere.url();
    let (shop, receiver) = (Shop::open().await, Receiver::start(move |_| Answer::With(307, "location", target.clone())).await);
    let node = shop.node(to_loopback());
    let (id, _) = shop.webhook(&node, &receiver.url(), &[]).await;
    shop.receive("TEA").await;
    let standing = shop.standing(&node, id, |standing| standing.last_failure.is_some()).await;
    assert_eq!(standing.last_failure.as_deref(), Some("the receiver answered 307, and redirects are not followed"));
    node.stop().await;
    assert_eq!((receiver.all().len(), elsewhere.all().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_for_days_is_paused_and_resumed_it_misses_nothing() {
    let (shop, receiver) = (Shop::open().await, Receiver::start(|_| Answer::Status(500)).await);
    let node = shop.node(to_loopback());
    let (id, _) = shop.webhook(&node, &receiver.url(), &[]).await;
    shop.receive("TEA").await;
    shop.tried(id, 1).await;
    shop.advance(TimeDelta::days(5));
    let history = shop.history(id, |events| events.len() == 2).await;
    assert_eq!(history[1], WebhookPaused { reason: WebhookPauseReason::Failing }.into());
    shop.standing(&node, id, |standing| standing.failing_since.is_none()).await;

    // What happens meanwhile waits.
    let tried = receiver.all().len();
    shop.receive("TEA").await;
    shop.receive("COFFEE").await;
    receiver.behave(|_| Answer::Status(204));
    shop.change(id, WebhookCommand::Resume).await;
    receiver.count(tried + 3).await;
    let since = |sku: &str| receiver.all()[tried..].iter().map(Received::event).filter(|event| event.0 == stream(sku)).count();
    assert_eq!((since("TEA"), since("COFFEE")), (2, 1));
    assert_eq!(receiver.of(&stream("TEA")).last(), Some(&2));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_says_gone_is_told_nothing_more_until_staff_resume() {
    let (shop, receiver) = (Shop::open().await, Receiver::start(|_| Answer::Status(410)).await);
    let node = shop.node(to_loopback());
    let (id, _) = shop.webhook(&node, &receiver.url(), &[]).await;
    shop.receive("TEA").await;
    let history = shop.history(id, |events| events.len() == 2).await;
    assert_eq!(history[1], WebhookPaused { reason: WebhookPauseReason::Failing }.into());
    receiver.behave(|_| Answer::Status(204));
    shop.change(id, WebhookCommand::Resume).await;
    receiver.count(2).await;
    shop.standing(&node, id, |standing| standing.delivered_at.is_some()).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_for_all_keeps_a_bounded_number_waiting_and_gets_all_of_it_later() {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = up.clone();
    let answer = move |_: &Received| Answer::Status(if is_up.load(SeqCst) { 204 } else { 502 });
    let (shop, receiver) = (Shop::open().await, Receiver::start(answer).await);
    let node = shop.node(to_loopback());
    let (id, _) = shop.webhook(&node, &receiver.url(), &[]).await;
    for number in 0..600 {
        shop.receive(&format!("SKU-{number:03}")).await;
    }
    let standing = shop.standing(&node, id, |standing| standing.waiting >= 256 && standing.last_failure.is_some()).await;
    assert!(standing.waiting < 256 + 128, "{standing:?}");
    up.store(true, SeqCst);
    // Each step of the clock takes up what waits, and makes room for what follows.
    let taken = || receiver.all().iter().map(Received::event).collect::<BTreeSet<_>>().len();
    for _ in 0..600 {
        if taken() == 600 {
            break;
        }
        shop.advance(TimeDelta::minutes(1));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(taken(), 600);
    shop.advance(TimeDelta::minutes(1));
    shop.standing(&node, id, |standing| standing.waiting == 0 && standing.failing_since.is_none()).await;
    for number in 0..600 {
        assert!(receiver.of(&stream(&format!("SKU-{number:03}"))).len() <= 12, "{number}");
    }
    node.stop().await;
}
