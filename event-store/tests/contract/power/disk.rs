//! The disk that can lose power, seen from the test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::child;

const KEPT: &str = "DAYBOOK_DISK_KEPT";
const SECTOR: usize = 512;

/// A folder for a log, and what is kept of it when the power goes.
pub struct Disk {
    home: TempDir,
    /// Where the chances began.
    pub seed: u64,
    chance: u64,
}

impl Disk {
    /// A new disk; none, with the reason printed, where it cannot be made.
    pub fn new() -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        for folder in ["disk", "kept"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/power/disk.c");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([home.path().join("disk.so"), source]).status();
        if !built.is_ok_and(|built| built.success()) {
            println!("skipped: the disk that loses power needs a C compiler as `cc`, on Linux");
            return None;
        }
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        Some(Self { home, seed, chance: seed })
    }

    fn disk(&self) -> PathBuf {
        // Without symbolic links, as the system names open files.
        self.home.path().canonicalize().unwrap().join("disk")
    }

    fn kept(&self) -> PathBuf {
        self.home.path().join("kept")
    }

    /// The log's file on it.
    pub fn log(&self) -> PathBuf {
        self.disk().join("events.db")
    }

    /// A child that works on this disk.
    pub fn child(&self, test: &str) -> Command {
        let mut command = child::command(test, &self.log());
        command.env("LD_PRELOAD", self.home.path().join("disk.so"));
        command.env("DAYBOOK_DISK", self.disk()).env(KEPT, self.kept());
        command
    }

    /// A number below `end`, by chance (SplitMix64).
    pub fn below(&mut self, end: usize) -> usize {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    /// Takes away what was not synced: a name that was not, and of each file any of the sectors and any of the length.
    pub fn cut_power(&mut self) {
        for entry in fs::read_dir(self.disk()).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            // SQLite's shared memory is not meant to outlive a process.
            if name.ends_with("-shm") || !self.kept().join(format!("{name}.name")).exists() {
                fs::remove_file(&file).unwrap();
                continue;
            }
            let (written, synced) = (fs::read(&file).unwrap(), fs::read(self.kept().join(&name)).unwrap_or_default());
            fs::write(&file, self.mixed(&written, &synced)).unwrap();
        }
    }

    fn mixed(&mut self, written: &[u8], synced: &[u8]) -> Vec<u8> {
        let (shorter, longer) = (written.len().min(synced.len()), written.len().max(synced.len()));
        let mut mixed = vec![0; shorter + self.below(longer - shorter + 1)];
        for (sector, bytes) in mixed.chunks_mut(SECTOR).enumerate() {
            let source = if self.below(2) == 0 { written } else { synced };
            let from = source.get(sector * SECTOR..).unwrap_or_default();
            let length = bytes.len().min(from.len());
            bytes[..length].copy_from_slice(&from[..length]);
        }
        mixed
    }

    /// Makes what is on the disk now what was synced: the power is back and the log was recovered.
    pub fn settle(&self) {
        for entry in fs::read_dir(self.disk()).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            fs::copy(&file, self.kept().join(name)).unwrap();
        }
    }
}

/// In a child: the next `count` syncs fail.
pub fn refuse_syncs(count: u32) {
    let kept = PathBuf::from(std::env::var_os(KEPT).unwrap());
    fs::write(kept.join("REFUSE"), count.to_string()).unwrap();
}
