//! The page at `/` in a real browser that cannot reach the network outside: GraphiQL comes up and works.
//!
//! The browser is driven over its DevTools protocol: <https://chromedevtools.github.io/devtools-protocol/>.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::process::{Killed, Process, binary};

/// A browser showing one page. It is killed when this goes.
struct Browser {
    _child: Killed,
    page: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
}

impl Browser {
    /// The name of the browser's command, if this machine has one.
    fn command() -> Option<&'static str> {
        let works = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|run| run.status.success());
        ["chromium", "chromium-browser", "google-chrome"].iter().find(works).copied()
    }

    /// Opens a page; every host but this machine is unknown to the browser.
    async fn open(command: &str, profile: &Path, url: &str) -> Self {
        let mut child = Command::new(command)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0"])
            .args([
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(url)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map(Killed)
            .unwrap();
        let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
        let port = loop {
            let line = lines.next().expect("the browser says where its DevTools listen").unwrap();
            if let Some(address) = line.strip_prefix("DevTools listening on ws://127.0.0.1:") {
                break address.split('/').next().unwrap().to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        loop {
            let targets: Value = reqwest::get(format!("http://127.0.0.1:{port}/json/list")).await.unwrap().json().await.unwrap();
            let page = targets.as_array().unwrap().iter().find(|target| target["url"].as_str().unwrap().starts_with(url));
            if let Some(page) = page {
                let (page, _) = connect_async(page["webSocketDebuggerUrl"].as_str().unwrap()).await.unwrap();
                return Self { _child: child, page };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The value of a JavaScript expression on the page.
    async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "userGesture": true });
        let request = json!({ "id": 1, "method": "Runtime.evaluate", "params": params });
        self.page.send(Message::text(request.to_string())).await.unwrap();
        loop {
            let answer = self.page.next().await.unwrap().unwrap().into_text().unwrap();
            let answer: Value = serde_json::from_str(&answer).unwrap();
            if answer["id"] == 1 {
                assert!(answer["result"]["exceptionDetails"].is_null(), "{expression}: {answer}");
                return answer["result"]["result"]["value"].clone();
            }
        }
    }

    /// Waits until an expression is true.
    async fn wait_until(&mut self, expression: &str) {
        let waiting = async {
            while self.evaluate(expression).await != json!(true) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let result = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(result.is_ok(), "it never came true that {expression}");
    }
}

/// The text that GraphiQL shows as the answer.
const ANSWER: &str = "(document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue() ?? '')";

#[tokio::test]
async fn graphiql_comes_up_where_nothing_outside_can_be_reached_and_runs_queries_and_subscriptions() {
    let Some(command) = Browser::command() else {
        println!("skipped: there is no chromium here to open the query page with");
        return;
    };
    let (folder, profile) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let shop = Process::serve_with(folder.path(), &[("DAYBOOK_DEMO", "true")]);
    let mut browser = Browser::open(command, profile.path(), &shop.url).await;

    browser.wait_until("document.querySelector('.graphiql-container .graphiql-execute-button')?.offsetHeight > 0").await;
    browser.evaluate("document.querySelector('.graphiql-execute-button').click()").await;
    browser.wait_until(&format!("{ANSWER}.includes('\"totalCount\": 336')")).await;

    // An auditor follows the log: the token goes to the socket from where the page says, under Headers.
    let token =
        Command::new(binary("daybook")).args(["token", "--role", "auditor", "--data"]).arg(folder.path()).output().unwrap();
    let headers = json!({ "Authorization": format!("Bearer {}", String::from_utf8(token.stdout).unwrap().trim()) });
    let fill = "const editors = (of) => [...document.querySelectorAll(of + ' .CodeMirror')].at(-1).CodeMirror;";
    let subscription = "subscription { events(fromPosition: 0) { position type } }";
    let script = format!(
        "{{ {fill} editors('.graphiql-query-editor').setValue('{subscription}');
            editors('.graphiql-editor-tool').setValue({}); }}",
        json!(headers.to_string())
    );
    browser.evaluate(&script).await;
    // GraphiQL takes a moment to see that this is a subscription; until then it posts it and is refused.
    let run = "const run = document.querySelector('.graphiql-execute-button');
        if (run.getAttribute('aria-label').startsWith('Execute')) run.click();";
    browser.wait_until(&format!("{{ {run} {ANSWER}.includes('\"events\": {{') }}")).await;
}
