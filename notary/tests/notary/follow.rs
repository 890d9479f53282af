//! Following a log: as it grows, over restarts, and when it is not any more what was signed.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use event_store::{Log, MemoryLog, SqliteLog};
use notary::{
    KnownKeys, Notary, SignError, Signer, SigningKey, TellError, Tile, TileError, TileFolder, check_consistency, consistency,
    read_heads,
};

use crate::facts::{ORIGIN, config, events, grow, key, root_of, start, until};

async fn sqlite(path: &Path) -> Arc<dyn Log> {
    Arc::new(SqliteLog::open(path, Default::default()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_follow_the_log_and_each_begins_with_the_one_before() {
    let scratch = tempfile::tempdir().unwrap();
    let log = sqlite(&scratch.path().join("events.db")).await;
    let folder = scratch.path().join("notary");
    let notary = start(&log, &folder);
    let mut before = None;
    for count in [1, 1, 253, 1, 1, 500, 20_000] {
        let size = grow(&*log, count).await;
        // Without being asked.
        until(&notary, |status| status.signed == size).await;
        let head = TileFolder::new(&folder).head().unwrap().unwrap();
        let checkpoint = head.check(&[key().verifier()]).unwrap().clone();
        assert_eq!((checkpoint.size, checkpoint.root), (size, root_of(&*log, size).await));
        assert_eq!(notary.root(size).await, Some(checkpoint.root));
        assert_eq!(notary.root(size + 1).await, None);
        if let Some((old, was)) = before.replace((size, checkpoint.root)) {
            assert_eq!(notary.root(old).await, Some(was));
            let path = consistency(notary.folder(), old, size).unwrap();
            assert_eq!(check_consistency((old, was), (size, checkpoint.root), &path), Ok(()));
        }
    }
    notary.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_where_the_last_head_was_and_writes_nothing_before_it() {
    let scratch = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    grow(&*log, 1000).await;
    let notary = start(&log, scratch.path());
    notary.sign().await.unwrap();
    grow(&*log, 1).await;
    // The end of a notary is a reason for a head.
    notary.stop().await;
    let written = |tile| std::fs::metadata(scratch.path().join(tile)).unwrap().modified().unwrap();
    let before = written("tile/0/000");
    grow(&*log, 23).await;
    let notary = start(&log, scratch.path());
    let head = notary.sign().await.unwrap();
    assert_eq!(head.unchecked().root, root_of(&*log, 1024).await);
    assert_eq!(written("tile/0/000"), before, "what is full is not written again");
    notary.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_tiles_are_made_anew_from_a_log_that_is_still_what_was_signed() {
    let scratch = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    grow(&*log, 1000).await;
    let notary = start(&log, scratch.path());
    notary.sign().await.unwrap();
    notary.stop().await;
    let is = root_of(&*log, 1000).await;
    for (tile, width) in [("tile/0/003.p/232", 232), ("tile/0/001", 256), ("tile/1/000.p/3", 3)] {
        let tile = scratch.path().join(tile);
        let bytes = std::fs::read(&tile).unwrap();
        let mut changed = bytes.clone();
        changed[40] ^= 1;
        for damage in [Some(changed), Some(vec![0; width * 32]), Some(vec![1; 31]), None] {
            match damage {
                Some(bytes) => std::fs::write(&tile, bytes).unwrap(),
                None => std::fs::remove_file(&tile).unwrap(),
            }
            let notary = start(&log, scratch.path());
            until(&notary, |status| status.size == 1000 && status.signed == 1000).await;
            assert_eq!(notary.sign().await.unwrap().unchecked().root, is);
            assert_eq!((notary.status().broken, notary.status().trouble), (None, None));
            notary.stop().await;
            assert_eq!(std::fs::read(&tile).unwrap(), bytes, "{}", tile.display());
        }
    }
}

/// A key in a vault that may be away.
#[derive(Default)]
struct Away(AtomicBool);

#[async_trait]
impl Signer for Away {
    async fn key(&self, size: u64) -> Result<Option<SigningKey>, String> {
        key().key(size).await
    }

    async fn known(&self) -> Result<KnownKeys, String> {
        if self.0.load(SeqCst) { Err("the vault is away".to_owned()) } else { key().known().await }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiles_that_are_damaged_meanwhile_are_told_to_nobody_and_signed_at_once_when_they_are_made_anew() {
    let scratch = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    grow(&*log, 512).await;
    let hourly = notary::NotaryConfig { interval: Duration::from_secs(3600), ..config(scratch.path()) };
    let away = Arc::new(Away::default());
    let notary = Notary::start(Arc::clone(&log), away.clone(), hourly);
    until(&notary, |status| status.signed == 512).await;
    let tile: Tile = "tile/0/000".parse().unwrap();
    let told = notary.tile(tile).unwrap();
    assert!(told.is_held);

    away.0.store(true, SeqCst);
    std::fs::write(scratch.path().join("tile/0/001"), [1; 31]).unwrap();
    grow(&*log, 1).await;
    let status = until(&notary, |status| status.trouble.as_ref().is_some_and(|trouble| trouble.contains("away"))).await;
    assert_eq!((status.size, status.signed), (0, 512));
    assert!(matches!(notary.tile(tile), Err(TellError::NotHeld)));
    away.0.store(false, SeqCst);
    until(&notary, |status| status.signed == 513).await;
    assert_eq!(notary.tile(tile).unwrap(), told);
    notary.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_tile_that_the_disk_has_damaged_since_is_told_to_nobody() {
    let scratch = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    grow(&*log, 520).await;
    let notary = Notary::start(Arc::clone(&log), Arc::new(key()), config(scratch.path()));
    until(&notary, |status| status.signed == 520).await;
    let [first, second, edge] = ["tile/0/000", "tile/0/001", "tile/1/000.p/2"].map(|path| path.parse::<Tile>().unwrap());
    assert!(notary.tile(first).is_ok() && notary.tile(second).is_ok());
    let path = scratch.path().join("tile/0/000");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(notary.tile(first), Err(TellError::Tile(TileError::Wrong(tile))) if tile == first));
    assert!(notary.tile(second).is_ok() && notary.tile(edge).is_ok());
    notary.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_log_that_is_not_what_was_signed_no_tile_is_told_that_was_not_held_against_the_head() {
    let scratch = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    grow(&*log, 600).await;
    let notary = start(&log, scratch.path());
    notary.sign().await.unwrap();
    notary.stop().await;
    std::fs::remove_dir_all(scratch.path().join("tile")).unwrap();
    let rewritten = start(&other(&*log, 599).await, scratch.path());
    let status = until(&rewritten, |status| status.broken.is_some()).await;
    assert_eq!(status.size, 599);
    assert!(scratch.path().join("tile/0/000").exists(), "they are those of another history");
    assert!(matches!(rewritten.tile("tile/0/000".parse().unwrap()), Err(TellError::NotHeld)));
    rewritten.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_no_key_of_the_log_signed_is_not_signed_on_from() {
    let scratch = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    grow(&*log, 600).await;
    let is = root_of(&*log, 600).await;
    // A folder of another history, whole in itself, under a head that somebody else signed with the same name.
    let forger = SigningKey::new(ORIGIN, [8; 32]).unwrap();
    let forged = Notary::start(other(&*log, 600).await, Arc::new(forger), config(scratch.path()));
    let wrong = forged.sign().await.unwrap();
    forged.stop().await;
    assert_ne!(wrong.unchecked().root, is);
    let published = scratch.path().join("heads");
    std::fs::write(&published, wrong.to_string()).unwrap();

    let with_heads = notary::NotaryConfig { publish: Some(published), ..config(scratch.path()) };
    let notary = Notary::start(Arc::clone(&log), Arc::new(key()), with_heads);
    assert!(notary.wait_for(600, Duration::from_secs(20)).await);
    assert_eq!(notary.sign().await.unwrap().check(&[key().verifier()]).unwrap().root, is);
    notary.stop().await;
    assert_eq!(notary::root(&TileFolder::new(scratch.path()), 600).unwrap(), is, "the tiles are the log's own");
}

/// Another history of as many events, under the same id.
async fn other(log: &dyn Log, count: u64) -> Arc<dyn Log> {
    let other = MemoryLog::with_id(log.id());
    if count > 0 {
        other.append(0, events(1, count)).await.unwrap();
    }
    Arc::new(other)
}

async fn refused(log: &Arc<dyn Log>, folder: &Path, because: &str) {
    let before = std::fs::read(folder.join("checkpoint")).unwrap();
    let notary = start(log, folder);
    let status = until(&notary, |status| status.broken.is_some()).await;
    assert!(status.broken.as_ref().unwrap().contains(because), "{status:?}");
    grow(&**log, 5).await;
    assert!(matches!(notary.sign().await, Err(SignError::Broken(_))));
    notary.stop().await;
    assert_eq!(std::fs::read(folder.join("checkpoint")).unwrap(), before, "nothing more is signed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_not_what_was_signed_is_not_signed_any_more() {
    let scratch = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    grow(&*log, 600).await;
    let notary = start(&log, scratch.path());
    notary.sign().await.unwrap();
    notary.stop().await;
    refused(&other(&*log, 0).await, scratch.path(), "ended at position 600, and ends at 0 now").await;
    refused(&other(&*log, 599).await, scratch.path(), "ended at position 600, and ends at 599 now").await;
    refused(&other(&*log, 700).await, scratch.path(), "position 600 holds another event").await;
    // Without the tiles, the whole log is read again and held against the head.
    std::fs::remove_dir_all(scratch.path().join("tile")).unwrap();
    refused(&other(&*log, 599).await, scratch.path(), "the log ends at position 599, and had 600 events").await;
    refused(&other(&*log, 700).await, scratch.path(), "the first 600 events had root").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_another_log_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    grow(&*log, 3).await;
    let notary = start(&log, scratch.path());
    notary.sign().await.unwrap();
    notary.stop().await;
    let coffee = SigningKey::new("daybook/coffee", [8; 32]).unwrap();
    let config = notary::NotaryConfig { origin: coffee.name().to_owned(), ..config(scratch.path()) };
    let notary = Notary::start(Arc::clone(&log), Arc::new(coffee), config);
    let status = until(&notary, |status| status.broken.is_some()).await;
    assert!(status.broken.unwrap().contains("holds the tree of daybook/tea, not of daybook/coffee"));
    notary.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_published_and_a_new_node_holds_the_log_against_the_last_one() {
    let scratch = tempfile::tempdir().unwrap();
    let (outside, folder) = (scratch.path().join("heads"), scratch.path().join("notary"));
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    let with_heads = |folder: &Path| notary::NotaryConfig { publish: Some(outside.clone()), ..config(folder) };
    let notary = Notary::start(Arc::clone(&log), Arc::new(key()), with_heads(&folder));
    for count in [5, 300, 1] {
        grow(&*log, count).await;
        notary.sign().await.unwrap();
    }
    notary.stop().await;
    let heads = read_heads(&std::fs::read_to_string(&outside).unwrap()).unwrap();
    let sizes: Vec<_> = heads.iter().map(|head| head.check(&[key().verifier()]).unwrap().size).collect();
    assert!(sizes.ends_with(&[305, 306]) && sizes.is_sorted(), "{sizes:?}");

    // A node without tiles, on the same log and on one that was rewritten.
    let fresh = scratch.path().join("fresh");
    let notary = Notary::start(Arc::clone(&log), Arc::new(key()), with_heads(&fresh));
    assert_eq!(notary.sign().await.unwrap().unchecked().size, 306);
    notary.stop().await;
    let rewritten = scratch.path().join("rewritten");
    let notary = Notary::start(other(&*log, 400).await, Arc::new(key()), with_heads(&rewritten));
    let status = until(&notary, |status| status.broken.is_some()).await;
    assert!(status.broken.unwrap().contains("the first 306 events had root"));
    assert!(!rewritten.join("checkpoint").exists());
    notary.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_with_one_folder_one_keeps_it_and_the_other_takes_over() {
    let scratch = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    grow(&*log, 10).await;
    let first = start(&log, scratch.path());
    first.sign().await.unwrap();
    let second = start(&log, scratch.path());
    let status = until(&second, |status| status.is_elsewhere).await;
    assert_eq!((status.signed, status.size), (10, 0));
    assert!(matches!(second.sign().await, Err(SignError::Unavailable(_))));
    let tile = "tile/0/000.p/7".parse().unwrap();
    assert!(first.tile(tile).unwrap().is_held && !second.tile(tile).unwrap().is_held);
    assert!(matches!(first.tile("tile/0/000".parse().unwrap()), Err(TellError::NoTile)));
    first.stop().await;
    drop(first);
    until(&second, |status| !status.is_elsewhere).await;
    grow(&*log, 10).await;
    assert_eq!(second.sign().await.unwrap().unchecked().size, 20);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_can_be_asked_for_before_its_time_and_an_empty_log_has_one() {
    let scratch = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    let hourly = notary::NotaryConfig { interval: Duration::from_secs(3600), ..config(scratch.path()) };
    let notary = Notary::start(Arc::clone(&log), Arc::new(key()), hourly);
    let empty = notary.sign().await.unwrap();
    assert_eq!((empty.unchecked().size, &*empty.unchecked().origin), (0, ORIGIN));
    let size = grow(&*log, 4).await;
    assert!(notary.wait_for(size, Duration::from_secs(20)).await);
    assert_eq!(notary.status().signed, 0, "its time has not come");
    assert_eq!(notary.sign().await.unwrap().unchecked().size, 4);
    notary.stop().await;
}
