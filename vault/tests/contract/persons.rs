//! Keys of persons: what is sealed with one opens with nothing else, and with nothing at all once the key is destroyed.

use std::time::Duration;

use event_schemas::{Address, CountryCode, CustomerId, Held, PersonId, Personal};
use serde_json::json;
use vault::{PersonError, Persons, Vault};

use crate::{Place, contract};

contract!(
    what_is_sealed_opens_for_whoever_has_the_key,
    an_erased_person_cannot_be_read_and_nobody_else_is_touched,
    another_node_hears_of_an_erasure_within_seconds,
    a_customer_is_one_person_on_every_node,
    many_nodes_that_erase_at_once_erase_all,
);

fn address() -> Address {
    Address {
        name: "Ana Márquez".to_owned(),
        line1: "Rua das Flores 12".to_owned(),
        line2: None,
        city: "Porto".to_owned(),
        postal_code: None,
        region: None,
        country: CountryCode::new("PT").unwrap(),
        phone: Some("+351 912 345 678".to_owned()),
    }
}

fn text(text: &str) -> String {
    text.to_owned()
}

async fn persons(place: &Place) -> Persons {
    Persons::new(place.node().await)
}

async fn what_is_sealed_opens_for_whoever_has_the_key(place: &Place) {
    let (one, other) = (persons(place).await, persons(place).await);
    let (ana, ben) = (one.somebody().await.unwrap(), one.somebody().await.unwrap());
    assert_ne!(ana, ben);
    let sealed = one.seal(ana, &address()).await.unwrap();
    assert!(!sealed.as_str().contains("Ana") && sealed.person() == Some(ana));
    assert_ne!(sealed, one.seal(ana, &address()).await.unwrap(), "the same twice cannot be told from two");
    assert_eq!(other.open(&sealed).await.unwrap(), Some(address()));

    let Held::Sealed { bytes, .. } = sealed.held() else { panic!("{sealed:?}") };
    let moved: Personal<Address> = Personal::sealed(ben, &bytes);
    assert_eq!(one.open(&moved).await, Err(PersonError::Damaged(ben)), "it is nobody else's");
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(one.open::<Address>(&Personal::sealed(ana, &changed)).await, Err(PersonError::Damaged(ana)));
    assert_eq!(one.open::<Address>(&Personal::sealed(ana, &bytes[..20])).await, Err(PersonError::Damaged(ana)));
    let unknown = PersonId(uuid::Uuid::from_u128(7));
    assert_eq!(one.open::<Address>(&Personal::sealed(unknown, &bytes)).await, Ok(None));
    assert_eq!(one.seal(unknown, &address()).await, Err(PersonError::Erased(unknown)));
}

async fn an_erased_person_cannot_be_read_and_nobody_else_is_touched(place: &Place) {
    let persons = persons(place).await;
    let mut all = Vec::new();
    for number in 0..70 {
        let person = persons.somebody().await.unwrap();
        all.push((person, persons.seal(person, &format!("person {number}")).await.unwrap()));
    }
    let gone: Vec<PersonId> = all.iter().step_by(3).map(|(person, _)| *person).collect();
    for person in gone.iter().chain(&gone) {
        persons.destroy_key(*person).await.unwrap();
    }
    for (number, (person, sealed)) in all.iter().enumerate() {
        let opened = persons.open(sealed).await.unwrap();
        assert_eq!(opened, (!gone.contains(person)).then(|| format!("person {number}")));
        assert_eq!(persons.is_readable(*person).await.unwrap(), !gone.contains(person));
    }
    assert_eq!(persons.seal(gone[0], &text("again")).await, Err(PersonError::Erased(gone[0])));
    assert!(persons.is_known(gone[0]).await.unwrap(), "who was erased was there");
    assert!(!persons.is_known(PersonId(uuid::Uuid::from_u128(7))).await.unwrap());

    let typed = format!("sealed:1:{}:AAAA", all[1].0);
    let (kept, erased) = (&all[1].1, &all[0].1);
    let mut document = json!({ "kept": kept, "erased": [erased, 1, typed], "plain": { "a": null } });
    let texts = [(kept.as_str().to_owned(), all[1].0), (erased.as_str().to_owned(), all[0].0)].into();
    persons.open_json(&mut document, &texts).await.unwrap();
    assert_eq!(document, json!({ "kept": "person 1", "erased": [null, 1, typed], "plain": { "a": null } }));
}

async fn another_node_hears_of_an_erasure_within_seconds(place: &Place) {
    let (one, other) = (persons(place).await, persons(place).await);
    let ana = one.somebody().await.unwrap();
    let sealed = one.seal(ana, &text("ana@example.com")).await.unwrap();
    assert!(other.open(&sealed).await.unwrap().is_some());
    one.destroy_key(ana).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5_100)).await;
    assert_eq!(other.open(&sealed).await, Ok(None));
}

async fn a_customer_is_one_person_on_every_node(place: &Place) {
    let nodes = [persons(place).await, persons(place).await, persons(place).await];
    let customer = CustomerId::new("Ana Márquez, Porto").unwrap();
    assert_eq!(nodes[0].known_customer(&customer).await.unwrap(), None);
    let asked = nodes.iter().cycle().take(30).map(|node| node.of_customer(&customer));
    let mut found: Vec<PersonId> = futures::future::try_join_all(asked).await.unwrap();
    found.dedup();
    assert_eq!(found.len(), 1);
    let other = CustomerId::new("ben").unwrap();
    assert_ne!(nodes[1].of_customer(&other).await.unwrap(), found[0]);
    nodes[0].destroy_key(found[0]).await.unwrap();
    let again = nodes[0].of_customer(&customer).await.unwrap();
    assert_ne!(again, found[0], "whose key was destroyed gets another");
    assert!(nodes[0].seal(again, &text("again")).await.is_ok());
    assert_eq!(nodes[1].of_customer(&customer).await.unwrap(), again);
    nodes[2].forget_customer(&customer, again).await.unwrap();
    nodes[2].forget_customer(&customer, again).await.unwrap();
    assert!(!nodes[2].is_readable(again).await.unwrap());
    assert_ne!(nodes[0].of_customer(&customer).await.unwrap(), again, "who comes again is somebody new");
}

async fn many_nodes_that_erase_at_once_erase_all(place: &Place) {
    let nodes = [persons(place).await, persons(place).await, persons(place).await];
    let mut all = Vec::new();
    for _ in 0..30 {
        all.push(nodes[0].somebody().await.unwrap());
    }
    let erasures = all.iter().zip(nodes.iter().cycle()).map(|(person, node)| async move {
        node.destroy_key(*person).await?;
        node.purge().await
    });
    futures::future::try_join_all(erasures).await.unwrap();
    let fresh = persons(place).await;
    for person in all {
        assert!(!fresh.is_readable(person).await.unwrap());
    }
}

#[tokio::test]
async fn a_key_that_was_destroyed_is_not_in_the_file_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place(crate::in_folder(&folder));
    let vault: Vault = place.node().await;
    let persons = Persons::new(vault);
    let ana = persons.somebody().await.unwrap();
    let page: Vec<u8> = rusqlite::Connection::open(folder.path().join("vault.db"))
        .unwrap()
        .query_row("SELECT sealed FROM entries WHERE name LIKE 'person-keys/%'", (), |row| row.get(0))
        .unwrap();
    let in_files = || {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        files.filter(|file| page.chunks(64).any(|part| file.windows(part.len()).any(|window| window == part))).count()
    };
    assert!(in_files() > 0, "the page is there, as it was sealed with her key in it");
    persons.destroy_key(ana).await.unwrap();
    persons.purge().await.unwrap();
    assert_eq!(in_files(), 0, "no part of it is left, in the database or its write-ahead log");
}

#[tokio::test]
async fn a_purge_that_was_given_up_stays_due() {
    let folder = tempfile::tempdir().unwrap();
    let vault: Vault = Place(crate::in_folder(&folder)).node().await;
    let persons = std::sync::Arc::new(Persons::new(vault));
    let ana = persons.somebody().await.unwrap();
    let log = || std::fs::metadata(folder.path().join("vault.db-wal")).map_or(0, |file| file.len());
    // Somebody reads what was there before, and so nothing can be taken off the disk.
    let reader = rusqlite::Connection::open(folder.path().join("vault.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM entries").unwrap();
    persons.destroy_key(ana).await.unwrap();
    let waits = persons.clone();
    let purging = tokio::spawn(async move { waits.purge().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    purging.abort();
    assert!(purging.await.unwrap_err().is_cancelled());
    assert!(log() > 0, "the page without the key is still in the write-ahead log, and the one with it in the database");
    reader.execute_batch("COMMIT").unwrap();
    persons.purge_if_due().await.unwrap();
    assert_eq!(log(), 0);
}
