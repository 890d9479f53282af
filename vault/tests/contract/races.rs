//! Many callers of several nodes at once.

use std::collections::BTreeSet;

use chrono::{TimeDelta, Utc};
use tokio::task::JoinSet;
use vault::{Vault, VaultError};

use crate::{Place, contract, key};

/// Runs a call a number of times at once, by turns on two nodes.
async fn at_once<T, F>(place: &Place, times: u64, call: impl Fn(Vault, u64) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let nodes = [place.node().await, place.node().await];
    let calls: JoinSet<T> = (0..times).map(|n| call(nodes[usize::from(n % 2 == 1)].clone(), n)).collect();
    calls.join_all().await
}

async fn of_a_hundred_that_take_a_code_one_gets_it(place: &Place) {
    for round in 0..5 {
        let name = format!("code/{round}");
        place.node().await.put(&name, None, &"the code", Some(Utc::now() + TimeDelta::hours(1))).await.unwrap();
        let taken = at_once(place, 100, |vault, _| {
            let name = name.clone();
            async move { vault.take::<String>(&name).await.unwrap() }
        });
        let taken: Vec<String> = taken.await.into_iter().flatten().collect();
        assert_eq!(taken, ["the code"]);
    }
}

async fn of_a_hundred_that_make_an_entry_one_does(place: &Place) {
    // Also in the place of one that has expired.
    place.node().await.put("note/old", None, &0, Some(Utc::now() - TimeDelta::seconds(1))).await.unwrap();
    for name in ["note/new", "note/old"] {
        let made = at_once(place, 100, |vault, n| async move { (n, vault.put(name, None, &n, None).await) }).await;
        let (winners, losers): (Vec<_>, Vec<_>) = made.into_iter().partition(|(_, put)| put.is_ok());
        assert!(losers.iter().all(|(_, put)| *put == Err(VaultError::Conflict)), "{losers:?}");
        let [(n, Ok(version))] = winners[..] else { panic!("{winners:?}") };
        let entry = place.node().await.get::<u64>(name).await.unwrap().unwrap();
        assert_eq!((entry.value, entry.version), (n, version));
    }
}

async fn nothing_counted_by_compare_and_swap_is_lost(place: &Place) {
    place.node().await.put("count/a", None, &0_u64, None).await.unwrap();
    let versions = at_once(place, 30, |vault, _| async move {
        loop {
            let entry = vault.get::<u64>("count/a").await.unwrap().unwrap();
            match vault.put("count/a", Some(entry.version), &(entry.value + 1), None).await {
                Ok(version) => return version,
                Err(VaultError::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    let versions: BTreeSet<u64> = versions.await.into_iter().collect();
    let entry = place.node().await.get::<u64>("count/a").await.unwrap().unwrap();
    assert_eq!((entry.value, versions.len(), versions.last()), (30, 30, Some(&entry.version)));
}

async fn a_hundred_entries_of_their_own_are_all_written(place: &Place) {
    let versions =
        at_once(place, 100, |vault, n| async move { vault.put(&format!("note/{n:03}"), None, &n, None).await.unwrap() });
    assert_eq!(versions.await.into_iter().collect::<BTreeSet<u64>>().len(), 100);
    let listed = place.node().await.list::<u64>("note/", None, 1_000).await.unwrap();
    assert!(listed.iter().map(|(_, entry)| entry.value).eq(0..100));
}

async fn what_is_taken_and_swept_and_made_again_at_once_stays_whole(place: &Place) {
    let answers = at_once(place, 60, |vault, n| async move {
        match n % 3 {
            0 => vault.put("note/a", None, &"whole", Some(Utc::now() + TimeDelta::milliseconds(1))).await.map(|_| None),
            1 => vault.take::<String>("note/a").await,
            _ => vault.sweep(Utc::now()).await.map(|_| None),
        }
    });
    for answer in answers.await {
        assert!(
            matches!(answer.as_ref().map(Option::as_deref), Ok(Some("whole") | None) | Err(VaultError::Conflict)),
            "{answer:?}"
        );
    }
}

async fn of_eight_nodes_that_make_the_vault_at_once_all_have_the_same(place: &Place) {
    let nodes: JoinSet<Vault> = (0..8)
        .map(|_| {
            let url = place.0.clone();
            async move { Vault::open(&url, key()).await.unwrap() }
        })
        .collect();
    let nodes = nodes.join_all().await;
    for (n, node) in nodes.iter().enumerate() {
        node.put(&format!("note/{n}"), None, &n, None).await.unwrap();
    }
    for node in nodes {
        assert_eq!(node.list::<usize>("note/", None, 100).await.unwrap().len(), 8);
    }
}

async fn of_nodes_with_different_keys_that_make_the_vault_at_once_one_key_counts(place: &Place) {
    let opened: JoinSet<Result<Vault, VaultError>> = (0..8)
        .map(|n| {
            let url = place.0.clone();
            async move { Vault::open(&url, vault::VaultKey::from_bytes([n % 2; 32])).await }
        })
        .collect();
    let opened = opened.join_all().await;
    let refused = opened.iter().filter(|opened| matches!(opened, Err(VaultError::WrongKey(_)))).count();
    assert_eq!((refused, opened.iter().filter(|opened| opened.is_ok()).count()), (4, 4), "{opened:?}");
}

contract!(
    of_a_hundred_that_take_a_code_one_gets_it,
    of_a_hundred_that_make_an_entry_one_does,
    nothing_counted_by_compare_and_swap_is_lost,
    a_hundred_entries_of_their_own_are_all_written,
    what_is_taken_and_swept_and_made_again_at_once_stays_whole,
    of_eight_nodes_that_make_the_vault_at_once_all_have_the_same,
    of_nodes_with_different_keys_that_make_the_vault_at_once_one_key_counts,
);
