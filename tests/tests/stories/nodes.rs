//! Many nodes on one PostgreSQL log and one store of views, while they are killed: no acknowledged order is lost, none
//! doubled, nothing oversold, and the views are those of a rebuild. And one node whose clock is wrong.
//!
//! The long version: `DAYBOOK_NODES_SECONDS=120 DAYBOOK_NODES_BUYERS=64 DAYBOOK_NODES_COLD=1000 cargo nextest run --release
//! -p stories nodes`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use event_schemas::{CommerceEvent, OrderEvent, Recorded};
use event_store::Log;
use serde_json::{Value, json};
use test_postgres::Postgres;
use uuid::Uuid;

use crate::{
    kill::{all_are_there, every_confirmed_payment_is_captured_once, random, whole},
    process::Process,
    shopper::{Acknowledged, Answer, Shopper, stock_the_shelves},
    tables,
};

const NODES: usize = 3;
const HOT: &str = "HOT-DEAL";
/// How long a node is left alone before the next one is killed.
const BETWEEN_KILLS: Duration = Duration::from_secs(2);
/// How long a buyer goes on asking for an answer, from node to node, before giving up on it.
const PATIENCE: Duration = Duration::from_secs(120);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// The nodes of a shop: where each answers now.
struct Nodes {
    folder: PathBuf,
    database: String,
    client: reqwest::Client,
    urls: RwLock<Vec<String>>,
}

impl Nodes {
    fn of(folder: &Path, database: &str) -> Self {
        let (client, urls) = (reqwest::Client::new(), RwLock::default());
        Self { folder: folder.to_owned(), database: database.to_owned(), client, urls }
    }

    fn start_one(&self) -> Process {
        let database = self.database.as_str();
        Process::serve_with(&self.folder, &[("DAYBOOK_EVENTS", database), ("DAYBOOK_VIEWS", database)])
    }

    fn url(&self, node: usize) -> String {
        self.urls.read().unwrap()[node % NODES].clone()
    }

    /// Kills one node after the other, each started again before the next one dies, until the time is over. Gives how often.
    fn keep_killing(&self, mut running: Vec<Process>, until: Instant) -> (Vec<Process>, u32) {
        let mut killed = 0;
        while Instant::now() + BETWEEN_KILLS < until {
            std::thread::sleep(BETWEEN_KILLS);
            let node = usize::try_from(random(NODES as u64)).unwrap();
            drop(running.swap_remove(node));
            running.push(self.start_one());
            running.swap(node, NODES - 1);
            self.urls.write().unwrap()[node] = running[node].url.clone();
            killed += 1;
        }
        (running, killed)
    }
}

/// What a buyer knows at the end.
#[derive(Default)]
struct Bought {
    acknowledged: Vec<Acknowledged>,
    sold_out: u64,
    orders: u64,
}

/// Buys until the time is over, from whichever node answers; a mutation without an answer is asked again elsewhere, with its
/// key.
async fn buy(nodes: Arc<Nodes>, home: usize, cold: u64, until: Instant) -> Bought {
    let mut bought = Bought::default();
    while Instant::now() < until {
        let sku = if random(2) == 0 { HOT.to_owned() } else { format!("COLD-{}", random(cold)) };
        purchase(&nodes, home, &sku, &mut bought).await;
    }
    bought
}

async fn purchase(nodes: &Nodes, home: usize, sku: &str, bought: &mut Bought) -> Option<()> {
    let cart = ask(nodes, home, crate::shopper::CREATE, json!({ "currency": "EUR" }), bought).await?["cart"]["id"].clone();
    let lines = json!([{ "sku": sku, "quantity": 1 }]);
    ask(nodes, home, crate::shopper::ADD, json!({ "cartId": cart, "lines": lines }), bought).await?;
    ask(nodes, home, crate::shopper::UPDATE, crate::shopper::details(&cart), bought).await?;
    let placed = ask(nodes, home, crate::shopper::CHECKOUT, json!({ "cartId": cart }), bought).await?;
    bought.orders += 1;
    let confirm = json!({ "paymentId": placed["payment"]["id"], "token": "a_card" });
    ask(nodes, home, crate::shopper::CONFIRM, confirm, bought).await.map(drop)
}

/// Asks until there is an answer that shows what was done, at the buyer's own node first. The views may need a moment to show
/// it, above all while the node is gone that kept them: the same again then gets the first answer again.
async fn ask(nodes: &Nodes, home: usize, query: &'static str, mut input: Value, bought: &mut Bought) -> Option<Value> {
    input["idempotencyKey"] = Uuid::new_v4().to_string().into();
    let begun = Instant::now();
    let (mut node, mut acknowledged) = (home, false);
    while begun.elapsed() < PATIENCE {
        match Shopper::with(nodes.client.clone(), &nodes.url(node)).answer(query, &input).await {
            Answer::Done(payload) => {
                if !std::mem::replace(&mut acknowledged, true) {
                    let input = input.clone();
                    bought.acknowledged.push(Acknowledged { query, input, payload: payload.clone() });
                }
                let things = payload.as_object().unwrap();
                if ["cart", "order", "payment"].iter().all(|thing| things.get(*thing).is_none_or(|thing| !thing.is_null())) {
                    return Some(payload);
                }
            }
            Answer::SoldOut => {
                bought.sold_out += 1;
                return None;
            }
            Answer::None => {
                node += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    panic!("no node answered for {PATIENCE:?}");
}

/// How many units of a SKU the orders of a log hold.
fn ordered(events: &[Recorded], sku: &str) -> i64 {
    let placed = events.iter().filter(|event| event.event.event_type == "OrderPlaced");
    let lines = placed.flat_map(|event| event.decode().unwrap()).flat_map(|event| match event {
        CommerceEvent::Order(OrderEvent::OrderPlaced(order)) => order.lines,
        _ => Vec::new(),
    });
    lines.filter(|line| line.sku.to_string() == sku).map(|line| i64::from(line.quantity)).sum()
}

async fn shared_views_equal_a_fresh_build(log: &Arc<dyn Log>, database: &str) -> usize {
    let scratch = tempfile::tempdir().unwrap();
    let fresh = tables::caught_up(log, &format!("sqlite:{}", scratch.path().join("fresh.db").display())).await;
    let shared = tables::caught_up(log, database).await;
    tables::assert_same(&shared, &fresh);
    fresh.values().map(std::collections::BTreeSet::len).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_killed_lose_no_order_double_none_and_oversell_nothing() {
    let Some(server) = Postgres::start() else { return };
    let (seconds, buyers) = (setting("DAYBOOK_NODES_SECONDS", 12), setting("DAYBOOK_NODES_BUYERS", 6));
    let (cold, hot_stock) = (setting("DAYBOOK_NODES_COLD", 100), setting("DAYBOOK_NODES_HOT", 60));
    let folder = tempfile::tempdir().unwrap();
    let database = server.database("shop");
    let log = event_store::open(&database).await.unwrap();
    let shelves: BTreeMap<String, u32> = (0..cold)
        .map(|number| (format!("COLD-{number}"), 100_000))
        .chain([(HOT.to_owned(), u32::try_from(hot_stock).unwrap())])
        .collect();
    stock_the_shelves(log.clone(), &shelves).await;

    let nodes = Arc::new(Nodes::of(folder.path(), &database));
    let running: Vec<Process> = (0..NODES).map(|_| nodes.start_one()).collect();
    *nodes.urls.write().unwrap() = running.iter().map(|node| node.url.clone()).collect();
    let until = Instant::now() + Duration::from_secs(seconds);
    let crowd: Vec<_> = (0..usize::try_from(buyers).unwrap() * NODES)
        .map(|buyer| tokio::spawn(buy(nodes.clone(), buyer % NODES, cold, until)))
        .collect();
    let killer = {
        let nodes = nodes.clone();
        tokio::task::spawn_blocking(move || nodes.keep_killing(running, until))
    };
    let mut bought = Bought::default();
    for buyer in crowd {
        let one = buyer.await.unwrap();
        bought.acknowledged.extend(one.acknowledged);
        bought.sold_out += one.sold_out;
        bought.orders += one.orders;
    }
    let (_running, killed) = killer.await.unwrap();

    let events = whole(&*log).await;
    all_are_there(&bought.acknowledged, &events);
    let verification = replay_tools::verify(log.clone(), 1, None, None).await.unwrap();
    assert!(verification.ok, "{verification}");
    let sold = ordered(&events, HOT);
    assert!(sold <= i64::try_from(hot_stock).unwrap(), "{sold} of {hot_stock} were sold");
    assert!(bought.sold_out == 0 || sold == i64::try_from(hot_stock).unwrap(), "sold out with {sold} of {hot_stock} sold");
    every_confirmed_payment_is_captured_once(&*log).await;
    let rows = shared_views_equal_a_fresh_build(&log, &database).await;
    println!(
        "{killed} nodes killed in {seconds} s; {} events, {} mutations acknowledged, {} orders, {} told that it is sold out, \
         {sold} of {hot_stock} of the hot one sold; {rows} rows of views",
        events.len(),
        bought.acknowledged.len(),
        bought.orders,
        bought.sold_out
    );
    assert!(killed >= 2 && bought.orders > 20, "a load of {} orders and {killed} kills shows nothing", bought.orders);
}

/// Where Debian and Ubuntu have the library that gives a process another time.
fn another_time() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.filter_map(|entry| Some(entry.ok()?.path().join("faketime")));
    folders.map(|folder| folder.join("libfaketime.so.1")).find(|library| library.exists())
}

/// What the node reports once nothing stands in its way, or after a minute what still does.
async fn readiness(node: &Process) -> Value {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let report: Value = reqwest::get(format!("{}/health/ready", node.url)).await.unwrap().json().await.unwrap();
        if report["ready"] == true || Instant::now() > patience {
            return report;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_an_hour_off_says_so_and_does_no_harm() {
    let Some(server) = Postgres::start() else { return };
    let Some(library) = another_time() else {
        println!("skipped: libfaketime is not installed here; ./test.sh installs it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let database = server.database("shop");
    let log = event_store::open(&database).await.unwrap();
    stock_the_shelves(log.clone(), &[("TEA".to_owned(), 10)].into()).await;
    for (offset, said) in [("+1h", 3_600.0), ("-1h", -3_600.0)] {
        let wrong = serve_at(folder.path(), &database, &library, offset);
        let report = readiness(&wrong).await;
        let told = report["clock_offset_seconds"].as_f64().unwrap();
        assert!((told + said).abs() < 30.0, "{report}");
        assert_eq!((&report["ready"], &report["warnings"][0]["code"]), (&json!(true), &json!("CLOCK_OFF")), "{report}");

        let mut bought = Bought::default();
        let nodes = Nodes::of(folder.path(), &database);
        *nodes.urls.write().unwrap() = vec![wrong.url.clone(); NODES];
        let cart = ask(&nodes, 0, crate::shopper::CREATE, json!({ "currency": "EUR" }), &mut bought).await.unwrap();
        let lines = json!([{ "sku": "TEA", "quantity": 1 }]);
        ask(&nodes, 0, crate::shopper::ADD, json!({ "cartId": cart["cart"]["id"], "lines": lines }), &mut bought).await.unwrap();
        ask(&nodes, 0, crate::shopper::UPDATE, crate::shopper::details(&cart["cart"]["id"]), &mut bought).await.unwrap();
        let checkout = json!({ "cartId": cart["cart"]["id"] });
        ask(&nodes, 0, crate::shopper::CHECKOUT, checkout, &mut bought).await.unwrap();
        // Long enough for a reservation of 15 minutes to be let go by a node that is an hour ahead.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let events = whole(&*log).await;
    let now = chrono::Utc::now();
    for event in &events {
        let off = (event.event.recorded_at - now).num_seconds().abs();
        assert!(off < 300, "position {} was recorded {off} s off", event.position);
        assert!(!event.event.event_type.ends_with("Expired"), "{} at {}", event.event.event_type, event.position);
    }
    assert_eq!(ordered(&events, "TEA"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_into_a_shared_log_goes_by_the_logs_clock() {
    let Some(server) = Postgres::start() else { return };
    let Some(library) = another_time() else {
        println!("skipped: libfaketime is not installed here; ./test.sh installs it");
        return;
    };
    let (folder, database) = (tempfile::tempdir().unwrap(), server.database("shop"));
    let file = folder.path().join("stock.csv");
    std::fs::write(&file, "sku,location,quantity,reference\nTEA,main,40,D-17\n").unwrap();
    let imported = std::process::Command::new(crate::process::binary("daybook"))
        .args(["import", "csv", "stock"])
        .arg(&file)
        .env("DAYBOOK_DATA", folder.path())
        .env("DAYBOOK_EVENTS", &database)
        .envs(clock_off_by(&library.display().to_string(), "+1h"))
        .output()
        .unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let events = whole(&*event_store::open(&database).await.unwrap()).await;
    let off = (events[0].event.recorded_at - chrono::Utc::now()).num_seconds().abs();
    assert!(off < 300, "it was recorded {off} s off");
}

/// Only the time of day is wrong, as on a machine whose clock is: waiting takes as long as it does.
fn clock_off_by<'a>(library: &'a str, offset: &'a str) -> [(&'static str, &'a str); 3] {
    [("LD_PRELOAD", library), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]
}

fn serve_at(folder: &Path, database: &str, library: &Path, offset: &str) -> Process {
    let library = library.display().to_string();
    let clock = clock_off_by(&library, offset);
    Process::serve_with(folder, &[&[("DAYBOOK_EVENTS", database), ("DAYBOOK_VIEWS", database)], &clock[..]].concat())
}
