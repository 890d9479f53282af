//! Names of entries: `kind/id`.

use crate::VaultError;

/// The longest name, in characters.
pub(crate) const LONGEST: usize = 200;

/// Refuses what is not a name.
pub(crate) fn check(name: &str) -> Result<(), VaultError> {
    let is_name = matches!(name.split_once('/'), Some((kind, id)) if !kind.is_empty() && !id.is_empty());
    if is_name && is_plain(name) { Ok(()) } else { Err(VaultError::Name) }
}

/// The names that begin with `prefix` are those from it up to, and without, this one.
pub(crate) fn end_of(prefix: &str) -> Result<String, VaultError> {
    let mut bytes = prefix.as_bytes().to_vec();
    // The highest character of a name is `~`, so the next one is still ASCII.
    match bytes.last_mut() {
        Some(last) if is_plain(prefix) => *last += 1,
        _ => return Err(VaultError::Name),
    }
    String::from_utf8(bytes).map_err(|_| VaultError::Name)
}

fn is_plain(text: &str) -> bool {
    text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_kind_and_an_id_and_nothing_that_a_store_may_see_otherwise() {
        for good in ["session/0197", "signing-key/a_B-9", "lease/webhooks/7", "a/~"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = format!("a/{}", "b".repeat(LONGEST));
        for bad in ["", "session", "/id", "kind/", "kind/an id", "kind/é", "kind/\0", "kind/\n", &long] {
            assert_eq!(check(bad), Err(VaultError::Name), "{bad:?}");
        }
    }

    #[test]
    fn names_with_a_beginning_are_all_before_its_end() {
        assert_eq!(end_of("account/").unwrap(), "account0");
        assert_eq!(end_of("a/~").unwrap(), "a/\x7f");
        assert!("a/~~" < end_of("a/~").unwrap().as_str());
        for bad in ["", "a b", "é"] {
            assert_eq!(end_of(bad), Err(VaultError::Name));
        }
    }
}
