//! What `daybook serve --demo` prints once the shop is open: where it is, tokens, and queries to paste.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{AccountsError, RunningServer, access::Role};

/// How long the tokens hold that the demo prints.
const TOKENS_HOLD: Duration = Duration::from_secs(24 * 3600);

/// Queries to paste into the page: what each shows, who may ask it, and its text.
pub(crate) const EXAMPLES: [(&str, Option<Role>, &str); 3] = [
    (
        "What a customer sees",
        None,
        "{ products(first: 5, filter: { text: \"sencha\" }) { totalCount nodes { title variants { sku name price(currency: \"EUR\") { amount currency } } } } }",
    ),
    (
        "The last orders",
        Some(Role::Merchant),
        "{ orders(first: 5) { nodes { number status placedAt total { gross { amount currency } } lines { title quantity } } } }",
    ),
    (
        "Days that were not as expected, and why",
        Some(Role::Analyst),
        "{ anomalies(first: 5) { nodes { day metric currency severity reason } } }",
    ),
];

/// The roles that the demo prints tokens for.
const ROLES: [Role; 3] = [Role::Merchant, Role::Analyst, Role::Auditor];

/// Tokens for the demo's roles, by role name.
fn tokens(server: &RunningServer) -> Result<Vec<(Role, String)>, AccountsError> {
    ROLES.into_iter().map(|role| Ok((role, server.token(role, Some("demo"), TOKENS_HOLD)?))).collect()
}

/// The greeting, in words.
///
/// # Errors
/// When a token cannot be signed.
pub(crate) fn greeting(url: &str, server: &RunningServer) -> Result<String, AccountsError> {
    let mut text = format!("\nThe demo shop is open: {url}\n\nTokens, for a day (send as `Authorization: Bearer …`):\n");
    for (role, token) in tokens(server)? {
        text.push_str(&format!("  {:<9} {token}\n", role.name()));
    }
    text.push_str("\nTry these at the URL above:\n");
    for (what, role, query) in EXAMPLES {
        let who = role.map_or_else(|| "no token".to_owned(), |role| format!("{} token", role.name()));
        text.push_str(&format!("\n  {what} ({who})\n  {query}\n"));
    }
    text.push_str("\nStop with Ctrl-C; the shop stays in its data folder.\n");
    Ok(text)
}

/// The greeting, for programs.
///
/// # Errors
/// When a token cannot be signed.
pub(crate) fn greeting_json(url: &str, server: &RunningServer) -> Result<Value, AccountsError> {
    let tokens: serde_json::Map<String, Value> =
        tokens(server)?.into_iter().map(|(role, token)| (role.name().to_owned(), token.into())).collect();
    let queries: Vec<Value> = EXAMPLES
        .into_iter()
        .map(|(what, role, query)| json!({ "what": what, "role": role.map(|role| role.name()), "query": query }))
        .collect();
    Ok(json!({ "url": url, "tokens": tokens, "queries": queries }))
}
