//! What the notary writes, read by implementations that are not ours: Cloudflare's `signed_note` and `tlog_tiles`, which come
//! from Go's checksum database.

use std::{path::PathBuf, sync::Arc};

use event_store::{Log, MemoryLog};
use notary::{SignedCheckpoint, SigningKey, TileFolder, check_consistency, check_inclusion, consistency, inclusion, root};
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{Hash, HashReader, Tile, TileHashReader, TileReader};

use crate::facts::{ORIGIN, grow, key, leaf, leaves, start};

fn hashes(nodes: &[notary::Node]) -> Vec<Hash> {
    nodes.iter().map(|node| Hash(*node)).collect()
}

#[test]
fn their_proofs_hold_here_and_ours_hold_there() {
    let all = leaves(300);
    for size in (1..=40).chain([63, 64, 65, 127, 200, 255, 256, 257, 300]) {
        let is = root(&all, size).unwrap();
        for index in 0..size {
            let ours = hashes(&inclusion(&all, index, size).unwrap());
            tlog_tiles::check_record(&ours, size, Hash(is), index, Hash(leaf(index))).unwrap();
        }
        for old in 1..=size {
            let was = root(&all, old).unwrap();
            let ours = hashes(&consistency(&all, old, size).unwrap());
            tlog_tiles::check_tree(&ours, size, Hash(is), old, Hash(was)).unwrap();
        }
    }
}

#[test]
fn a_note_of_ours_is_believed_there_and_one_of_theirs_here() {
    let signed = SignedCheckpoint::sign(7, leaf(1), &key());
    let verifier = StandardVerifier::new(&key().verifier().to_string()).unwrap();
    let note = Note::from_bytes(signed.to_string().as_bytes()).unwrap();
    let (verified, others) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((verified.len(), others.len(), verified[0].name()), (1, 0, ORIGIN));
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.size(), checkpoint.hash().0), (ORIGIN, 7, leaf(1)));

    // Their signer reads our key, and signs what we read.
    let signer = StandardSigner::new(&key().to_text()).unwrap();
    let mut note = Note::new(checkpoint.to_bytes().as_slice(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    let read = SignedCheckpoint::parse(&String::from_utf8(note.to_bytes()).unwrap()).unwrap();
    assert_eq!(read.check(&[key().verifier()]).unwrap().size, 7);

    // The key of the standard's own example.
    let example = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    let public = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let example = SigningKey::parse(example).unwrap();
    assert_eq!(example.verifier().to_string(), public);
}

/// Reads our folder as their client reads a server.
struct Folder(PathBuf);

impl TileReader for Folder {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        // Their paths name the height, as Go's do; those of the standard do not.
        let path = |tile: &Tile| self.0.join(tile.path().replacen("tile/8/", "tile/", 1));
        Ok(tiles.iter().map(|tile| std::fs::read(path(tile)).unwrap()).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_client_proves_events_of_a_log_from_the_folder_of_a_notary() {
    let scratch = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    let notary = start(&log, scratch.path());
    for count in [3, 297, 66_000] {
        grow(&*log, count).await;
        let head = notary.sign().await.unwrap();
        let checkpoint = head.check(&[key().verifier()]).unwrap();
        let size = log.head().await.unwrap().position;
        assert_eq!(checkpoint.size, size);
        let folder = Folder(scratch.path().to_owned());
        let reader = TileHashReader::new(size, Hash(checkpoint.root), &folder);
        assert_eq!(tlog_tiles::tree_hash(size, &reader).unwrap().0, checkpoint.root);
        let ours = TileFolder::new(scratch.path());
        for index in [0, size / 2, size - 1] {
            let digest = log.digests(index, 1).await.unwrap()[0];
            let proof = tlog_tiles::prove_record(size, index, &reader).unwrap();
            let path: Vec<_> = proof.iter().map(|hash| hash.0).collect();
            assert_eq!(path, inclusion(&ours, index, size).unwrap());
            assert_eq!(check_inclusion(digest, index, size, &path, checkpoint.root), Ok(()));
            let stored = reader.read_hashes(&[tlog_tiles::stored_hash_index(0, index)]).unwrap();
            assert_eq!(stored[0].0, digest);
        }
        let proof = tlog_tiles::prove_tree(size, 2, &reader).unwrap();
        let path: Vec<_> = proof.iter().map(|hash| hash.0).collect();
        let was = root(&ours, 2).unwrap();
        assert_eq!(check_consistency((2, was), (size, checkpoint.root), &path), Ok(()));
    }
    notary.stop().await;
}
