//! What a message holds, how it is signed, and which events are told.

use chrono::TimeDelta;
use domain::WebhookCommand;
use engine::Clock as _;
use tokio::net::TcpListener;
use webhooks::Reason;

use crate::{
    receiver::{Answer, Received, Receiver},
    shop::{Shop, stream, to_loopback},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_arrives_as_a_message_that_is_signed_as_the_specification_says() {
    let (shop, receiver) = (Shop::open().await, Receiver::willing().await);
    let node = shop.node(to_loopback());
    let (id, secret) = shop.webhook(&node, &receiver.url(), &[]).await;
    let position = shop.receive("TEA").await;
    let message = receiver.count(1).await.remove(0);

    assert_eq!((message.path.as_str(), message.header("content-type")), ("/hook", "application/json"));
    assert_eq!(message.id(), format!("evt_{position}_{id}"));
    assert_eq!(message.header("webhook-timestamp"), shop.clock.now().timestamp().to_string());
    assert_eq!(message.accepted_with(secret.reveal()), 1);
    let changed = Received { body: message.body.replace('1', "2"), ..message.clone() };
    assert_eq!(changed.accepted_with(secret.reveal()), 0);

    let body = message.json();
    assert_eq!((&body["type"], &body["timestamp"]), (&"stock.received".into(), &"2027-01-15T08:00:00.000000Z".into()));
    let data = &body["data"];
    assert_eq!((&data["position"], &data["stream"], &data["sequence"]), (&position.into(), &stream("TEA").into(), &1.into()));
    assert_eq!((&data["eventType"], &data["eventVersion"]), (&"StockReceived".into(), &1.into()));
    assert_eq!(data["payload"]["quantity"], 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_of_the_types_it_names_and_never_of_the_shops_own_people_and_webhooks() {
    let (shop, some, all) = (Shop::open().await, Receiver::willing().await, Receiver::willing().await);
    let node = shop.node(to_loopback());
    shop.receive("BEFORE").await;
    let (some_id, _) = shop.webhook(&node, &some.url(), &["order.placed", "stock.adjusted"]).await;
    let (all_id, _) = shop.webhook(&node, &all.url(), &[]).await;
    shop.receive("TEA").await;
    let label = Some("everything".to_owned());
    shop.change(all_id, WebhookCommand::Change { url: None, types: None, label, allow_http: true }).await;
    shop.receive("TEA").await;
    let told = all.count(2).await;
    assert_eq!(told.iter().map(Received::event).collect::<Vec<_>>(), [(stream("TEA"), 1), (stream("TEA"), 2)]);

    // What a webhook names may be changed: it is told from then on.
    let types = Some(vec!["stock.received".to_owned()]);
    shop.change(some_id, WebhookCommand::Change { url: None, types, label: None, allow_http: true }).await;
    // The worker learns of it a moment later, so events are written until one arrives.
    let mut written = 2;
    while some.all().is_empty() {
        shop.receive("TEA").await;
        written += 1;
        assert!(written < 2000, "nothing arrives");
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    assert!(some.all().iter().all(|message| message.json()["type"] == "stock.received"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_signs_along_with_the_old_one_for_a_day() {
    let (shop, receiver) = (Shop::open().await, Receiver::willing().await);
    let node = shop.node(to_loopback());
    let (id, old) = shop.webhook(&node, &receiver.url(), &[]).await;
    assert!(node.create_secret(id).await.unwrap().is_none(), "a secret is shown once");
    let new = node.rotate_secret(id).await.unwrap();

    shop.receive("TEA").await;
    let both = receiver.count(1).await.remove(0);
    assert_eq!((both.accepted_with(old.reveal()), both.accepted_with(new.reveal())), (1, 1));

    shop.advance(TimeDelta::hours(24));
    shop.receive("TEA").await;
    let later = receiver.count(2).await.remove(1);
    assert_eq!((later.accepted_with(old.reveal()), later.accepted_with(new.reveal())), (0, 1));

    // Of three secrets within a day, the two newest sign.
    let newer = node.rotate_secret(id).await.unwrap();
    let newest = node.rotate_secret(id).await.unwrap();
    shop.receive("TEA").await;
    let last = receiver.count(3).await.remove(2);
    let accepted = [&new, &newer, &newest].map(|secret| last.accepted_with(secret.reveal()));
    assert_eq!(accepted, [0, 1, 1]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_by_hand_is_signed_and_says_how_it_went() {
    let (shop, receiver) = (Shop::open().await, Receiver::willing().await);
    let node = shop.node(to_loopback());
    let (id, secret) = shop.webhook(&node, &receiver.url(), &[]).await;
    assert_eq!(node.test(id, &receiver.url()).await.unwrap().failed, None);
    let message = receiver.count(1).await.remove(0);
    assert_eq!((message.json()["type"].as_str(), message.accepted_with(secret.reveal())), (Some("webhook.test"), 1));
    assert!(message.id().starts_with("test_"), "{}", message.id());

    receiver.behave(|_| Answer::Status(418));
    assert_eq!(node.test(id, &receiver.url()).await.unwrap().failed, Some(Reason::Status(418)));
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(node.test(id, &format!("http://{nobody}/")).await.unwrap().failed, Some(Reason::Connection));
    node.stop().await;
}
