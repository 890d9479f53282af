//! Checkpoints: what the log was at a size, signed (<https://c2sp.org/tlog-checkpoint>).

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{
    Node,
    note::{MARK, NoteError, Signature, SigningKey, VerifierKey},
};

/// The root of a log when it had so many events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many events: also the last position.
    pub size: u64,
    /// The root of the tree over the digests of positions 1 to `size`.
    pub root: Node,
}

/// A checkpoint as the text that was signed, followed by its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    /// The whole note.
    note: String,
    /// How much of it was signed.
    signed: usize,
    signatures: Vec<Signature>,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, BASE64_STANDARD.encode(self.root))
    }
}

impl Checkpoint {
    /// Reads the text of a checkpoint; lines behind the root are extensions that say nothing to us.
    fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.lines();
        let origin = lines.next().filter(|origin| !origin.is_empty()).ok_or(NoteError::Unreadable("it has no origin"))?;
        let number = lines.next().and_then(|line| line.parse::<u64>().ok().filter(|size| size.to_string() == line));
        let size = number.ok_or(NoteError::Unreadable("its second line is not a size"))?;
        let hash = lines.next().and_then(|line| BASE64_STANDARD.decode(line).ok()).and_then(|hash| hash.try_into().ok());
        let root = hash.ok_or(NoteError::Unreadable("its third line is not a root"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

impl SignedCheckpoint {
    /// Signs what the log is at a size; its origin is the name of the key.
    pub fn sign(size: u64, root: Node, key: &SigningKey) -> Self {
        let checkpoint = Checkpoint { origin: key.name().to_owned(), size, root };
        let text = checkpoint.to_string();
        let note = key.sign(&text);
        let signatures = note.lines().filter_map(Signature::parse).collect();
        Self { checkpoint, signed: text.len(), note, signatures }
    }

    /// Reads a signed checkpoint. Whether its signature holds is not known before [`SignedCheckpoint::check`].
    ///
    /// # Errors
    /// [`NoteError::Unreadable`]
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.chars().any(|c| c.is_control() && c != '\n') {
            return Err(NoteError::Unreadable("it has characters that are no text"));
        }
        let blank = note.rfind("\n\n").ok_or(NoteError::Unreadable("no line is empty between text and signatures"))?;
        let (text, lines) = (&note[..=blank], &note[blank + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Unreadable("its last line is cut off"))?;
        let signatures: Option<Vec<_>> = lines.split('\n').map(Signature::parse).collect();
        let signatures = signatures.ok_or(NoteError::Unreadable("a line behind the empty one is no signature"))?;
        Ok(Self { checkpoint: Checkpoint::parse(text)?, note: note.to_owned(), signed: text.len(), signatures })
    }

    /// What was signed, once one of these keys has signed it: its origin must be the name of that key. Keys that are not known
    /// may have signed as well.
    ///
    /// # Errors
    /// [`NoteError::UnknownKey`], [`NoteError::WrongSignature`] or [`NoteError::Origin`].
    pub fn check(&self, keys: &[VerifierKey]) -> Result<&Checkpoint, NoteError> {
        self.check_signer(keys).map(|_| &self.checkpoint)
    }

    /// As [`SignedCheckpoint::check`]; gives which of the keys it was.
    ///
    /// # Errors
    /// As [`SignedCheckpoint::check`].
    pub fn check_signer<'a>(&self, keys: &'a [VerifierKey]) -> Result<&'a VerifierKey, NoteError> {
        let mut signer = None;
        for signature in &self.signatures {
            let Some(key) = keys.iter().find(|key| key.is_of(signature)) else { continue };
            if !key.holds(&self.note[..self.signed], signature) {
                return Err(NoteError::WrongSignature(key.name().to_owned()));
            }
            if key.name() != self.checkpoint.origin {
                return Err(NoteError::Origin { key: key.name().to_owned(), origin: self.checkpoint.origin.clone() });
            }
            signer = Some(key);
        }
        let signers = || self.signatures.iter().map(Signature::name).collect::<Vec<_>>().join(", ");
        signer.ok_or_else(|| NoteError::UnknownKey(signers()))
    }

    /// What it says, whether or not anybody signed it.
    pub fn unchecked(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// The note, as it was read.
impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.note)
    }
}

/// A note in a file of heads, read or not.
pub(crate) struct Piece<'a> {
    /// Where it begins, in bytes from the beginning.
    pub(crate) at: usize,
    /// Which line it begins with, from 1.
    line: usize,
    bytes: &'a [u8],
}

impl Piece<'_> {
    /// The head.
    pub(crate) fn head(&self) -> Result<SignedCheckpoint, NoteError> {
        let note = std::str::from_utf8(self.bytes).map_err(|_| NoteError::Unreadable("it is no text"))?;
        SignedCheckpoint::parse(note)
    }

    /// Whether a whole signature stands in it. A note that was cut off while it was written has none.
    fn is_signed(&self) -> bool {
        let text = String::from_utf8_lossy(self.bytes);
        text.lines().any(|line| Signature::parse(line).is_some())
    }
}

/// The notes of a file of heads: each ends where, behind an empty line, a line is no signature.
pub(crate) fn pieces(text: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    // Where a note begins, its first line, and whether an empty line was in it.
    let mut begun: Option<(usize, usize, bool)> = None;
    let mut at = 0;
    for (line, number) in text.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        if let Some((begin, first, true)) = begun
            && !line.starts_with(MARK.as_bytes())
        {
            pieces.push(Piece { at: begin, line: first, bytes: &text[begin..at] });
            begun = None;
        }
        begun = match begun {
            None if line == b"\n" => None,
            None => Some((at, number, false)),
            Some((begin, first, has_blank)) => Some((begin, first, has_blank || line == b"\n")),
        };
        at += line.len();
    }
    pieces.extend(begun.map(|(begin, first, _)| Piece { at: begin, line: first, bytes: &text[begin..] }));
    pieces
}

/// Reads a file of signed heads: notes one after the other, with an empty line behind each (the last may lack it).
///
/// A note that was cut off when a process died, and has others behind it, is passed over: nobody's signature stands in it, so no
/// head is lost with it. At the end it is an error, since the last head may be the one that counts.
///
/// # Errors
/// The number of the line, from 1, at which a note begins that cannot be read, and why.
pub fn read_heads(text: &str) -> Result<Vec<SignedCheckpoint>, (usize, NoteError)> {
    let pieces = pieces(text.as_bytes());
    let mut heads = Vec::with_capacity(pieces.len());
    for (place, piece) in pieces.iter().enumerate() {
        let line = piece.line;
        match piece.head() {
            Ok(head) => heads.push(head),
            Err(_) if place + 1 < pieces.len() && !piece.is_signed() => {
                tracing::warn!(line, "a head that was cut off in the middle of the file is passed over");
            }
            Err(error) => return Err((line, error)),
        }
    }
    Ok(heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::new("daybook/tea", [7; 32]).unwrap()
    }

    #[test]
    fn a_signed_checkpoint_reads_back_and_checks_and_no_changed_byte_of_it_does() {
        let signed = SignedCheckpoint::sign(7, [9; 32], &key());
        let keys = [key().verifier()];
        assert_eq!(SignedCheckpoint::parse(&signed.to_string()).as_ref(), Ok(&signed));
        assert_eq!(signed.check(&keys).unwrap(), &Checkpoint { origin: "daybook/tea".to_owned(), size: 7, root: [9; 32] });
        let note = signed.to_string();
        for (at, old) in note.bytes().enumerate() {
            for flipped in [old ^ 1, old ^ 0x20] {
                let mut bytes = note.clone().into_bytes();
                bytes[at] = flipped;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let believed = SignedCheckpoint::parse(&changed).and_then(|signed| signed.check(&keys).cloned());
                assert!(believed.is_err(), "byte {at}: {changed}");
            }
        }
    }

    #[test]
    fn only_a_known_key_of_that_log_is_believed() {
        let signed = SignedCheckpoint::sign(7, [9; 32], &key());
        let other = SigningKey::new("daybook/tea", [8; 32]).unwrap();
        assert_eq!(signed.check(&[other.verifier()]), Err(NoteError::UnknownKey("daybook/tea".to_owned())));
        assert!(signed.check(&[other.verifier(), key().verifier()]).is_ok());
        let text = Checkpoint { origin: "daybook/coffee".to_owned(), size: 7, root: [9; 32] }.to_string();
        let foreign = SignedCheckpoint::parse(&key().sign(&text)).unwrap();
        assert!(matches!(foreign.check(&[key().verifier()]), Err(NoteError::Origin { .. })));
    }

    #[test]
    fn a_file_of_heads_is_read_whole_and_a_torn_one_says_where() {
        let heads: Vec<_> = (1..4).map(|size| SignedCheckpoint::sign(size, [9; 32], &key())).collect();
        let text: String = heads.iter().map(|head| format!("{head}\n")).collect();
        assert_eq!(read_heads(&text).as_ref(), Ok(&heads));
        assert_eq!(read_heads(text.strip_suffix('\n').unwrap()).as_ref(), Ok(&heads));
        assert_eq!(read_heads(&heads[0].to_string()).unwrap(), heads[..1]);
        assert_eq!(read_heads(""), Ok(Vec::new()));
        let torn = &text[..text.len() - 20];
        assert_eq!(read_heads(torn).unwrap_err().0, 13);
        assert_eq!(read_heads(&text[..text.len() / 3 + 10]).unwrap_err().0, 7);
        assert_eq!(read_heads(&text.replacen("\n2\n", "\n2x\n", 1)).unwrap_err().0, 7, "what is signed is not passed over");
    }

    #[test]
    fn a_head_that_was_cut_off_anywhere_hides_none_of_those_around_it() {
        let heads: Vec<_> = [1, 3].map(|size| SignedCheckpoint::sign(size, [9; 32], &key())).into();
        let torn = SignedCheckpoint::sign(2, [9; 32], &key()).to_string().into_bytes();
        for cut in 0..torn.len() - 1 {
            let torn = String::from_utf8_lossy(&torn[..cut]);
            for torn in [torn.clone(), "\0".repeat(cut).into(), format!("{torn}\0\0").into()] {
                let text = format!("{}\n{torn}\n\n{}\n", heads[0], heads[1]);
                assert_eq!(read_heads(&text).as_ref(), Ok(&heads), "cut at {cut}");
            }
        }
    }
}
