//! The books: double-entry lines for everything that moves money, and the trial balance.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Error, ID, InputObject, Object, SimpleObject};
use event_schemas::{OrderId, Timestamp};
use projections::JournalFilter;

use crate::{
    access::{Permission, sees},
    graphql::{
        global_id::{self, Kind},
        loader::{OrderById, load},
        money::Money,
        order::Order,
        page::{Narrowing, root_list, sorting},
        problem,
        scalar::{CurrencyCode, Long},
    },
    shop::Shop,
};

/// A line of the journal: one account of one entry. The lines of an entry balance.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct JournalLine {
    /// The number of the entry: the log position of the event that was booked.
    entry: Long,
    /// The number of the line in the entry, from 1.
    line: u32,
    /// The day and time of the books.
    booked_at: Timestamp,
    /// The account, such as `sales`, `tax_payable` or `cash:sandbox`.
    account: String,
    /// The debit, or 0.
    debit: Money,
    /// The credit, or 0.
    credit: Money,
    /// What was booked, such as `OrderPlaced`.
    event_type: String,
    #[graphql(skip)]
    order_id: Option<OrderId>,
}

impl From<projections::JournalLine> for JournalLine {
    fn from(row: projections::JournalLine) -> Self {
        Self {
            entry: Long::of(row.entry),
            line: row.line,
            booked_at: row.booked_at,
            account: row.account,
            debit: Money::new(row.debit_minor, row.currency),
            credit: Money::new(row.credit_minor, row.currency),
            event_type: row.event_type,
            order_id: row.order_id,
        }
    }
}

#[ComplexObject]
impl JournalLine {
    /// The order, if it is about one.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>, Error> {
        match self.order_id {
            Some(order) => Order::visible(ctx, load(ctx, OrderById(order)).await?),
            None => Ok(None),
        }
    }
}

/// The sums of one account.
#[derive(SimpleObject)]
pub(crate) struct AccountBalance {
    /// The account.
    account: String,
    /// The sum of its debits.
    debit: Money,
    /// The sum of its credits.
    credit: Money,
}

/// All accounts of one currency: debits and credits are equal.
#[derive(SimpleObject)]
pub(crate) struct TrialBalance {
    /// The currency.
    currency: CurrencyCode,
    /// The accounts, by name.
    accounts: Vec<AccountBalance>,
    /// The sum of all debits.
    debit: Money,
    /// The sum of all credits.
    credit: Money,
    /// Whether they are equal. Anything else is a fault of ours.
    balanced: bool,
}

impl From<projections::TrialBalance> for TrialBalance {
    fn from(sums: projections::TrialBalance) -> Self {
        let money = |minor| Money::new(minor, sums.currency);
        let account = |account: projections::AccountBalance| AccountBalance {
            account: account.account,
            debit: money(account.debit_minor),
            credit: money(account.credit_minor),
        };
        Self {
            currency: CurrencyCode(sums.currency),
            debit: money(sums.debit_minor),
            credit: money(sums.credit_minor),
            balanced: sums.debit_minor == sums.credit_minor,
            accounts: sums.accounts.into_iter().map(account).collect(),
        }
    }
}

/// Which lines of the journal to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct JournalFilterInput {
    /// Only of this account.
    account: Option<String>,
    /// Only in this currency.
    currency: Option<CurrencyCode>,
    /// Only about this order.
    order_id: Option<ID>,
    /// Only booked at or after.
    from: Option<Timestamp>,
    /// Only booked before.
    to: Option<Timestamp>,
}

impl Narrowing for JournalFilterInput {
    type Filter = JournalFilter;

    fn read(self) -> Result<JournalFilter, Error> {
        let Self { account, currency, order_id, from, to } = self;
        let order_id = order_id.map(|id| global_id::decode(Kind::Order, &id).ok_or_else(|| problem::bad_id("orderId")));
        let currency = currency.map(|currency| currency.0);
        Ok(JournalFilter { account, currency, order_id: order_id.transpose()?, from, to })
    }
}

sorting! {
    /// How to sort the journal.
    JournalSortInput by JournalSortKey of JournalSort as "projections::JournalSort", descending = false {
        /// By when things were booked, and in the order of the log where that is equal.
        Booked,
        /// In the order of the log.
        Entry,
    }
}

root_list! {
    /// The journal by when things were booked, and in the order of the log where that is equal, unless `sort` says otherwise.
    #[graphql(guard = "Permission::ViewBooks", visible = "sees::books")]
    JournalList: journal(JournalFilterInput, JournalSortInput) -> JournalLine by JournalLine::from = journal_lines
}

#[derive(Default)]
pub(crate) struct JournalQuery;

#[Object]
impl JournalQuery {
    /// The trial balance of each currency.
    #[graphql(guard = "Permission::ViewBooks", visible = "sees::books")]
    async fn trial_balance(&self, ctx: &Context<'_>) -> Result<Vec<TrialBalance>, Error> {
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let sums = views.read(|reader| reader.trial_balance()).await.map_err(problem::view)?;
        Ok(sums.into_iter().map(TrialBalance::from).collect())
    }
}
