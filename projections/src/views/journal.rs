//! What do the books say? Balanced double-entry lines for everything that moves money, and a trial balance.
//!
//! Accounts: `receivable` (what buyers owe), `sales`, `sales_discounts`, `shipping_income`, `fees`, `other_income`,
//! `tax_payable`, `sales_returns` (refunds and credit notes), `sales_cancellations` (orders called off or expired),
//! `cash:GATEWAY` (`cash:credit_notes` for notes that name no payment), `disputes`, `chargebacks`, `bad_debts`.

use std::collections::BTreeMap;

use event_schemas::{
    AdjustmentEvent, ChargeKind, CommerceEvent, Currency, OrderEvent, OrderId, OrderPlaced, PaymentEvent, PaymentId, Timestamp,
    tax_within_ppm,
};

use crate::{
    Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError,
    conditions::Conditions,
    projection::{add, subtract},
    views::order_money::{TakenBack, take_back},
};

row! {
    /// A line of the journal: one account of one entry. The lines of an entry share a position, and their debits and
    /// credits are equal.
    JournalLine in "journal_lines" {
        key {
            /// The log position of the event that was booked: the number of the entry.
            entry: u64,
            /// The number of the line in the entry, from 1.
            line: u32,
        }
        /// The day and time of the books.
        booked_at: Timestamp,
        /// The account.
        account: String,
        /// The currency of the amounts.
        currency: Currency,
        /// The debit in minor units, or 0.
        debit_minor: i64,
        /// The credit in minor units, or 0.
        credit_minor: i64,
        /// What was booked, such as `OrderPlaced`.
        event_type: String,
        /// The order, if it is about one.
        order_id: Option<OrderId>,
        /// The payment, if it is about one.
        payment_id: Option<PaymentId>,
    }
    index "booked_at, entry, line";
    index "account, booked_at, entry, line";
    index "currency, booked_at, entry, line";
    index "order_id";
}

row! {
    /// The sums of one account in one currency, in minor units.
    AccountBalance in "account_balances" {
        key {
            /// The account.
            account: String,
            /// The currency.
            currency: Currency,
        }
        /// The sum of all debits.
        debit_minor: i64,
        /// The sum of all credits.
        credit_minor: i64,
        /// Debits less credits.
        balance_minor: i64,
    }
}

row! {
    /// What the journal has booked for an order, in minor units.
    JournalOrder in "journal_orders" {
        key {
            /// The order.
            order_id: OrderId,
        }
        /// The currency.
        currency: Currency,
        /// What the buyer owes.
        gross_minor: i64,
        /// The tax in it.
        tax_minor: i64,
        /// What came in.
        received_minor: i64,
        /// What went back.
        refunded_minor: i64,
        /// Whether it was cancelled or expired.
        closed: bool,
    }
}

row! {
    /// Which gateway moves the money of a payment.
    JournalPayment in "journal_payments" {
        key {
            /// The payment.
            payment_id: PaymentId,
        }
        /// The order.
        order_id: OrderId,
        /// The gateway.
        gateway: String,
    }
}

/// The double-entry journal.
pub const JOURNAL: Projection = Projection {
    name: "journal",
    version: 2,
    tables: &[JournalLine::TABLE, AccountBalance::TABLE, JournalOrder::TABLE, JournalPayment::TABLE],
    for_analysts: true,
    fold,
};

/// An entry under construction: debits are positive, credits negative.
struct Entry {
    currency: Currency,
    order_id: Option<OrderId>,
    payment_id: Option<PaymentId>,
    booked_at: Timestamp,
    accounts: BTreeMap<String, i64>,
}

impl Entry {
    fn debit(&mut self, account: &str, minor: i64) -> Result<(), FoldError> {
        let sum = self.accounts.entry(account.to_owned()).or_default();
        *sum = add(*sum, minor)?;
        Ok(())
    }

    fn credit(&mut self, account: &str, minor: i64) -> Result<(), FoldError> {
        let sum = self.accounts.entry(account.to_owned()).or_default();
        *sum = subtract(*sum, minor)?;
        Ok(())
    }

    /// Writes the lines. Debits and credits that differ halt the journal: it never holds an entry that does not balance.
    fn book(self, rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
        let difference = self.accounts.values().try_fold(0, |sum, minor| add(sum, *minor))?;
        if difference != 0 {
            let event = fact.event.event_type();
            return Err(FoldError::Contradiction(format!("the entry for {event} is out of balance by {difference}")));
        }
        let moved = self.accounts.into_iter().filter(|(_, minor)| *minor != 0);
        for (line, (account, minor)) in (1..).zip(moved) {
            let debit_minor = minor.max(0);
            let credit_minor = subtract(debit_minor, minor)?;
            let (currency, key) = (self.currency, (account.clone(), self.currency));
            let balance = rows.edit_or::<AccountBalance>(&key, || AccountBalance {
                account: account.clone(),
                currency,
                debit_minor: 0,
                credit_minor: 0,
                balance_minor: 0,
                position: 0,
            })?;
            balance.debit_minor = add(balance.debit_minor, debit_minor)?;
            balance.credit_minor = add(balance.credit_minor, credit_minor)?;
            balance.balance_minor = subtract(balance.debit_minor, balance.credit_minor)?;
            rows.put(JournalLine {
                entry: fact.position,
                line,
                booked_at: self.booked_at,
                account,
                currency,
                debit_minor,
                credit_minor,
                event_type: fact.event.event_type().to_owned(),
                order_id: self.order_id,
                payment_id: self.payment_id,
                position: fact.position,
            })?;
        }
        Ok(())
    }
}

fn entry(fact: &Fact<'_>, currency: Currency, order_id: Option<OrderId>, payment_id: Option<PaymentId>) -> Entry {
    Entry { currency, order_id, payment_id, booked_at: fact.occurred_at, accounts: BTreeMap::new() }
}

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    match fact.event {
        CommerceEvent::Order(OrderEvent::OrderPlaced(placed)) => book_sale(rows, fact, placed),
        CommerceEvent::Order(event) => fold_order(rows, fact, event),
        CommerceEvent::Payment(PaymentEvent::PaymentOpened(opened)) => Ok(rows.put(JournalPayment {
            payment_id: opened.payment_id,
            order_id: opened.order_id,
            gateway: opened.gateway.clone(),
            position: fact.position,
        })?),
        CommerceEvent::Payment(event) => fold_payment(rows, fact, event),
        CommerceEvent::Adjustment(AdjustmentEvent::CreditNoteIssued(note)) => {
            let mut entry = entry(fact, note.total.currency, None, None);
            entry.debit("sales_returns", note.total.minor)?;
            entry.credit("cash:credit_notes", note.total.minor)?;
            entry.book(rows, fact)
        }
        CommerceEvent::Adjustment(AdjustmentEvent::BadDebtAdjusted(adjusted)) => {
            let mut entry = entry(fact, adjusted.amount.currency, None, None);
            entry.booked_at = adjusted.effective_at.unwrap_or(fact.occurred_at);
            entry.debit("receivable", adjusted.amount.minor)?;
            entry.credit("bad_debts", adjusted.amount.minor)?;
            entry.book(rows, fact)
        }
        _ => Ok(()),
    }
}

fn book_sale(rows: &mut Rows<'_>, fact: &Fact<'_>, placed: &OrderPlaced) -> Result<(), FoldError> {
    let mut entry = entry(fact, placed.currency, Some(placed.order_id), None);
    entry.debit("receivable", placed.totals.gross_minor)?;
    for line in &placed.lines {
        let tax_in_discount =
            if placed.pricing.prices_include_tax { tax_within_ppm(line.discount_minor, line.tax_rate_ppm) } else { 0 };
        let discount = subtract(line.discount_minor, tax_in_discount)?;
        entry.credit("sales", add(line.net_minor, discount)?)?;
        entry.debit("sales_discounts", discount)?;
        entry.credit("tax_payable", line.tax_minor)?;
    }
    for charge in &placed.charges {
        let account = match charge.kind {
            ChargeKind::Shipping => "shipping_income",
            ChargeKind::Fee => "fees",
            ChargeKind::Discount => "sales_discounts",
            ChargeKind::Manual => "other_income",
        };
        entry.credit(account, charge.net_minor)?;
        entry.credit("tax_payable", charge.tax_minor)?;
    }
    entry.book(rows, fact)?;
    Ok(rows.put(JournalOrder {
        order_id: placed.order_id,
        currency: placed.currency,
        gross_minor: placed.totals.gross_minor,
        tax_minor: placed.totals.tax_minor,
        received_minor: 0,
        refunded_minor: 0,
        closed: false,
        position: fact.position,
    })?)
}

fn fold_order(rows: &mut Rows<'_>, fact: &Fact<'_>, event: &OrderEvent) -> Result<(), FoldError> {
    let order_id: OrderId = fact.stream.aggregate_id.parse()?;
    let order = rows.edit::<JournalOrder>(&(order_id,))?.ok_or_else(|| FoldError::unknown("order", order_id))?;
    let totals = (order.gross_minor, order.tax_minor);
    let paid = (&mut order.received_minor, &mut order.refunded_minor);
    let TakenBack { gross, tax } = take_back(event, totals, paid, &mut order.closed)?;
    let account = match event {
        OrderEvent::OrderCancelled(_) | OrderEvent::OrderExpired(_) | OrderEvent::OrderReinstated(_) => "sales_cancellations",
        // A payment after a refund makes revenue of what was taken back, from where the refund had put it.
        _ => "sales_returns",
    };
    let mut entry = entry(fact, order.currency, Some(order_id), None);
    entry.debit(account, subtract(gross, tax)?)?;
    entry.debit("tax_payable", tax)?;
    entry.credit("receivable", gross)?;
    entry.book(rows, fact)
}

fn fold_payment(rows: &mut Rows<'_>, fact: &Fact<'_>, event: &PaymentEvent) -> Result<(), FoldError> {
    let (debit, credit, amount) = match event {
        PaymentEvent::PaymentCaptured(taken) => ("cash", "receivable", taken.amount),
        PaymentEvent::PaymentRefunded(refunded) => ("receivable", "cash", refunded.amount),
        PaymentEvent::PaymentDisputed(disputed) => ("disputes", "cash", disputed.amount),
        PaymentEvent::PaymentDisputeClosed(closed) if closed.won => ("cash", "disputes", closed.amount),
        PaymentEvent::PaymentDisputeClosed(closed) => ("chargebacks", "disputes", closed.amount),
        // Nothing moves until the gateway says so.
        PaymentEvent::PaymentOpened(_)
        | PaymentEvent::PaymentConfirmationRequested(_)
        | PaymentEvent::PaymentActionRequired(_)
        | PaymentEvent::PaymentAuthorised(_)
        | PaymentEvent::PaymentCaptureRequested(_)
        | PaymentEvent::PaymentVoidRequested(_)
        | PaymentEvent::PaymentVoided(_)
        | PaymentEvent::PaymentRefundRequested(_)
        | PaymentEvent::PaymentRefundFailed(_)
        | PaymentEvent::PaymentDeclined(_)
        | PaymentEvent::PaymentExpired(_) => return Ok(()),
    };
    let payment_id: PaymentId = fact.stream.aggregate_id.parse()?;
    let known = rows.get::<JournalPayment>(&(payment_id,))?;
    let payment = known.ok_or_else(|| FoldError::unknown("payment", payment_id))?;
    let cash = format!("cash:{}", payment.gateway);
    let mut entry = entry(fact, amount.currency, Some(payment.order_id), Some(payment_id));
    entry.debit(if debit == "cash" { &cash } else { debit }, amount.minor)?;
    entry.credit(if credit == "cash" { &cash } else { credit }, amount.minor)?;
    entry.book(rows, fact)
}

/// Which lines of the journal to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JournalFilter {
    /// Only of this account.
    pub account: Option<String>,
    /// Only in this currency.
    pub currency: Option<Currency>,
    /// Only about this order.
    pub order_id: Option<OrderId>,
    /// Only booked at or after.
    pub from: Option<Timestamp>,
    /// Only booked before.
    pub to: Option<Timestamp>,
}

sortings! {
    /// How to sort the lines of the journal.
    JournalSort {
        /// By when they were booked, and in the order of the log where that is equal.
        Booked "booked": "t.booked_at", "t.entry", "t.line";
        /// In the order of the log.
        Entry "entry": "t.entry", "t.line";
    }
}

/// All accounts of one currency; debits and credits are equal.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialBalance {
    /// The currency.
    pub currency: Currency,
    /// The accounts, by name.
    pub accounts: Vec<AccountBalance>,
    /// The sum of all debits, in minor units.
    pub debit_minor: i64,
    /// The sum of all credits, in minor units.
    pub credit_minor: i64,
}

impl Reader<'_> {
    /// The trial balance of each currency.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn trial_balance(&self) -> Result<Vec<TrialBalance>, ViewError> {
        let mut found: BTreeMap<Currency, TrialBalance> = BTreeMap::new();
        for account in self.rows::<AccountBalance>("ORDER BY t.account", &[])? {
            let currency = account.currency;
            let new = TrialBalance { currency, accounts: Vec::new(), debit_minor: 0, credit_minor: 0 };
            let sums = found.entry(currency).or_insert(new);
            sums.debit_minor = sums.debit_minor.saturating_add(account.debit_minor);
            sums.credit_minor = sums.credit_minor.saturating_add(account.credit_minor);
            sums.accounts.push(account);
        }
        Ok(found.into_values().collect())
    }

    /// Lines of the journal.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn journal_lines(
        &self,
        filter: &JournalFilter,
        sort: JournalSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<JournalLine>, ViewError> {
        let in_order = sort == JournalSort::Booked;
        let mut conditions = Conditions::default();
        conditions.many(filter.account.as_ref(), "t.account", in_order);
        conditions.many(filter.currency.as_ref(), "t.currency", in_order);
        conditions.few(filter.order_id.as_ref(), "t.order_id");
        conditions.between("t.booked_at", filter.from.as_ref(), filter.to.as_ref(), in_order);
        self.page(&conditions, sort.order(descending), page)
    }
}
