//! The notary of a shop that is served: what everybody may fetch, and what happens when the log is not what was signed.

use std::{str::FromStr as _, time::Duration};

use api::{NotaryArgs, ServeConfig, access::Role};
use notary::{KnownKeys, SignedCheckpoint, SigningKey, Tile, Tree, hex};
use serde_json::Value;

use crate::{
    server::{Server, config, parts},
    shop::tea,
};

impl Server {
    async fn fetch(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    async fn sign(&self, role: Option<Role>) -> reqwest::Response {
        let mut request = self.client.post(self.url("/notary/checkpoint"));
        if let Some(role) = role {
            request = request.bearer_auth(self.token(role, Duration::from_secs(60)));
        }
        request.send().await.unwrap()
    }

    /// The head of the log as it is now, signed, checked with the keys that the shop names.
    async fn head(&self) -> notary::Checkpoint {
        let keys: KnownKeys = self.fetch("/notary/keys").await.json().await.unwrap();
        let answer = self.sign(Some(Role::Analyst)).await;
        assert_eq!(answer.status(), 200);
        let head = SignedCheckpoint::parse(&answer.text().await.unwrap()).unwrap();
        keys.check(&head).unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_tiles_and_keys_are_public_and_the_root_is_that_of_the_api() {
    let server = Server::start().await;
    tea(&server, "TEA-1", "4.50", "EUR", 5).await;
    let mut seen = None;
    for _ in 0..100 {
        let head = server.head().await;
        let said = server.ask("{ log { head root } }").await["data"]["log"].clone();
        if said["head"] == head.size {
            assert_eq!(said["root"], hex(&head.root));
            seen = Some(head);
            break;
        }
    }
    let head = seen.expect("the log stands still for a moment");
    assert!(head.size > 0 && head.origin.starts_with("daybook/"), "{head:?}");
    let fetched = server.fetch("/notary/checkpoint").await;
    assert_eq!(fetched.headers()["cache-control"], "no-cache");
    assert!(SignedCheckpoint::parse(&fetched.text().await.unwrap()).unwrap().unchecked().size >= head.size);

    // The root follows from the tile of the leaves.
    let width = u16::try_from(head.size).unwrap();
    let tile = server.fetch(&format!("/notary/{}", Tile { level: 0, index: 0, width })).await;
    assert_eq!(tile.headers()["cache-control"], "public, max-age=60");
    let mut tree = Tree::default();
    tile.bytes().await.unwrap().chunks(32).for_each(|leaf| tree.push(leaf.try_into().unwrap()));
    assert_eq!((tree.size(), tree.root()), (head.size, head.root));
    for none in ["0/001", "1/000.p/1", "entries/000", "0/0", "0/000.p/256", "0/%2e%2e/000", "0/000/..%2f..%2fcheckpoint"] {
        assert_eq!(server.fetch(&format!("/notary/tile/{none}")).await.status(), 404, "{none}");
    }
    assert!(Tile::from_str("tile/0/000").is_ok());

    let (_, _, ready) = parts(server.fetch("/health/ready").await).await;
    assert!(ready["notary"]["signed"].as_u64() >= Some(head.size), "{ready}");
    assert_eq!(ready["notary"]["broken"], Value::Null);
    let metrics = server.fetch("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("\ndaybook_notary_broken 0\n") && metrics.contains("\ndaybook_notary_lag "), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_watches_over_the_shop_has_it_signed_at_once() {
    let server = Server::start().await;
    for (role, status) in [(None, 403), (Some(Role::Customer), 403), (Some(Role::Fulfilment), 403), (Some(Role::Auditor), 200)] {
        assert_eq!(server.sign(role).await.status(), status, "{role:?}");
    }
    let wrong = server.client.post(server.url("/notary/checkpoint")).bearer_auth("no token").send().await.unwrap();
    assert_eq!(wrong.status(), 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_shop_goes_on_signing_under_the_same_key_and_appends_its_heads_outside() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("heads.txt");
    let with_heads = || {
        let notary = NotaryArgs { notary_publish: Some(outside.clone()), ..NotaryArgs::default() };
        ServeConfig { notary, ..config(folder.path()) }
    };
    let mut keys = Vec::new();
    for _ in 0..2 {
        let server = Server::configured(tempfile::tempdir().unwrap(), with_heads()).await;
        tea(&server, &format!("TEA-{}", keys.len()), "4.50", "EUR", 5).await;
        server.head().await;
        keys.push(server.fetch("/notary/keys").await.text().await.unwrap());
        server.running.shutdown().await;
    }
    assert_eq!(keys[0], keys[1]);
    let known: KnownKeys = serde_json::from_str(&keys[0]).unwrap();
    let heads = notary::read_heads(&std::fs::read_to_string(&outside).unwrap()).unwrap();
    let sizes: Vec<_> = heads.iter().map(|head| known.check(head).unwrap().size).collect();
    assert!(sizes.len() >= 2 && sizes.is_sorted(), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_not_what_was_signed_is_told_and_the_shop_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("heads.txt");
    let start = async || {
        let notary = NotaryArgs { notary_publish: Some(outside.clone()), ..NotaryArgs::default() };
        Server::configured(tempfile::tempdir().unwrap(), ServeConfig { notary, ..config(folder.path()) }).await
    };
    let server = start().await;
    tea(&server, "TEA-0", "4.50", "EUR", 5).await;
    server.running.shutdown().await;
    let older = folder.path().join("older.db");
    rusqlite::Connection::open(folder.path().join("events.db"))
        .and_then(|log| log.execute("VACUUM INTO ?1", [older.to_str()]))
        .unwrap();
    let server = start().await;
    tea(&server, "TEA-1", "4.50", "EUR", 5).await;
    server.running.shutdown().await;
    // The log is what it was before some of what was signed; a stranger's head behind the last one says nothing.
    for name in ["events.db-wal", "events.db-shm", "views.db", "views.db-wal", "views.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(name));
    }
    std::fs::rename(older, folder.path().join("events.db")).unwrap();
    std::fs::remove_dir_all(folder.path().join("notary")).unwrap();
    let text = std::fs::read_to_string(&outside).unwrap();
    let origin = notary::read_heads(&text).unwrap()[0].unchecked().origin.clone();
    let stranger = SignedCheckpoint::sign(0, Tree::default().root(), &SigningKey::generate(&origin).unwrap());
    std::fs::write(&outside, format!("{text}{stranger}\n")).unwrap();

    let server = start().await;
    let is_broken =
        |ready: &Value| ready["warnings"].as_array().into_iter().flatten().any(|said| said["code"] == "NOTARY_BROKEN");
    let mut ready = Value::Null;
    for _ in 0..100 {
        ready = parts(server.fetch("/health/ready").await).await.2;
        if is_broken(&ready) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ready["ready"] == true && is_broken(&ready), "{ready}");
    assert_eq!(server.sign(Some(Role::Auditor)).await.status(), 503);
    assert_eq!(server.fetch("/notary/checkpoint").await.status(), 404);
    let metrics = server.fetch("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("\ndaybook_notary_broken 1\n"));
    tea(&server, "TEA-2", "4.50", "EUR", 5).await;
}
