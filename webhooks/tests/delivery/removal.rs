//! A webhook that is removed leaves nothing behind, and one without a secret sends nothing.

use std::time::Duration;

use domain::WebhookCommand;
use serde_json::Value;
use webhooks::WebhookError;

use crate::{
    receiver::Receiver,
    shop::{Shop, to_loopback},
};

/// The names that the vault has.
async fn names(shop: &Shop) -> Vec<String> {
    let mut names = Vec::new();
    for kind in ["webhook-place/", "webhook-secret/"] {
        names.extend(shop.vault.list::<Value>(kind, None, 100).await.unwrap().into_iter().map(|(name, _)| name));
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_removed_is_told_nothing_more_and_its_secret_is_forgotten() {
    let (shop, removed, kept) = (Shop::open().await, Receiver::willing().await, Receiver::willing().await);
    let node = shop.node(to_loopback());
    let (removed_id, _) = shop.webhook(&node, &removed.url(), &[]).await;
    let (kept_id, _) = shop.webhook(&node, &kept.url(), &[]).await;
    shop.receive("TEA").await;
    removed.count(1).await;
    kept.count(1).await;

    shop.change(removed_id, WebhookCommand::Remove).await;
    // The directory says so: no word to the node is needed, so what was removed while no node ran is forgotten too.
    let mut there = names(&shop).await;
    for _ in 0..600 {
        if there == [format!("webhook-place/{kept_id}"), format!("webhook-secret/{kept_id}")] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        there = names(&shop).await;
    }
    assert_eq!(there, [format!("webhook-place/{kept_id}"), format!("webhook-secret/{kept_id}")]);
    shop.receive("TEA").await;
    kept.count(2).await;
    node.stop().await;
    let next = shop.node(to_loopback());
    shop.receive("TEA").await;
    kept.count(3).await;
    next.stop().await;
    assert_eq!(removed.all().len(), 1);
    assert!(matches!(next.test(removed_id, &removed.url()).await, Err(WebhookError::NoSecret)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_lost_its_secret_waits_for_a_new_one() {
    let (shop, receiver) = (Shop::open().await, Receiver::willing().await);
    let node = shop.node(to_loopback());
    let (id, _) = shop.webhook(&node, &receiver.url(), &[]).await;
    shop.receive("TEA").await;
    receiver.count(1).await;
    assert!(shop.vault.remove(&format!("webhook-secret/{id}")).await.unwrap());
    shop.receive("TEA").await;
    let new = node.rotate_secret(id).await.unwrap();
    let second = receiver.count(2).await.remove(1);
    // It may have gone out before the secret was lost, but never unsigned.
    assert_eq!(second.header("webhook-signature").split(' ').count(), 1);
    shop.receive("TEA").await;
    assert_eq!(receiver.count(3).await[2].accepted_with(new.reveal()), 1);
    node.stop().await;
}
