//! The page at `/` in a real browser that cannot reach the network outside: GraphiQL comes up and works.

use serde_json::json;

use crate::{
    browser::Browser,
    process::{Process, bearer},
};

/// The text that GraphiQL shows as the answer.
const ANSWER: &str = "(document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue() ?? '')";

/// Runs what is in the editor, unless it runs already.
const RUN: &str = "const run = document.querySelector('.graphiql-execute-button');
    if (run.getAttribute('aria-label').startsWith('Execute')) run.click();";

#[tokio::test]
async fn graphiql_comes_up_where_nothing_outside_can_be_reached_and_runs_queries_and_subscriptions() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Process::serve_with(folder.path(), &[("DAYBOOK_DEMO", "true")]);
    let Some(mut browser) = Browser::open(&shop.url).await else { return };

    browser.wait_until("document.querySelector('.graphiql-container .graphiql-execute-button')?.offsetHeight > 0").await;
    // A click that comes before the page has read the schema does nothing.
    browser.wait_until(&format!("{{ {RUN} {ANSWER}.includes('\"totalCount\": 336') }}")).await;

    // An auditor follows the log: the token goes to the socket from where the page says, under Headers.
    let headers = json!({ "Authorization": bearer(folder.path(), "auditor", &[]) });
    let fill = "const editors = (of) => [...document.querySelectorAll(of + ' .CodeMirror')].at(-1).CodeMirror;";
    let subscription = "subscription { events(fromPosition: 0) { position type } }";
    let script = format!(
        "{{ {fill} editors('.graphiql-query-editor').setValue('{subscription}');
            editors('.graphiql-editor-tool').setValue({}); }}",
        json!(headers.to_string())
    );
    browser.evaluate(&script).await;
    // GraphiQL takes a moment to see that this is a subscription; until then it posts it and is refused.
    browser.wait_until(&format!("{{ {RUN} {ANSWER}.includes('\"events\": {{') }}")).await;
}
