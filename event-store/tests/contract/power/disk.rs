//! The disk that can lose power and fill up, seen from the test.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{chance::Chance, child};

const KEPT: &str = "DAYBOOK_DISK_KEPT";
const SECTOR: usize = 512;

/// A folder for a log, and what is kept of it when the power goes.
pub struct Disk {
    home: TempDir,
    disk: PathBuf,
    pub chance: Chance,
}

impl Disk {
    /// A new disk; none, with the reason printed, where it cannot be made.
    pub fn new() -> Option<Self> {
        let mut disk = Self::over(Path::new("/"))?;
        // Without symbolic links, as the system names open files.
        disk.disk = disk.home.path().canonicalize().unwrap().join("disk");
        fs::create_dir(&disk.disk).unwrap();
        Some(disk)
    }

    /// A folder that is there, as a disk that has lost nothing yet.
    pub fn over(folder: &Path) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/power/disk.c");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([home.path().join("disk.so"), source]).status();
        if !built.is_ok_and(|built| built.success()) {
            println!("skipped: the disk that loses power needs a C compiler as `cc`, on Linux");
            return None;
        }
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let disk = Self { disk: folder.canonicalize().unwrap(), home, chance: Chance::new() };
        disk.make_folder(&disk.kept());
        Some(disk)
    }

    fn kept(&self) -> PathBuf {
        self.home.path().join("kept")
    }

    /// A folder that a server's user may write as well.
    fn make_folder(&self, folder: &Path) {
        if !folder.exists() {
            fs::create_dir(folder).unwrap();
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        }
    }

    /// The log's file on it.
    pub fn log(&self) -> PathBuf {
        self.disk.join("events.db")
    }

    /// What a process needs in its environment to work on this disk.
    pub fn environment(&self) -> [(String, String); 3] {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        [
            ("LD_PRELOAD".to_owned(), text(self.home.path().join("disk.so"))),
            ("DAYBOOK_DISK".to_owned(), text(self.disk.clone())),
            (KEPT.to_owned(), text(self.kept())),
        ]
    }

    /// A child that works on this disk.
    pub fn child(&self, test: &str) -> Command {
        let mut command = child::command(test, &self.log());
        command.envs(self.environment());
        command
    }

    /// The files on it, by their paths in it.
    fn files(&self, folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.disk.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                self.make_folder(&self.kept().join(&path));
                found.extend(self.files(&path));
            } else {
                found.push(path);
            }
        }
        found
    }

    /// Takes away what was not synced: a name that was not, and of each file any of the sectors and any of the length, and all
    /// of the sectors that a refused sync has dropped.
    pub fn cut_power(&mut self) {
        for path in self.files(Path::new("")) {
            let (file, kept) = (self.disk.join(&path), self.kept().join(&path));
            let name = path.to_str().unwrap();
            // SQLite's shared memory is not meant to outlive a process.
            if name.ends_with("-shm") || !self.kept().join(format!("{name}.name")).exists() {
                fs::remove_file(&file).unwrap();
                self.forget_dropped(name);
                continue;
            }
            let (written, synced) = (fs::read(&file).unwrap(), fs::read(&kept).unwrap_or_default());
            let dropped = fs::read(self.dropped(name)).unwrap_or_default();
            if written != synced {
                let mixed = self.mixed(&written, &synced, &dropped);
                fs::write(&file, &mixed).unwrap();
                fs::write(&kept, &mixed).unwrap();
            }
            self.forget_dropped(name);
        }
    }

    /// Where `disk.c` keeps which sectors of a file are lost since a refused sync: a byte that is not 0 for each of them.
    fn dropped(&self, name: &str) -> PathBuf {
        self.kept().join(format!("{name}.dropped"))
    }

    /// What is on the disk now is all there is.
    fn forget_dropped(&self, name: &str) {
        let dropped = self.dropped(name);
        if dropped.exists() {
            fs::remove_file(dropped).unwrap();
        }
    }

    fn mixed(&mut self, written: &[u8], synced: &[u8], dropped: &[u8]) -> Vec<u8> {
        let (shorter, longer) = (written.len().min(synced.len()), written.len().max(synced.len()));
        let mut mixed = vec![0; shorter + self.chance.below(longer - shorter + 1)];
        for (sector, bytes) in mixed.chunks_mut(SECTOR).enumerate() {
            let is_dropped = dropped.get(sector).is_some_and(|dropped| *dropped != 0);
            let source = if self.chance.below(2) == 0 && !is_dropped { written } else { synced };
            let from = source.get(sector * SECTOR..).unwrap_or_default();
            let length = bytes.len().min(from.len());
            bytes[..length].copy_from_slice(&from[..length]);
        }
        mixed
    }

    /// Makes what is on the disk now what was synced: the power is back, and who opened the log did not work on this disk.
    pub fn settle(&self) {
        let owner = fs::metadata(&self.disk).unwrap();
        for path in self.files(Path::new("")) {
            let kept = self.kept().join(&path);
            fs::copy(self.disk.join(&path), &kept).unwrap();
            self.forget_dropped(path.to_str().unwrap());
            let name = self.kept().join(format!("{}.name", path.display()));
            fs::write(&name, []).unwrap();
            for file in [kept, name] {
                chown(file, Some(owner.uid()), Some(owner.gid())).unwrap();
            }
        }
    }

    /// Files whose path begins so cannot grow from now on; with nothing, all can again.
    pub fn fill(&self, begins: Option<&str>) {
        let full = self.kept().join("FULL");
        match begins {
            Some(begins) => fs::write(full, begins).unwrap(),
            None => fs::remove_file(full).unwrap(),
        }
    }

    /// The next `count` syncs fail, and what they were for is not written by a later one either.
    pub fn refuse_syncs(&self, count: u32) {
        refuse_syncs(&self.kept(), count);
    }
}

fn refuse_syncs(kept: &Path, count: u32) {
    let refuse = kept.join("REFUSE");
    fs::write(&refuse, count.to_string()).unwrap();
    fs::set_permissions(&refuse, fs::Permissions::from_mode(0o666)).unwrap();
}

/// In a child: the next `count` syncs fail.
pub fn refuse_my_syncs(count: u32) {
    refuse_syncs(&PathBuf::from(std::env::var_os(KEPT).unwrap()), count);
}

/// In a child: how many more syncs will fail.
pub fn my_refusals_left() -> u32 {
    let refuse = PathBuf::from(std::env::var_os(KEPT).unwrap()).join("REFUSE");
    // The disk is just writing the number when it is not there.
    std::fs::read_to_string(refuse).ok().and_then(|count| count.trim().parse().ok()).unwrap_or(u32::MAX)
}
