//! E-mail addresses: as they are typed, and as they are found again.

use lettre::Address;

use crate::IdentityRefusal;

/// The longest address that mail can go to (RFC 5321, with the angle brackets off).
const LONGEST: usize = 254;

/// An e-mail address that mail can be sent to.
pub(crate) struct Email {
    typed: String,
}

impl Email {
    /// Takes an address as it was typed; blanks around it do not count.
    pub fn new(text: &str) -> Result<Self, IdentityRefusal> {
        let typed = text.trim();
        let valid = typed.len() <= LONGEST && !typed.chars().any(char::is_control) && typed.parse::<Address>().is_ok();
        if valid { Ok(Self { typed: typed.to_owned() }) } else { Err(IdentityRefusal::EmailInvalid) }
    }

    /// As it was typed, for mails and for showing.
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// As it is found again. Providers take both parts in any case, and nobody remembers how they typed it.
    pub fn key(&self) -> String {
        key(&self.typed)
    }
}

/// How an address that was taken is found again. ASCII only: letters that merely look alike elsewhere are other mailboxes.
pub(crate) fn key(typed: &str) -> String {
    typed.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_again_in_any_case_and_nonsense_is_refused() {
        let email = Email::new(" Ana@Example.COM ").unwrap();
        assert_eq!((email.as_str(), email.key().as_str()), ("Ana@Example.COM", "ana@example.com"));
        let long = format!("{}@example.com", "a".repeat(250));
        for bad in ["", "ana", "@example.com", "ana@", "a b@example.com", "ana@example.com\r\nBcc: ben@example.com", &long] {
            assert!(Email::new(bad).is_err(), "{bad:?}");
        }
    }
}
