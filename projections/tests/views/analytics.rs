//! The schema `analytics`: what analysts see, what they may, and that nobody waits for them.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use event_store::{Log, MemoryLog, OpenOptions, PostgresLog};
use projections::{ALL, Runner, Views};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use test_postgres::Postgres;
use tokio::sync::oneshot;

use crate::{
    runner::{LONG, followed},
    shop::busy_days,
    store::started_server,
};

/// A shop with a past, and an analyst who may log in.
async fn shop_with_an_analyst(server: &Postgres) -> (Views, Arc<MemoryLog>, String) {
    let url = server.database("shop");
    let (views, log) = (Views::open(&url).unwrap(), busy_days(10).log().await);
    followed(&log, &views, 1_000).await;
    server.psql("shop", "CREATE ROLE ana LOGIN IN ROLE daybook_analyst");
    (views, log, url.replace("postgres@", "ana@"))
}

/// What `psql` says to the analyst.
fn ask(server: &Postgres, url: &str, sql: &str) -> Result<String, String> {
    let mut psql = Command::new(server.programs().join("psql"));
    let output = psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analyst_reads_described_views_and_nothing_else() {
    let Some(server) = started_server() else { return };
    let (views, _, ana) = shop_with_an_analyst(&server).await;
    let orders = views.read_blocking(|reader| reader.integer("SELECT count(*) FROM orders", &[])).unwrap();
    assert_eq!(ask(&server, &ana, "SELECT count(*) FROM analytics.orders").unwrap().trim(), orders.to_string());
    let open = ALL.iter().filter(|projection| projection.for_analysts);
    let tables: usize = open.clone().map(|projection| projection.tables.len()).sum();
    let described = "SELECT count(*) FROM pg_class WHERE relnamespace = 'analytics'::regnamespace AND obj_description(oid) <> ''";
    assert_eq!(ask(&server, &ana, described).unwrap().trim(), (tables + 1).to_string());
    let silent = "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
        WHERE relnamespace = 'analytics'::regnamespace AND col_description(attrelid, attnum) IS NULL";
    assert_eq!(ask(&server, &ana, silent).unwrap().trim(), "0");
    let types = "SELECT placed_at > '2026-01-01'::timestamptz, facts ? 'x', pg_typeof(gross_minor) FROM analytics.orders LIMIT 1";
    assert_eq!(ask(&server, &ana, types).unwrap().trim(), "t|f|bigint");
    let personal = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'analytics'
        AND column_name IN ('email', 'shipping_address', 'billing_address', 'note', 'comment')";
    assert_eq!(ask(&server, &ana, personal).unwrap().trim(), "0");
    // Who may do what, and who was refused, is none of it: neither the views nor how far they have come.
    let shown = ask(&server, &ana, "SELECT count(*) FROM analytics.freshness").unwrap();
    assert_eq!(shown.trim(), open.count().to_string());
    for table in ["accounts", "roles", "api_keys", "access", "access_by_day", "audit", "webhooks", "webhook_failures"] {
        let refused = ask(&server, &ana, &format!("SELECT count(*) FROM analytics.{table}")).unwrap_err();
        assert!(refused.contains("does not exist"), "{table}: {refused}");
    }
    for forbidden in [
        "SELECT count(*) FROM daybook_accounts_g1.accounts",
        "UPDATE analytics.orders SET number = 'x'",
        "DELETE FROM analytics.reviews",
        "CREATE TABLE analytics.mine (n INT)",
        "CREATE VIEW analytics.mine AS SELECT 1",
        "SELECT count(*) FROM daybook_views.projections",
        "SELECT count(*) FROM daybook_orders_g1.orders",
        "SELECT daybook_views.must_own(1)",
        "CREATE TABLE public.mine (n INT)",
        "CREATE SCHEMA mine",
    ] {
        let refused = ask(&server, &ana, forbidden).unwrap_err();
        assert!(refused.contains("permission denied") || refused.contains("cannot update view"), "{forbidden}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queries_of_the_guide_run_and_give_rows() {
    let Some(server) = started_server() else { return };
    let (_, _, ana) = shop_with_an_analyst(&server).await;
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/analytics.md")).unwrap();
    let blocks = guide.split("```sql\n").skip(1).filter_map(|block| block.split("```").next());
    let answers: Vec<_> = blocks.map(|sql| ask(&server, &ana, sql).unwrap()).collect();
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|answer| answer.lines().count() > 0), "{answers:?}");
    let books: Vec<_> = answers[2].trim().split('|').collect();
    assert_eq!((books[0], books[3]), ("GBP", "0"), "{books:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_the_open_transaction_of_an_analyst() {
    let Some(server) = started_server() else { return };
    let (views, log, ana) = shop_with_an_analyst(&server).await;
    let runner = Runner::start_with(Arc::clone(&log) as Arc<dyn Log>, views.clone(), ALL, 500).await.unwrap();
    let mut analyst = PgConnection::connect(&ana).await.unwrap();
    analyst.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    let count = "SELECT count(*), sum(position)::text FROM analytics.orders";
    let row = analyst.fetch_one(count).await.unwrap();
    let before: (i64, String) = (row.get(0), row.get(1));

    let (more, head) = (busy_days(90), log.head().await.unwrap().position);
    let events = more.events[head as usize..].to_vec();
    assert!(events.len() >= 5_000, "{}", events.len());
    let written = log.append(head, events).await.unwrap();
    views.wait_for(written, LONG).await.unwrap();
    runner.rebuild("orders").await.unwrap();
    let generation = |freshness: &projections::Freshness| {
        freshness.projections.iter().any(|status| status.name == "orders" && status.generation == 2)
    };
    tokio::time::timeout(LONG, views.watch().wait_for(generation)).await.unwrap().unwrap();

    // The snapshot stands still; who comes now sees the new generation.
    let row = analyst.fetch_one(count).await.unwrap();
    assert_eq!((row.get::<i64, _>(0), row.get::<String, _>(1)), before);
    let now: i64 = ask(&server, &ana, "SELECT count(*) FROM analytics.orders").unwrap().trim().parse().unwrap();
    assert_eq!(now, views.read_blocking(|reader| reader.integer("SELECT count(*) FROM orders", &[])).unwrap());
    assert!(now > before.0);

    // The old generation goes when the analyst has gone, and no sooner.
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'daybook_orders_g1'";
    server.psql("shop", "UPDATE daybook_views.retired SET retired_at = now() - interval '1 day'");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_ne!(server.psql("shop", tables).trim(), "0");
    analyst.execute("COMMIT").await.unwrap();
    let begun = std::time::Instant::now();
    while server.psql("shop", tables).trim() != "0" {
        assert!(begun.elapsed() < LONG, "the old generation is still there");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    runner.stop().await;
}

/// Looks again and again whether a session waits for one of those with this name, and gives the longest wait.
async fn longest_wait(url: String, name: &'static str, mut over: oneshot::Receiver<()>) -> Duration {
    let waiting = format!(
        "SELECT coalesce(max(EXTRACT(epoch FROM clock_timestamp() - waitstart)::float8), 0) FROM pg_locks AS l
         WHERE NOT granted AND EXISTS (SELECT FROM pg_stat_activity AS a
            WHERE a.application_name = '{name}' AND a.pid = ANY (pg_blocking_pids(l.pid)))"
    );
    let (mut looking, mut longest) = (PgConnection::connect(&url).await.unwrap(), 0.0_f64);
    while over.try_recv().is_err() {
        longest = longest.max(looking.fetch_one(&*waiting).await.unwrap().get(0));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Duration::from_secs_f64(longest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analyst_who_has_read_everything_holds_up_neither_the_log_nor_readers_nor_a_rebuild() {
    let Some(server) = started_server() else { return };
    let url = server.database("shop");
    let without_sync = OpenOptions { without_sync: true, ..OpenOptions::default() };
    let log: Arc<dyn Log> = Arc::new(PostgresLog::open(&url, without_sync).await.unwrap());
    let (views, history) = (Views::open(&url).unwrap(), busy_days(40).events);
    let (past, to_come) = history.split_at(history.len() / 2);
    let mut head = log.append(0, past.to_vec()).await.unwrap();
    let runner = Runner::start(Arc::clone(&log), views.clone(), ALL).await.unwrap();
    views.wait_for(head, LONG).await.unwrap();
    server.psql(
        "shop",
        "CREATE ROLE ana LOGIN IN ROLE daybook_analyst; GRANT USAGE ON SCHEMA daybook TO ana;
        GRANT SELECT ON ALL TABLES IN SCHEMA daybook TO ana",
    );

    // The tables of the log as well, which an auditor may read; a stronger lock needs a right to write.
    let mut analyst = PgConnection::connect(&format!("{}?application_name=ana", url.replace("postgres@", "ana@"))).await.unwrap();
    analyst.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    let tables = "SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname IN ('analytics', 'daybook') AND relkind IN ('r', 'v')";
    let mut read = Vec::new();
    for row in analyst.fetch_all(tables).await.unwrap() {
        let count = format!("SELECT count(*) FROM {}", row.get::<String, _>(0));
        analyst.execute(&*format!("LOCK TABLE {} IN ACCESS SHARE MODE", row.get::<String, _>(0))).await.unwrap();
        read.push((analyst.fetch_one(&*count).await.unwrap().get::<i64, _>(0), count));
    }
    let (end, over) = oneshot::channel();
    let watching = tokio::spawn(longest_wait(url.clone(), "ana", over));

    // The shop goes on: appends, reads of the views, other analysts, and all views anew, of which the old ones would go.
    let (mut appended, mut asked) = (Duration::ZERO, Duration::ZERO);
    let timed = |longest: &mut Duration, begun: Instant| *longest = (*longest).max(begun.elapsed());
    for projection in ALL {
        runner.rebuild(projection.name).await.unwrap();
    }
    for few in to_come.chunks(to_come.len() / 60) {
        let begun = Instant::now();
        head = log.append(head, few.to_vec()).await.unwrap();
        timed(&mut appended, begun);
        server.psql("shop", "UPDATE daybook_views.retired SET retired_at = now() - interval '1 day'");
        let begun = Instant::now();
        ask(&server, &url, "SELECT count(*) FROM analytics.orders").unwrap();
        timed(&mut asked, begun);
    }
    views.wait_for(head, LONG).await.unwrap();
    let is_new = |freshness: &projections::Freshness| freshness.projections.iter().all(|status| status.generation >= 2);
    tokio::time::timeout(LONG, views.watch().wait_for(is_new)).await.unwrap().unwrap();
    end.send(()).unwrap();
    let waited = watching.await.unwrap();
    println!("longest append {appended:?}, longest question {asked:?}, longest wait for the analyst {waited:?}");
    assert!(waited < Duration::from_secs(20), "someone waited for the analyst for {waited:?}");
    for (before, count) in read {
        assert_eq!(analyst.fetch_one(&*count).await.unwrap().get::<i64, _>(0), before, "{count}");
    }
    analyst.execute("COMMIT").await.unwrap();
    runner.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_with_other_columns_is_made_anew_once_nobody_reads_it() {
    let Some(server) = started_server() else { return };
    let (views, log, ana) = shop_with_an_analyst(&server).await;
    // As an older version would have left it.
    server.psql(
        "shop",
        "DROP VIEW analytics.reviews; CREATE VIEW analytics.reviews AS SELECT 1 AS old;
         GRANT SELECT ON analytics.reviews TO daybook_analyst; UPDATE daybook_views.described SET definition = '' WHERE view = 'reviews'",
    );
    let mut analyst = PgConnection::connect(&ana).await.unwrap();
    analyst.execute("BEGIN; SELECT old FROM analytics.reviews").await.unwrap();
    let runner = Runner::start(Arc::clone(&log) as Arc<dyn Log>, views.clone(), ALL).await.unwrap();
    let (head, more) = (log.head().await.unwrap().position, busy_days(20));
    let written = log.append(head, more.events[head as usize..].to_vec()).await.unwrap();
    views.wait_for(written, LONG).await.unwrap();
    assert!(ask(&server, &ana, "SELECT old FROM analytics.reviews").is_ok());
    analyst.execute("COMMIT").await.unwrap();
    let begun = std::time::Instant::now();
    while ask(&server, &ana, "SELECT review_id FROM analytics.reviews").is_err() {
        assert!(begun.elapsed() < LONG, "the view is still the old one");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    runner.stop().await;
}
