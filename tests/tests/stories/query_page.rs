//! The page at `/` in a real browser that cannot reach the network outside: GraphiQL comes up and works.

use serde_json::json;

use crate::{
    browser::Browser,
    process::{Process, bearer},
};

/// The text that GraphiQL shows as the answer.
const ANSWER: &str = "(document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue() ?? '')";

/// The editor that a selector finds last, as its own script knows it.
const EDITOR: &str = "const editor = (of) => [...document.querySelectorAll(of + ' .CodeMirror')].at(-1)?.CodeMirror;";

/// Runs what is in the editor, by the button.
const RUN: &str = "document.querySelector('.graphiql-execute-button').click()";

#[tokio::test]
async fn graphiql_comes_up_where_nothing_outside_can_be_reached_and_runs_queries_and_subscriptions() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Process::serve_with(folder.path(), &[("DAYBOOK_DEMO", "true")]);
    let Some(mut browser) = Browser::open(&shop.url).await else { return };

    browser.wait_until("document.querySelector('.graphiql-container .graphiql-execute-button')?.offsetHeight > 0").await;
    // A click that comes before the page has read the schema does nothing.
    browser.wait_until(&format!("{{ {EDITOR} !!editor('.graphiql-query-editor')?.options.lint.schema }}")).await;
    browser.evaluate(RUN).await;
    browser.wait_until(&format!("{ANSWER}.includes('\"totalCount\": 336')")).await;

    // An auditor follows the log: the token goes to the socket from where the page says, under Headers.
    let headers = json!({ "Authorization": bearer(folder.path(), "auditor", &[]) });
    let subscription = "subscription { events(fromPosition: 0) { position type } }";
    let script = format!(
        "{{ {EDITOR} editor('.graphiql-query-editor').setValue('{subscription}');
            editor('.graphiql-editor-tool').setValue({}); }}",
        json!(headers.to_string())
    );
    browser.evaluate(&script).await;
    // GraphiQL takes a moment to see that this is a subscription; until then it would post it and be refused.
    let is_seen = "editor('.graphiql-query-editor').documentAST?.definitions[0].operation === 'subscription'";
    browser.wait_until(&format!("{{ {EDITOR} {is_seen} }}")).await;
    browser.evaluate(RUN).await;
    browser.wait_until(&format!("{ANSWER}.includes('\"events\": {{')")).await;
}
