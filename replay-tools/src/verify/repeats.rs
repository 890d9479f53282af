//! What must not come twice, and what must count without a gap, over a whole log in bounded memory: short keys are sorted
//! into parts by their first bits, and parts that grow go to files that nobody else sees.

use std::{
    collections::BTreeMap,
    fs::File,
    hash::{BuildHasher as _, Hash, RandomState},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
};

use event_schemas::Position;

use crate::Failure;

/// How many parts there are. One part is in memory at a time when they are looked through.
const PARTS: usize = 64;
/// How many notes of a part are held in memory before they go to its file.
const HELD: usize = 4_096;
const BYTES: usize = 24;

/// A short key under a random secret: two ids meet by chance about once in 400,000 runs over a log of 10 million events, and
/// not again in the next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Note {
    key: u64,
    position: Position,
    number: u64,
}

impl Note {
    fn bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (place, number) in bytes.chunks_exact_mut(8).zip([self.key, self.position, self.number]) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    fn of(bytes: &[u8]) -> Self {
        let number = |at: usize| bytes[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Self { key: number(0), position: number(8), number: number(16) }
    }
}

#[derive(Debug, Default)]
struct Part {
    held: Vec<Note>,
    file: Option<File>,
}

impl Part {
    fn add(&mut self, note: Note) -> std::io::Result<()> {
        self.held.push(note);
        if self.held.len() < HELD {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        let bytes: Vec<u8> = self.held.drain(..).flat_map(Note::bytes).collect();
        file.write_all(&bytes)
    }

    /// All its notes by key, those of a key in the order of the log.
    fn sorted(self) -> std::io::Result<Vec<Note>> {
        let mut notes = self.held;
        if let Some(mut file) = self.file {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(0))?;
            file.read_to_end(&mut bytes)?;
            notes.extend(bytes.chunks_exact(BYTES).map(Note::of));
        }
        notes.sort_unstable();
        Ok(notes)
    }
}

/// Keys with where they were met, and a number with each.
#[derive(Debug)]
pub(super) struct Repeats {
    secret: RandomState,
    parts: Vec<Part>,
}

impl Repeats {
    pub(super) fn new() -> Self {
        Self { secret: RandomState::new(), parts: (0..PARTS).map(|_| Part::default()).collect() }
    }

    /// Notes that an id stands at a position, with a number.
    pub(super) fn add(&mut self, id: impl Hash, position: Position, number: u64) -> Result<(), Failure> {
        let key = self.secret.hash_one(id);
        let part = &mut self.parts[(key % PARTS as u64) as usize];
        part.add(Note { key, position, number }).map_err(to_disk)
    }

    /// Every place where an id stands that stood before, in the order of the log, with the place and the number before and
    /// its own number, and the first place of every id with its number. `is_wrong` says which of them are kept.
    pub(super) fn wrong(self, is_wrong: impl Fn(Option<u64>, u64) -> bool) -> Result<BTreeMap<Position, Met>, Failure> {
        let mut found = BTreeMap::new();
        for part in self.parts {
            let notes = part.sorted().map_err(to_disk)?;
            let mut before: Option<Note> = None;
            for note in notes {
                let earlier = before.filter(|earlier| earlier.key == note.key);
                if is_wrong(earlier.map(|earlier| earlier.number), note.number) {
                    found.insert(
                        note.position,
                        Met { earlier: earlier.map(|note| (note.position, note.number)), number: note.number },
                    );
                }
                before = Some(note);
            }
        }
        Ok(found)
    }
}

/// Where an id stood before, with the number there, and the number here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) earlier: Option<(Position, u64)>,
    pub(super) number: u64,
}

fn to_disk(source: std::io::Error) -> Failure {
    Failure::File { path: std::env::temp_dir().display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_is_found_however_much_lies_between() {
        let mut repeats = Repeats::new();
        // More than is held in memory, so that the first of the two is in a file.
        let many = (PARTS * HELD * 3) as u64;
        for position in 1..=many {
            repeats.add(if position == many - 1 { 2 } else { position }, position, 0).unwrap();
        }
        assert!(repeats.parts.iter().all(|part| part.file.is_some() && part.held.len() < HELD));
        let found = repeats.wrong(|earlier, _| earlier.is_some()).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(many - 1, Met { earlier: Some((2, 0)), number: 0 })]);
    }

    #[test]
    fn numbers_that_do_not_follow_are_found_once_each() {
        let mut repeats = Repeats::new();
        for (position, (id, number)) in (1..).zip([("a", 1), ("b", 2), ("a", 3), ("a", 4), ("b", 3)]) {
            repeats.add(id, position, number).unwrap();
        }
        let found = repeats.wrong(|earlier, number| number != earlier.unwrap_or(0) + 1).unwrap();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [2, 3]);
    }
}
