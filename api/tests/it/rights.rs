//! Rights: each cell of the permission matrix over HTTP, and what is decided about roles, accounts, keys and refusals.

use std::time::{Duration, Instant};

use api::access::Role;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use crate::{
    people::{PASSWORD, Person, refusal},
    server::{Server, code},
    shop::{paid_order, tea},
};

const ORDERS: &str = "{ orders { totalCount } }";

impl Server {
    /// Gives somebody a role, as an admin.
    pub async fn grant(&self, admin: &Person, person: &Person, role: &str) -> Value {
        let input = json!({ "accountId": person.id, "role": role });
        self.mutate_as(admin, "accountRoleGrant", "AccountRoleInput", "account { id roles }", input).await
    }

    /// Waits until a role counts: what a node knows of an account it knows for a second.
    pub async fn until_has(&self, person: &Person, role: &str) {
        let begun = Instant::now();
        loop {
            let answer = self.ask_as(person, "{ me { roles } }", json!({})).await;
            if answer["data"]["me"]["roles"].as_array().unwrap().contains(&json!(role)) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a document is answered to somebody with this code; `none` is no error.
    pub async fn until(&self, person: &Person, query: &str, expected: &str) {
        let begun = Instant::now();
        loop {
            let answer = self.ask_as(person, query, json!({})).await;
            if code(&answer) == expected {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_role_is_given_and_taken_and_counts_within_a_second() {
    let server = Server::start().await;
    let (admin, ben) = (server.admin().await, server.person("ben@example.com").await);
    assert_eq!(code(&server.ask_as(&ben, ORDERS, json!({})).await), "FORBIDDEN");
    assert_eq!(server.grant(&admin, &ben, "support").await["account"]["roles"], json!(["customer", "support"]));
    server.until(&ben, ORDERS, "none").await;
    let me = server.ask_as(&ben, "{ me { actor role } }", json!({})).await["data"]["me"].clone();
    assert!(me["actor"].as_str().unwrap().starts_with("support:") && me["role"] == "SUPPORT", "{me}");
    let input = json!({ "accountId": ben.id, "role": "support" });
    server.mutate_as(&admin, "accountRoleRevoke", "AccountRoleInput", "account { roles }", input).await;
    server.until(&ben, ORDERS, "FORBIDDEN").await;
    assert_eq!(refusal(&server.grant(&admin, &ben, "no-such-role").await), "ROLE_NOT_FOUND");
}

#[tokio::test]
async fn a_role_of_the_shops_own_permits_what_it_says_and_nobody_gives_what_they_do_not_have() {
    let server = Server::start().await;
    let (admin, ben, eve) =
        (server.admin().await, server.person("ben@example.com").await, server.person("eve@example.com").await);
    let define =
        json!({ "name": "office", "description": "Looks after accounts", "permissions": ["MANAGE_ACCOUNTS", "VIEW_ORDERS"] });
    let defined = server.mutate_as(&admin, "roleDefine", "RoleDefineInput", "role { name permissions builtIn }", define).await;
    assert_eq!(defined["role"], json!({ "name": "office", "permissions": ["VIEW_ORDERS", "MANAGE_ACCOUNTS"], "builtIn": false }));
    server.grant(&admin, &ben, "office").await;
    server.until(&ben, ORDERS, "none").await;
    // Ben gives Eve what he has, and no more; nor does he take from who has more.
    assert_eq!(server.grant(&ben, &eve, "office").await["userErrors"], json!([]));
    let query = "mutation($i: AccountRoleInput!) { accountRoleGrant(input: $i) { userErrors { code } } }";
    for role in ["support", "admin", "merchant"] {
        let answer = server.ask_as(&ben, query, json!({ "i": { "accountId": eve.id, "role": role } })).await;
        assert_eq!(code(&answer), "FORBIDDEN", "{role}");
    }
    let disable = "mutation($i: AccountDisableInput!) { accountDisable(input: $i) { userErrors { code } } }";
    let answer = server.ask_as(&ben, disable, json!({ "i": { "accountId": admin.id } })).await;
    assert_eq!(code(&answer), "FORBIDDEN");
    // The role is defined anew for both of them, then removed for good.
    let define = json!({ "name": "office", "description": "Looks after accounts", "permissions": ["MANAGE_ACCOUNTS"] });
    server.mutate_as(&admin, "roleDefine", "RoleDefineInput", "role { name }", define.clone()).await;
    server.until(&ben, ORDERS, "FORBIDDEN").await;
    server.mutate_as(&admin, "roleRemove", "RoleRemoveInput", "position", json!({ "name": "office" })).await;
    server.until(&ben, "{ accounts { totalCount } }", "FORBIDDEN").await;
    let again = server.mutate_as(&admin, "roleDefine", "RoleDefineInput", "role { name }", define).await;
    assert_eq!(refusal(&again), "ROLE_REMOVED");
    let built_in = json!({ "name": "support", "description": "x", "permissions": ["VIEW_ORDERS"] });
    let built_in = server.mutate_as(&admin, "roleDefine", "RoleDefineInput", "role { name }", built_in).await;
    assert_eq!(refusal(&built_in), "ROLE_BUILT_IN");
}

#[tokio::test]
async fn the_last_admin_stays_and_a_disabled_account_is_out_at_once() {
    let server = Server::start().await;
    let (admin, ben) = (server.admin().await, server.person("ben@example.com").await);
    let mine = json!({ "accountId": admin.id, "role": "admin" });
    let kept = server.mutate_as(&admin, "accountRoleRevoke", "AccountRoleInput", "account { id }", mine).await;
    assert_eq!(refusal(&kept), "LAST_ADMIN");
    let kept = server
        .mutate_as(&admin, "accountDisable", "AccountDisableInput", "account { id }", json!({ "accountId": admin.id }))
        .await;
    assert_eq!(refusal(&kept), "LAST_ADMIN");
    let him = json!({ "accountId": ben.id, "reason": "left" });
    let out = server.mutate_as(&admin, "accountDisable", "AccountDisableInput", "account { disabled }", him).await;
    assert_eq!(out["account"]["disabled"], json!(true), "{out}");
    server.until(&ben, "{ me { role } }", "UNAUTHENTICATED").await;
    assert!(["CREDENTIALS_INVALID", "ACCOUNT_DISABLED"].contains(&refusal(&server.login(&ben.email, PASSWORD).await)));
    server.mutate_as(&admin, "accountEnable", "AccountEnableInput", "account { disabled }", json!({ "accountId": ben.id })).await;
    server.logged_in("ben@example.com").await;
}

#[tokio::test]
async fn an_api_key_does_what_it_permits_until_it_is_revoked() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let input = json!({ "permissions": ["VIEW_ORDERS"], "label": "the warehouse" });
    let made = server.mutate_as(&admin, "apiKeyCreate", "ApiKeyCreateInput", "key apiKey { id label permissions }", input).await;
    let key = Person { access: made["key"].as_str().unwrap().to_owned(), ..Person::of(&json!({}), "") };
    assert_eq!(made["apiKey"]["permissions"], json!(["VIEW_ORDERS"]));
    server.until(&key, ORDERS, "none").await;
    assert_eq!(code(&server.ask_as(&key, "{ payments { totalCount } }", json!({})).await), "FORBIDDEN");
    let me = server.ask_as(&key, "{ me { actor roles account { id } } }", json!({})).await["data"]["me"].clone();
    assert!(me["actor"].as_str().unwrap().starts_with("api-key:"), "{me}");
    assert_eq!((&me["roles"], &me["account"]), (&json!([]), &json!(null)));
    // The key is kept as a hash, and the list shows what it may do, not what it is.
    let listed = server.ask_as(&admin, "{ apiKeys { nodes { id label permissions revokedAt } } }", json!({})).await;
    assert!(!listed.to_string().contains(key.access.rsplit('_').next().unwrap()));
    let revoke = json!({ "apiKeyId": made["apiKey"]["id"] });
    server.mutate_as(&admin, "apiKeyRevoke", "ApiKeyRevokeInput", "apiKey { revokedAt }", revoke).await;
    server.until(&key, ORDERS, "UNAUTHENTICATED").await;
    let expired = json!({ "permissions": ["VIEW_ORDERS"], "label": "old", "expiresAt": "2020-01-01T00:00:00Z" });
    let made = server.mutate_as(&admin, "apiKeyCreate", "ApiKeyCreateInput", "key", expired).await;
    let error = &made["userErrors"][0];
    assert_eq!((&error["code"], &error["field"]), (&json!("INVALID_INPUT"), &json!(["expiresAt"])), "{made}");
    assert_eq!(made["key"], json!(null));
}

#[tokio::test]
async fn what_was_refused_is_in_the_log_without_an_address_or_a_name() {
    let server = Server::start().await;
    let (admin, eve) = (server.admin().await, server.person("eve@example.com").await);
    assert_eq!(code(&server.ask_as(&eve, "{ mine: orders { totalCount } }", json!({})).await), "FORBIDDEN");
    assert_eq!(code(&server.ask(ORDERS).await), "FORBIDDEN");
    server.login("eve@example.com", "not the password").await;
    let query = "{ accessLog { nodes { kind caller permission operation times accountId } } }";
    let begun = Instant::now();
    let entries = loop {
        let entries = server.ask_as(&admin, query, json!({})).await["data"]["accessLog"]["nodes"].clone();
        if entries.as_array().unwrap().len() >= 3 {
            break entries;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{entries}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let entries = entries.as_array().unwrap();
    let by = |start: &str| entries.iter().find(|entry| entry["caller"].as_str().is_some_and(|caller| caller.starts_with(start)));
    for start in ["customer:", "address:"] {
        let entry = by(start).unwrap();
        assert_eq!((&entry["kind"], &entry["permission"]), (&json!("DENIED"), &json!("view_orders")));
        assert_eq!(entry["operation"], "orders", "the schema's word, not the caller's");
    }
    let failed = entries.iter().find(|entry| entry["kind"] == "LOGIN_FAILED").unwrap();
    assert_eq!(failed["accountId"], json!(eve.id));
    assert!(!format!("{entries:?}").contains("127.0.0.1"));
    assert_eq!(code(&server.ask_as(&eve, query, json!({})).await), "FORBIDDEN");
}

/// The columns and rows of a table of the matrix that is checked in.
fn table(title: &str) -> (Vec<String>, Vec<(String, Vec<String>)>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api/permissions.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with(title)).unwrap().to_owned();
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    let mut lines = section.lines().filter(|line| line.starts_with('|'));
    let columns = cells(lines.next().unwrap())[1..].to_vec();
    let rows = lines.skip(1).map(cells).map(|mut row| (row.remove(0), row)).collect();
    (columns, rows)
}

const TYPES: &str = "{ __schema { queryType { name } mutationType { name } subscriptionType { name } types { name kind \
    enumValues { name } inputFields { name defaultValue type { ...T } } fields { name type { ...T } \
    args { name defaultValue type { ...T } } } } } } \
    fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// The schema, and things that there are for arguments that must find something.
struct Writer {
    schema: Value,
    order: String,
}

impl Writer {
    fn named(&self, name: &str) -> &Value {
        let types = self.schema["types"].as_array().unwrap();
        types.iter().find(|of| of["name"] == name).unwrap()
    }

    /// A value of a type, as small as it can be.
    fn value(&self, of: &Value) -> String {
        match of["kind"].as_str().unwrap() {
            "NON_NULL" => self.value(&of["ofType"]),
            "LIST" => format!("[{}]", self.value(&of["ofType"])),
            "ENUM" => self.named(of["name"].as_str().unwrap())["enumValues"][0]["name"].as_str().unwrap().to_owned(),
            "INPUT_OBJECT" => {
                let name = of["name"].as_str().unwrap();
                let fields = self.required(self.named(name)["inputFields"].as_array().unwrap());
                // A webhook that names no types is told everything, which takes more rights than to set one up.
                let more = if name == "WebhookCreateInput" { ", types: [\"order.placed\"]" } else { "" };
                format!("{{ {fields}{more} }}")
            }
            _ => match of["name"].as_str().unwrap() {
                "ID" => format!("{:?}", BASE64.encode(format!("order:{}", uuid::Uuid::nil()))),
                "CurrencyCode" => "\"EUR\"".to_owned(),
                "DateTime" => "\"2026-01-01T00:00:00Z\"".to_owned(),
                "NaiveDate" => "\"2026-01-01\"".to_owned(),
                "Decimal" => "\"1.00\"".to_owned(),
                "Boolean" => "true".to_owned(),
                "Int" | "Long" | "Float" => "1".to_owned(),
                "JSON" => "{}".to_owned(),
                _ => "\"x\"".to_owned(),
            },
        }
    }

    fn required(&self, parts: &[Value]) -> String {
        let needed = parts.iter().filter(|part| part["type"]["kind"] == "NON_NULL" && part["defaultValue"].is_null());
        let written = needed.map(|part| format!("{}: {}", part["name"].as_str().unwrap(), self.value(&part["type"])));
        written.collect::<Vec<_>>().join(", ")
    }

    /// A document that asks for one operation, well formed, about things that there are not.
    fn document(&self, root: &str, operation: &str) -> String {
        let fields = self.named(self.schema[format!("{root}Type")]["name"].as_str().unwrap())["fields"].as_array().unwrap();
        let field = fields.iter().find(|field| field["name"] == operation).unwrap();
        let arguments = match operation {
            "orderUpdated" => format!("id: {:?}, fromPosition: 0", self.order),
            "stockChanged" => "sku: \"TEA-100\", fromPosition: 0".to_owned(),
            "events" if root == "subscription" => "fromPosition: 0".to_owned(),
            // In so small a shop nothing is out of the ordinary: whoever may ask is told that there is no such position.
            "anomalyRaised" => "fromPosition: 1000000".to_owned(),
            _ => self.required(field["args"].as_array().unwrap()),
        };
        let arguments = if arguments.is_empty() { arguments } else { format!("({arguments})") };
        let mut of = &field["type"];
        while !of["ofType"].is_null() {
            of = &of["ofType"];
        }
        let selection = if ["SCALAR", "ENUM"].contains(&of["kind"].as_str().unwrap()) { "" } else { "{ __typename }" };
        format!("{root} {{ {operation}{arguments} {selection} }}")
    }
}

/// What is answered to a document, as a cell of the matrix.
async fn cell(server: &Server, bearer: Option<&str>, document: &str) -> &'static str {
    let mut request = server.post(json!({ "query": document }).to_string());
    if let Some(bearer) = bearer {
        request = request.bearer_auth(bearer);
    }
    let text = if document.starts_with("subscription") {
        let mut response = request.header("accept", "text/event-stream").send().await.unwrap();
        let mut text = String::new();
        while !text.contains("event:") {
            text += &String::from_utf8_lossy(&response.chunk().await.unwrap().unwrap());
        }
        text
    } else {
        request.send().await.unwrap().text().await.unwrap()
    };
    for unexpected in ["GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "INTERNAL"] {
        assert!(!text.contains(unexpected), "{document}: {text}");
    }
    if text.contains("\"FORBIDDEN\"") || text.contains("\"UNAUTHENTICATED\"") { "" } else { "yes" }
}

/// Somebody with an account for each role, the admin last, in the order of the matrix; nobody in particular first.
async fn columns(server: &Server, names: &[String]) -> Vec<Option<Person>> {
    let admin = server.admin().await;
    let mut people = vec![None];
    for name in &names[1..names.len() - 1] {
        let person = server.person(&format!("{name}@example.com")).await;
        if name != "customer" {
            server.grant(&admin, &person, name).await;
            server.until_has(&person, name).await;
        }
        people.push(Some(person));
    }
    people.push(Some(admin));
    people
}

/// Operations after which the token that asked for them does not hold any more.
const LAST: [&str; 3] = ["logout", "sessionsEndAll", "accountDelete"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cell_of_the_matrix_is_what_the_shop_answers() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let order = paid_order(&server, "TEA-100", 1).await["order"]["id"].as_str().unwrap().to_owned();
    let people = columns(&server, &table("Queries").0).await;
    let admin = people.last().unwrap().as_ref().unwrap();
    let schema = server.ask_as(admin, TYPES, json!({})).await["data"]["__schema"].clone();
    let writer = Writer { schema, order };
    let mut tried = 0;
    for (title, root) in [("Queries", "query"), ("Mutations", "mutation"), ("Subscriptions", "subscription")] {
        let (names, rows) = table(title);
        let rows = rows.iter().filter(|(operation, _)| !LAST.contains(&operation.as_str()));
        for (operation, cells) in rows {
            let document = writer.document(root, operation);
            for ((person, name), expected) in people.iter().zip(&names).zip(cells) {
                let answered = cell(&server, person.as_ref().map(|person| person.access.as_str()), &document).await;
                assert_eq!(!answered.is_empty(), !expected.is_empty(), "{operation} as {name}");
                tried += 1;
            }
        }
    }
    // A token without an account, of whatever role, has nothing of its own.
    let token = server.token(Role::Customer, Duration::from_secs(600));
    let (names, rows) = table("Mutations");
    for (operation, cells) in &rows {
        let expected = if cells[1] == "own" { "" } else { cells[1].as_str() };
        let answered = cell(&server, Some(&token), &writer.document("mutation", operation)).await;
        assert_eq!(answered, expected, "{operation} as {} by a token of the machine", names[1]);
    }
    for (person, operation) in people.iter().flat_map(|person| LAST.map(|operation| (person, operation))) {
        let (bearer, expected) = match person {
            Some(person) => (Some(server.logged_in(&person.email).await.access), "yes"),
            None => (None, ""),
        };
        assert_eq!(cell(&server, bearer.as_deref(), &writer.document("mutation", operation)).await, expected, "{operation}");
    }
    assert!(tried > 700, "{tried}");
}
