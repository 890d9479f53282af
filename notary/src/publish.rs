//! Heads outside: a file to which each signed head is appended.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    path::PathBuf,
};

use crate::{KnownKeys, SignedCheckpoint, checkpoint::read_heads, note::MARK};

/// How many heads wait for a place that cannot be written; the oldest are left out then.
const MOST_WAITING: usize = 10_000;

/// A file of heads, one after the other with an empty line behind each.
#[derive(Debug)]
pub(crate) struct Published {
    path: PathBuf,
    waiting: Vec<String>,
    is_checked: bool,
}

impl Published {
    /// The file at a path; it is not looked at yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, waiting: Vec::new(), is_checked: false }
    }

    /// The last head in it of the log with that name that one of its keys has signed. Others are passed over: whoever can
    /// append to the file could otherwise make the notary take a log for another.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub(crate) fn last(&self, origin: &str, keys: &KnownKeys) -> io::Result<Option<SignedCheckpoint>> {
        let text = self.text()?;
        let heads = read_heads(&text[..whole(&text)]).map_err(|(line, error)| self.wrong(line, &error))?;
        let (mut passed, mut last) = (0_usize, None);
        for head in heads.into_iter().rev().filter(|head| head.unchecked().origin == origin) {
            if keys.check(&head).is_ok() {
                last = Some(head);
                break;
            }
            passed += 1;
        }
        if passed > 0 {
            tracing::error!(heads = passed, file = %self.path.display(), "no key of this log signed the last heads in the file");
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

    /// Appends what waits.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        let mut text = self.waiting.concat();
        if !self.is_checked {
            // A head that was cut off when a process died is no head.
            let found = self.text()?;
            let whole = whole(&found);
            if whole < found.len() {
                file.set_len(whole as u64)?;
            } else if !found.is_empty() && !found.ends_with("\n\n") {
                text.insert(0, '\n');
            }
        }
        // What is written in part is looked for the next time.
        self.is_checked = false;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        self.is_checked = true;
        self.waiting.clear();
        Ok(())
    }

    fn text(&self) -> io::Result<String> {
        match std::fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        }
    }

    fn wrong(&self, line: usize, error: &crate::NoteError) -> io::Error {
        io::Error::other(format!("{}, line {line}: {error}", self.path.display()))
    }
}

/// How much of a file of heads is there without a last head that was cut off.
fn whole(text: &str) -> usize {
    let Err((line, _)) = read_heads(text) else { return text.len() };
    let begin = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = &text[begin..];
    let is_cut_off = !rest.ends_with('\n') || !rest.contains(MARK);
    if is_cut_off { begin } else { text.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

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

    #[test]
    fn heads_are_appended_also_behind_one_that_was_cut_off_anywhere() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("heads");
        let one = format!("{}\n", head(1));
        for cut in 0..=one.len() {
            let Some(torn) = one.get(..cut) else { continue };
            std::fs::write(&path, format!("{one}{torn}")).unwrap();
            let mut published = Published::new(path.clone());
            let is_whole = cut + 1 >= one.len();
            assert_eq!(published.last("daybook/tea", &keys()).unwrap(), Some(head(1)));
            assert_eq!(published.last("daybook/coffee", &keys()).unwrap(), None);
            published.append(&head(2)).unwrap();
            published.append(&head(3)).unwrap();
            let expected: &[u64] = if is_whole { &[1, 1, 2, 3] } else { &[1, 2, 3] };
            let found = read_heads(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(found, expected.iter().map(|size| head(*size)).collect::<Vec<_>>(), "cut at {cut}");
        }
    }

    #[test]
    fn a_head_that_was_written_in_part_by_this_process_is_cut_off_before_the_next() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("heads");
        let mut published = Published::new(path.clone());
        published.append(&head(1)).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        // The disk is full in the middle of it, and half a head stays.
        published.is_checked = true;
        published.path = PathBuf::from("/dev/full");
        assert!(published.append(&head(2)).is_err());
        published.path = path.clone();
        let half = head(2).to_string();
        std::fs::write(&path, format!("{whole}{}", &half[..half.len() / 2])).unwrap();
        published.flush().unwrap();
        assert_eq!(read_heads(&std::fs::read_to_string(&path).unwrap()).unwrap(), [head(1), head(2)]);
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
