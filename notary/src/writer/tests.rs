//! A crash and a power cut at each step of writing tiles.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use super::*;
use crate::{Leaves, SigningKey};

/// A disk whose power goes at a step. What was not made to last is lost then, or torn, or there by chance.
struct Failing(Arc<Mutex<Power>>);

#[derive(Default)]
struct Power {
    steps: usize,
    /// What had a name before, of names that do not last yet; none if nothing had it.
    names: BTreeMap<PathBuf, Option<Vec<u8>>>,
    /// Files whose content does not last yet.
    contents: BTreeSet<PathBuf>,
}

/// What becomes of files that were not made to last.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// The process dies, and the machine goes on.
    Crash,
    /// They have no name.
    Lost,
    /// Half of them is there.
    Torn,
    /// They are as long as they should be, and empty.
    Zeros,
}

fn gone() -> io::Error {
    io::Error::other("the power is gone")
}

impl Failing {
    fn step(&self) -> io::Result<()> {
        let mut power = self.0.lock().unwrap();
        power.steps = power.steps.checked_sub(1).ok_or_else(gone)?;
        Ok(())
    }
}

impl Files for Failing {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        if path.exists() {
            return Ok(());
        }
        self.step()?;
        Disk.make_folder(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let on = self.step();
        if on.is_err() {
            std::fs::write(path, &bytes[..bytes.len() / 2])?;
        }
        self.0.lock().unwrap().contents.insert(path.to_owned());
        on.and_then(|()| Disk.write(path, bytes))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.0.lock().unwrap().contents.remove(path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let before = std::fs::read(to).ok();
        let mut power = self.0.lock().unwrap();
        power.names.entry(to.to_owned()).or_insert(before);
        power.contents.remove(to);
        if power.contents.remove(from) {
            power.contents.insert(to.to_owned());
        }
        Disk.rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.0.lock().unwrap().names.retain(|file, _| file.parent() != Some(path));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        Disk.remove(path)
    }
}

impl Power {
    fn goes(self, end: End) {
        let blank = |file: &PathBuf, with: fn(Vec<u8>) -> Vec<u8>| {
            if let Ok(bytes) = std::fs::read(file) {
                std::fs::write(file, with(bytes)).unwrap();
            }
        };
        match end {
            End::Crash => {}
            End::Lost => self.names.iter().for_each(|(file, before)| match before {
                Some(bytes) => std::fs::write(file, bytes).unwrap(),
                None => drop(std::fs::remove_file(file)),
            }),
            End::Torn => self.contents.iter().for_each(|file| blank(file, |bytes| bytes[..bytes.len() / 2].to_vec())),
            End::Zeros => self.contents.iter().for_each(|file| blank(file, |bytes| vec![0; bytes.len()])),
        }
    }
}

fn leaf(n: u64) -> Node {
    std::array::from_fn(|byte| n.to_be_bytes()[byte % 8])
}

fn signed(size: u64, root: Node) -> SignedCheckpoint {
    SignedCheckpoint::sign(size, root, &SigningKey::new("daybook/tea", [7; 32]).unwrap())
}

/// Sizes at which heads are kept: before, at and behind the ends of tiles.
const SIZES: [u64; 7] = [3, 255, 256, 257, 511, 512, 700];

/// Grows a tree to these sizes, with a head at each. Gives the last head that was kept.
fn write_all(writer: &mut TileWriter) -> (u64, Result<(), TileError>) {
    let mut kept = 0;
    for size in SIZES {
        (writer.size()..size).for_each(|n| writer.push(leaf(n)));
        if writer.size() == size {
            let head = writer.write_full().and_then(|()| Ok(signed(size, writer.root(size)?)));
            if let Err(error) = head.and_then(|head| writer.keep(&head)) {
                return (kept, Err(error));
            }
            kept = size;
        }
    }
    (kept, Ok(()))
}

/// What a restart finds: a head, and all that it rests upon or the news that it is not there; and that the tree grows on from
/// it, or from the log, to what it must be. Gives the size of the head, and whether its tiles were there.
fn recovered(path: &Path, leaves: &Leaves) -> (u64, bool) {
    let folder = TileFolder::new(path);
    let head = folder.head().unwrap().map(|head| head.unchecked().clone());
    let (size, is) = head.map_or((0, root(leaves, 0).unwrap()), |head| (head.size, head.root));
    assert_eq!(root(leaves, size).unwrap(), is, "a head is what was signed");
    let opened = TileWriter::open(folder.clone(), size, &is);
    let is_whole = opened.is_ok();
    let mut writer = opened.unwrap_or_else(|_| {
        folder.clear().unwrap();
        TileWriter::new(folder.clone())
    });
    let last = writer.size();
    assert_eq!(writer.last().unwrap(), last.checked_sub(1).map(leaf));
    write_all(&mut writer).1.unwrap();
    check(&folder, 700, &root(leaves, 700).unwrap()).unwrap();
    for size in SIZES.into_iter().chain((0..=700).step_by(89)) {
        assert_eq!(root(&folder, size).unwrap(), root(leaves, size).unwrap(), "of {size}");
    }
    (size, is_whole)
}

#[test]
fn a_crash_leaves_a_head_with_all_its_tiles_and_a_power_cut_leaves_it_and_tells_what_of_them_is_torn() {
    let mut leaves = Leaves::default();
    (0..700).for_each(|n| leaves.push(leaf(n)));
    for end in [End::Crash, End::Lost, End::Torn, End::Zeros] {
        let (mut steps, mut found, mut torn) = (0, BTreeSet::new(), 0);
        loop {
            let scratch = tempfile::tempdir().unwrap();
            let path = scratch.path().join("notary");
            std::fs::create_dir(&path).unwrap();
            let power = Arc::new(Mutex::new(Power { steps, ..Power::default() }));
            let files = Box::new(Failing(Arc::clone(&power)));
            let (kept, done) = write_all(&mut TileWriter { files, ..TileWriter::new(TileFolder::new(&path)) });
            std::mem::take(&mut *power.lock().unwrap()).goes(end);
            let (size, is_whole) = recovered(&path, &leaves);
            assert!(size >= kept, "{end:?} at step {steps} loses the head of {kept}, which was told");
            torn += usize::from(!is_whole);
            found.insert(size);
            if done.is_ok() {
                break;
            }
            steps += 1;
        }
        assert!(steps > 40, "there are many steps: {steps}");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [&[0], &SIZES[..]].concat());
        assert_eq!(torn > 0, end != End::Crash, "{end:?}: {torn} times");
    }
}

#[test]
fn a_tile_that_is_torn_beyond_the_head_is_written_anew() {
    let mut leaves = Leaves::default();
    (0..700).for_each(|n| leaves.push(leaf(n)));
    let scratch = tempfile::tempdir().unwrap();
    let folder = TileFolder::new(scratch.path());
    let mut writer = TileWriter::new(folder.clone());
    (0..300).for_each(|n| writer.push(leaf(n)));
    let is = root(&leaves, 300).unwrap();
    writer.keep(&signed(300, is)).unwrap();
    (300..700).for_each(|n| writer.push(leaf(n)));
    writer.write_full().unwrap();
    drop(writer);
    let beyond = scratch.path().join("tile/0/001");
    for torn in [vec![0; 256 * 32], vec![1; 31], Vec::new()] {
        std::fs::write(&beyond, torn).unwrap();
        let mut writer = TileWriter::open(folder.clone(), 300, &is).unwrap();
        assert_eq!(root(&writer, 300).unwrap(), is, "what the head rests upon is its own");
        (300..700).for_each(|n| writer.push(leaf(n)));
        writer.write_full().unwrap();
        assert_eq!(std::fs::read(&beyond).unwrap(), leaves.tile("tile/0/001".parse().unwrap()).unwrap().concat());
    }
}

#[test]
fn what_could_not_be_written_is_written_the_next_time() {
    let scratch = tempfile::tempdir().unwrap();
    let power = Arc::new(Mutex::new(Power::default()));
    let folder = TileFolder::new(scratch.path());
    let mut writer = TileWriter { files: Box::new(Failing(Arc::clone(&power))), ..TileWriter::new(folder.clone()) };
    (0..700).for_each(|n| writer.push(leaf(n)));
    let root_of_700 = writer.root(700).unwrap();
    let mut steps = 0;
    while writer.keep(&signed(700, root_of_700)).is_err() {
        steps += 1;
        power.lock().unwrap().steps = steps;
        assert_eq!(writer.root(700).unwrap(), root_of_700);
        assert!(steps < 100);
    }
    assert_eq!(root(&folder, 700).unwrap(), root_of_700);
    assert_eq!(folder.head().unwrap(), Some(signed(700, root_of_700)));
}

#[test]
fn of_the_tiles_at_the_edge_only_those_of_the_last_head_stay() {
    let scratch = tempfile::tempdir().unwrap();
    let mut writer = TileWriter::new(TileFolder::new(scratch.path()));
    write_all(&mut writer).1.unwrap();
    let level = |level: &str| -> BTreeSet<String> {
        let files = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (folders, files_of): (Vec<_>, Vec<_>) =
            files(scratch.path().join("tile").join(level)).partition(|path| path.is_dir());
        let all = files_of.into_iter().chain(folders.into_iter().flat_map(files));
        all.map(|path| path.strip_prefix(scratch.path().join("tile")).unwrap().display().to_string()).collect()
    };
    assert_eq!(level("0"), ["0/000", "0/001", "0/002.p/188"].map(str::to_owned).into());
    assert_eq!(level("1"), ["1/000.p/2"].map(str::to_owned).into());
}
