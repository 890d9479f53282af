//! One-time codes by time and recovery codes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use chrono::DateTime;
use event_schemas::Timestamp;
use identity::{RecoveryCodes, TotpSecret};
use serde_json::json;

/// RFC 6238, appendix B, the rows of SHA-1: seconds since 1970, and the code of eight digits.
const VECTORS: [(i64, &str); 6] = [
    (59, "94287082"),
    (1_111_111_109, "07081804"),
    (1_111_111_111, "14050471"),
    (1_234_567_890, "89005924"),
    (2_000_000_000, "69279037"),
    (20_000_000_000, "65353130"),
];

/// The secret of these vectors, `12345678901234567890`, in base 32.
fn secret() -> TotpSecret {
    serde_json::from_value(json!("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

#[test]
fn the_vectors_of_rfc_6238_hold() {
    for (seconds, eight) in VECTORS {
        // A code of six digits is the same number cut to its last six.
        let code = &eight[2..];
        assert_eq!(secret().check(code, at(seconds), None), Some(seconds as u64 / 30), "at {seconds}");
        assert_eq!(secret().check(eight, at(seconds), None), None, "eight digits at {seconds}");
    }
}

#[test]
fn a_code_holds_one_step_before_and_after_its_own_and_no_longer() {
    let (step, code) = (1_111_111_109 / 30, "081804");
    let accepted = |offset: i64| secret().check(code, at((step + offset) * 30), None);
    assert_eq!([-1, 0, 1].map(accepted), [Some(step as u64); 3]);
    assert_eq!([-2, 2].map(accepted), [None; 2]);
    // Up to the last second of a step.
    assert_eq!(secret().check(code, at((step + 2) * 30 - 1), None), Some(step as u64));
}

#[test]
fn each_step_is_good_once_and_never_after_a_later_one() {
    let (step, code) = (1_111_111_109 / 30, "081804");
    let now = at(1_111_111_109);
    assert_eq!(secret().check(code, now, Some(step - 1)), Some(step));
    assert_eq!(secret().check(code, now, Some(step)), None);
    assert_eq!(secret().check(code, now, Some(step + 1)), None);
}

#[test]
fn what_is_no_code_is_refused_and_spaces_are_not_minded() {
    let now = at(1_111_111_109);
    for code in ["", "081805", "81804", "0818040", "08180é", "abcdef", "-81804", "０８１８０４"] {
        assert_eq!(secret().check(code, now, None), None, "`{code}`");
    }
    assert!(secret().check(" 081 804 ", now, None).is_some());
    // Before 1970 there are no steps.
    assert_eq!(secret().check("081804", at(-1), None), None);
    assert!(secret().check("755224", at(0), None).is_some(), "the first code of RFC 4226, appendix D");
}

#[test]
fn a_secret_is_kept_as_it_is_and_never_printed() {
    let made = TotpSecret::generate();
    let kept = serde_json::to_value(&made).unwrap();
    assert_eq!(kept.as_str().unwrap().len(), 32, "160 bits in base 32");
    assert_ne!(kept, serde_json::to_value(TotpSecret::generate()).unwrap());
    let again: TotpSecret = serde_json::from_value(kept.clone()).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), kept);
    assert_eq!(format!("{made:?}"), "<secret>");
    let error = serde_json::from_value::<TotpSecret>(json!("not base 32!")).unwrap_err().to_string();
    assert!(!error.contains("not base 32!"), "{error}");
}

#[test]
fn an_app_is_told_the_secret_the_shop_and_the_account() {
    let told = secret().enrolment("Tea & Co", "ana@example.com").unwrap();
    let address = url::Url::parse(&told.uri).unwrap();
    assert_eq!((address.scheme(), address.host_str()), ("otpauth", Some("totp")));
    assert_eq!(address.path(), "/Tea%20%26%20Co:ana%40example.com");
    let asked: Vec<_> = address.query_pairs().into_owned().collect();
    let expected = [("secret", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), ("issuer", "Tea & Co")];
    assert_eq!(asked, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(told.secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    assert!(told.qr_svg.contains("<svg ") && told.qr_svg.ends_with("</svg>") && !told.qr_svg.contains("script"));
    assert_eq!(format!("{told:?}"), "<secret>");
    assert!(secret().enrolment("a:b", "ana@example.com").is_err(), "a colon would end the shop's name");
    assert!(secret().enrolment("Tea", &"a".repeat(4000)).is_err(), "no QR code holds that");
}

#[test]
fn ten_recovery_codes_are_good_once_each_however_they_are_written() {
    let (mut kept, codes) = RecoveryCodes::generate();
    assert_eq!((codes.len(), kept.left()), (10, 10));
    assert!(codes.iter().all(|code| code.len() == 11 && code.as_bytes()[5] == b'-'), "{codes:?}");
    let distinct: std::collections::HashSet<_> = codes.iter().collect();
    assert_eq!(distinct.len(), 10);

    for wrong in ["", "-", "00000-00000x", &codes[0][..10]] {
        assert!(!kept.spend(wrong), "`{wrong}`");
    }
    assert!(kept.spend(&codes[3]));
    assert!(!kept.spend(&codes[3]));
    let written = codes[4].to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l");
    assert!(kept.spend(&written));
    assert_eq!(kept.left(), 8);

    let mut again: RecoveryCodes = serde_json::from_value(serde_json::to_value(&kept).unwrap()).unwrap();
    assert!(!again.spend(&codes[3]) && again.spend(&codes[5]));
    let text = serde_json::to_string(&kept).unwrap() + &format!("{kept:?}");
    assert!(codes.iter().all(|code| !text.contains(code.as_str())));
}
