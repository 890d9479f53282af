//! On PostgreSQL: statements that are refused, sessions that end and connections that are cut, each at a named step.

use std::{collections::BTreeMap, sync::Arc};

use event_store::Log;
use projections::Freshness;
use test_postgres::{CutAt, Postgres, Proxy};

use super::{PATIENCE, Shop, all_are_there, shape};
use crate::{kill::whole, tables};

/// What goes wrong at a step.
#[derive(Debug, Clone, Copy)]
enum Failure {
    /// The statement is refused, twice.
    Refused,
    /// Its session is ended, twice.
    Ended,
    /// Its connection is cut: before the server has it, or when it has answered.
    Cut(CutAt),
}

/// A step, by the table that it writes or the words that it sends.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// When a row of the table is written.
    Row(&'static str),
    /// When a transaction that has written a row of the table commits.
    Commit(&'static str),
    /// When this text is sent.
    Sent(&'static str),
}

const STEPS: &[(&str, Step)] = &[
    ("append: an event is written", Step::Row("daybook.events")),
    ("append: it is committed", Step::Commit("daybook.events")),
    ("append: the batch is sent, and answered", Step::Sent(" work RUN-3")),
    ("publish: the other nodes are told", Step::Sent("pg_notify")),
    ("publish: what a process has done is noted", Step::Row("daybook.checkpoints")),
    ("publish: the note is committed", Step::Commit("daybook.checkpoints")),
    ("publish: the note is sent, and answered", Step::Sent("INTO daybook.checkpoints")),
    ("publish: a deadline is noted", Step::Row("daybook.tasks")),
    ("project: a row of a view is written", Step::Row("daybook_orders_gGENERATION.orders")),
    ("project: the checkpoint is written", Step::Row("daybook_views.projections")),
    ("project: rows and checkpoint are committed", Step::Commit("daybook_views.projections")),
    ("project: the batch is sent, and answered", Step::Sent("NOTIFY daybook_views; COMMIT")),
    ("rebuild: the tables are made", Step::Sent("CREATE SCHEMA daybook_orders_g")),
    ("rebuild: the indexes are made", Step::Sent("CREATE INDEX ON daybook_orders_g")),
    ("rebuild: the old generation is put aside", Step::Row("daybook_views.retired")),
    ("rebuild: the new one is published", Step::Row("daybook_views.shown")),
    ("rebuild: the swap is committed", Step::Commit("daybook_views.shown")),
    ("snapshot: it is written", Step::Row("daybook.snapshots")),
    ("snapshot: it is committed", Step::Commit("daybook.snapshots")),
    ("snapshot: it is sent, and answered", Step::Sent("daybook.snapshots")),
];

/// The shop, the server behind it and the network between.
struct Bench {
    server: Postgres,
    proxy: Proxy,
    shop: Shop,
}

impl Bench {
    /// Makes a step fail from now on, as often as the failure says.
    fn arm(&self, step: Step, failure: Failure, run: u64) {
        match (step, failure) {
            (Step::Sent(text), Failure::Cut(at)) => {
                self.proxy.cut_once(&text.replace("RUN", &run.to_string()), at);
                // A session sends the text of a statement when it first uses it: so the log gets new sessions.
                let of_log = "application_name = 'daybook' AND query ~ 'daybook[.]|pg_notify' AND query !~ 'daybook_views'";
                let end =
                    format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {of_log} AND pid <> pg_backend_pid()");
                self.server.psql("shop", &end);
            }
            (Step::Row(table) | Step::Commit(table), _) => {
                let table = table.replace("GENERATION", &self.generation().to_string());
                let fail = match failure {
                    Failure::Ended => "PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(10)",
                    _ => "RAISE EXCEPTION 'not now'",
                };
                let trigger = match step {
                    Step::Commit(_) => "CREATE CONSTRAINT TRIGGER failing AFTER INSERT OR UPDATE",
                    _ => "CREATE TRIGGER failing BEFORE INSERT OR UPDATE",
                };
                let deferred = if matches!(step, Step::Commit(_)) { "DEFERRABLE INITIALLY DEFERRED" } else { "" };
                self.server.psql(
                    "shop",
                    &format!(
                        "CREATE SEQUENCE public.failures;
                         CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                            IF nextval('public.failures') <= 2 THEN {fail}; END IF; RETURN NEW; END $$;
                         {trigger} ON {table} {deferred} FOR EACH ROW EXECUTE FUNCTION public.fail()"
                    ),
                );
            }
            (Step::Sent(_), _) => panic!("a text is only cut off"),
        }
    }

    /// Ends it, and gives whether the step has failed.
    fn disarm(&self, step: Step) -> bool {
        if let Step::Sent(_) = step {
            return !self.proxy.is_armed();
        }
        let failed = self.server.psql("shop", "SELECT last_value FROM public.failures WHERE is_called").trim().parse::<u64>();
        self.server.psql("shop", "DROP FUNCTION public.fail() CASCADE; DROP SEQUENCE public.failures");
        failed.is_ok_and(|failed| failed > 0)
    }

    /// The generation of the orders that serves.
    fn generation(&self) -> u32 {
        generation(&self.shop.views.watch().borrow())
    }

    /// A run of work with everything that fails in it, until all is as it should be.
    async fn run(&self, run: u64, rebuilds: bool) -> BTreeMap<String, u64> {
        let mut acknowledged = BTreeMap::new();
        if rebuilds {
            let before = self.generation();
            // Asked again until it is begun, as an operator would.
            while self.shop.runner.rebuild("orders").await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            let newer = |freshness: &Freshness| generation(freshness) > before;
            tokio::time::timeout(PATIENCE, self.shop.views.watch().wait_for(newer)).await.unwrap().unwrap();
        }
        let tell = |key: &str, position| {
            acknowledged.insert(key.to_owned(), position);
        };
        self.shop.work(run, tell).await;
        acknowledged
    }
}

fn generation(freshness: &Freshness) -> u32 {
    freshness.projections.iter().find(|status| status.name == "orders").unwrap().generation
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_at_any_step_loses_and_doubles_nothing() {
    // Whatever fails here, the system stays up.
    let Some(server) = Postgres::start_with(&["synchronous_commit=off"]) else { return };
    let proxy = Proxy::start(server.port());
    let url = proxy.route(&server.database("shop"));
    let shop = Shop::open(&url, &url).await;
    let direct: Arc<dyn Log> = event_store::open(&format!("{}?application_name=direct", server.url("shop"))).await.unwrap();
    let bench = Bench { server, proxy, shop };
    bench.run(0, false).await;
    let expected = shape(&whole(&*direct).await);
    let mut run = 0;
    for (name, step) in STEPS {
        let failures = match step {
            Step::Sent(_) => [Failure::Cut(CutAt::Before), Failure::Cut(CutAt::After)],
            Step::Row(_) | Step::Commit(_) => [Failure::Refused, Failure::Ended],
        };
        for failure in failures {
            run += 1;
            let before = direct.head().await.unwrap().position;
            println!("{name}, {failure:?}");
            bench.arm(*step, failure, run);
            let acknowledged = bench.run(run, name.starts_with("rebuild")).await;
            assert!(bench.disarm(*step), "{name}: nothing failed");
            let events = direct.read(before, usize::MAX).await.unwrap();
            all_are_there(&acknowledged, &events);
            assert_eq!(shape(&events), expected, "{name}, {failure:?}");
        }
    }
    let Bench { server, shop, .. } = bench;
    shop.close().await;
    let verification = replay_tools::verify(direct.clone(), 1, None, None).await.unwrap();
    assert!(verification.ok, "{verification}");
    let scratch = tempfile::tempdir().unwrap();
    let fresh = format!("sqlite:{}", scratch.path().join("fresh.db").display());
    tables::assert_same(&tables::caught_up(&direct, &server.url("shop")).await, &tables::caught_up(&direct, &fresh).await);
    println!("{run} failures at {} steps", STEPS.len());
}
