//! Who somebody is: accounts, passwords, second factors, passkeys, sessions and tokens.
//!
//! The log says what happened to an account; what is secret or personal is in the vault. [`Accounts`] has every flow; its
//! files say in what order they write the two, and why a death in between does no harm (see also ADR 10).

mod accounts;
mod admin_claim;
mod api_keys;
mod authenticate;
mod background;
mod codes;
mod credentials;
mod email;
mod email_change;
mod keys;
mod letters;
mod lockout;
mod login;
mod mail;
mod oidc;
mod oidc_flow;
mod opening;
mod passkey;
mod passkeys_flow;
mod password_flow;
mod passwords;
mod proof;
mod recovery;
mod refusal;
mod register;
mod removal;
mod roles;
mod second_factor;
mod secret;
mod sessions;
mod smtp;
mod tokens;
mod totp;
mod types;

pub use accounts::Accounts;
pub use keys::*;
pub use mail::{Mail, MailError, Mailer, Outbox};
pub use oidc::*;
pub use passkey::*;
pub use passwords::{Checked, Hashing, Passwords};
pub use proof::ProofError;
pub use recovery::*;
pub use refusal::*;
pub use smtp::Smtp;
pub use tokens::*;
pub use totp::*;
pub use types::*;
