//! Argon2id against published vectors.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};
use identity::{Checked, Hashing, IdentityError, Passwords};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 9106, section 5.3: the library that hashes computes Argon2id.
#[test]
fn the_library_computes_the_vector_of_the_rfc() {
    let mut params = ParamsBuilder::new();
    params.m_cost(32).t_cost(3).p_cost(4).data(AssociatedData::new(&[4; 12]).unwrap());
    let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params.build().unwrap()).unwrap();
    let mut tag = [0; 32];
    argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    assert_eq!(hex(&tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
}

/// From the test suite of the reference implementation (`phc-winner-argon2`, `src/test.c`).
#[tokio::test]
async fn hashes_of_the_reference_implementation_are_known_and_outdated() {
    let passwords = Passwords::new(&Hashing::default()).unwrap();
    let vectors = [
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    ];
    for vector in vectors {
        let check = async |password: &str| passwords.check(password.to_owned(), Some(vector.to_owned())).await.unwrap();
        assert_eq!(check("password").await, Checked::Outdated, "{vector}");
        assert_eq!(check("passwore").await, Checked::Wrong, "{vector}");
    }
}

#[tokio::test]
async fn a_hash_has_the_least_that_is_asked_for_a_salt_of_its_own_and_checks() {
    let passwords = Passwords::new(&Hashing::default()).unwrap();
    let [one, two] =
        [passwords.hash("correct horse".to_owned()).await.unwrap(), passwords.hash("correct horse".to_owned()).await.unwrap()];
    assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
    assert_ne!(one, two);
    assert_eq!(passwords.check("correct horse".to_owned(), Some(one.clone())).await.unwrap(), Checked::Right);
    assert_eq!(passwords.check("Correct horse".to_owned(), Some(one)).await.unwrap(), Checked::Wrong);
    assert_eq!(passwords.check("correct horse".to_owned(), None).await.unwrap(), Checked::Wrong);
    let damaged = passwords.check("correct horse".to_owned(), Some("$argon2id$x".to_owned())).await;
    assert!(matches!(damaged, Err(IdentityError::Unavailable(_))));
}

#[tokio::test]
async fn one_more_than_can_wait_is_turned_away_and_those_before_it_are_done() {
    let hashing = Hashing { workers: 1, waiting: 2, ..Hashing::default() };
    let passwords = Arc::new(Passwords::new(&hashing).unwrap());
    let hash = |n: usize| {
        let passwords = passwords.clone();
        tokio::spawn(async move { passwords.hash(format!("password {n}")).await })
    };
    let hashes: Vec<_> = (0..20).map(hash).collect();
    let mut done = 0;
    for hash in hashes {
        match tokio::time::timeout(Duration::from_secs(60), hash).await.unwrap().unwrap() {
            Ok(_) => done += 1,
            Err(error) => assert!(matches!(error, IdentityError::Overloaded { .. }), "{error}"),
        }
    }
    assert!((3..20).contains(&done), "{done} of 20 were hashed");
}
