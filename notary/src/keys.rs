//! The keys of a log over time: which one may sign heads of which size.

use serde::{Deserialize, Serialize};

use crate::{Checkpoint, NoteError, SignedCheckpoint, VerifierKey};

/// A key, and the sizes of the heads that it signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPeriod {
    /// The key, as it is printed.
    #[serde(with = "text")]
    pub key: VerifierKey,
    /// The smallest head that it signs.
    pub from: u64,
    /// The largest head that it signed, once another has taken its place.
    pub until: Option<u64>,
}

/// All keys that a log ever had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownKeys {
    /// The keys, the one in use first.
    pub keys: Vec<KeyPeriod>,
}

/// These keys, for heads of any size.
impl FromIterator<VerifierKey> for KnownKeys {
    fn from_iter<T: IntoIterator<Item = VerifierKey>>(keys: T) -> Self {
        Self { keys: keys.into_iter().map(|key| KeyPeriod { key, from: 0, until: None }).collect() }
    }
}

impl KnownKeys {
    /// What a head says, once one of these keys has signed it that may sign a head of its size.
    ///
    /// # Errors
    /// As [`SignedCheckpoint::check`], and [`NoteError::OutOfPeriod`].
    pub fn check<'a>(&self, head: &'a SignedCheckpoint) -> Result<&'a Checkpoint, NoteError> {
        let keys: Vec<_> = self.keys.iter().map(|period| period.key.clone()).collect();
        let signer = head.check_signer(&keys)?;
        let checkpoint = head.unchecked();
        let size = checkpoint.size;
        let is_of =
            |period: &&KeyPeriod| period.key == *signer && period.from <= size && period.until.is_none_or(|until| size <= until);
        match self.keys.iter().find(is_of) {
            Some(_) => Ok(checkpoint),
            None => Err(NoteError::OutOfPeriod { key: signer.to_string(), size }),
        }
    }
}

/// A key as text.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::VerifierKey;

    pub(super) fn serialize<S: Serializer>(key: &VerifierKey, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VerifierKey, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    #[test]
    fn a_key_that_was_replaced_signs_nothing_larger_and_a_new_one_nothing_smaller() {
        let [old, new] = [7, 8].map(|seed| SigningKey::new("daybook/tea", [seed; 32]).unwrap());
        let period = |key: &SigningKey, from, until| KeyPeriod { key: key.verifier(), from, until };
        let known = KnownKeys { keys: vec![period(&new, 90, None), period(&old, 0, Some(100))] };
        let believed = |key: &SigningKey, size| known.check(&SignedCheckpoint::sign(size, [9; 32], key)).is_ok();
        assert!(believed(&old, 0) && believed(&old, 100) && believed(&new, 90) && believed(&new, 1000));
        assert!(!believed(&old, 101) && !believed(&new, 89));
        let text = serde_json::to_string(&known).unwrap();
        assert_eq!(serde_json::from_str::<KnownKeys>(&text).unwrap(), known);
        assert!(serde_json::from_str::<KnownKeys>(&text.replace("daybook/tea", "daybook/tee")).is_err());
    }
}
