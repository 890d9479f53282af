//! Many processes on one PostgreSQL view store: one keeps the views, the others watch, and take over when it has gone.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use event_schemas::{ProductDetailsChanged, ProductEvent, ProductId, Proposed, Slug};
use event_store::{Log, MemoryLog};
use projections::{ALL, ProjectionState, Runner, Value, ViewError, Views, diff, rebuild};
use test_postgres::Postgres;

use crate::{
    runner::LONG,
    shop::{self, History, busy_days, day, product},
    store::started_server,
};

/// A proxy before a server that can be made to pass nothing on, without closing anything: a node that is paused, or cut off.
struct Proxy {
    port: u16,
    is_paused: Arc<AtomicBool>,
    /// Connections made through it so far.
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let is_paused = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let (paused, made) = (Arc::clone(&is_paused), Arc::clone(&connections));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                made.fetch_add(1, SeqCst);
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to, paused) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&paused));
                    thread::spawn(move || pass_on(from, to, &paused));
                }
            }
        });
        Self { port: own, is_paused, connections }
    }

    /// The address of a server's database by way of this proxy.
    fn route(&self, server: &Postgres, url: &str) -> String {
        url.replace(&format!(":{}/", server.port()), &format!(":{}/", self.port))
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, is_paused: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        while is_paused.load(SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

async fn started(log: &Arc<MemoryLog>, views: &Views) -> Runner {
    Runner::start_with(Arc::clone(log) as Arc<dyn Log>, views.clone(), ALL, 50).await.unwrap()
}

async fn append(log: &MemoryLog, events: &[Proposed]) -> u64 {
    let head = log.head().await.unwrap().position;
    log.append(head, events.to_vec()).await.unwrap()
}

/// The views are what a fresh fold of the log gives.
async fn assert_as_folded_afresh(views: &Views, log: &Arc<MemoryLog>) {
    let folder = tempfile::tempdir().unwrap();
    let fresh = Views::open(&format!("sqlite:{}", folder.path().join("fresh.db").display())).unwrap();
    rebuild(Arc::clone(log) as Arc<dyn Log>, &fresh, ALL, |_| ()).await.unwrap();
    let difference = diff(views, &fresh, ALL).unwrap();
    assert!(difference.is_equal(), "{difference:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_watches_and_takes_over_when_the_first_stops() {
    let Some(server) = started_server() else { return };
    let (url, history, log) = (server.database("shop"), busy_days(12), Arc::new(MemoryLog::new()));
    let (first, second) = (Views::open(&url).unwrap(), Views::open(&url).unwrap());
    let events = history.events.chunks(history.events.len() / 3).collect::<Vec<_>>();
    let owner = started(&log, &first).await;
    let follower = started(&log, &second).await;
    let written = append(&log, events[0]).await;
    second.wait_for(written, LONG).await.unwrap();
    assert!(second.status().iter().all(|status| status.state == ProjectionState::Live), "{:?}", second.status());
    assert!(matches!(follower.rebuild("orders").await, Err(ViewError::InUse(_))));
    let refused = rebuild(Arc::clone(&log) as Arc<dyn Log>, &second, ALL, |_| ()).await;
    assert!(matches!(refused, Err(ViewError::InUse(_))), "{refused:?}");

    owner.stop().await;
    let written = append(&log, events[1]).await;
    let begun = Instant::now();
    second.wait_for(written, LONG).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    follower.rebuild("orders").await.unwrap();
    let written = append(&log, &events[2..].concat()).await;
    second.wait_for(written, LONG).await.unwrap();
    follower.stop().await;
    assert_as_folded_afresh(&second, &log).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_owner_is_replaced_within_seconds_and_writes_nothing_when_it_wakes() {
    let Some(server) = started_server() else { return };
    let (url, history, log) = (server.database("shop"), busy_days(12), Arc::new(MemoryLog::new()));
    let proxy = Proxy::before(server.port());
    let (paused, other) = (Views::open(&proxy.route(&server, &url)).unwrap(), Views::open(&url).unwrap());
    let events = history.events.chunks(history.events.len() / 10).collect::<Vec<_>>();
    let first = started(&log, &paused).await;
    let second = started(&log, &other).await;
    let written = append(&log, events[0]).await;
    other.wait_for(written, LONG).await.unwrap();
    let epoch = || server.psql("shop", "SELECT epoch FROM daybook_views.owner").trim().to_owned();
    let before = epoch();

    // It is paused in the middle of a transaction, or right before one.
    append(&log, events[1]).await;
    proxy.is_paused.store(true, SeqCst);
    let written = append(&log, events[2]).await;
    let begun = Instant::now();
    other.wait_for(written, LONG).await.unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    println!("taken over after {took:?}");
    assert_ne!(epoch(), before);
    let taken = epoch();

    proxy.is_paused.store(false, SeqCst);
    let written = append(&log, &events[3..].concat()).await;
    other.wait_for(written, LONG).await.unwrap();
    // The woken one watches from now on, and knows how fresh the views are.
    paused.wait_for(written, LONG).await.unwrap();
    assert!(matches!(first.rebuild("orders").await, Err(ViewError::InUse(_))));
    assert_eq!(epoch(), taken);
    first.stop().await;
    second.stop().await;
    assert_as_folded_afresh(&other, &log).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_watches_asks_for_the_views_twice_a_second_at_most() {
    let Some(server) = started_server() else { return };
    let (url, history, log) = (server.database("shop"), busy_days(12), Arc::new(MemoryLog::new()));
    let proxy = Proxy::before(server.port());
    let (first, second) = (Views::open(&url).unwrap(), Views::open(&proxy.route(&server, &url)).unwrap());
    let owner = started(&log, &first).await;
    let follower = started(&log, &second).await;
    second.wait_for(append(&log, &history.events[..10]).await, LONG).await.unwrap();
    let (before, begun) = (proxy.connections.load(SeqCst), Instant::now());
    for few in history.events[10..].chunks(3) {
        let written = append(&log, few).await;
        second.wait_for(written, LONG).await.unwrap();
    }
    let (made, batches) = (proxy.connections.load(SeqCst) - before, history.events[10..].chunks(3).len());
    // And a few connections that read.
    let most = begun.elapsed().as_millis() / 500 + 10;
    assert!(made as u128 <= most, "{made} connections for {batches} batches in {:?}", begun.elapsed());
    assert!(batches > 100, "{batches} batches show little");
    owner.stop().await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_text_with_a_nul_is_shown_without_it_and_stops_no_view() {
    let Some(server) = started_server() else { return };
    let (mut history, log) = (History::default(), Arc::new(MemoryLog::new()));
    // One row is written out in its statement, many are arrays.
    for number in 0..40 {
        product(&mut history, number, 250);
        let id = ProductId(shop::id(100 + number));
        let changed = ProductDetailsChanged {
            title: format!("Tea\0of {number}"),
            slug: Slug::new(format!("tea-{number}")).unwrap(),
            description: "Leaves".to_owned(),
            tax_category: "standard".to_owned(),
        };
        history.happens(id, ProductEvent::from(changed), day(1, 0));
    }
    let views = Views::open(&server.database("shop")).unwrap();
    let runner = Runner::start_with(Arc::clone(&log) as Arc<dyn Log>, views.clone(), ALL, 1_000).await.unwrap();
    for events in [&history.events[..6], &history.events[6..]] {
        let written = append(&log, events).await;
        views.wait_for(written, LONG).await.unwrap();
    }
    let states: Vec<_> = views.status().iter().map(|status| status.state).collect();
    assert!(states.iter().all(|state| *state == ProjectionState::Live), "{:?}", views.status());
    let shown = |text: &str| {
        let text = Value::Text(text.into());
        views.read_blocking(|reader| reader.integer("SELECT count(*) FROM products WHERE title = ?", &[text]))
    };
    assert_eq!((shown("Tea\u{fffd}of 0").unwrap(), shown("Tea\u{fffd}of 39").unwrap()), (1, 1));
    assert_eq!(shown("Tea\0of 0").unwrap(), 1, "who asks for it finds it");
    runner.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_survive_a_kill_of_the_database_under_load() {
    let Some(mut server) = started_server() else { return };
    let (url, history, log) = (server.database("shop"), busy_days(20), Arc::new(MemoryLog::new()));
    let views = Views::open(&url).unwrap();
    let runner = started(&log, &views).await;
    for (round, events) in history.events.chunks(history.events.len() / 5).enumerate() {
        for few in events.chunks(20) {
            append(&log, few).await;
            if round < 3 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        if round < 3 {
            server.kill();
            assert!(views.read_blocking(|reader| reader.integer("SELECT count(*) FROM orders", &[])).is_err());
            server.restart();
        }
    }
    let head = log.head().await.unwrap().position;
    views.wait_for(head, 2 * LONG).await.unwrap();
    runner.stop().await;
    assert_as_folded_afresh(&views, &log).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_cannot_be_reached_is_told_without_its_password() {
    for url in
        ["postgres://ana:s3cret@127.0.0.1:1/shop", "postgres://ana@127.0.0.1:1/shop?password=s3cret", "mysql://ana:s3cret@h/d"]
    {
        let told = Views::open(url).unwrap_err().to_string();
        assert!(!told.contains("s3cret"), "{told}");
    }
    let Some(server) = started_server() else { return };
    let url = server.database("else");
    server.psql("else", "CREATE SCHEMA daybook_views");
    assert!(matches!(Views::open(&url), Err(ViewError::NotViews(_))));
    assert!(matches!(Views::open_existing(&server.database("empty")), Err(ViewError::NotViews(_))));
    let shop = server.database("shop");
    drop(Views::open(&shop).unwrap());
    server.psql("shop", "UPDATE daybook_views.format SET format = 99");
    assert!(matches!(Views::open(&shop), Err(ViewError::Newer { found: 99, .. })));
}
