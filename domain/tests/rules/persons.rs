//! Persons: who may be erased, and who says so.

use std::collections::BTreeMap;

use domain::{ChangePersons, MAX_HOLDS, Person, PersonCommand};
use event_schemas::{CommerceEvent, CustomerId, PersonEvent, PersonId};

use crate::shop::{Shop, id};

fn person(number: u128) -> PersonId {
    PersonId(id(number))
}

fn of(numbers: &[u128], command: PersonCommand) -> ChangePersons {
    let persons = numbers.iter().map(|number| person(*number)).collect();
    ChangePersons { persons, customers: BTreeMap::new(), command }
}

fn erase(by: &str, needs_approval: bool) -> PersonCommand {
    PersonCommand::Erase { by: by.to_owned(), reason: "case 7".to_owned(), customer_id: None, needs_approval }
}

fn hold(name: &str) -> PersonCommand {
    PersonCommand::PlaceHold { name: name.to_owned(), reason: "a lawsuit".to_owned() }
}

fn lift(name: &str) -> PersonCommand {
    PersonCommand::LiftHold { name: name.to_owned() }
}

fn approve(by: &str) -> PersonCommand {
    PersonCommand::Approve { by: by.to_owned() }
}

#[test]
fn a_person_is_erased_once_and_for_good() {
    let mut shop = Shop::new();
    let from = shop.happened.len();
    shop.must(of(&[1], erase("support:ana", false)));
    assert_eq!(shop.types_from(from), ["PersonErasureRequested", "PersonErased"]);
    assert!(shop.get::<Person>(person(1)).erased);
    for command in [erase("support:ana", false), hold("case"), lift("case"), approve("admin:ben")] {
        assert_eq!(shop.refusal(of(&[1], command)).code(), "PERSON_ERASED");
    }
}

#[test]
fn a_legal_hold_forbids_it_by_name_also_when_it_comes_between_asking_and_agreeing() {
    let mut shop = Shop::new();
    shop.must(of(&[1], erase("support:ana", true)));
    shop.must(of(&[1], hold("case 12")));
    shop.must(of(&[1], hold("audit")));
    assert_eq!(shop.refusal(of(&[1], hold("audit"))).code(), "LEGAL_HOLD_EXISTS");
    let refusal = shop.refusal(of(&[1], approve("admin:ben")));
    assert_eq!(
        (refusal.code(), refusal.to_string().as_str()),
        ("PERSON_ON_HOLD", "the person's data must be kept: audit, case 12")
    );
    shop.must(of(&[1], lift("audit")));
    assert_eq!(shop.refusal(of(&[1], approve("admin:ben"))).code(), "PERSON_ON_HOLD");
    shop.must(of(&[1], lift("case 12")));
    assert_eq!(shop.refusal(of(&[1], lift("case 12"))).code(), "LEGAL_HOLD_NOT_FOUND");
    shop.must(of(&[1], approve("admin:ben")));
    assert!(shop.get::<Person>(person(1)).erased);
}

#[test]
fn a_second_person_agrees_or_turns_it_down() {
    let mut shop = Shop::new();
    assert_eq!(shop.refusal(of(&[1], approve("admin:ben"))).code(), "ERASURE_NOT_REQUESTED");
    shop.must(of(&[1], erase("admin:ana", true)));
    assert!(!shop.get::<Person>(person(1)).erased);
    assert_eq!(shop.refusal(of(&[1], erase("admin:ana", true))).code(), "ERASURE_PENDING");
    assert_eq!(shop.refusal(of(&[1], approve("admin:ana"))).code(), "SECOND_PERSON_REQUIRED");
    shop.must(of(&[1], PersonCommand::Reject { by: "admin:ben".to_owned(), reason: "not them".to_owned() }));
    assert_eq!(shop.refusal(of(&[1], approve("admin:ben"))).code(), "ERASURE_NOT_REQUESTED");
    shop.must(of(&[1], erase("admin:ana", true)));
    shop.must(of(&[1], approve("admin:ben")));
    assert!(shop.get::<Person>(person(1)).erased);
}

#[test]
fn whoever_asked_does_not_agree_in_another_role_and_a_program_does_not_answer() {
    let mut shop = Shop::new();
    shop.must(of(&[1], erase("support:ana", true)));
    for by in ["support:ana", "admin:ana", "staff:ana", "api-key:ben", "api-key"] {
        assert_eq!(shop.refusal(of(&[1], approve(by))).code(), "SECOND_PERSON_REQUIRED", "{by}");
    }
    let reject = |by: &str| PersonCommand::Reject { by: by.to_owned(), reason: "not them".to_owned() };
    assert_eq!(shop.refusal(of(&[1], reject("api-key:ben"))).code(), "SECOND_PERSON_REQUIRED");
    shop.must(of(&[1], reject("admin:ana")));
}

#[test]
fn what_is_said_of_an_erasure_names_the_customer_whom_that_person_was() {
    let mut shop = Shop::new();
    let from = shop.happened.len();
    let zofia = CustomerId::new("zofia").unwrap();
    let customers = BTreeMap::from([(person(2), zofia.clone())]);
    shop.must(ChangePersons { customers, ..of(&[1, 2], erase("support:ana", false)) });
    let said = shop.happened[from..].iter().filter_map(|change| match &change.event {
        CommerceEvent::Person(PersonEvent::PersonErased(event)) => Some(event.customer_id.clone()),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), [None, Some(zofia)]);
}

#[test]
fn all_that_somebody_has_come_to_be_is_erased_or_nothing_of_it() {
    let mut shop = Shop::new();
    shop.must(of(&[2], hold("case")));
    assert_eq!(shop.refusal(of(&[1, 2, 3], erase("support:ana", false))).code(), "PERSON_ON_HOLD");
    assert!(!shop.get::<Person>(person(1)).erased);
    shop.must(of(&[2], lift("case")));
    shop.must(of(&[1], erase("support:ana", false)));
    shop.must(of(&[1, 2, 3], erase("support:ana", false)));
    assert!(shop.get::<Person>(person(2)).erased && shop.get::<Person>(person(3)).erased);
    assert_eq!(shop.refusal(of(&[1, 2, 3], erase("support:ana", false))).code(), "PERSON_ERASED");
    assert_eq!(shop.refusal(of(&[], erase("support:ana", false))).code(), "PERSON_NOT_FOUND");
}

#[test]
fn what_is_said_about_it_says_something_and_has_limits() {
    let mut shop = Shop::new();
    let said = |reason: String| PersonCommand::Erase { by: "a".to_owned(), reason, customer_id: None, needs_approval: false };
    for reason in [" ".to_owned(), "x".repeat(501)] {
        let refusal = shop.refusal(of(&[1], said(reason)));
        assert_eq!((refusal.code(), refusal.field()), ("INVALID_TEXT", Some("reason")));
    }
    for number in 0..MAX_HOLDS {
        shop.must(of(&[1], hold(&format!("case {number}"))));
    }
    assert_eq!(shop.refusal(of(&[1], hold("one more"))).code(), "TOO_MANY");
    assert_eq!(shop.refusal(of(&[2], hold(""))).field(), Some("name"));
}
