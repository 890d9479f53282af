//! API keys, what is refused at the door, and webhooks.

use chrono::NaiveDate;
use domain::{
    Access, ApiKey, ChangeWebhook, CreateWebhook, IssueApiKey, RecordAccess, RevokeApiKey, State, Webhook, WebhookCommand,
};
use event_schemas::{
    AccessDenied, AccessEvent, ApiKeyId, CallerBanned, CallerLimited, LoginsFailed, WebhookId, WebhookPauseReason,
};

use crate::shop::{Shop, id, morning};

fn key(number: u128) -> IssueApiKey {
    let permissions = vec!["VIEW_ORDERS".to_owned(), "MANAGE_STOCK".to_owned(), "VIEW_ORDERS".to_owned()];
    IssueApiKey { api_key_id: ApiKeyId(id(number)), permissions, label: "Scanner".to_owned(), expires_at: None }
}

fn keeps_in_a_snapshot(state: State) {
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
}

#[test]
fn an_api_key_works_until_it_is_revoked_for_good() {
    let (mut shop, api_key_id) = (Shop::new(), ApiKeyId(id(1)));
    assert_eq!(shop.refusal(RevokeApiKey { api_key_id }).code(), "API_KEY_NOT_FOUND");
    shop.must(key(1));
    let issued = shop.get::<ApiKey>(api_key_id);
    assert_eq!(issued.issued().unwrap().permissions, ["MANAGE_STOCK", "VIEW_ORDERS"]);
    keeps_in_a_snapshot(State::ApiKey(issued));
    assert_eq!(shop.refusal(key(1)).code(), "API_KEY_EXISTS");
    shop.must(RevokeApiKey { api_key_id });
    assert_eq!(shop.must(RevokeApiKey { api_key_id }).len(), 0);
    assert_eq!(shop.refusal(key(1)).code(), "API_KEY_EXISTS", "an id is not used again");
    assert!(shop.get::<ApiKey>(api_key_id).issued().is_none());
}

#[test]
fn an_api_key_permits_something_and_says_what_it_is_for() {
    let mut shop = Shop::new();
    let refusal = shop.refusal(IssueApiKey { permissions: vec![], ..key(1) });
    assert_eq!((refusal.code(), refusal.field()), ("INVALID_PERMISSIONS", Some("permissions")));
    for label in [" ".to_owned(), "x".repeat(201)] {
        let refusal = shop.refusal(IssueApiKey { label, ..key(1) });
        assert_eq!((refusal.code(), refusal.field()), ("INVALID_TEXT", Some("label")));
    }
}

fn records(events: Vec<AccessEvent>) -> RecordAccess {
    RecordAccess { day: NaiveDate::from_ymd_opt(2026, 3, 2).unwrap(), events }
}

fn denied(caller: &str) -> AccessDenied {
    let (permission, operation) = ("MANAGE_CATALOG".to_owned(), "Mutation.productCreate".to_owned());
    AccessDenied { caller: caller.to_owned(), permission, operation, times: 2, since: morning() }
}

#[test]
fn what_is_refused_at_the_door_is_written_down_by_day() {
    let mut shop = Shop::new();
    let caller = "address:8f14e45fceea167a5a36dedd4bea2543".to_owned();
    let limited = CallerLimited { caller: caller.clone(), limit: "login".to_owned(), times: 7, since: morning() };
    let failed = LoginsFailed { account_id: None, times: 1, since: morning() };
    let banned = CallerBanned { caller, until: morning() };
    let events = vec![denied("support:0197").into(), limited.into(), failed.into(), banned.into()];
    let changes = shop.must(records(events));
    assert!(changes.iter().all(|change| change.stream.to_string() == "access/2026-03-02"));
    assert_eq!(shop.get::<Access>("2026-03-02").recorded(), 4);
    assert_eq!(shop.must(records(vec![])).len(), 0);
    keeps_in_a_snapshot(State::Access(shop.get::<Access>("2026-03-02")));
}

#[test]
fn an_address_of_the_network_and_what_never_happened_are_not_written_down() {
    let mut shop = Shop::new();
    for caller in ["address:192.0.2.7", "address:2001:db8::7", "address:", "address:beef", "", " ", "a\nb", &"x".repeat(201)] {
        assert_eq!(shop.refusal(records(vec![denied(caller).into()])).code(), "INVALID_CALLER", "{caller:?}");
    }
    let nameless = AccessDenied { operation: String::new(), ..denied("customer") };
    assert_eq!(shop.refusal(records(vec![nameless.into()])).code(), "INVALID_TEXT");
    let never = AccessDenied { times: 0, ..denied("customer") };
    let with_another = vec![denied("customer").into(), never.into()];
    assert_eq!(shop.refusal(records(with_another)).code(), "INVALID_QUANTITY", "all of them or none");
}

fn webhook(url: &str) -> CreateWebhook {
    let types = vec!["order.placed".to_owned(), "order.paid".to_owned(), "order.placed".to_owned()];
    CreateWebhook { webhook_id: WebhookId(id(1)), url: url.to_owned(), types, label: String::new(), allow_http: false }
}

fn change(command: WebhookCommand) -> ChangeWebhook {
    ChangeWebhook { webhook_id: WebhookId(id(1)), command }
}

#[test]
fn a_webhook_goes_to_a_url_of_https_that_holds_no_password() {
    let mut shop = Shop::new();
    let too_long = format!("https://example.com/{}", "x".repeat(2_000));
    for url in [
        "",
        "example.com",
        "/hooks",
        "http://example.com/",
        "ftp://example.com/",
        "https://ana@example.com/",
        "https://:secret@example.com/",
        "https://example.com/#part",
        "https://",
        "file:///etc/passwd",
        "javascript:alert(1)",
        &too_long,
    ] {
        let refusal = shop.refusal(webhook(url));
        assert_eq!((refusal.code(), refusal.field()), ("INVALID_URL", Some("url")), "{url}");
    }
    shop.must(webhook("HTTPS://Example.COM:443/hooks/../daybook"));
    let held = shop.get::<Webhook>(WebhookId(id(1)));
    let open = held.open().unwrap();
    assert_eq!(open.url, "https://example.com/daybook", "it is kept as whoever sends reads it");
    assert_eq!(open.types, ["order.paid", "order.placed"]);
    keeps_in_a_snapshot(State::Webhook(held));
    let plain = CreateWebhook { webhook_id: WebhookId(id(2)), allow_http: true, ..webhook("http://erp.internal:8080/") };
    shop.must(plain);
}

#[test]
fn a_webhook_names_types_of_events_and_has_a_short_label() {
    let mut shop = Shop::new();
    let many = (0..101).map(|number| format!("order.t{number}")).collect();
    for types in [vec![String::new()], vec!["Order Placed".to_owned()], vec!["x".repeat(65)], many] {
        let refusal = shop.refusal(CreateWebhook { types, ..webhook("https://example.com/") });
        assert_eq!((refusal.code(), refusal.field()), ("INVALID_EVENT_TYPES", Some("types")));
    }
    let refusal = shop.refusal(CreateWebhook { label: "x".repeat(201), ..webhook("https://example.com/") });
    assert_eq!((refusal.code(), refusal.field()), ("INVALID_TEXT", Some("label")));
}

#[test]
fn a_webhook_is_changed_paused_resumed_and_removed_for_good() {
    let mut shop = Shop::new();
    let nothing =
        |url: Option<&str>| WebhookCommand::Change { url: url.map(str::to_owned), types: None, label: None, allow_http: false };
    assert_eq!(shop.refusal(change(WebhookCommand::Resume)).code(), "WEBHOOK_NOT_FOUND");
    shop.must(webhook("https://example.com/a"));
    assert_eq!(shop.refusal(webhook("https://example.com/a")).code(), "WEBHOOK_EXISTS");
    assert_eq!(shop.must(change(nothing(None))).len(), 0);
    assert_eq!(shop.refusal(change(nothing(Some("http://example.com/")))).code(), "INVALID_URL");
    shop.must(change(nothing(Some("https://example.com/b"))));
    let open = shop.get::<Webhook>(WebhookId(id(1)));
    assert_eq!((open.open().unwrap().url.as_str(), open.open().unwrap().types.len()), ("https://example.com/b", 2));

    let pause = |reason| change(WebhookCommand::Pause { reason });
    assert_eq!(shop.must(change(WebhookCommand::Resume)).len(), 0);
    shop.must(pause(WebhookPauseReason::Failing));
    assert_eq!(shop.must(pause(WebhookPauseReason::Staff)).len(), 0, "it is paused already");
    shop.must(change(WebhookCommand::Resume));

    let reason = format!("503\n{}", "x".repeat(500));
    shop.must(change(WebhookCommand::DeliveryFailed { position: 7, attempts: 12, reason }));
    let told = serde_json::to_value(&shop.happened.last().unwrap().event).unwrap();
    assert_eq!(told["event"]["data"]["reason"].as_str().unwrap(), format!("503{}", "x".repeat(197)));
    shop.must(change(WebhookCommand::DeliveryRetried { position: 7 }));

    shop.must(change(WebhookCommand::Remove));
    for late in [WebhookCommand::Remove, WebhookCommand::Resume, WebhookCommand::DeliveryRetried { position: 7 }] {
        assert_eq!(shop.refusal(change(late)).code(), "WEBHOOK_NOT_FOUND");
    }
    assert_eq!(shop.refusal(webhook("https://example.com/a")).code(), "WEBHOOK_EXISTS");
}
