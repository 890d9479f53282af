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
    filters::*,
    runner::followed,
    shop::{History, cancel, day, id, line, pay, place, placed, product, ship},
    store::Home,
};

on_each_store!(every_list_is_read_along_an_index_or_from_few_rows, every_batch_is_found_by_an_index);

const PRODUCTS: u128 = 2_500;
const ORDERS: u128 = 4_000;
/// Accounts, API keys, webhooks, and half of what was refused at the door.
const DOOR: u128 = 1_500;
const PROMOTIONS: u128 = 2_000;
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
    (0..PROMOTIONS).for_each(|number| promotion(&mut history, number));
    (0..DOOR).for_each(|number| person(&mut history, number));
    audit::many(&mut history, DOOR);
    history
}

fn review(history: &mut History, number: u128, at: Timestamp) {
    let (review_id, order_id) = (ReviewId(id(50_000 + number)), OrderId(id(10_000 + number)));
    let rating = if number.is_multiple_of(10) { 2 } else { 5 };
    let submitted = ReviewSubmitted { review_id, order_id, customer_id: None, rating, title: None, comment: None };
    history.happens(review_id, ReviewEvent::from(submitted), at);
}

fn person(history: &mut History, number: u128) {
    let person_id = PersonId(id(90_000 + number));
    let placed = LegalHoldPlaced { name: "case 7".to_owned(), reason: "a dispute".to_owned() };
    history.happens(person_id, PersonEvent::from(placed), day(1, number as i64));
}

fn promotion(history: &mut History, number: u128) {
    let promotion_id = PromotionId(id(60_000 + number));
    let created = PromotionCreated {
        promotion_id,
        name: format!("promotion {number}"),
        code: CouponCode::new(format!("CODE{number}")).unwrap(),
        effect: PromotionEffect::PercentOff { ppm: 100_000 },
        starts_at: None,
        ends_at: None,
        usage_limit: None,
    };
    let at = day(1 + number as i64 / 40, number as i64 % 40 * 60);
    history.happens(promotion_id, PromotionEvent::from(created), at);
    for order in 0..number % 3 {
        let redeemed = PromotionRedeemed { order_id: OrderId(id(10_000 + order)), customer_id: None };
        history.happens(promotion_id, PromotionEvent::from(redeemed), at);
    }
    if number.is_multiple_of(3) {
        history.happens(promotion_id, PromotionEvent::from(PromotionEnded {}), at);
    }
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
        // Every list with each of its filters, in each of its orders.
        macro_rules! sorted {
            ($($list:ident by $sort:ident: $filters:expr),+ $(,)?) => {$(
                for sort in $sort::ALL.iter().copied() {
                    for (name, filter) in $filters {
                        let list =
                            move |reader: &Reader<'_>, page: &Page| seen(reader.$list(&filter, sort, descending, page));
                        add(stringify!($list), format!("{name}, {sort:?} {descending}"), Box::new(list));
                    }
                }
            )+};
        }
        sorted!(
            orders by OrderSort: order_filters(),
            payments by PaymentSort: payment_filters(),
            stock_levels by StockSort: stock_filters(),
            journal_lines by JournalSort: journal_filters(),
            anomalies by AnomalySort: anomaly_filters(),
            reviews by ReviewSort: review_filters(),
            promotions by PromotionSort: promotion_filters(),
            accounts by AccountSort: account_filters(),
            api_keys by ApiKeySort: api_key_filters(),
            webhooks by WebhookSort: webhook_filters(),
            access by AccessSort: access_filters(),
            access_anomalies by AccessAnomalySort: access_anomaly_filters(),
            audit by AuditSort: audit_filters(),
            persons by PersonSort: person_filters(),
        );
        for number in [80_000, 80_001] {
            let list = move |reader: &Reader<'_>, page: &Page| {
                seen(reader.webhook_failures(WebhookId(id(number)), WebhookFailureSort::Event, descending, page))
            };
            add("webhook_failures", format!("{number} {descending}"), Box::new(list));
        }
    }
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
