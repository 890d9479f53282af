//! The heads and keys of a shop that is really served, as the auditor believes them: before and after its keys were replaced.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a shop in `shop`, and what is run in that folder.
pub struct Shop {
    folder: TempDir,
}

impl Shop {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("shop")).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that finds the binaries of this workspace by their names.
    pub fn command(&self, program: &str) -> Command {
        let tools = Path::new(env!("CARGO_BIN_EXE_daybook-replay")).parent().unwrap();
        // Of another package, so a test of this one alone does not build it; an installed one must not stand in for it.
        let daybook = tools.join("daybook");
        assert!(
            daybook.exists(),
            "{} is not built: test the whole workspace, or run `cargo build --bins` first",
            daybook.display()
        );
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env("PATH", path).env("DAYBOOK_DATA", "shop");
        command.env("DAYBOOK_LOG", "sqlite:shop/events.db").env("DAYBOOK_LOG_LEVEL", "error");
        command
    }

    /// A script in bash that stops where something fails.
    pub fn bash(&self, script: &str) -> Command {
        let mut command = self.command("bash");
        command.args(["-euo", "pipefail", "-c", script]);
        command
    }

    /// What the shop's own binary prints, which must succeed.
    fn daybook(&self, args: &[&str]) -> String {
        printed(self.command("daybook").args(args))
    }

    /// What an auditor's verb prints, which must succeed.
    fn replay(&self, args: &[&str]) -> String {
        printed(self.command("daybook-replay").args(args))
    }

    /// What an auditor's verb says that must fail, of the log or of what it was given.
    fn refusal(&self, args: &[&str]) -> String {
        let output = self.command("daybook-replay").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", said(&output));
        said(&output)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Goods come in while the shop is closed: as many events as there are SKUs.
    pub fn import(&self, skus: &[&str]) {
        let rows: String = skus.iter().map(|sku| format!("{sku},main,40,D-{sku}\n")).collect();
        self.write("stock.csv", &format!("sku,location,quantity,reference\n{rows}"));
        self.daybook(&["import", "csv", "stock", "stock.csv"]);
    }

    pub fn token(&self, role: &str) -> String {
        self.daybook(&["token", "--role", role]).trim().to_owned()
    }

    pub fn serve(&self) -> Served {
        let mut command = self.command("daybook");
        command.args(["serve", "--listen", "127.0.0.1:0", "--json", "--notary-interval", "1s"]);
        Served::start(command)
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a command prints, which must succeed.
pub fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// A shop that is served. It is killed when this goes, also when an assertion fails.
pub struct Served {
    child: Child,
    pub url: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It fails only when the process has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    /// Waits until the shop says where it answers, on its first line.
    pub fn start(mut command: Command) -> Self {
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut served = Self { child, url: String::new() };
        let mut line = String::new();
        BufReader::new(served.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        served.url = serde_json::from_str::<Value>(&line).unwrap()["url"].as_str().unwrap().to_owned();
        served
    }

    /// Stops it as a service manager does.
    pub fn stop(mut self) {
        let stopped = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(stopped.success() && self.child.wait().unwrap().success());
    }

    /// What it answers, and whether all is well. Of HTTP 1.0, since the answer then ends with the connection.
    fn answer(&self, request: &str, headers: &str, body: &str) -> (bool, String) {
        let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let length = body.len();
        write!(stream, "{request} HTTP/1.0\r\n{headers}Content-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1) == Some("200"), body.to_owned())
    }

    pub fn get(&self, path: &str) -> String {
        let (is_well, body) = self.answer(&format!("GET {path}"), "", "");
        assert!(is_well, "{path}: {body}");
        body
    }

    pub fn ask(&self, token: &str, query: &str) -> Value {
        let headers = format!("Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n");
        let (_, body) = self.answer("POST /graphql", &headers, &json!({ "query": query }).to_string());
        serde_json::from_str(&body).unwrap()
    }

    /// The shop's own signed head of so many events, as soon as it is signed.
    pub fn head_of(&self, size: u64) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (_, head) = self.answer("GET /notary/checkpoint", "", "");
            if head.lines().nth(1) == Some(size.to_string().as_str()) {
                return head;
            }
            assert!(Instant::now() < deadline, "no head of {size} events was signed, but this: {head}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One more packet of tea comes in: how many there are then, or what is said against it.
    fn receive(&self, token: &str) -> Result<i64, String> {
        let mutation = r#"mutation { stockReceive(input: { sku: "TEA", quantity: 1 }) { stock { onHand } } }"#;
        let answer = self.ask(token, mutation);
        answer["data"]["stockReceive"]["stock"]["onHand"].as_i64().ok_or_else(|| answer.to_string())
    }
}

/// A shop whose notary's key was replaced between a head of two events (`old.txt`) and one of four (`new.txt`), and the
/// lists of its keys from then (`old-keys.json`) and now (`keys.json`). It is closed.
fn shop_with_a_replaced_key() -> Shop {
    let shop = Shop::new();
    shop.import(&["TEA", "CUP"]);
    let served = shop.serve();
    shop.write("old.txt", &served.head_of(2));
    shop.write("old-keys.json", &served.get("/notary/keys"));
    served.stop();

    let said = shop.daybook(&["keys", "rotate-notary"]);
    let key = said.strip_prefix("Heads of the log are signed with this key from now on:\n").map(str::trim);
    assert!(key.is_some_and(|key| key.starts_with("daybook/")), "{said}");

    shop.import(&["POT", "TIN"]);
    let served = shop.serve();
    shop.write("new.txt", &served.head_of(4));
    let keys = served.get("/notary/keys");
    shop.write("keys.json", &keys);
    served.stop();

    let [old, new] = ["old-keys.json", "keys.json"]
        .map(|name| -> Value { serde_json::from_str(&fs::read_to_string(shop.path(name)).unwrap()).unwrap() });
    assert_eq!(new["keys"][0], json!({ "key": key, "from": 2, "until": null }), "{keys}");
    assert_eq!(new["keys"][1], json!({ "key": old["keys"][0]["key"], "from": 0, "until": 2 }), "{keys}");
    shop
}

#[test]
fn heads_from_before_and_after_the_notarys_key_was_replaced_are_believed_by_the_list_of_its_keys() {
    let shop = shop_with_a_replaced_key();
    let [then, now] = [["--verifier-keys", "old-keys.json"], ["--verifier-keys", "keys.json"]];
    let said = shop.replay(&[&["verify", "--heads", "old.txt", "--heads", "new.txt"][..], &now].concat());
    assert!(said.starts_with("nothing is wrong: positions 1 to 4") && said.contains("\nheads: 2\n"), "{said}");
    for (position, head, proof) in [("1", "old.txt", "first.json"), ("4", "new.txt", "last.json")] {
        shop.replay(&["prove", position, "--head", head, "--out", proof]);
        let said = shop.replay(&[&["check-proof", proof, "--head", head][..], &now].concat());
        assert!(said.starts_with(&format!("position {position} is in the log daybook/")), "{said}");
    }
    shop.replay(&["prove-consistency", "old.txt", "new.txt", "--out", "grown.json"]);
    let said = shop.replay(&[&["check-consistency", "grown.json"][..], &now].concat());
    assert!(said.contains("of 4 events begins with the 2 that it had before"), "{said}");

    // Whoever has only the list from then believes what was signed then, and nothing that a key signed of which it knows nothing.
    shop.replay(&[&["verify", "--heads", "old.txt"][..], &then].concat());
    let said = shop.refusal(&[&["verify", "--heads", "old.txt", "--heads", "new.txt"][..], &then].concat());
    let unknown = "the head of 4 events in new.txt: it is not signed with a key that is known here";
    assert!(said.contains(unknown) && said.contains("\n1 finding: "), "{said}");
    assert!(shop.refusal(&[&["check-proof", "last.json"][..], &then].concat()).contains("not signed with a key"));
    assert!(shop.refusal(&[&["check-consistency", "grown.json"][..], &then].concat()).contains("not signed with a key"));

    // The list also says how far each key is believed.
    let keys = fs::read_to_string(shop.path("keys.json")).unwrap();
    shop.write("shorter.json", &keys.replace("\"until\":2", "\"until\":1"));
    let said = shop.refusal(&["verify", "--heads", "old.txt", "--verifier-keys", "shorter.json"]);
    assert!(said.contains("does not sign heads of 2 events"), "{said}");
}

#[test]
fn a_head_that_a_foreign_key_signed_in_the_name_of_a_served_shop_is_not_believed() {
    let shop = shop_with_a_replaced_key();
    let now = ["--verifier-keys", "keys.json"];
    let new = fs::read_to_string(shop.path("new.txt")).unwrap();
    let name = new.lines().next().unwrap();
    shop.replay(&["notary-key", "generate", "--name", name, "--out", "foreign.key"]);
    shop.write("foreign.txt", &shop.replay(&["head", "--key", "foreign.key"]));
    let body = |head: &str| head.split("\n\n").next().unwrap().to_owned();
    assert_eq!(body(&fs::read_to_string(shop.path("foreign.txt")).unwrap()), body(&new), "only the signature is another");

    let said = shop.refusal(&[&["verify", "--heads", "foreign.txt"][..], &now].concat());
    assert!(said.contains("position 4: head: the head of 4 events in foreign.txt: it is not signed with a key"), "{said}");
    shop.replay(&["prove", "3", "--head", "foreign.txt", "--out", "proof.json"]);
    assert!(shop.refusal(&[&["check-proof", "proof.json"][..], &now].concat()).contains("not signed with a key"));
    shop.replay(&["prove-consistency", "old.txt", "foreign.txt", "--out", "grown.json"]);
    assert!(shop.refusal(&[&["check-consistency", "grown.json"][..], &now].concat()).contains("not signed with a key"));
    // A list of keys that is none is not taken for an empty one.
    let said = shop.refusal(&["verify", "--heads", "new.txt", "--verifier-keys", "new.txt"]);
    assert!(said.contains("new.txt is no list of keys"), "{said}");
}

/// Of a token: which key it says it is signed with, and how.
fn header(token: &str) -> &str {
    token.split('.').next().unwrap()
}

#[test]
fn a_token_made_before_the_keys_of_tokens_were_replaced_still_holds_for_its_while_and_new_ones_have_the_new_key() {
    let shop = Shop::new();
    shop.import(&["TEA"]);
    let served = shop.serve();
    let [before, twin] = [shop.token("merchant"), shop.token("merchant")];
    assert_eq!(header(&before), header(&twin), "one key signs until another is made");
    assert_eq!(served.receive(&before), Ok(41));

    let said = shop.daybook(&["keys", "rotate"]);
    let kid = said.trim().strip_prefix("Tokens are signed with the key ").and_then(|rest| rest.strip_suffix(" from now on."));
    let kid = kid.unwrap_or_else(|| panic!("{said}"));
    let after = shop.token("merchant");
    assert_ne!(header(&after), header(&before));
    assert_eq!([served.receive(&before), served.receive(&after)], [Ok(42), Ok(43)]);
    assert!(served.get("/.well-known/jwks.json").contains(kid));
    // The old signature under the name of the new key.
    let forged = format!("{}{}", header(&after), &before[header(&before).len()..]);
    let refused = served.receive(&forged).unwrap_err();
    assert!(refused.contains("UNAUTHENTICATED"), "{refused}");
    served.stop();

    let served = shop.serve();
    assert_eq!([served.receive(&before), served.receive(&after)], [Ok(44), Ok(45)]);
}
