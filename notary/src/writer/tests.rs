//! A crash and a power cut at each step of writing tiles.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::*;
use crate::{Leaves, SigningKey};

/// A disk whose power goes at a step. Names that were not made to last are lost then, or not.
struct Failing(Arc<Mutex<Power>>);

#[derive(Default)]
struct Power {
    steps: usize,
    /// What had a name before, of names that do not last yet; none if nothing had it.
    files: BTreeMap<PathBuf, Option<Vec<u8>>>,
    /// Folders that do not last yet.
    folders: BTreeMap<PathBuf, ()>,
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
        let missing = path.ancestors().take_while(|above| !above.exists()).map(Path::to_owned);
        let missing: Vec<_> = missing.collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.step()?;
        self.0.lock().unwrap().folders.extend(missing.into_iter().map(|folder| (folder, ())));
        Disk.make_folder(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let on = self.step();
        if on.is_err() {
            std::fs::write(path, &bytes[..bytes.len() / 2])?;
        }
        on.and_then(|()| Disk.write(path, bytes))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let before = std::fs::read(to).ok();
        self.0.lock().unwrap().files.entry(to.to_owned()).or_insert(before);
        Disk.rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        let mut power = self.0.lock().unwrap();
        power.files.retain(|file, _| file.parent() != Some(path));
        power.folders.retain(|folder, ()| folder.parent() != Some(path));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        Disk.remove(path)
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

fn write_all(writer: &mut TileWriter) -> Result<(), TileError> {
    for size in SIZES {
        (writer.size()..size).for_each(|n| writer.push(leaf(n)));
        if writer.size() == size {
            writer.write_full()?;
            let head = signed(size, writer.root(size)?);
            writer.keep(&head)?;
        }
    }
    Ok(())
}

/// What a restart finds: the head, all that it rests upon, and that the tree grows on from it to what it must be.
fn recovered(path: &Path, leaves: &Leaves) -> u64 {
    let folder = TileFolder::new(path);
    let size = folder.head().unwrap().map_or(0, |head| head.unchecked().size);
    assert!(size == 0 || SIZES.contains(&size));
    assert_eq!(root(&folder, size).unwrap(), root(leaves, size).unwrap(), "at {size}");
    let mut writer = TileWriter::open(folder.clone(), size).unwrap();
    assert_eq!(writer.last().unwrap(), size.checked_sub(1).map(leaf));
    write_all(&mut writer).unwrap();
    for size in SIZES.into_iter().chain((0..=700).step_by(89)) {
        assert_eq!(root(&folder, size).unwrap(), root(leaves, size).unwrap(), "of {size}");
    }
    size
}

#[test]
fn a_crash_or_a_power_cut_at_any_step_leaves_a_head_with_all_its_tiles() {
    let mut leaves = Leaves::default();
    (0..700).for_each(|n| leaves.push(leaf(n)));
    for is_cut in [false, true] {
        let (mut steps, mut found) = (0, BTreeSet::new());
        loop {
            let scratch = tempfile::tempdir().unwrap();
            let path = scratch.path().join("notary");
            std::fs::create_dir(&path).unwrap();
            let power = Arc::new(Mutex::new(Power { steps, ..Power::default() }));
            let files = Box::new(Failing(Arc::clone(&power)));
            let mut writer = TileWriter::open_with(TileFolder::new(&path), 0, files).unwrap();
            let done = write_all(&mut writer);
            if is_cut {
                let lost = std::mem::take(&mut *power.lock().unwrap());
                for (file, before) in &lost.files {
                    match before {
                        Some(bytes) => std::fs::write(file, bytes).unwrap(),
                        None => std::fs::remove_file(file).unwrap(),
                    }
                }
                lost.folders.keys().filter(|folder| folder.exists()).for_each(|folder| std::fs::remove_dir_all(folder).unwrap());
            }
            found.insert(recovered(&path, &leaves));
            if done.is_ok() {
                break;
            }
            steps += 1;
        }
        assert!(steps > 40, "there are many steps: {steps}");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [&[0], &SIZES[..]].concat());
    }
}

#[test]
fn what_could_not_be_written_is_written_the_next_time() {
    let scratch = tempfile::tempdir().unwrap();
    let power = Arc::new(Mutex::new(Power::default()));
    let folder = TileFolder::new(scratch.path());
    let mut writer = TileWriter::open_with(folder.clone(), 0, Box::new(Failing(Arc::clone(&power)))).unwrap();
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
    let mut writer = TileWriter::open(TileFolder::new(scratch.path()), 0).unwrap();
    write_all(&mut writer).unwrap();
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
