//! A log that was restored from an older backup than the vault.

use crate::{
    receiver::{Answer, Receiver},
    shop::{Shop, to_loopback},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_after_a_log_was_restored_older_than_the_vault_is_told() {
    let (shop, receiver) = (Shop::open().await, Receiver::willing().await);
    let node = shop.node(to_loopback());
    shop.webhook(&node, &receiver.url(), &[]).await;
    for told in 1..=5 {
        shop.receive("TEA").await;
        receiver.count(told).await;
    }
    node.stop().await;
    // The webhook and two of five are in the backup; by the time that a node runs again the log is as long as it was.
    let shop = shop.restored(3).await;
    for _ in 0..3 {
        shop.receive("MUG").await;
    }
    let node = shop.node(to_loopback());
    shop.receive("MUG").await;
    receiver.until(|all| all.iter().filter(|one| one.event().0 == "stock/MUG@main").count() >= 4).await;
    let mut mugs = receiver.of("stock/MUG@main");
    mugs.dedup();
    assert_eq!(mugs, [1, 2, 3, 4], "in order, from the first");
    assert!(receiver.of("stock/TEA@main").len() <= 7, "what the backup has is not told from the very beginning");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_and_is_not_in_the_log_any_more_holds_nothing_up() {
    let (shop, receiver) = (Shop::open().await, Receiver::willing().await);
    let node = shop.node(to_loopback());
    shop.webhook(&node, &receiver.url(), &[]).await;
    shop.receive("TEA").await;
    receiver.count(1).await;
    receiver.behave(|_| Answer::Status(503));
    shop.receive("POT").await;
    receiver.count(2).await;
    node.stop().await;
    let shop = shop.restored(2).await;
    receiver.behave(|_| Answer::Status(204));
    shop.receive("MUG").await;
    let node = shop.node(to_loopback());
    receiver.until(|all| all.iter().any(|one| one.event().0 == "stock/MUG@main")).await;
    node.stop().await;
}
