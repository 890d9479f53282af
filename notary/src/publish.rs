//! Heads outside: a file to which each signed head is appended.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
};

use crate::{
    KnownKeys, SignedCheckpoint,
    checkpoint::{Piece, pieces},
};

/// How many heads wait for a place that cannot be written; the oldest are left out then.
const MOST_WAITING: usize = 10_000;
/// How much of the file is read at once, and how much of a note is looked at: one that is longer is no head of ours.
const BLOCK: usize = 65_536;

/// A file of heads, one after the other with an empty line behind each. It is only ever appended to.
#[derive(Debug)]
pub(crate) struct Published {
    path: PathBuf,
    waiting: Vec<String>,
}

/// What was passed over on the way to a head.
#[derive(Default)]
struct Passed {
    unsigned: usize,
    unreadable: usize,
}

impl Published {
    /// The file at a path; it is not looked at yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, waiting: Vec::new() }
    }

    /// The last head in it of the log with that name that one of its keys has signed. Others are passed over: whoever can
    /// append to the file could otherwise make the notary take a log for another. So is what cannot be read.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub(crate) fn last(&self, origin: &str, keys: &KnownKeys) -> io::Result<Option<SignedCheckpoint>> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut passed = Passed::default();
        let last = last_of(file, BLOCK, |piece| passed.look(piece, origin, keys))?;
        let file = self.path.display();
        if passed.unsigned > 0 {
            tracing::error!(heads = passed.unsigned, %file, "no key of this log signed the last heads in the file");
        }
        if passed.unreadable > 0 {
            tracing::error!(notes = passed.unreadable, %file, "the last notes in the file are no heads, or were cut off");
        }
        Ok(last)
    }

    /// Appends a head, and those that could not be appended before.
    ///
    /// # Errors
    /// If it cannot be written; it is kept for the next time.
    pub(crate) fn append(&mut self, head: &SignedCheckpoint) -> io::Result<()> {
        self.waiting.push(format!("{head}\n"));
        let too_many = self.waiting.len().saturating_sub(MOST_WAITING);
        self.waiting.drain(..too_many);
        self.flush()
    }

    /// Appends what waits. Nothing that is there is taken away: empty lines part a head that was cut off from the next.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        let mut text = self.waiting.concat();
        if !self.ends_whole() {
            text.insert_str(0, "\n\n");
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        self.waiting.clear();
        Ok(())
    }

    /// Whether nothing is in the file, or an empty line at its end. Not if that cannot be told.
    fn ends_whole(&self) -> bool {
        let ends = || -> io::Result<bool> {
            let mut file = File::open(&self.path)?;
            if file.metadata()?.len() == 0 {
                return Ok(true);
            }
            let mut end = [0; 2];
            file.seek(SeekFrom::End(-2))?;
            file.read_exact(&mut end)?;
            Ok(end == *b"\n\n")
        };
        ends().unwrap_or(false)
    }
}

impl Passed {
    /// The head in a piece, if it is of that log and one of these keys has signed it.
    fn look(&mut self, piece: &Piece<'_>, origin: &str, keys: &KnownKeys) -> Option<SignedCheckpoint> {
        let Ok(head) = piece.head() else {
            self.unreadable += 1;
            return None;
        };
        if head.unchecked().origin != origin {
            return None;
        }
        if keys.check(&head).is_err() {
            self.unsigned += 1;
            return None;
        }
        Some(head)
    }
}

/// The last piece of a file in which something is found. The file is read from its end in blocks, and no more of it is in memory
/// than two of them, however long it is.
fn last_of<T>(
    mut file: impl io::Read + io::Seek,
    block: usize,
    mut find: impl FnMut(&Piece<'_>) -> Option<T>,
) -> io::Result<Option<T>> {
    let mut begin = file.seek(SeekFrom::End(0))?;
    let mut window = Vec::new();
    while begin > 0 {
        let size = begin.min(block as u64);
        begin -= size;
        let mut text = vec![0; size as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut text)?;
        text.append(&mut window);
        let found = pieces(&text);
        // Where the first one begins is known only with what is before it.
        let first = usize::from(begin > 0);
        if let Some(last) = found.iter().skip(first).rev().find_map(&mut find) {
            return Ok(Some(last));
        }
        let rest = found.get(first).map_or(text.len(), |piece| piece.at);
        text.truncate(rest.min(block));
        window = text;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SigningKey, read_heads};

    fn key() -> SigningKey {
        SigningKey::new("daybook/tea", [7; 32]).unwrap()
    }

    fn keys() -> KnownKeys {
        KnownKeys::from_iter([key().verifier()])
    }

    fn head(size: u64) -> SignedCheckpoint {
        SignedCheckpoint::sign(size, [9; 32], &key())
    }

    #[test]
    fn a_head_that_no_key_of_the_log_signed_is_passed_over() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("heads");
        let forged = SignedCheckpoint::sign(9, [1; 32], &SigningKey::new("daybook/tea", [8; 32]).unwrap());
        let tampered = head(7).to_string().replace("\n7\n", "\n8\n");
        std::fs::write(&path, format!("{}\n{}\n{tampered}\n{forged}\n", head(1), head(2))).unwrap();
        assert_eq!(Published::new(path.clone()).last("daybook/tea", &keys()).unwrap(), Some(head(2)));
        std::fs::write(&path, forged.to_string()).unwrap();
        assert_eq!(Published::new(path).last("daybook/tea", &keys()).unwrap(), None);
    }

    /// The sizes of the heads that can be read in a file, as a reader finds them.
    fn sizes(path: &PathBuf) -> Vec<u64> {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        read_heads(&text).unwrap().iter().map(|head| head.unchecked().size).collect()
    }

    #[test]
    fn heads_are_appended_also_behind_one_that_was_cut_off_anywhere_and_nothing_is_taken_away() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("heads");
        let one = format!("{}\n", head(1));
        for cut in 0..=one.len() {
            let before = [one.as_bytes(), &one.as_bytes()[..cut]].concat();
            std::fs::write(&path, &before).unwrap();
            let mut published = Published::new(path.clone());
            assert_eq!(published.last("daybook/tea", &keys()).unwrap(), Some(head(1)), "cut at {cut}");
            assert_eq!(published.last("daybook/coffee", &keys()).unwrap(), None);
            published.append(&head(2)).unwrap();
            published.append(&head(3)).unwrap();
            assert_eq!(published.last("daybook/tea", &keys()).unwrap(), Some(head(3)));
            assert!(std::fs::read(&path).unwrap().starts_with(&before));
            let is_whole = cut + 2 >= one.len();
            let expected: &[u64] = if is_whole { &[1, 1, 2, 3] } else { &[1, 2, 3] };
            assert_eq!(sizes(&path), expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_cannot_be_read_hides_no_head_and_takes_none_away() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("heads");
        let tampered = head(7).to_string().replace("\n7\n", "\nseven\n");
        for wrong in [&b"\0\0\0\0"[..], b"# my notes\n", b"\xff\xfe\n\n", b"\n", tampered.as_bytes()] {
            let before = [head(1).to_string().as_bytes(), b"\n", wrong].concat();
            std::fs::write(&path, &before).unwrap();
            let mut published = Published::new(path.clone());
            assert_eq!(published.last("daybook/tea", &keys()).unwrap(), Some(head(1)), "{wrong:?}");
            published.append(&head(2)).unwrap();
            assert!(std::fs::read(&path).unwrap().starts_with(&before));
            assert_eq!(published.last("daybook/tea", &keys()).unwrap(), Some(head(2)), "{wrong:?}");
        }
    }

    #[test]
    fn the_last_head_is_found_from_the_end_wherever_the_blocks_begin() {
        let forged = SignedCheckpoint::sign(9, [1; 32], &SigningKey::new("daybook/tea", [8; 32]).unwrap());
        let coffee = SignedCheckpoint::sign(5, [9; 32], &SigningKey::new("daybook/coffee", [7; 32]).unwrap());
        let torn = &head(4).to_string()[..40];
        let files = [
            format!("{}\n{}\n{forged}{coffee}\n{torn}\n\n{forged}\n", head(1), head(2)),
            format!("\n\n{}{forged}\n\n\n{torn}", head(2)),
            format!("{}\n{}\n{}", head(1), head(2), "\0".repeat(300)),
            format!("{}\n", head(2)),
        ];
        for (file, number) in files.iter().zip(0..) {
            for block in (200..file.len() + 8).step_by(7) {
                let find = |piece: &Piece<'_>| Passed::default().look(piece, "daybook/tea", &keys());
                let last = last_of(io::Cursor::new(file.as_bytes()), block, find).unwrap();
                assert_eq!(last, Some(head(2)), "file {number} in blocks of {block}");
            }
        }
    }

    #[test]
    fn of_a_long_file_only_the_end_is_read() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("heads");
        // 64 GB, of which the disk holds nothing.
        File::create(&path).unwrap().set_len(1 << 36).unwrap();
        let mut published = Published::new(path);
        published.append(&head(1)).unwrap();
        assert_eq!(published.last("daybook/tea", &keys()).unwrap(), Some(head(1)));
    }

    #[test]
    fn a_head_that_was_written_in_part_by_this_process_is_parted_from_the_next() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("heads");
        let mut published = Published::new(path.clone());
        published.append(&head(1)).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        // The disk is full in the middle of it, and half a head stays.
        published.path = PathBuf::from("/dev/full");
        assert!(published.append(&head(2)).is_err());
        published.path = path.clone();
        let half = head(2).to_string();
        std::fs::write(&path, format!("{whole}{}", &half[..half.len() / 2])).unwrap();
        published.flush().unwrap();
        assert_eq!(sizes(&path), [1, 2]);
    }

    #[test]
    fn what_could_not_be_published_follows_later() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("outside").join("heads");
        let mut published = Published::new(path.clone());
        assert!(published.append(&head(1)).is_err());
        assert!(published.append(&head(2)).is_err());
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        published.append(&head(3)).unwrap();
        assert_eq!(read_heads(&std::fs::read_to_string(&path).unwrap()).unwrap(), [head(1), head(2), head(3)]);
    }
}
