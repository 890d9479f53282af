//! What the mails say. Each is plain text, names the shop, and never the person: a name that a stranger typed must not make a
//! mail of ours say something.

use crate::Mail;

/// A mail without its recipient.
pub(crate) struct Letter {
    pub subject: String,
    text: String,
}

impl Letter {
    pub fn to(self, recipient: &str) -> Mail {
        Mail { to: recipient.to_owned(), subject: self.subject, text: self.text }
    }
}

/// A registration is to be confirmed.
pub(crate) fn verify(shop: &str, link: &str) -> Letter {
    letter(
        format!("Confirm your account at {shop}"),
        &[
            &format!("Someone registered at {shop} with this e-mail address."),
            "If it was you, confirm it within 24 hours:",
            link,
            "If it was not you, do not follow the link: there will be no account.",
        ],
    )
}

/// Somebody registers with an address that has an account.
pub(crate) fn already_registered(shop: &str, page: &str) -> Letter {
    letter(
        format!("You have an account at {shop}"),
        &[
            &format!("Someone tried to register at {shop} with this e-mail address, which has an account already."),
            "If it was you, log in, or ask for a new password there:",
            page,
            "If it was not you, there is nothing to do: nothing was changed.",
        ],
    )
}

/// Another e-mail address is to be confirmed.
pub(crate) fn new_email(shop: &str, link: &str) -> Letter {
    letter(
        format!("Confirm your new e-mail address at {shop}"),
        &[
            &format!("Someone wants to use this e-mail address for their account at {shop}."),
            "If it was you, confirm it within 24 hours. All devices are logged out then:",
            link,
            "If it was not you, do not follow the link: nothing will be changed.",
        ],
    )
}

/// The account has another e-mail address: to the one before.
pub(crate) fn email_changed(shop: &str, page: &str) -> Letter {
    changed(shop, page, "It has another e-mail address now, and this one does not belong to it any more.")
}

/// The account was removed.
pub(crate) fn removed(shop: &str, page: &str) -> Letter {
    letter(
        format!("Your account at {shop} was removed"),
        &[
            &format!("Your account at {shop} was removed. Nobody can log in with it any more."),
            "If it was not you, tell the shop:",
            page,
        ],
    )
}

/// A new password is asked for.
pub(crate) fn reset(shop: &str, link: &str) -> Letter {
    letter(
        format!("A new password for {shop}"),
        &[
            &format!("Someone asked for a new password for your account at {shop}."),
            "If it was you, choose one within an hour:",
            link,
            "If it was not you, there is nothing to do: your password still holds.",
        ],
    )
}

/// The password was changed.
pub(crate) fn password_changed(shop: &str, page: &str) -> Letter {
    changed(shop, page, "The password was changed, and all devices were logged out.")
}

/// A second factor was added.
pub(crate) fn second_factor_added(shop: &str, page: &str) -> Letter {
    changed(shop, page, "From now on a login with the password needs a code of your authenticator app too.")
}

/// The second factor was removed.
pub(crate) fn second_factor_removed(shop: &str, page: &str) -> Letter {
    changed(shop, page, "A login with the password does not need a code of your authenticator app any more.")
}

/// The recovery codes were replaced.
pub(crate) fn recovery_codes_renewed(shop: &str, page: &str) -> Letter {
    changed(shop, page, "There are new recovery codes. The old ones do not work any more.")
}

/// A passkey was added.
pub(crate) fn passkey_added(shop: &str, page: &str) -> Letter {
    changed(shop, page, "A passkey was added: whoever has it can log in.")
}

/// A passkey was removed.
pub(crate) fn passkey_removed(shop: &str, page: &str) -> Letter {
    changed(shop, page, "A passkey was removed: nobody can log in with it any more.")
}

/// A login elsewhere was linked.
pub(crate) fn linked(shop: &str, page: &str) -> Letter {
    changed(shop, page, "The account was linked to one elsewhere: whoever logs in there is logged in here.")
}

/// A login elsewhere was unlinked.
pub(crate) fn unlinked(shop: &str, page: &str) -> Letter {
    changed(shop, page, "A login elsewhere was unlinked: whoever logs in there is not logged in here any more.")
}

/// A refresh token came twice.
pub(crate) fn token_reused(shop: &str, page: &str) -> Letter {
    changed(shop, page, "A device was logged out, because a token of it was used twice: somebody may have a copy of it.")
}

fn changed(shop: &str, page: &str, what: &str) -> Letter {
    letter(
        format!("Your account at {shop} was changed"),
        &[
            &format!("This is about your account at {shop}. {what}"),
            "If it was not you, ask for a new password there, and look at your devices:",
            page,
        ],
    )
}

fn letter(subject: String, paragraphs: &[&str]) -> Letter {
    Letter { subject, text: format!("{}\n", paragraphs.join("\n\n")) }
}
