//! Requests that only an attacker writes: each is refused by name, the shop goes on, and its memory stays where it was.
//!
//! The long version: `DAYBOOK_HOSTILE=10000 cargo nextest run --release -p stories hostile`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::process::Process;

/// How far the memory may be from where it was, in KiB.
const SLACK: u64 = 50 * 1024;
const AT_ONCE: usize = 8;
const LONG: Duration = Duration::from_secs(60);

/// A request and the names under which it may be refused.
struct Attack {
    name: &'static str,
    body: Vec<u8>,
    refused: &'static str,
    /// How many of a hundred requests are of this kind; those that take most to send are few.
    share: u32,
}

fn query(name: &'static str, query: impl Into<String>, refused: &'static str) -> Attack {
    with_variables(name, query, &json!({}), refused)
}

fn with_variables(name: &'static str, query: impl Into<String>, variables: &Value, refused: &'static str) -> Attack {
    let body = json!({ "query": query.into(), "variables": variables }).to_string().into_bytes();
    Attack { name, body, refused, share: 3 }
}

fn raw(name: &'static str, body: impl Into<Vec<u8>>, refused: &'static str) -> Attack {
    Attack { name, body: body.into(), refused, share: 3 }
}

/// `part` for each number, one after the other.
fn each(most: usize, part: impl Fn(usize) -> String) -> String {
    (0..most).fold(String::new(), |mut text, number| {
        write!(text, "{} ", part(number)).unwrap();
        text
    })
}

fn in_rows(selection: &str) -> String {
    format!("{{ products {{ nodes {{ {selection} }} }} }}")
}

/// Too much of what a document is made of.
fn documents() -> Vec<Attack> {
    let bomb = |most: usize| {
        let doubled = each(most, |n| format!("fragment f{n} on Product {{ ...f{} ...f{} }}", n + 1, n + 1));
        format!("{} {doubled} fragment f{most} on Product {{ id }}", in_rows("...f0"))
    };
    let round = "{ products { nodes { ...a } } } fragment a on Product { ...b } fragment b on Product { ...a }";
    let types = "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }";
    let filter = "{ products(filter: {text: ";
    vec![
        query(
            "1,000 fields of the operation under other names",
            format!("{{ {} }}", each(1_000, |n| format!("a{n}: me {{ role }}"))),
            "ROOT_FIELD_LIMIT",
        ),
        query("1,000 aliases", in_rows(&each(1_000, |n| format!("a{n}: title"))), "ALIAS_LIMIT"),
        query("10,000 fields", in_rows(&"title ".repeat(10_000)), "TOKEN_LIMIT"),
        query("9,000 fields", in_rows(&"title ".repeat(9_000)), "FIELD_LIMIT"),
        query("a fragment bomb", bomb(60), "FIELD_LIMIT"),
        query("a bomb around nothing", bomb(60).replace(" fragment f60 on Product { id }", ""), "FIELD_LIMIT"),
        query("600 fragments", bomb(600), "FRAGMENT_LIMIT"),
        query("fragments in a circle", round, "FRAGMENT_CYCLE"),
        query("20,000 fields deep", format!("{}a{}", "{a".repeat(20_000), "}".repeat(20_000)), "TOKEN_LIMIT"),
        query("3,000 fields deep", format!("{}a{}", "{a".repeat(3_000), "}".repeat(3_000)), "DEPTH_LIMIT"),
        query(
            "a list 4,000 deep",
            format!("{{ node(id: {}1{}) {{ id }} }}", "[".repeat(4_000), "]".repeat(4_000)),
            "DEPTH_LIMIT",
        ),
        query("200 directives", in_rows(&format!("title {}", "@include(if: true) ".repeat(200))), "DIRECTIVE_LIMIT"),
        query("types of types of types", types, "DEPTH_LIMIT"),
        query("5,000 operations", each(5_000, |n| format!("query q{n}{{a}}")), "TOKEN_LIMIT"),
        query("a million commas", format!("{{ me {{ {} }} }}", ",".repeat(1_000_000)), "IGNORED_LIMIT"),
        query("a comment of a million letters", format!("{{ me {{ role }} }} #{}", "a".repeat(1_000_000)), "IGNORED_LIMIT"),
        query("a string that never ends", format!("{filter}\"{}", "\\".repeat(400_000)), "GRAPHQL_PARSE_FAILED"),
        query("a million digits", format!("{{ products(first: {}) {{ totalCount }} }}", "9".repeat(1_000_000)), "NAME_LIMIT"),
        query("a name of a million letters", format!("{{ {} }}", "a".repeat(1_000_000)), "NAME_LIMIT"),
    ]
}

/// Lists that would be long, and bodies that are.
fn lists_and_bodies() -> Vec<Attack> {
    let ids: Vec<String> = (0..50_000).map(|n| format!("product-{n}")).collect();
    let lines: Vec<Value> = (0..20_000).map(|n| json!({ "sku": format!("SKU-{n}"), "quantity": 1 })).collect();
    let values: Vec<String> = (0..50_000).map(|n| format!("v{n}")).collect();
    let filters: Vec<Value> = (0..10_000).map(|n| json!({ "name": format!("n{n}"), "values": ["x"] })).collect();
    let filtered = "query($by: [AttributeFilterInput!]) { products(filter: {attributes: $by}) { totalCount } }";
    let one_of = json!({ "by": [{ "name": "origin", "values": values }] });
    let create = "mutation($lines: [CartLineInput!]) { cartCreate(input: {lines: $lines}) { userErrors { code } } }";
    let names = (0..20_000).map(|n| (format!("v{n}"), json!(n))).collect::<serde_json::Map<_, _>>();
    let one = json!({ "query": "{ me { role } }" });
    let whole =
        |length: usize| format!("{{\"query\":\"{{ me {{ role }} }}\",\"extensions\":{{\"x\":\"{}\"}}}}", "x".repeat(length));
    vec![
        query("a page of a million rows", "{ products(first: 1000000) { nodes { title } } }", "COST_LIMIT"),
        query(
            "pages in pages",
            "{ orders(first: 100) { nodes { history(first: 100) { nodes { change type } } } } }",
            "COST_LIMIT",
        ),
        with_variables("50,000 ids", "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", &json!({ "ids": ids }), "LIST_LIMIT"),
        with_variables("50,000 values of an attribute", filtered, &one_of, "LIST_LIMIT"),
        with_variables("10,000 attributes", filtered, &json!({ "by": filters }), "LIST_LIMIT"),
        with_variables("20,000 lines of a cart", create, &json!({ "lines": lines }), "LIST_LIMIT"),
        with_variables(
            "20,000 variables that nobody asked for",
            "{ me { roles: nothing } }",
            &names.into(),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        raw("a list of 10,000 requests", serde_json::to_vec(&vec![one; 10_000]).unwrap(), "BATCH_LIMIT"),
        raw("JSON 200,000 deep", format!("{{\"query\":{}", "[".repeat(200_000)), "BAD_REQUEST"),
        raw("half a body", whole(500_000).split_at(400_000).0, "BAD_REQUEST"),
        raw("a megabyte that is no text", vec![0xff; 1_000_000], "BAD_REQUEST"),
        Attack { share: 1, ..raw("24 MB", whole(24_000_000), "BODY_LIMIT") },
    ]
}

/// The names under which an answer refuses.
fn codes(answer: &Value) -> Vec<&str> {
    let of_errors = answer["errors"].as_array().into_iter().flatten().map(|error| &error["extensions"]["code"]);
    let fields = answer["data"].as_object().into_iter().flatten();
    let of_fields =
        fields.flat_map(|(_, field)| field["userErrors"].as_array().into_iter().flatten().map(|error| &error["code"]));
    of_errors.chain(of_fields).filter_map(Value::as_str).collect()
}

/// Sends a body while the answer is read: the shop answers before it has read all, and then closes the connection. Most
/// clients report the second.
async fn post(url: &str, body: &[u8]) -> (StatusCode, String) {
    let address = url.trim_start_matches("http://");
    let (mut answer, mut request) = TcpStream::connect(address).await.unwrap().into_split();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let send = async {
        request.write_all(head.as_bytes()).await?;
        request.write_all(body).await
    };
    let mut text = Vec::new();
    // It fails once the connection is closed: what had come until then is the answer.
    let _ = tokio::join!(send, answer.read_to_end(&mut text));
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {} bytes: {text}", body.len()));
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// Sends an attack and gives how long its answer took.
async fn attack(client: &Client, url: &str, attack: &Attack) -> Duration {
    let begun = Instant::now();
    let (status, text) = if attack.refused == "BODY_LIMIT" {
        tokio::time::timeout(LONG, post(url, &attack.body)).await.unwrap()
    } else {
        let request = client.post(format!("{url}/graphql")).header("Content-Type", "application/json").body(attack.body.clone());
        let response = match request.timeout(LONG).send().await {
            Ok(response) => response,
            Err(error) => panic!("{}: no answer: {error:?}", attack.name),
        };
        (response.status(), response.text().await.unwrap())
    };
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{}: {status} {text}", attack.name));
    let told = &text[..text.len().min(400)];
    assert!(codes(&answer).contains(&attack.refused), "{}: {status}, not {}: {told}", attack.name, attack.refused);
    assert!(!status.is_server_error(), "{}: {status} {told}", attack.name);
    assert_eq!(status == StatusCode::PAYLOAD_TOO_LARGE, attack.refused == "BODY_LIMIT", "{}", attack.name);
    begun.elapsed()
}

/// What a process holds in memory, in KiB.
fn resident(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The same once it is no more than `most`, or after a minute: memory is given back a while after it was used.
async fn settled(process: &Process, most: u64) -> u64 {
    let begun = Instant::now();
    while resident(process) > most && begun.elapsed() < LONG {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    resident(process)
}

/// Sends so many of all kinds, some at once; gives the longest answer of each.
async fn storm(client: &Client, url: &str, attacks: &[Attack], many: usize) -> BTreeMap<&'static str, Duration> {
    let mixed: Vec<&Attack> = attacks.iter().flat_map(|attack| (0..attack.share).map(move |_| attack)).collect();
    let answers = futures::stream::iter((0..many).map(|number| {
        // Every kind comes, and seldom beside itself.
        let next = mixed[number * 101 % mixed.len()];
        async move { (next.name, attack(client, url, next).await) }
    }));
    let times = answers.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    let mut longest = BTreeMap::<_, Duration>::new();
    for (name, time) in times {
        let most = longest.entry(name).or_default();
        *most = time.max(*most);
    }
    longest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_requests_are_refused_by_name_and_leave_the_memory_where_it_was() {
    let many: usize = std::env::var("DAYBOOK_HOSTILE").map_or(1_000, |many| many.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    // What limits how much one address may ask is told elsewhere: here all of it comes from one.
    let settings = [("DAYBOOK_DEMO", "true"), ("DAYBOOK_RATE_LIMIT", "off")];
    let shop = Process::serve_with(folder.path(), &settings);
    let client = Client::new();
    let attacks: Vec<Attack> = documents().into_iter().chain(lists_and_bodies()).collect();
    for one in &attacks {
        let alone = attack(&client, &shop.url, one).await;
        println!("{:>10.1?}  {:>8} bytes  {:<26} {}", alone, one.body.len(), one.refused, one.name);
    }
    storm(&client, &shop.url, &attacks, many / 2).await;
    let (before, begun) = (resident(&shop), Instant::now());
    let longest = storm(&client, &shop.url, &attacks, many).await;
    let took = begun.elapsed();
    let after = settled(&shop, before + SLACK).await;
    let (name, time) = longest.iter().max_by_key(|(_, time)| **time).unwrap();
    println!(
        "{many} more in {:.1?}, {AT_ONCE} at once; the longest answer took {time:.1?} ({name}); {} MB, then {} MB",
        took,
        before / 1024,
        after / 1024
    );
    assert_eq!(longest.len(), attacks.len(), "every kind was sent");
    assert!(after <= before + SLACK, "{before} KiB before, {after} KiB after");
    let served = client.post(format!("{}/graphql", shop.url)).json(&json!({ "query": "{ products { totalCount } }" })).send();
    let served: Value = served.await.unwrap().json().await.unwrap();
    assert!(served["data"]["products"]["totalCount"].as_u64() > Some(0), "{served}");
}
