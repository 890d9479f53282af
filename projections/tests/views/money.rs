//! The figures: sales and the journal, which must agree with each other and with the orders.

use event_schemas::*;
use projections::{ALL, JOURNAL, Runner, SalesDimension, SalesGrain, SalesQuery, SalesRow, Views};

use crate::{
    runner::followed,
    shop::{History, busy_days, cancel, day, id, line, pay, place, placed, pounds, product, refund, ship, sku},
    store::Home,
};

on_each_store!(
    an_order_of_three_lines_counts_once_and_its_refund_on_the_day_it_happened,
    goods_that_come_back_count_against_their_own_sku_and_credit_notes_against_the_shop,
    a_cancelled_order_leaves_nothing_in_sales_or_in_the_books,
    an_order_paid_again_after_a_refund_was_neither_returned_nor_cancelled,
    sales_journal_and_orders_tell_the_same_story,
    the_books_balance_at_every_position,
    an_order_whose_totals_do_not_add_up_halts_the_journal_and_nothing_else,
);

async fn views_of(home: &Home, history: &History) -> Views {
    let views = home.views("views.db");
    followed(&history.log().await, &views, 50).await;
    views
}

fn sales(views: &Views, dimension: SalesDimension, grain: SalesGrain) -> Vec<SalesRow> {
    let query = SalesQuery { dimension, grain, ..SalesQuery::default() };
    views.read_blocking(|reader| reader.sales(&query)).unwrap()
}

fn balance(views: &Views, account: &str) -> i64 {
    let books = views.read_blocking(|reader| reader.trial_balance()).unwrap();
    let accounts = books.iter().flat_map(|currency| &currency.accounts);
    accounts.filter(|row| row.account == account).map(|row| row.balance_minor).sum()
}

/// One order of 2 × SKU-1 and 1 × SKU-2 at 2.40 (0.40 tax each) and 3.00 of shipping: 10.20.
fn order(number: u128) -> OrderPlaced {
    placed(number, "GB", vec![line(1, 2, 240), line(2, 1, 240)])
}

fn shop() -> History {
    let mut history = History::default();
    product(&mut history, 1, 240);
    product(&mut history, 2, 240);
    history
}

async fn an_order_of_three_lines_counts_once_and_its_refund_on_the_day_it_happened(home: Home) {
    let mut history = shop();
    place(&mut history, &order(1), day(1, 0));
    pay(&mut history, &order(1), day(1, 5));
    refund(&mut history, &order(1), 510, day(9, 0));
    let views = views_of(&home, &history).await;
    let days = sales(&views, SalesDimension::None, SalesGrain::Day);
    assert_eq!(days.len(), 2);
    assert_eq!((days[0].orders, days[0].units, days[0].gross_minor, days[0].tax_minor), (1, 3, 1_020, 120));
    assert_eq!((days[0].shipping_minor, days[0].refunds_minor, days[0].net_minor), (300, 0, 900));
    // Half of the order went back, and with it half of its tax.
    assert_eq!((days[1].orders, days[1].refunds_minor, days[1].net_minor), (0, 510, -450));
    let skus = sales(&views, SalesDimension::Sku, SalesGrain::None);
    assert_eq!(skus.iter().map(|row| (row.orders, row.units, row.gross_minor)).collect::<Vec<_>>(), [(1, 2, 480), (1, 1, 240)]);
}

async fn goods_that_come_back_count_against_their_own_sku_and_credit_notes_against_the_shop(home: Home) {
    let mut history = shop();
    place(&mut history, &order(1), day(1, 0));
    pay(&mut history, &order(1), day(1, 5));
    ship(&mut history, &order(1), day(1, 9));
    let items = vec![SkuQuantity { sku: sku("SKU-1"), quantity: 1 }];
    let returned = OrderItemsReturned { return_id: ReturnId(id(7)), items, reason: "too strong".to_owned() };
    history.happens(order(1).order_id, OrderEvent::from(returned), day(3, 0));
    let lines = vec![CreditNoteLine { sku: Some(sku("SKU-2")), description: "Tea".to_owned(), quantity: 4, amount_minor: 999 }];
    let note = CreditNoteIssued {
        adjustment_id: AdjustmentId(id(8)),
        number: "C1".to_owned(),
        customer_id: None,
        country: None,
        lines,
        total: pounds(999),
    };
    history.happens(AdjustmentId(id(8)), AdjustmentEvent::from(note), day(4, 0));
    let views = views_of(&home, &history).await;
    let skus = sales(&views, SalesDimension::Sku, SalesGrain::None);
    let back: Vec<_> = skus.iter().map(|row| (row.returned_units, row.refunds_minor)).collect();
    assert_eq!(back, [(1, 240), (4, 999)]);
    let countries = sales(&views, SalesDimension::Country, SalesGrain::None);
    let by_country: Vec<_> = countries.iter().map(|row| (row.key.as_deref(), row.refunds_minor, row.net_minor)).collect();
    assert_eq!(by_country, [(Some("GB"), 0, 900), (Some("unknown"), 999, -999)]);
    assert_eq!((balance(&views, "sales_returns"), balance(&views, "cash:credit_notes")), (999, -999));
}

async fn a_cancelled_order_leaves_nothing_in_sales_or_in_the_books(home: Home) {
    let mut history = shop();
    place(&mut history, &order(1), day(1, 0));
    pay(&mut history, &order(1), day(1, 5));
    cancel(&mut history, &order(1), day(1, 9));
    refund(&mut history, &order(1), 1_020, day(2, 0));
    let views = views_of(&home, &history).await;
    let all = &sales(&views, SalesDimension::None, SalesGrain::None)[0];
    assert_eq!((all.orders, all.cancelled_orders, all.cancelled_minor, all.refunds_minor, all.net_minor), (1, 1, 1_020, 0, 0));
    for account in ["receivable", "tax_payable", "cash:sandbox", "sales_returns"] {
        assert_eq!(balance(&views, account), 0, "{account}");
    }
    assert_eq!(balance(&views, "sales_cancellations"), 900);
    let goods: i64 = sales(&views, SalesDimension::Product, SalesGrain::None).iter().map(|row| row.net_minor).sum();
    assert_eq!(goods, 0);
}

async fn an_order_paid_again_after_a_refund_was_neither_returned_nor_cancelled(home: Home) {
    let mut history = shop();
    place(&mut history, &order(1), day(1, 0));
    pay(&mut history, &order(1), day(1, 5));
    refund(&mut history, &order(1), 1_020, day(2, 0));
    let payment_id = PaymentId(id(20_001));
    history.happens(order(1).order_id, OrderEvent::from(OrderPaymentReceived { payment_id, amount: pounds(1_020) }), day(3, 0));
    let views = views_of(&home, &history).await;
    assert_eq!(["sales_returns", "sales_cancellations"].map(|account| balance(&views, account)), [0, 0]);
    assert_eq!(sales(&views, SalesDimension::None, SalesGrain::None)[0].net_minor, 900);
}

async fn sales_journal_and_orders_tell_the_same_story(home: Home) {
    let history = busy_days(30);
    let views = views_of(&home, &history).await;
    let total = &sales(&views, SalesDimension::None, SalesGrain::None)[0];
    let income = ["sales", "shipping_income", "sales_discounts", "sales_returns", "sales_cancellations"];
    let booked: i64 = income.iter().map(|account| balance(&views, account)).sum();
    assert_eq!(-booked, total.net_minor);
    assert_eq!(
        -balance(&views, "tax_payable") + total.net_minor,
        total.gross_minor - total.cancelled_minor - total.refunds_minor
    );
    let orders = "SELECT CAST(sum(gross_minor) AS BIGINT) FROM orders";
    assert_eq!(views.read_blocking(|reader| reader.integer(orders, &[])).unwrap(), total.gross_minor);
    let cash = "SELECT CAST(sum(received_minor - refunded_minor) AS BIGINT) FROM orders";
    assert_eq!(views.read_blocking(|reader| reader.integer(cash, &[])).unwrap(), balance(&views, "cash:sandbox"));
    for grain in [SalesGrain::Hour, SalesGrain::Day, SalesGrain::Week, SalesGrain::Month] {
        let cut: i64 = sales(&views, SalesDimension::Country, grain).iter().map(|row| row.net_minor).sum();
        assert_eq!(cut, total.net_minor, "{grain:?}");
    }
    let weeks = sales(&views, SalesDimension::None, SalesGrain::Week);
    assert!(weeks.iter().all(|week| week.starts_at.unwrap().format("%A").to_string() == "Monday"));
}

async fn the_books_balance_at_every_position(home: Home) {
    let history = busy_days(6);
    let views = home.views("views.db");
    // One event a transaction, and the books are read after each that is seen.
    let log = history.log().await;
    let runner = Runner::start_with(log, views.clone(), ALL, 1).await.unwrap();
    let mut seen = views.watch();
    let mut looked = 0;
    while views.applied() < history.events.len() as u64 {
        seen.changed().await.unwrap();
        let books = views.read_blocking(|reader| reader.trial_balance()).unwrap();
        assert!(books.iter().all(|currency| currency.debit_minor == currency.credit_minor));
        looked += 1;
    }
    runner.stop().await;
    assert!(looked > 20, "{looked}");
    let entries = "SELECT count(*) FROM (SELECT entry FROM journal_lines GROUP BY entry HAVING sum(debit_minor) <> sum(credit_minor)) AS entries";
    assert_eq!(views.read_blocking(|reader| reader.integer(entries, &[])).unwrap(), 0);
}

async fn an_order_whose_totals_do_not_add_up_halts_the_journal_and_nothing_else(home: Home) {
    let mut history = shop();
    place(&mut history, &order(1), day(1, 0));
    let before = history.events.len() as u64;
    let mut wrong = order(2);
    wrong.totals.gross_minor += 1;
    history.happens(wrong.order_id, OrderEvent::from(wrong.clone()), day(2, 0));
    place(&mut history, &order(3), day(3, 0));
    let views = views_of(&home, &history).await;
    let status = views.status();
    let halted: Vec<_> = status.iter().filter(|status| status.reason.is_some()).collect();
    assert_eq!(halted.iter().map(|status| (status.name, status.position)).collect::<Vec<_>>(), [(JOURNAL.name, before)]);
    let reason = halted[0].reason.as_deref().unwrap();
    assert!(reason.contains(&format!("position {}", before + 1)) && reason.contains("out of balance by 1"), "{reason}");
    assert_eq!(views.read_blocking(|reader| reader.integer("SELECT count(*) FROM orders", &[])).unwrap(), 3);
    assert_eq!(views.read_blocking(|reader| reader.integer("SELECT count(DISTINCT entry) FROM journal_lines", &[])).unwrap(), 1);
}
