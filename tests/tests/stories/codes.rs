//! Codes that people are given: in mails, in links, by an authenticator app.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use totp_rs::{Algorithm, Secret, TOTP};

/// How long a mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The code behind `#WHAT=` in a text.
pub fn code_of(text: &str, what: &str) -> Option<String> {
    let code = text.split_once(&format!("#{what}="))?.1;
    code.split(|letter: char| !letter.is_ascii_alphanumeric() && !"-_".contains(letter)).next().map(ToOwned::to_owned)
}

/// The code of the last mail that has one of this kind. Mails are sent beside the answer, so it may not be there yet.
pub fn code_of_mail(data: &Path, what: &str) -> String {
    let patience = Instant::now() + PATIENCE;
    while Instant::now() < patience {
        let folder = std::fs::read_dir(data.join("mail")).into_iter().flatten();
        let mut mails: Vec<_> = folder.map(|mail| mail.unwrap().path()).collect();
        mails.sort();
        let texts = mails.iter().rev().filter(|mail| mail.extension().is_some_and(|ending| ending == "eml"));
        if let Some(code) = texts.filter_map(|mail| std::fs::read_to_string(mail).ok()).find_map(|text| code_of(&text, what)) {
            return code;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no mail with #{what}= came");
}

/// What an authenticator app shows for a secret in base 32, so many seconds from now: each code is good once, and the shop takes
/// the next one too.
pub fn code_of_app(secret: &str, later: u64) -> String {
    let secret = Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    let app = TOTP::new_unchecked(Algorithm::SHA1, 6, 1, 30, secret, None, String::new());
    app.generate(u64::try_from(chrono::Utc::now().timestamp()).unwrap() + later)
}

#[test]
fn codes_are_found_where_people_find_them() {
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("mail")).unwrap();
    let mail = |name: &str, text: &str| std::fs::write(data.path().join("mail").join(name), text).unwrap();
    mail("20261121T101500.000001Z-a.eml", "Confirm it:\r\n\r\nhttps://shop.example/account#verify=old-1\r\n");
    mail("20261121T101500.000002Z-b.eml", "Confirm it:\r\n\r\nhttps://shop.example/account#verify=new_2\r\n\r\nOr do not.\r\n");
    mail("20261121T101500.000003Z-c.eml", "Another password:\r\n\r\nhttps://shop.example/account#reset=r3\r\n");
    assert_eq!((code_of_mail(data.path(), "verify").as_str(), code_of_mail(data.path(), "reset").as_str()), ("new_2", "r3"));
    assert_eq!(code_of("http://localhost:8080/account#claim=c4", "claim").as_deref(), Some("c4"));
    assert_eq!(code_of("http://localhost:8080/account", "claim"), None);
    let app = code_of_app("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 0);
    assert!(app.len() == 6 && app.chars().all(|digit| digit.is_ascii_digit()), "{app}");
}
