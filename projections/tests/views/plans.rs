//! Every list looks at few rows, however many there are: the stores' own plans for each list, with each filter and in each
//! order, at both ends and in the middle.
//!
//! A filter, an order or a list that is new does not compile, or fails, until it is here as well.

use std::collections::{BTreeMap, BTreeSet};

use event_schemas::*;
use projections::*;

use crate::{
    access::many,
    audit,
    runner::followed,
    shop::{History, cancel, day, id, line, pay, place, placed, product, ship},
    store::Home,
};

on_each_store!(every_list_is_read_along_an_index_or_from_few_rows, every_batch_is_found_by_an_index);

const PRODUCTS: u128 = 2_500;
const ORDERS: u128 = 4_000;
/// Accounts, API keys, webhooks, and half of what was refused at the door.
const DOOR: u128 = 1_500;
/// As in the code: so many rows are few.
const FEW: u64 = 1_000;
const PAGE: u32 = 20;

/// A shop in which broad filters leave far more than a few rows.
fn large_shop() -> History {
    let mut history = History::default();
    for number in 0..PRODUCTS {
        product(&mut history, number, 250 + number as i64);
    }
    for number in 0..ORDERS {
        let lines = vec![line(number % PRODUCTS, 1, 250)];
        let order = placed(number, ["GB", "FR", "DE"][number as usize % 3], lines);
        let at = day(1 + number as i64 / 40, number as i64 % 40 * 60);
        place(&mut history, &order, at);
        match number % 10 {
            0 => cancel(&mut history, &order, at),
            1..=4 => {}
            _ => {
                pay(&mut history, &order, at);
                ship(&mut history, &order, at);
            }
        }
        review(&mut history, number, at);
    }
    many(&mut history, DOOR);
    audit::many(&mut history, DOOR);
    history
}

fn review(history: &mut History, number: u128, at: Timestamp) {
    let (review_id, order_id) = (ReviewId(id(50_000 + number)), OrderId(id(10_000 + number)));
    let rating = if number.is_multiple_of(10) { 2 } else { 5 };
    let submitted = ReviewSubmitted { review_id, order_id, customer_id: None, rating, title: None, comment: None };
    history.happens(review_id, ReviewEvent::from(submitted), at);
}

fn gbp() -> Currency {
    Currency::new("GBP").unwrap()
}

/// A filter with one restriction, and what it is called.
type Restricted<F> = Vec<(&'static str, F)>;

/// Each restriction alone, none, and some together. The pattern names every field, so that none is forgotten.
fn product_filters() -> Restricted<ProductFilter> {
    let none = ProductFilter::default;
    let ProductFilter { state: _, category_ids: _, attributes: _, price: _, available: _, search: _ } = none();
    let published = Some(ProductState::Published);
    let category = |number| Some(vec![CategoryId(id(number))]);
    let garden = vec![("origin".to_owned(), vec!["garden 1".to_owned()])];
    let price = |from, to| Some((gbp(), from, to));
    vec![
        ("none", none()),
        ("state", ProductFilter { state: published, ..none() }),
        ("a state that none is in", ProductFilter { state: Some(ProductState::Archived), ..none() }),
        ("category", ProductFilter { category_ids: category(50), ..none() }),
        ("every category", ProductFilter { category_ids: Some((50..53).map(|n| CategoryId(id(n))).collect()), ..none() }),
        ("no category", ProductFilter { category_ids: category(1), ..none() }),
        ("attributes", ProductFilter { attributes: garden.clone(), ..none() }),
        ("price", ProductFilter { price: price(Some(300), Some(2_600)), ..none() }),
        ("the cheapest", ProductFilter { price: price(None, Some(300)), ..none() }),
        ("the dearest", ProductFilter { price: price(Some(2_700), None), ..none() }),
        ("available", ProductFilter { available: Some(true), ..none() }),
        ("search", ProductFilter { search: Some("tea".to_owned()), ..none() }),
        ("a shopper's", ProductFilter { state: published, category_ids: category(51), available: Some(true), ..none() }),
        ("a shopper's, broad", ProductFilter { state: published, attributes: garden, price: price(Some(1), None), ..none() }),
    ]
}

fn order_filters() -> Restricted<OrderFilter> {
    let none = OrderFilter::default;
    let OrderFilter {
        customer_id: _,
        statuses: _,
        payment_status: _,
        fulfilment_status: _,
        country: _,
        currency: _,
        number: _,
        from: _,
        to: _,
    } = none();
    let country = || Some(CountryCode::new("GB").unwrap());
    let customer_id = || Some(CustomerId::new("customer-3").unwrap());
    let (pending, cancelled) = (OrderStatus::Pending, OrderStatus::Cancelled);
    vec![
        ("none", none()),
        ("customer", OrderFilter { customer_id: customer_id(), ..none() }),
        ("a status of many", OrderFilter { statuses: Some(vec![pending]), ..none() }),
        ("a status of few", OrderFilter { statuses: Some(vec![cancelled]), ..none() }),
        ("statuses", OrderFilter { statuses: Some(vec![pending, cancelled]), ..none() }),
        ("no status", OrderFilter { statuses: Some(vec![]), ..none() }),
        ("payment status", OrderFilter { payment_status: Some(OrderPaymentStatus::Paid), ..none() }),
        ("fulfilment status", OrderFilter { fulfilment_status: Some(FulfilmentStatus::Shipped), ..none() }),
        ("country", OrderFilter { country: country(), ..none() }),
        ("a country of none", OrderFilter { country: Some(CountryCode::new("NO").unwrap()), ..none() }),
        ("currency", OrderFilter { currency: Some(gbp()), ..none() }),
        ("number", OrderFilter { number: Some("D-7".to_owned()), ..none() }),
        ("a day", OrderFilter { from: Some(day(30, 0)), to: Some(day(31, 0)), ..none() }),
        ("from", OrderFilter { from: Some(day(20, 0)), ..none() }),
        ("to", OrderFilter { to: Some(day(80, 0)), ..none() }),
        ("country and status", OrderFilter { country: country(), statuses: Some(vec![pending, cancelled]), ..none() }),
        ("country from", OrderFilter { country: country(), from: Some(day(3, 0)), ..none() }),
        ("customer and status", OrderFilter { customer_id: customer_id(), statuses: Some(vec![pending]), ..none() }),
    ]
}

fn payment_filters() -> Restricted<PaymentFilter> {
    let none = PaymentFilter::default;
    let PaymentFilter { order_id: _, status: _, gateway: _, from: _, to: _ } = none();
    vec![
        ("none", none()),
        ("order", PaymentFilter { order_id: Some(OrderId(id(10_007))), ..none() }),
        ("status", PaymentFilter { status: Some(PaymentStatus::Captured), ..none() }),
        ("gateway", PaymentFilter { gateway: Some("sandbox".to_owned()), ..none() }),
        ("from", PaymentFilter { from: Some(day(50, 0)), ..none() }),
        ("to", PaymentFilter { to: Some(day(50, 0)), ..none() }),
        ("both", PaymentFilter { status: Some(PaymentStatus::Captured), gateway: Some("sandbox".to_owned()), ..none() }),
    ]
}

fn stock_filters() -> Restricted<StockFilter> {
    let none = StockFilter::default;
    let StockFilter { skus: _, location: _, low: _ } = none();
    let location = || Some(LocationId::new("main").unwrap());
    vec![
        ("none", none()),
        ("skus", StockFilter { skus: Some((3..9).map(|number| crate::shop::sku(&format!("SKU-{number}"))).collect()), ..none() }),
        ("location", StockFilter { location: location(), ..none() }),
        ("low", StockFilter { low: Some(true), ..none() }),
        ("not low", StockFilter { low: Some(false), ..none() }),
        ("both", StockFilter { low: Some(false), location: location(), ..none() }),
    ]
}

fn journal_filters() -> Restricted<JournalFilter> {
    let none = JournalFilter::default;
    let JournalFilter { account: _, currency: _, order_id: _, from: _, to: _ } = none();
    let account = || Some("receivable".to_owned());
    vec![
        ("none", none()),
        ("account", JournalFilter { account: account(), ..none() }),
        ("currency", JournalFilter { currency: Some(gbp()), ..none() }),
        ("order", JournalFilter { order_id: Some(OrderId(id(10_007))), ..none() }),
        ("from", JournalFilter { from: Some(day(90, 0)), ..none() }),
        ("to", JournalFilter { to: Some(day(90, 0)), ..none() }),
        ("a month of an account", JournalFilter { account: account(), from: Some(day(40, 0)), to: Some(day(70, 0)), ..none() }),
    ]
}

fn anomaly_filters() -> Restricted<AnomalyFilter> {
    let none = AnomalyFilter::default;
    let AnomalyFilter { at_least: _, metric: _, currency: _, from: _, to: _, after: _ } = none();
    let at = |number| Some(day(number, 0).date_naive());
    vec![
        ("none", none()),
        ("severity", AnomalyFilter { at_least: Some(Severity::High), ..none() }),
        ("metric", AnomalyFilter { metric: Some(AnomalyMetric::Orders), ..none() }),
        ("currency", AnomalyFilter { currency: Some(gbp()), ..none() }),
        ("from", AnomalyFilter { from: at(30), ..none() }),
        ("to", AnomalyFilter { to: at(30), ..none() }),
        ("after", AnomalyFilter { after: Some(1_000), ..none() }),
    ]
}

fn audit_filters() -> Restricted<AuditFilter> {
    let none = AuditFilter::default;
    let AuditFilter { kind: _, reader: _, subject: _ } = none();
    vec![
        ("none", none()),
        ("kind", AuditFilter { kind: Some(AuditKind::Export), ..none() }),
        ("reader", AuditFilter { reader: Some("support:1".to_owned()), ..none() }),
        ("subject", AuditFilter { subject: Some("order/2".to_owned()), ..none() }),
        (
            "all",
            AuditFilter {
                kind: Some(AuditKind::Read),
                reader: Some("support:1".to_owned()),
                subject: Some("order/2".to_owned()),
            },
        ),
    ]
}

/// What a test knows of a list: its cursors and how many rows it has.
struct Seen {
    cursors: Vec<Cursor>,
    total: u64,
}

fn seen<T>(listed: Result<Listed<T>, ViewError>) -> Result<Seen, ViewError> {
    let listed = listed?;
    Ok(Seen { cursors: listed.items.into_iter().map(|(cursor, _)| cursor).collect(), total: listed.total.unwrap_or(0) })
}

type List = Box<dyn Fn(&Reader<'_>, &Page) -> Result<Seen, ViewError>>;

/// Every list by the name of its read, with each filter in each order.
fn lists() -> BTreeMap<&'static str, Vec<(String, List)>> {
    let mut lists: BTreeMap<_, Vec<(String, List)>> = BTreeMap::new();
    let mut add = |name, case: String, list: List| lists.entry(name).or_default().push((case, list));
    let currencies = [gbp(), Currency::new("EUR").unwrap()];
    let by_price = currencies.map(ProductSort::Price);
    for descending in [false, true] {
        for sort in [ProductSort::Title, ProductSort::Created].into_iter().chain(by_price) {
            // A sorting that is new has to be named here, and above.
            let (ProductSort::Title | ProductSort::Created | ProductSort::Price(_)) = sort;
            for (name, filter) in product_filters() {
                let list = move |reader: &Reader<'_>, page: &Page| seen(reader.products(&filter, sort, descending, page));
                add("products", format!("{name}, {sort:?} {descending}"), Box::new(list));
            }
        }
        for sort in [OrderSort::Placed, OrderSort::Updated, OrderSort::Gross] {
            let (OrderSort::Placed | OrderSort::Updated | OrderSort::Gross) = sort;
            for (name, filter) in order_filters() {
                let list = move |reader: &Reader<'_>, page: &Page| seen(reader.orders(&filter, sort, descending, page));
                add("orders", format!("{name}, {sort:?} {descending}"), Box::new(list));
            }
        }
    }
    for (name, filter) in payment_filters() {
        add("payments", name.to_owned(), Box::new(move |reader, page| seen(reader.payments(&filter, page))));
    }
    for (name, filter) in stock_filters() {
        add("stock_levels", name.to_owned(), Box::new(move |reader, page| seen(reader.stock_levels(&filter, page))));
    }
    for (name, filter) in journal_filters() {
        add("journal_lines", name.to_owned(), Box::new(move |reader, page| seen(reader.journal_lines(&filter, page))));
    }
    for (name, filter) in anomaly_filters() {
        add("anomalies", name.to_owned(), Box::new(move |reader, page| seen(reader.anomalies(&filter, page))));
    }
    for (name, order, rating) in [("none", None, None), ("order", Some(OrderId(id(10_007))), None), ("rating", None, Some(2))] {
        add("reviews", name.to_owned(), Box::new(move |reader, page| seen(reader.reviews(order, rating, page))));
    }
    let kinds = [AccessKind::Denied, AccessKind::LoginFailed, AccessKind::Limited, AccessKind::Banned];
    for kind in kinds.map(Some).into_iter().chain([None]) {
        add("access", format!("{kind:?}"), Box::new(move |reader, page| seen(reader.access(kind, page))));
    }
    for (name, filter) in audit_filters() {
        add("audit", name.to_owned(), Box::new(move |reader, page| seen(reader.audit(&filter, page))));
    }
    for number in [80_000, 80_001] {
        let list = move |reader: &Reader<'_>, page: &Page| seen(reader.webhook_failures(WebhookId(id(number)), page));
        add("webhook_failures", number.to_string(), Box::new(list));
    }
    add("accounts", "all".to_owned(), Box::new(|reader, page| seen(reader.accounts(page))));
    add("api_keys", "all".to_owned(), Box::new(|reader, page| seen(reader.api_keys(page))));
    add("webhooks", "all".to_owned(), Box::new(|reader, page| seen(reader.webhooks(page))));
    lists
}

/// The reads of the views whose answer reads so.
fn reads_that_give(answer: &str) -> BTreeSet<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/views");
    let sources = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let mut found = BTreeSet::new();
    for source in sources {
        for function in source.split("    pub fn ").skip(1) {
            let head = function.split(" {\n").next().unwrap_or_default();
            if head.contains(answer) {
                found.insert(head.split('(').next().unwrap_or_default().to_owned());
            }
        }
    }
    found
}

/// Reads a list at its ends and in its middle, and gives the statements that read rows, with their plans; not those that
/// count up to a bound.
fn explained(views: &Views, list: &List) -> (u64, Vec<Explained>) {
    let run = |page: &Page| views.explain_blocking(|reader| list(reader, page)).unwrap();
    let count = |reader: &Reader<'_>| list(reader, &Page::first(PAGE).counted());
    let total = views.read_blocking(count).unwrap().total;
    let (first, mut plans) = run(&Page::first(PAGE));
    let end = Page { from_end: true, ..Page::first(PAGE) };
    plans.extend(run(&end).1);
    if let Some(last) = first.cursors.last() {
        plans.extend(run(&Page::first(PAGE).after(last.clone())).1);
        plans.extend(run(&Page { before: Some(last.clone()), ..end }).1);
    }
    let counts = |explained: &Explained| explained.sql.starts_with("SELECT count(*) FROM (");
    (total, plans.into_iter().filter(|explained| !counts(explained)).collect())
}

/// What is wrong with a plan for a list of so many rows.
fn fault(is_sqlite: bool, Explained { sql, plan }: &Explained, total: u64) -> Option<String> {
    let merged = sql.contains(" UNION ALL ");
    // What is merged are pages.
    let may_sort = merged || total <= FEW;
    let is_wrong = |line: &String| {
        if is_sqlite {
            // Not those for the last terms of an order, which sort what an index has together.
            let sorts = |line: &String| line.contains("TEMP B-TREE FOR ORDER BY");
            let scans = line.starts_with("SCAN ") && !line.contains("json_each") && !line.starts_with("SCAN value_");
            line.contains("AUTOMATIC") || (sorts(line) && !may_sort) || (scans && plan.iter().any(sorts))
        } else {
            let sorted = line.split_once("Sort  (").and_then(|(_, cost)| cost.split_once("rows=")?.1.split(' ').next());
            let sorts = sorted.is_some_and(|rows| rows.parse::<u64>().unwrap() > FEW);
            line.contains("Seq Scan") || (sorts && !line.contains("Incremental Sort") && !may_sort)
        }
    };
    plan.iter().any(is_wrong).then(|| format!("{sql}\n    {}\n", plan.join("\n    ")))
}

#[test]
fn a_plan_that_looks_at_all_rows_is_found() {
    let wrong = |is_sqlite, plan: &[&str], total| {
        let plan = plan.iter().map(|line| (*line).to_owned()).collect();
        fault(is_sqlite, &Explained { sql: "SELECT 1".to_owned(), plan }, total).is_some()
    };
    assert!(wrong(true, &["SCAN orders__g1", "USE TEMP B-TREE FOR ORDER BY"], 10));
    assert!(wrong(true, &["SEARCH orders__g1 USING INDEX a (status=?)", "USE TEMP B-TREE FOR ORDER BY"], 5_000));
    assert!(!wrong(true, &["SEARCH orders__g1 USING INDEX a (status=?)", "USE TEMP B-TREE FOR ORDER BY"], 10));
    assert!(!wrong(true, &["SCAN orders__g1 USING INDEX b"], 5_000));
    assert!(wrong(false, &["Limit  (cost=1..2 rows=21 width=9)", "->  Seq Scan on orders t  (cost=1..2 rows=9 width=9)"], 10));
    assert!(wrong(false, &["->  Sort  (cost=1..2 rows=4000 width=9)"], 5_000));
    assert!(!wrong(false, &["->  Incremental Sort  (cost=1..2 rows=4000 width=9)"], 5_000));
    assert!(!wrong(false, &["->  Sort  (cost=1..2 rows=4 width=9)"], 5_000));
}

async fn large_views(home: &Home) -> Views {
    let views = home.views("views.db");
    followed(&large_shop().log().await, &views, 1_000).await;
    views
}

async fn every_list_is_read_along_an_index_or_from_few_rows(home: Home) {
    let views = large_views(&home).await;
    let lists = lists();
    let covered: BTreeSet<String> = lists.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(reads_that_give("Listed<"), covered, "a list that is not looked at here");
    let (mut faults, mut statements) = (Vec::new(), 0);
    for (name, cases) in &lists {
        for (case, list) in cases {
            let (total, plans) = explained(&views, list);
            statements += plans.len();
            let found = plans.iter().filter_map(|explained| fault(home.is_sqlite(), explained, total));
            faults.extend(found.map(|fault| format!("{name}: {case} ({total} rows): {fault}")));
        }
    }
    assert!(faults.is_empty(), "{} of {statements}:\n{}", faults.len(), faults.join("\n"));
    assert!(statements > 700, "{statements} statements are not all of them");
}

async fn every_batch_is_found_by_an_index(home: Home) {
    let views = large_views(&home).await;
    let (orders, products): (Vec<_>, Vec<_>) =
        ((0..20).map(|n| OrderId(id(10_007 + n))).collect(), (0..20).map(|n| ProductId(id(107 + n))).collect());
    let (variants, payments): (Vec<_>, Vec<_>) =
        ((0..20).map(|n| VariantId(id(507 + n))).collect(), (0..20).map(|n| PaymentId(id(20_007 + n))).collect());
    let skus: Vec<_> = (0..20).map(|number| crate::shop::sku(&format!("SKU-{number}"))).collect();
    let mut read = BTreeSet::new();
    let (_, plans) = views
        .explain_blocking(|reader| {
            macro_rules! batches {
                ($($batch:ident: $keys:expr),+ $(,)?) => {$(
                    reader.$batch($keys)?;
                    read.insert(stringify!($batch).to_owned());
                )+};
            }
            batches!(
                orders_by_id: &orders, lines_of: &orders, charges_of: &orders, discounts_of: &orders, fulfilments_of: &orders,
                returns_of: &orders, payments_of: &orders, refunds_of: &payments, cart_lines_of: &[],
                products_by_id: &products, variants_of: &products, variants_by_id: &variants, prices_of: &variants,
                price_ranges_of: &products, availability_of: &skus, stock_of: &skus, categories_by_id: &[],
            );
            Ok(())
        })
        .unwrap();
    assert_eq!(reads_that_give("BTreeMap<"), read, "a batch that is not looked at here");
    let faults: Vec<_> = plans.iter().filter_map(|explained| fault(home.is_sqlite(), explained, 20)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
