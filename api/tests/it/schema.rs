//! The schema as clients see it: checked in, described throughout, and cut to what a role may use.

use api::access::Role;
use serde_json::{Value, json};

use crate::server::{Server, code};

#[test]
fn the_schema_is_the_one_that_is_checked_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
    let sdl = api::graphql::sdl();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &sdl).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(sdl == checked_in, "the schema has changed; look at the change, then run this test once with UPDATE=1");
}

#[tokio::test]
async fn the_permission_matrix_is_the_one_that_is_checked_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api/permissions.md");
    let matrix = api::graphql::permission_matrix().await;
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &matrix).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(matrix == checked_in, "rights have changed; look at the change, then run this test once with UPDATE=1");
}

const INTROSPECTION: &str = "{ __schema { types { name kind description fields(includeDeprecated: true) { name description \
     args { name description } } inputFields { name description } enumValues(includeDeprecated: true) { name description } } } }";

/// The paths of a type's parts that have no description.
fn undescribed(of: &Value, path: &str, missing: &mut Vec<String>) {
    let path = format!("{path}/{}", of["name"].as_str().unwrap());
    if of["description"].as_str().unwrap_or_default().is_empty() {
        missing.push(path.clone());
    }
    for parts in ["fields", "args", "inputFields", "enumValues"] {
        of[parts].as_array().into_iter().flatten().for_each(|part| undescribed(part, &path, missing));
    }
}

#[tokio::test]
async fn every_type_field_argument_and_value_is_described() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let answer = server.ask_as(&admin, INTROSPECTION, json!({})).await;
    let types = answer["data"]["__schema"]["types"].as_array().unwrap();
    let mut missing = Vec::new();
    for of in types.iter().filter(|of| !of["name"].as_str().unwrap().starts_with("__") && of["kind"] != "SCALAR") {
        undescribed(of, "", &mut missing);
    }
    assert_eq!(missing, Vec::<String>::new());
    assert!(types.len() > 80, "{}", types.len());
}

#[tokio::test]
async fn a_role_sees_in_the_schema_what_it_may_use_and_is_refused_the_rest_by_name() {
    let server = Server::start().await;
    let fields = async |role: Option<Role>| {
        let query = "{ __schema { queryType { fields { name } } mutationType { fields { name } } types { name } } }";
        server.run(role, query, json!({})).await["data"]["__schema"].to_string()
    };
    let shopper = fields(None).await;
    for hidden in ["orders", "journal", "productCreate", "paymentRefund", "events", "TrialBalance", "logout", "accounts"] {
        assert!(!shopper.contains(&format!("\"{hidden}\"")), "{hidden}");
    }
    assert!(shopper.contains("\"cartCheckout\"") && shopper.contains("\"products\""));
    let merchant = fields(Some(Role::Merchant)).await;
    assert!(merchant.contains("\"productCreate\"") && !merchant.contains("\"paymentRefund\""));
    assert!(fields(Some(Role::Auditor)).await.contains("\"events\""));

    for query in [
        "{ orders { totalCount } }",
        "{ trialBalance { balanced } }",
        "{ events { nodes { type } } }",
        "{ stock(sku: \"A\") { onHand } }",
    ] {
        assert_eq!(code(&server.ask(query).await), "FORBIDDEN", "{query}");
    }
    let refund = "mutation { paymentRefund(input: { paymentId: \"x\", reason: \"y\" }) { position } }";
    assert_eq!(code(&server.run(Some(Role::Merchant), refund, json!({})).await), "FORBIDDEN");
}
