//! What customers bought and have not returned yet, as far as a credit invoice of the file asks for it.

use std::collections::{BTreeMap, BTreeSet};

use event_schemas::{CustomerId, OrderId, PaymentId, Sku, allocate};

use crate::import::online_retail::{invoice::Invoice, row::Row, sale::Sale, survey::PurchaseKey};

/// Units of one SKU that an order still has.
#[derive(Debug, Clone)]
struct Purchase {
    order_id: OrderId,
    left: u32,
}

/// An order that has such units.
#[derive(Debug, Clone)]
struct Refundable {
    document: u64,
    payment_id: PaymentId,
    left_minor: i64,
}

/// What a credit invoice gives back of one order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OrderReturn {
    pub payment_id: PaymentId,
    /// The document that placed the order, which must be in the log first.
    pub document: u64,
    pub items: BTreeMap<Sku, u32>,
    pub refund_minor: i64,
}

/// The purchases that may still be returned.
#[derive(Debug)]
pub(crate) struct Purchases {
    asked_for: BTreeSet<PurchaseKey>,
    /// The most recent last.
    by_key: BTreeMap<PurchaseKey, Vec<Purchase>>,
    orders: BTreeMap<OrderId, Refundable>,
}

impl Purchases {
    /// Will remember the purchases that credit invoices ask for.
    pub fn asked_for(asked_for: BTreeSet<PurchaseKey>) -> Self {
        Self { asked_for, by_key: BTreeMap::new(), orders: BTreeMap::new() }
    }

    /// Remembers what an order, placed by the document of that index, has of it.
    pub fn remember(&mut self, head: &Row, sale: &Sale, document: u64) {
        let Some(customer) = &head.customer else { return };
        for (sku, units) in &sale.shipped {
            let key = key(customer, &head.country, sku);
            if self.asked_for.contains(&key) {
                let purchase = Purchase { order_id: sale.order_id, left: *units };
                self.by_key.entry(key).or_default().push(purchase);
                let order = Refundable { document, payment_id: sale.payment_id, left_minor: sale.paid_minor };
                self.orders.insert(sale.order_id, order);
            }
        }
    }

    /// Matches a credit invoice to earlier purchases of the same customer, SKU and country, the most recent first, and
    /// takes them away. `None`, with nothing taken, unless every unit is found and no order would give back more than was
    /// paid for it. Charges on the document, such as postage, go with the first matched order.
    pub fn take(&mut self, invoice: &Invoice) -> Option<BTreeMap<OrderId, OrderReturn>> {
        let customer = invoice.head()?.customer.as_ref()?;
        let mut taken: BTreeMap<(&Sku, usize), u32> = BTreeMap::new();
        let mut returns: BTreeMap<OrderId, OrderReturn> = BTreeMap::new();
        let mut first: Option<OrderId> = None;
        for row in &invoice.rows {
            let Some(sku) = row.sku() else { continue };
            let purchases = self.by_key.get(&key(customer, &row.country, sku))?;
            let parts = split(row.units(), purchases, |index| taken.get(&(sku, index)).copied().unwrap_or_default())?;
            let weights: Vec<u64> = parts.iter().map(|(_, units)| u64::from(*units)).collect();
            let amounts = allocate(row.line_minor.checked_neg()?, &weights);
            for ((index, units), amount) in parts.into_iter().zip(amounts) {
                *taken.entry((sku, index)).or_default() += units;
                let order_id = purchases.get(index)?.order_id;
                first.get_or_insert(order_id);
                let part = self.part(&mut returns, order_id)?;
                *part.items.entry(sku.clone()).or_default() += units;
                part.refund_minor = part.refund_minor.checked_add(amount)?;
            }
        }
        let charged = returns.get_mut(&first?)?;
        for row in invoice.rows.iter().filter(|row| row.sku().is_none()) {
            charged.refund_minor = charged.refund_minor.checked_sub(row.line_minor)?;
        }
        let affordable = |(id, part): (&OrderId, &OrderReturn)| {
            self.orders.get(id).is_some_and(|order| (0..=order.left_minor).contains(&part.refund_minor))
        };
        if !returns.iter().all(affordable) {
            return None;
        }
        let taken = taken.into_iter().map(|((sku, index), units)| (sku.clone(), index, units)).collect();
        self.settle(customer, invoice, taken, &returns);
        Some(returns)
    }

    fn part<'a>(&self, returns: &'a mut BTreeMap<OrderId, OrderReturn>, order_id: OrderId) -> Option<&'a mut OrderReturn> {
        let order = self.orders.get(&order_id)?;
        let (payment_id, document) = (order.payment_id, order.document);
        let new = || OrderReturn { payment_id, document, items: BTreeMap::new(), refund_minor: 0 };
        Some(returns.entry(order_id).or_insert_with(new))
    }

    fn settle(
        &mut self,
        customer: &CustomerId,
        invoice: &Invoice,
        taken: Vec<(Sku, usize, u32)>,
        returns: &BTreeMap<OrderId, OrderReturn>,
    ) {
        let country = invoice.head().map(|row| row.country.as_str()).unwrap_or_default();
        for (sku, index, units) in taken {
            let purchases = self.by_key.get_mut(&key(customer, country, &sku));
            if let Some(purchase) = purchases.and_then(|purchases| purchases.get_mut(index)) {
                purchase.left -= units;
            }
        }
        for (order_id, part) in returns {
            if let Some(order) = self.orders.get_mut(order_id) {
                order.left_minor -= part.refund_minor;
            }
        }
    }
}

fn key(customer: &CustomerId, country: &str, sku: &Sku) -> PurchaseKey {
    (customer.clone(), country.to_owned(), sku.clone())
}

/// Takes `units` from the most recent purchases, beyond what is taken already: which purchase, and how many of it.
fn split(mut units: u32, purchases: &[Purchase], taken: impl Fn(usize) -> u32) -> Option<Vec<(usize, u32)>> {
    let mut parts = Vec::new();
    for (index, purchase) in purchases.iter().enumerate().rev() {
        let part = units.min(purchase.left.saturating_sub(taken(index)));
        if part > 0 {
            parts.push((index, part));
            units -= part;
        }
        if units == 0 {
            return Some(parts);
        }
    }
    None
}
