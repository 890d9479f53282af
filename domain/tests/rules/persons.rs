//! Persons: who may be erased, and who says so.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    AccountCommand, ChangeAccount, ChangePersons, ClaimFirstAdmin, MAX_HOLDS, Person, PersonCommand, ROSTER_ID, RegisterAccount,
    Roster,
};
use event_schemas::{AccountId, CommerceEvent, CustomerId, PersonErasureRequested, PersonEvent, PersonId, RoleName};

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
fn whoever_asked_does_not_agree_in_another_role_and_no_program_asks_or_answers() {
    let mut shop = Shop::new();
    for by in ["api-key:ben", "api-key", "admin"] {
        assert_eq!(shop.refusal(of(&[1], erase(by, true))).code(), "SECOND_PERSON_REQUIRED", "{by}");
    }
    shop.must(of(&[1], erase("support:ana", true)));
    for by in ["support:ana", "admin:ana", "staff:ana", "api-key:ben", "api-key", "admin"] {
        assert_eq!(shop.refusal(of(&[1], approve(by))).code(), "SECOND_PERSON_REQUIRED", "{by}");
    }
    let reject = |by: &str| PersonCommand::Reject { by: by.to_owned(), reason: "not them".to_owned() };
    assert_eq!(shop.refusal(of(&[1], reject("api-key:ben"))).code(), "SECOND_PERSON_REQUIRED");
    shop.must(of(&[1], reject("admin:ana")));
    // Where nobody has to agree, a key that may do it does it alone.
    shop.must(of(&[1], erase("api-key:ben", false)));
}

#[test]
fn what_a_key_has_asked_for_before_that_was_refused_nobody_agrees_to() {
    let mut asked = Person::default();
    let request = PersonErasureRequested { by: "api-key:ben".to_owned(), reason: "case 7".to_owned(), customer_id: None };
    asked.evolve(&request.into());
    assert_eq!(asked.decide(approve("admin:ana")).unwrap_err().code(), "SECOND_PERSON_REQUIRED");
    assert_eq!(asked.decide(PersonCommand::Reject { by: "admin:ana".to_owned(), reason: "again".to_owned() }).unwrap().len(), 1);
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
fn the_last_administrator_is_not_erased_and_who_is_erased_has_no_account_from_then_on() {
    let mut shop = Shop::new();
    let accounts = [11, 12].map(|number| AccountId(id(number)));
    let of_admin = |number: usize, command: PersonCommand| {
        let customers = BTreeMap::from([(person(number as u128), accounts[number].customer_id())]);
        ChangePersons { customers, ..of(&[number as u128], command) }
    };
    shop.must(ClaimFirstAdmin { account_id: accounts[0] });
    for needs_approval in [false, true] {
        assert_eq!(shop.refusal(of_admin(0, erase("admin:ana", needs_approval))).code(), "LAST_ADMIN");
    }
    shop.must(RegisterAccount { account_id: accounts[1] });
    let admin = || AccountCommand::GrantRole { role: RoleName::admin() };
    for command in [AccountCommand::Verify, admin()] {
        shop.must(ChangeAccount { account_id: accounts[1], command });
    }
    // Both are asked for while there are two, and the second is not agreed to any more.
    shop.must(of_admin(0, erase("admin:ana", true)));
    shop.must(of_admin(1, erase("admin:ana", true)));
    let from = shop.happened.len();
    shop.must(of_admin(0, approve("admin:ben")));
    assert_eq!(shop.types_from(from), ["PersonErasureApproved", "PersonErased", "AccountRemoved", "AdminRemoved"]);
    assert_eq!(shop.refusal(of_admin(1, approve("admin:ben"))).code(), "LAST_ADMIN");
    assert!(!shop.get::<Person>(person(1)).erased);
    assert_eq!(*shop.get::<Roster>(ROSTER_ID).admins(), BTreeSet::from([accounts[1]]));
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
