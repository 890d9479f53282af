//! Accounts, roles, API keys, what was refused at the door, and webhooks, as the views tell them.

use event_schemas::*;
use projections::*;

use crate::{
    runner::followed,
    shop::{History, day, id},
    store::Home,
};

on_each_store!(
    an_account_is_told_as_it_is,
    roles_are_those_that_the_store_has_defined_and_not_removed,
    api_keys_say_what_they_permit_and_when_they_end,
    what_was_refused_at_the_door_is_listed_and_counted_by_day,
    webhooks_and_what_they_could_not_deliver_are_listed,
);

/// So many accounts, keys, refusals and webhooks that none of their lists is of few rows.
pub fn many(history: &mut History, count: u128) {
    for number in 0..count {
        let at = day(1 + number as i64 / 40, number as i64);
        let account_id = AccountId(id(60_000 + number));
        history.happens(account_id, AccountEvent::from(AccountRegistered { account_id }), at);
        if !number.is_multiple_of(4) {
            let role = RoleName::new("support").unwrap();
            history.happens(account_id, AccountEvent::from(AccountVerified {}), at);
            history.happens(account_id, AccountEvent::from(AccountRoleGranted { role }), at);
        }
        issue(history, 70_000 + number, at);
        history.happens("2026-01-02", denied(1), at);
        history.happens("2026-01-02", limited(1), at);
        set_up(history, 80_000 + number, at);
        failed(history, 80_000, number as u64, at);
    }
}

fn denied(times: u32) -> AccessEvent {
    let (caller, permission, operation) = ("customer".to_owned(), "VIEW_ORDERS".to_owned(), "Query.orders".to_owned());
    AccessDenied { caller, permission, operation, times, since: day(0, 0) }.into()
}

fn limited(times: u32) -> AccessEvent {
    CallerLimited { caller: "address:00ff00ff00ff00ff".to_owned(), limit: "login".to_owned(), times, since: day(0, 0) }.into()
}

fn issue(history: &mut History, number: u128, at: Timestamp) {
    let (api_key_id, permissions) = (ApiKeyId(id(number)), vec!["MANAGE_STOCK".to_owned()]);
    let issued = ApiKeyIssued { api_key_id, permissions, label: "Scanner".to_owned(), expires_at: Some(day(300, 0)) };
    history.happens(api_key_id, ApiKeyEvent::from(issued), at);
}

fn set_up(history: &mut History, number: u128, at: Timestamp) {
    let (webhook_id, url) = (WebhookId(id(number)), "https://erp.example.com/".to_owned());
    let created = WebhookCreated { webhook_id, url, types: vec!["order.placed".to_owned()], label: "ERP".to_owned() };
    history.happens(webhook_id, WebhookEvent::from(created), at);
}

fn failed(history: &mut History, number: u128, position: u64, at: Timestamp) {
    let failed = WebhookDeliveryFailed { position, attempts: 12, reason: "503".to_owned() };
    history.happens(WebhookId(id(number)), WebhookEvent::from(failed), at);
}

async fn views_of(home: &Home, history: &History) -> Views {
    let views = home.views("views.db");
    followed(&history.log().await, &views, 1_000).await;
    views
}

fn items<T>(listed: Listed<T>) -> Vec<T> {
    listed.items.into_iter().map(|(_, item)| item).collect()
}

async fn an_account_is_told_as_it_is(home: Home) {
    let (mut history, account_id, passkey_id) = (History::default(), AccountId(id(1)), id(7));
    let role = |name: &str| RoleName::new(name).unwrap();
    let happened: Vec<AccountEvent> = vec![
        AccountRegistered { account_id }.into(),
        AccountRoleGranted { role: RoleName::customer() }.into(),
        AccountVerified {}.into(),
        AccountRoleGranted { role: role("support") }.into(),
        AccountRoleGranted { role: role("admin") }.into(),
        AccountRoleRevoked { role: role("support") }.into(),
        AccountPasswordChanged { how: PasswordChange::Reset }.into(),
        AccountSecondFactorAdded {}.into(),
        AccountPasskeyAdded { passkey_id }.into(),
        AccountPasskeyAdded { passkey_id: id(8) }.into(),
        AccountPasskeyRemoved { passkey_id }.into(),
        AccountSessionsEnded { session_ids: vec![id(9)], reason: SessionEndReason::Logout }.into(),
        AccountLinked { issuer: "https://login.example.org".to_owned() }.into(),
        AccountDisabled { reason: Some(Personal::sealed(PersonId(id(1)), &[7; 60])) }.into(),
    ];
    let count = happened.len() as i64;
    for (second, event) in (0..).zip(happened) {
        history.happens(account_id, event, day(1, second));
    }
    let views = views_of(&home, &history).await;
    let account = views.read_blocking(|reader| reader.account(account_id)).unwrap();
    let expected = Account {
        account_id,
        verified: true,
        disabled: true,
        roles: vec![role("admin"), role("customer")],
        second_factor: true,
        passkeys: 1,
        registered_at: day(1, 0),
        updated_at: day(1, count - 1),
        version: count as u64,
        position: count as u64,
    };
    assert_eq!(account, Some(expected));

    history.happens(account_id, AccountEvent::from(AccountEnabled {}), day(2, 0));
    history.happens(account_id, AccountEvent::from(AccountSecondFactorRemoved {}), day(2, 1));
    let other = AccountId(id(2));
    history.happens(other, AccountEvent::from(AccountRegistered { account_id: other }), day(2, 3));
    let views = home.views("later.db");
    followed(&history.log().await, &views, 1_000).await;
    let accounts = views
        .read_blocking(|reader| reader.accounts(&AccountFilter::default(), AccountSort::Registered, true, &Page::first(9)))
        .unwrap();
    let accounts: Vec<_> = items(accounts).into_iter().map(|account| (account.account_id, account.disabled)).collect();
    assert_eq!(accounts, [(other, false), (account_id, false)]);
}

async fn roles_are_those_that_the_store_has_defined_and_not_removed(home: Home) {
    let mut history = History::default();
    let defined = |permissions: &[&str]| {
        let permissions = permissions.iter().map(|name| (*name).to_owned()).collect();
        RoleEvent::from(RoleDefined { permissions, description: "Packs".to_owned() })
    };
    history.happens("packer", defined(&["VIEW_ORDERS"]), day(1, 0));
    history.happens("counter", defined(&["MANAGE_STOCK"]), day(1, 1));
    history.happens("packer", defined(&["MANAGE_STOCK", "VIEW_ORDERS"]), day(2, 0));
    history.happens("counter", RoleEvent::from(RoleRemoved {}), day(2, 1));
    let roles = views_of(&home, &history).await.read_blocking(|reader| reader.custom_roles()).unwrap();
    let [packer] = roles.as_slice() else { panic!("{roles:?}") };
    assert_eq!((packer.name.as_str(), packer.permissions.len()), ("packer", 2));
    assert_eq!((packer.defined_at, packer.updated_at), (day(1, 0), day(2, 0)));
}

async fn api_keys_say_what_they_permit_and_when_they_end(home: Home) {
    let mut history = History::default();
    issue(&mut history, 1, day(1, 0));
    issue(&mut history, 2, day(1, 1));
    history.happens(ApiKeyId(id(1)), ApiKeyEvent::from(ApiKeyRevoked {}), day(2, 0));
    let views = views_of(&home, &history).await;
    let keys = items(
        views
            .read_blocking(|reader| reader.api_keys(&ApiKeyFilter::default(), ApiKeySort::Issued, true, &Page::first(9)))
            .unwrap(),
    );
    let ends: Vec<_> = keys.iter().map(|key| (key.api_key_id, key.expires_at, key.revoked_at)).collect();
    let expected = [(ApiKeyId(id(2)), Some(day(300, 0)), None), (ApiKeyId(id(1)), Some(day(300, 0)), Some(day(2, 0)))];
    assert_eq!(ends, expected);
    let one = views.read_blocking(|reader| reader.api_key(ApiKeyId(id(1)))).unwrap();
    assert_eq!(one.as_ref(), keys.get(1));
    assert_eq!(views.read_blocking(|reader| reader.api_key(ApiKeyId(id(3)))).unwrap(), None);
}

async fn what_was_refused_at_the_door_is_listed_and_counted_by_day(home: Home) {
    let (mut history, account_id) = (History::default(), AccountId(id(1)));
    let failed = LoginsFailed { account_id: Some(account_id), times: 4, since: day(0, 9) };
    let banned = CallerBanned { caller: "address:00ff00ff00ff00ff".to_owned(), until: day(2, 60) };
    history.happens("2026-01-02", denied(3), day(1, 0));
    history.happens("2026-01-02", denied(2), day(1, 60));
    history.happens("2026-01-02", AccessEvent::from(failed), day(1, 61));
    history.happens("2026-01-03", limited(7), day(2, 0));
    history.happens("2026-01-03", AccessEvent::from(banned), day(2, 1));
    let views = views_of(&home, &history).await;
    let list = |kind| {
        let filter = AccessFilter { kind, ..AccessFilter::default() };
        items(views.read_blocking(|reader| reader.access(&filter, AccessSort::Entry, true, &Page::first(9))).unwrap())
    };
    let all: Vec<_> = list(None).into_iter().map(|entry| (entry.entry, entry.kind, entry.times)).collect();
    let (denied, login) = (AccessKind::Denied, AccessKind::LoginFailed);
    let expected = [(5, AccessKind::Banned, 1), (4, AccessKind::Limited, 7), (3, login, 4), (2, denied, 2), (1, denied, 3)];
    assert_eq!(all, expected);
    let logins = list(Some(login));
    assert_eq!((logins.len(), logins[0].account_id, logins[0].since), (1, Some(account_id), day(0, 9)));
    let bans = list(Some(AccessKind::Banned));
    assert_eq!((bans[0].banned_until, bans[0].caller.as_deref()), (Some(day(2, 60)), Some("address:00ff00ff00ff00ff")));
    let days = |from, to| {
        let (from, to) = (day(from, 0).date_naive(), day(to, 0).date_naive());
        let days = views.read_blocking(|reader| reader.access_by_day(from, to)).unwrap();
        days.into_iter().map(|day| (day.kind, day.times)).collect::<Vec<_>>()
    };
    assert_eq!(days(1, 2), [(denied, 5), (login, 4)]);
    assert_eq!(days(2, 9), [(AccessKind::Banned, 1), (AccessKind::Limited, 7)]);
}

async fn webhooks_and_what_they_could_not_deliver_are_listed(home: Home) {
    let (mut history, first, second) = (History::default(), WebhookId(id(1)), WebhookId(id(2)));
    set_up(&mut history, 1, day(1, 0));
    set_up(&mut history, 2, day(1, 1));
    for position in [10, 30, 20, 30] {
        failed(&mut history, 1, position, day(1, 2));
    }
    failed(&mut history, 2, 10, day(1, 3));
    let changed = WebhookChanged { url: "https://other.example.com/".to_owned(), types: vec![], label: String::new() };
    let happened: Vec<WebhookEvent> = vec![
        WebhookDeliveryRetried { position: 20 }.into(),
        WebhookDeliveryRetried { position: 99 }.into(),
        changed.into(),
        WebhookPaused { reason: WebhookPauseReason::Failing }.into(),
    ];
    for event in happened {
        history.happens(first, event, day(2, 0));
    }
    let read = |reader: &Reader<'_>| {
        let hooks = reader.webhooks(&WebhookFilter::default(), WebhookSort::Created, true, &Page::first(9))?;
        let failures = reader.webhook_failures(first, WebhookFailureSort::Event, true, &Page::first(9))?;
        Ok((items(hooks), items(failures).into_iter().map(|failure| failure.event_position).collect::<Vec<_>>()))
    };
    let (hooks, undelivered) = views_of(&home, &history).await.read_blocking(read).unwrap();
    assert_eq!(hooks.iter().map(|hook| hook.webhook_id).collect::<Vec<_>>(), [second, first]);
    let hook = &hooks[1];
    assert_eq!((hook.undelivered, hook.paused), (2, Some(WebhookPauseReason::Failing)));
    assert_eq!((hook.url.as_str(), hook.types.len(), hook.updated_at), ("https://other.example.com/", 0, day(2, 0)));
    assert_eq!(undelivered, [30, 10]);

    history.happens(first, WebhookEvent::from(WebhookResumed {}), day(3, 0));
    history.happens(second, WebhookEvent::from(WebhookRemoved {}), day(3, 1));
    let views = home.views("later.db");
    followed(&history.log().await, &views, 1_000).await;
    let (one, other) = views.read_blocking(|reader| Ok((reader.webhook(first)?, reader.webhook(second)?))).unwrap();
    assert_eq!((one.map(|hook| hook.paused), other), (Some(None), None));
}
