//! Several nodes on one vault, and nodes that are killed.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use test_postgres::Postgres;
use tokio::runtime::Runtime;
use vault::{Vault, VaultKey};

use crate::{
    receiver::{Answer, Received, Receiver},
    shop::{Shop, stream, to_loopback},
};

/// Two nodes tell of every event once; when one stops, the other goes on at once.
async fn two_nodes_tell_once(shop: Shop) {
    let receiver = Receiver::willing().await;
    let (one, two) = (shop.node(to_loopback()), shop.node(to_loopback()));
    let (id, _) = shop.webhook(&one, &receiver.url(), &[]).await;
    for number in 0..40 {
        shop.receive(&format!("SKU-{}", number % 5)).await;
    }
    receiver.count(40).await;
    shop.standing(&one, id, |standing| standing.waiting == 0).await;
    // Whichever of them works, its end is the other's beginning; the clock has not moved, so no lease has run out.
    one.stop().await;
    for number in 0..40 {
        shop.receive(&format!("SKU-{}", number % 5)).await;
    }
    receiver.count(80).await;
    two.stop().await;
    let ids: BTreeSet<_> = receiver.all().iter().map(|message| message.id().to_owned()).collect();
    assert_eq!((receiver.all().len(), ids.len()), (80, 80));
    for sku in 0..5 {
        assert_eq!(receiver.of(&stream(&format!("SKU-{sku}"))), (1..=16).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_on_a_vault_in_sqlite_one_delivers() {
    two_nodes_tell_once(Shop::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_on_a_vault_in_postgresql_one_delivers() {
    let Some(postgres) = Postgres::start() else { return };
    let vault = Vault::open(&postgres.database("shop"), VaultKey::generate()).await.unwrap();
    two_nodes_tell_once(Shop::with(vault, tempfile::tempdir().unwrap()).await).await;
}

#[test]
fn a_node_killed_between_delivery_and_its_note_leads_to_the_same_message_again() {
    let (outside, inside) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (shop, receiver) = outside.block_on(async {
        let receiver = Receiver::start(|message: &Received| match message.event() {
            // It takes the second event, and its answer is never heard.
            (_, 2) => Answer::Never,
            _ => Answer::Status(204),
        });
        (Shop::open().await, receiver.await)
    });
    let doomed = inside.block_on(async { shop.node(to_loopback()) });
    outside.block_on(async {
        shop.webhook(&doomed, &receiver.url(), &[]).await;
        for _ in 0..3 {
            shop.receive("TEA").await;
        }
        receiver.until(|_| receiver.of(&stream("TEA")).contains(&2)).await;
    });
    // As by kill -9: nothing of the node runs on, nothing is given back.
    inside.shutdown_timeout(Duration::from_secs(10));
    outside.block_on(async {
        receiver.behave(|_| Answer::Status(204));
        let before = receiver.all();
        let node = shop.node(to_loopback());
        shop.advance(TimeDelta::seconds(31));
        receiver.until(|_| receiver.of(&stream("TEA")).contains(&3)).await;
        node.stop().await;
        let again = receiver.all().split_off(before.len());
        let ids = |messages: &[Received], sequence| -> BTreeSet<String> {
            let of = messages.iter().filter(|message| message.event().1 == sequence);
            of.map(|message| message.id().to_owned()).collect()
        };
        assert_eq!(ids(&before, 2), ids(&again, 2), "the repeat is known by its id");
        let order: Vec<u64> = again.iter().map(|message| message.event().1).collect();
        assert!(order.is_sorted() && order.ends_with(&[2, 3]), "{order:?}");
    });
    drop(doomed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_in_the_middle_leaves_the_rest_to_the_next() {
    let (shop, receiver) = (Shop::open().await, Receiver::willing().await);
    let first = shop.node(to_loopback());
    shop.webhook(&first, &receiver.url(), &[]).await;
    for number in 0..300 {
        shop.receive(&format!("SKU-{}", number % 3)).await;
    }
    receiver.count(1).await;
    first.stop().await;
    let second = shop.node(to_loopback());
    receiver.count(300).await;
    second.stop().await;
    for sku in 0..3 {
        assert_eq!(receiver.of(&stream(&format!("SKU-{sku}"))), (1..=100).collect::<Vec<_>>());
    }
}
