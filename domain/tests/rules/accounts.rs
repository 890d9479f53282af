//! Accounts, their rights and who administers the store.

use std::collections::BTreeSet;

use domain::{
    Account, AccountCommand, ChangeAccount, ClaimFirstAdmin, DefineRole, MAX_PASSKEYS, MAX_ROLES, ROSTER_ID, RegisterAccount,
    RemoveRole, Role, Roster, SealedText, State,
};
use event_schemas::{AccountId, PasswordChange, RoleName, SessionEndReason};
use proptest::prelude::*;

use crate::shop::{Shop, id, sealed};

fn account(number: u128) -> AccountId {
    AccountId(id(number))
}

fn said(text: &str) -> SealedText {
    SealedText::new(sealed(), text)
}

fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

fn change(number: u128, command: AccountCommand) -> ChangeAccount {
    ChangeAccount { account_id: account(number), command }
}

fn grant(number: u128, name: &str) -> ChangeAccount {
    change(number, AccountCommand::GrantRole { role: role(name) })
}

fn revoke(number: u128, name: &str) -> ChangeAccount {
    change(number, AccountCommand::RevokeRole { role: role(name) })
}

fn disable(number: u128) -> ChangeAccount {
    change(number, AccountCommand::Disable { reason: None })
}

fn define(name: &str, permissions: &[&str]) -> DefineRole {
    let permissions = permissions.iter().map(|name| (*name).to_owned()).collect();
    DefineRole { name: role(name), permissions, description: "At night".to_owned() }
}

/// A store with a first administrator, number 1, and verified accounts.
fn administered(accounts: &[u128]) -> Shop {
    let mut shop = Shop::new();
    shop.must(ClaimFirstAdmin { account_id: account(1) });
    for number in accounts {
        shop.must(RegisterAccount { account_id: account(*number) });
        shop.must(change(*number, AccountCommand::Verify));
    }
    shop
}

fn admins(shop: &Shop) -> BTreeSet<AccountId> {
    shop.get::<Roster>(ROSTER_ID).admins().clone()
}

#[test]
fn an_account_begins_as_a_customer_once() {
    let mut shop = Shop::new();
    shop.must(RegisterAccount { account_id: account(1) });
    assert_eq!(shop.types_from(0), ["AccountRegistered", "AccountRoleGranted"]);
    assert_eq!(shop.refusal(RegisterAccount { account_id: account(1) }).code(), "ACCOUNT_EXISTS");
    let held = shop.get::<Account>(account(1));
    let registered = held.registered().unwrap();
    assert!(registered.roles.contains(&RoleName::customer()) && !registered.verified && !registered.disabled);
    for nothing in [change(9, AccountCommand::Verify), grant(9, "support"), disable(9)] {
        assert_eq!(shop.refusal(nothing).code(), "ACCOUNT_NOT_FOUND");
    }
}

#[test]
fn the_first_administrator_is_made_once_whether_the_account_is_new_or_not() {
    let mut shop = Shop::new();
    shop.must(RegisterAccount { account_id: account(1) });
    shop.must(disable(1));
    shop.must(ClaimFirstAdmin { account_id: account(1) });
    let types = shop.types_from(3);
    assert_eq!(types, ["AccountVerified", "AccountEnabled", "AccountRoleGranted", "AdminAdded"]);
    for number in [1, 2] {
        let refusal = shop.refusal(ClaimFirstAdmin { account_id: account(number) });
        assert_eq!(refusal.code(), "ADMIN_EXISTS");
    }
    let mut shop = Shop::new();
    shop.must(ClaimFirstAdmin { account_id: account(1) });
    let expected = ["AccountRegistered", "AccountRoleGranted", "AccountVerified", "AccountRoleGranted", "AdminAdded"];
    assert_eq!(shop.types_from(0), expected);
}

#[test]
fn the_last_administrator_keeps_the_role_and_is_not_disabled() {
    let mut shop = administered(&[2]);
    assert_eq!(shop.refusal(revoke(1, "admin")).code(), "LAST_ADMIN");
    assert_eq!(shop.refusal(disable(1)).code(), "LAST_ADMIN");
    shop.must(grant(2, "admin"));
    shop.must(disable(1));
    assert_eq!(shop.refusal(disable(2)).code(), "LAST_ADMIN", "who is disabled administers nothing");
    assert_eq!(shop.refusal(revoke(2, "admin")).code(), "LAST_ADMIN");
    shop.must(revoke(1, "admin"));
    shop.must(change(1, AccountCommand::Enable));
    assert_eq!(admins(&shop), BTreeSet::from([account(2)]), "enabled again, but no administrator");
}

#[test]
fn a_role_is_given_only_if_it_exists_and_to_who_has_shown_that_the_address_is_theirs() {
    let mut shop = administered(&[2]);
    let unknown = shop.refusal(grant(2, "night-shift"));
    assert_eq!((unknown.code(), unknown.field()), ("ROLE_NOT_FOUND", Some("role")));
    assert_eq!(shop.refusal(grant(2, "shopper")).code(), "ROLE_NOT_FOUND", "it is called customer");
    shop.must(define("night-shift", &["MANAGE_STOCK"]));
    shop.must(grant(2, "night-shift"));
    assert_eq!(shop.must(grant(2, "night-shift")).len(), 0);
    shop.must(RegisterAccount { account_id: account(3) });
    assert_eq!(shop.refusal(grant(3, "support")).code(), "ACCOUNT_NOT_VERIFIED");
    shop.must(RemoveRole { name: role("night-shift") });
    shop.must(revoke(2, "night-shift"));
    assert_eq!(shop.must(revoke(2, "night-shift")).len(), 0);
    assert_eq!(shop.refusal(grant(2, "night-shift")).code(), "ROLE_NOT_FOUND");
}

#[test]
fn a_role_that_was_removed_never_comes_back_with_other_rights() {
    let mut shop = Shop::new();
    shop.must(define("packer", &["VIEW_ORDERS", "MANAGE_STOCK", "VIEW_ORDERS"]));
    assert_eq!(shop.get::<Role>("packer").permissions(), ["MANAGE_STOCK", "VIEW_ORDERS"]);
    assert_eq!(shop.must(define("packer", &["MANAGE_STOCK", "VIEW_ORDERS"])).len(), 0);
    shop.must(define("packer", &["VIEW_ORDERS"]));
    shop.must(RemoveRole { name: role("packer") });
    assert!(shop.get::<Role>("packer").permissions().is_empty());
    assert_eq!(shop.refusal(RemoveRole { name: role("packer") }).code(), "ROLE_NOT_FOUND");
    assert_eq!(shop.refusal(define("packer", &["MANAGE_ACCOUNTS"])).code(), "ROLE_REMOVED");
    for built_in in RoleName::BUILT_IN.into_iter().chain(["shopper"]) {
        assert_eq!(shop.refusal(define(built_in, &["VIEW_ORDERS"])).code(), "ROLE_BUILT_IN");
    }
}

#[test]
fn a_role_permits_something_and_says_what_it_is_for() {
    let mut shop = Shop::new();
    let many: Vec<String> = (0..101).map(|number| format!("P{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for permissions in [&[][..], &[""], &["VIEW ORDERS"], &["ORDERS\n"], &many] {
        let refusal = shop.refusal(define("packer", permissions));
        assert_eq!((refusal.code(), refusal.field()), ("INVALID_PERMISSIONS", Some("permissions")));
    }
    shop.must(define("most", &many[..100]));
    for description in [String::new(), " ".to_owned(), "x".repeat(201)] {
        let refusal = shop.refusal(DefineRole { description, ..define("packer", &["VIEW_ORDERS"]) });
        assert_eq!((refusal.code(), refusal.field()), ("INVALID_TEXT", Some("description")));
    }
}

#[test]
fn what_an_account_has_already_or_has_not_gives_no_event() {
    let mut shop = administered(&[2]);
    let passkey_id = id(77);
    let once = [
        AccountCommand::AddSecondFactor,
        AccountCommand::AddPasskey { passkey_id },
        AccountCommand::Link { issuer: "https://login.example.org".to_owned() },
        AccountCommand::Disable { reason: Some(said("left")) },
        AccountCommand::Enable,
        AccountCommand::RemoveSecondFactor,
        AccountCommand::RemovePasskey { passkey_id },
    ];
    for command in once {
        assert_eq!(shop.must(change(2, command.clone())).len(), 1, "{command:?}");
        assert_eq!(shop.must(change(2, command.clone())).len(), 0, "{command:?}");
    }
    let ends = |session_ids| AccountCommand::EndSessions { session_ids, reason: SessionEndReason::TokenReused };
    assert_eq!(shop.must(change(2, ends(vec![]))).len(), 0);
    assert_eq!(shop.must(change(2, ends(vec![id(5), id(6)]))).len(), 1);
    for unlinked in [1, 0] {
        let unlink = AccountCommand::Unlink { issuer: "https://login.example.org".to_owned() };
        assert_eq!(shop.must(change(2, unlink)).len(), unlinked);
        assert_eq!(shop.must(change(2, AccountCommand::EmailChanged)).len(), 1);
    }
    for how in [PasswordChange::Reset, PasswordChange::Changed, PasswordChange::Changed] {
        assert_eq!(shop.must(change(2, AccountCommand::PasswordChanged { how })).len(), 1);
    }
}

#[test]
fn an_account_that_was_removed_is_not_there_and_never_comes_back() {
    let mut shop = administered(&[2]);
    shop.must(grant(2, "admin"));
    assert_eq!(shop.must(change(1, AccountCommand::Remove)).len(), 2, "the account and the roster");
    assert_eq!(admins(&shop), BTreeSet::from([account(2)]));
    assert_eq!(shop.refusal(change(2, AccountCommand::Remove)).code(), "LAST_ADMIN");
    assert!(shop.get::<Account>(account(1)).registered().is_none());
    assert_eq!(shop.must(change(1, AccountCommand::Remove)).len(), 0, "a repeat changes nothing");
    for command in [AccountCommand::Enable, AccountCommand::Verify, AccountCommand::EmailChanged] {
        assert_eq!(shop.refusal(change(1, command)).code(), "ACCOUNT_NOT_FOUND");
    }
    assert_eq!(shop.refusal(RegisterAccount { account_id: account(1) }).code(), "ACCOUNT_EXISTS");
}

#[test]
fn an_account_has_limits() {
    let mut shop = administered(&[2]);
    for number in 0..MAX_PASSKEYS as u128 {
        shop.must(change(2, AccountCommand::AddPasskey { passkey_id: id(number) }));
    }
    let one_more = AccountCommand::AddPasskey { passkey_id: id(999) };
    assert_eq!(shop.refusal(change(2, one_more)).code(), "TOO_MANY");
    for number in 1..MAX_ROLES {
        let name = format!("role-{number}");
        shop.must(define(&name, &["VIEW_ORDERS"]));
        shop.must(grant(2, &name));
    }
    assert_eq!(shop.refusal(grant(2, "support")).code(), "TOO_MANY");
    for reason in [" ".to_owned(), "x".repeat(201)] {
        let refusal = shop.refusal(change(2, AccountCommand::Disable { reason: Some(said(&reason)) }));
        assert_eq!((refusal.code(), refusal.field()), ("INVALID_TEXT", Some("reason")));
    }
    let nobody = AccountCommand::Link { issuer: String::new() };
    assert_eq!(shop.refusal(change(2, nobody)).code(), "INVALID_TEXT");
}

fn any_change() -> impl Strategy<Value = ChangeAccount> {
    let command = prop_oneof![
        4 => Just(AccountCommand::GrantRole { role: RoleName::admin() }),
        4 => Just(AccountCommand::RevokeRole { role: RoleName::admin() }),
        3 => Just(AccountCommand::Disable { reason: None }),
        3 => Just(AccountCommand::Enable),
        2 => Just(AccountCommand::Verify),
        1 => Just(AccountCommand::Remove),
        1 => Just(AccountCommand::RevokeRole { role: RoleName::customer() }),
        1 => (0..4_u128).prop_map(|number| AccountCommand::Register { account_id: account(number) }),
    ];
    (1..5_u128, command).prop_map(|(number, command)| change(number, command))
}

proptest! {
    #[test]
    fn whatever_happens_to_accounts_someone_who_can_sign_in_administers_the_store(
        changes in prop::collection::vec(any_change(), 0..40)
    ) {
        let mut shop = administered(&[2, 3]);
        for change in changes {
            let _ = shop.decide(change);
            let able = (1..5).map(account).filter(|id| {
                let account = shop.get::<Account>(id);
                account.registered().is_some_and(|account| {
                    account.verified && !account.disabled && account.roles.contains(&RoleName::admin())
                })
            });
            let able: BTreeSet<AccountId> = able.collect();
            prop_assert!(!able.is_empty());
            prop_assert_eq!(&able, &admins(&shop), "the roster is in step with the accounts");
        }
        for state in [State::Account(shop.get::<Account>(account(1))), State::Roster(shop.get::<Roster>(ROSTER_ID))] {
            let text = serde_json::to_string(&state).unwrap();
            prop_assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
        }
    }
}
