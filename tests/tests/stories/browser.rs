//! A real browser, headless, that reaches this machine only.
//!
//! It is driven over its DevTools protocol: <https://chromedevtools.github.io/devtools-protocol/>. What is clicked is clicked
//! where it is on the screen, so it must be there and not be covered.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::process::Killed;

/// How long a page may take for anything. A browser that draws without a graphics card, beside other tests on two cores, has
/// taken more than a minute to read the schema.
const PATIENCE: Duration = Duration::from_secs(300);

/// A browser showing one page. It is killed when this goes.
pub struct Browser {
    _child: Killed,
    _profile: TempDir,
    page: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The number of the last request.
    last: u64,
    /// What the browser objected to: exceptions of scripts, and breaches of the page's policy.
    objections: Vec<Value>,
}

impl Browser {
    /// The name of the browser's command, if this machine has one.
    fn command() -> Option<&'static str> {
        let works = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|run| run.status.success());
        ["chromium", "chromium-browser", "google-chrome"].iter().find(works).copied()
    }

    /// Opens a page; every host but this machine is unknown to the browser. None, with the reason, where there is no browser.
    pub async fn open(url: &str) -> Option<Self> {
        let Some(command) = Self::command() else {
            println!("skipped: there is no chromium here to open the page with; ./test.sh installs it");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new(command)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0"])
            .args(["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--window-size=900,900"])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost")
            .arg(format!("--user-data-dir={}", profile.path().display()))
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
        let page = loop {
            let targets: Value = reqwest::get(format!("http://127.0.0.1:{port}/json/list")).await.unwrap().json().await.unwrap();
            let page = targets.as_array().unwrap().iter().find(|target| target["url"].as_str().unwrap().starts_with(url));
            if let Some(page) = page {
                break connect_async(page["webSocketDebuggerUrl"].as_str().unwrap()).await.unwrap().0;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let mut browser = Self { _child: child, _profile: profile, page, last: 0, objections: Vec::new() };
        for domain in ["Page", "Runtime", "Log"] {
            browser.send(&format!("{domain}.enable"), json!({})).await;
        }
        Some(browser)
    }

    /// Carries out a method of the protocol.
    pub async fn send(&mut self, method: &str, params: Value) -> Value {
        self.try_send(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn try_send(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.last += 1;
        let request = json!({ "id": self.last, "method": method, "params": params });
        self.page.send(Message::text(request.to_string())).await.unwrap();
        loop {
            let message = self.page.next().await.unwrap().unwrap().into_text().unwrap();
            let mut message: Value = serde_json::from_str(&message).unwrap();
            if message["id"] == self.last {
                let error = message["error"].take();
                return if error.is_null() { Ok(message["result"].take()) } else { Err(error) };
            }
            // Answers other than 2xx are entries too, of the network; those are for the page to tell about.
            let entry = &message["params"]["entry"];
            let is_entry = message["method"] == "Log.entryAdded" && entry["level"] == "error" && entry["source"] != "network";
            if is_entry || message["method"] == "Runtime.exceptionThrown" {
                self.objections.push(message["params"].take());
            }
        }
    }

    async fn try_evaluate(&mut self, expression: &str) -> Result<Value, Value> {
        let params = json!({ "expression": expression, "returnByValue": true, "userGesture": true });
        let mut answer = self.try_send("Runtime.evaluate", params).await?;
        let exception = answer["exceptionDetails"].take();
        if exception.is_null() { Ok(answer["result"]["value"].take()) } else { Err(exception) }
    }

    /// The value of a JavaScript expression on the page.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        self.try_evaluate(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression is true. While another page is loaded it may have no value.
    pub async fn wait_until(&mut self, expression: &str) {
        let begun = Instant::now();
        loop {
            let found = self.try_evaluate(expression).await;
            if found == Ok(json!(true)) {
                return;
            }
            if begun.elapsed() > PATIENCE {
                let shown = self.try_evaluate("document.body.innerText").await;
                panic!("it never came true that {expression}, but {found:?}; shown: {shown:?}; {:?}", self.objections);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Opens another page, or the same one anew.
    pub async fn go(&mut self, url: &str) {
        // A link to another part of the same page would not load it.
        self.send("Page.navigate", json!({ "url": "about:blank" })).await;
        self.wait_until("location.href === 'about:blank'").await;
        self.send("Page.navigate", json!({ "url": url })).await;
    }

    /// Loads the page anew.
    pub async fn reload(&mut self) {
        self.evaluate("window.isOld = true").await;
        self.send("Page.reload", json!({})).await;
        self.wait_until("window.isOld === undefined && document.readyState === 'complete'").await;
    }

    /// Clicks what a selector finds first, once it can be clicked.
    pub async fn click(&mut self, selector: &str) {
        let selector = json!(selector);
        let place = format!(
            "(() => {{
                const found = document.querySelector({selector});
                if (!found || found.disabled) return null;
                found.scrollIntoView({{ block: 'center' }});
                const {{ x, y, width, height }} = found.getBoundingClientRect();
                const middle = [x + width / 2, y + height / 2];
                return width * height > 0 && found.contains(document.elementFromPoint(...middle)) ? middle : null;
            }})()"
        );
        self.wait_until(&format!("{place} !== null")).await;
        let middle = self.evaluate(&place).await;
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({ "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1 });
            self.send("Input.dispatchMouseEvent", params).await;
        }
    }

    /// Types a text into a field, in place of what is there.
    pub async fn fill(&mut self, selector: &str, text: &str) {
        self.click(selector).await;
        self.evaluate(&format!("document.querySelector({}).select()", json!(selector))).await;
        self.send("Input.insertText", json!({ "text": text })).await;
    }

    /// What the browser objected to until now.
    pub fn objections(&self) -> &[Value] {
        &self.objections
    }
}
