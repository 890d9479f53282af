//! The shop's own rules, recomputed from the events alone: the auditor does not ask the code that decided.

use std::collections::{BTreeMap, BTreeSet};

use event_schemas::{
    AccountId, AdjustmentEvent, ChargeKind, ClaimEvent, CommerceEvent, CreditNoteIssued, Currency, Money, OrderEvent, OrderId,
    OrderPlaced, PaymentEvent, PromotionEvent, RosterEvent, StockEvent,
};

use super::{Rule, order_book::OrderBook};

/// What is remembered of one stream for the rules that it must keep.
#[derive(Default)]
pub(super) struct Books {
    shelf: Shelf,
    paid: Paid,
    uses: Uses,
    order: OrderBook,
    is_claimed: bool,
    admins: BTreeSet<AccountId>,
}

impl Books {
    /// Takes in the next event of the stream. Says which rules it breaks.
    pub(super) fn check(&mut self, event: &CommerceEvent) -> Vec<(Rule, String)> {
        let results = match event {
            CommerceEvent::Stock(event) => vec![(Rule::Oversell, self.shelf.take_in(event))],
            CommerceEvent::Payment(event) => vec![(Rule::Payment, self.paid.take_in(event))],
            CommerceEvent::Promotion(event) => vec![(Rule::Promotion, self.uses.take_in(event))],
            CommerceEvent::Order(event) => {
                let totals = if let OrderEvent::OrderPlaced(order) = event { totals(order) } else { Ok(()) };
                vec![(Rule::Order, self.order.take_in(event)), (Rule::Totals, totals)]
            }
            CommerceEvent::Adjustment(AdjustmentEvent::CreditNoteIssued(note)) => vec![(Rule::Totals, credit(note))],
            CommerceEvent::Claim(event) => vec![(Rule::Claim, self.claim(event))],
            CommerceEvent::Roster(event) => vec![(Rule::Admins, self.roster(event))],
            _ => Vec::new(),
        };
        results.into_iter().filter_map(|(rule, result)| result.err().map(|message| (rule, message))).collect()
    }

    fn claim(&mut self, event: &ClaimEvent) -> Result<(), String> {
        let (is_taken, what) = match event {
            ClaimEvent::ClaimTaken(_) => (true, "taken while it was held"),
            ClaimEvent::ClaimReleased(_) => (false, "released while nobody held it"),
        };
        let was_taken = std::mem::replace(&mut self.is_claimed, is_taken);
        if was_taken == is_taken { Err(format!("the name was {what}")) } else { Ok(()) }
    }

    fn roster(&mut self, event: &RosterEvent) -> Result<(), String> {
        match event {
            RosterEvent::AdminAdded(added) if !self.admins.insert(added.account_id) => {
                Err(format!("account {} was made an administrator twice", added.account_id))
            }
            RosterEvent::AdminRemoved(removed) if !self.admins.remove(&removed.account_id) => {
                Err(format!("account {} was no administrator", removed.account_id))
            }
            RosterEvent::AdminRemoved(_) if self.admins.is_empty() => Err("nobody is left to administer the shop".to_owned()),
            RosterEvent::AdminAdded(_) | RosterEvent::AdminRemoved(_) => Ok(()),
        }
    }
}

/// One SKU at one location. In 128 bits no sum of recorded quantities overflows.
#[derive(Default)]
struct Shelf {
    on_hand: i128,
    reserved: i128,
    backorder_limit: i128,
    orders: BTreeMap<OrderId, i128>,
}

impl Shelf {
    /// What is left to promise. A count may find less than was promised, which is nobody's decision; but nothing may be
    /// promised or taken away out of what is not there.
    fn left(&self) -> i128 {
        self.on_hand + self.backorder_limit - self.reserved
    }

    fn take_in(&mut self, event: &StockEvent) -> Result<(), String> {
        match event {
            StockEvent::StockReceived(event) => self.on_hand += i128::from(event.quantity),
            StockEvent::StockReturned(event) => self.on_hand += i128::from(event.quantity),
            StockEvent::StockTransferredIn(event) => self.on_hand += i128::from(event.quantity),
            StockEvent::StockCounted(event) => self.on_hand = event.counted.into(),
            StockEvent::StockAdjusted(event) => {
                self.on_hand += i128::from(event.delta);
                if event.delta < 0 && self.reserved > 0 {
                    return self.taken(&format!("a correction took {}", event.delta.unsigned_abs()));
                }
            }
            StockEvent::StockPolicySet(event) => {
                let before = std::mem::replace(&mut self.backorder_limit, event.backorder_limit.into());
                if self.backorder_limit < before && self.reserved > 0 {
                    return self.taken(&format!("the backorder limit was lowered from {before}, as if nobody waited for"));
                }
            }
            StockEvent::ReservationCommitted(_) => {}
            StockEvent::ReservationReleased(event) => {
                let (order, quantity) = (event.order_id, i128::from(event.quantity));
                let held = self.unreserve(order, quantity);
                if held < quantity {
                    return Err(format!("order {order} gave back {quantity} units of {held} reserved"));
                }
            }
            StockEvent::StockReserved(event) => {
                self.reserved += i128::from(event.quantity);
                *self.orders.entry(event.order_id).or_default() += i128::from(event.quantity);
                return self.taken(&format!("order {} reserved {}", event.order_id, event.quantity));
            }
            StockEvent::StockShipped(event) => {
                let reserved = self.unreserve(event.order_id, event.quantity.into());
                self.on_hand -= i128::from(event.quantity);
                if reserved < event.quantity.into() {
                    return self.taken(&format!("order {} was sent {}", event.order_id, event.quantity));
                }
            }
            StockEvent::StockTransferredOut(event) => {
                self.on_hand -= i128::from(event.quantity);
                return self.taken(&format!("{} was sent {}", event.to, event.quantity));
            }
        }
        Ok(())
    }

    fn taken(&self, what: &str) -> Result<(), String> {
        if self.left() >= 0 {
            return Ok(());
        }
        let Self { on_hand, reserved, backorder_limit, .. } = self;
        Err(format!("{what} units: {reserved} reserved of {on_hand} on hand, with {backorder_limit} on backorder at most"))
    }

    /// Takes up to `quantity` units off an order's reservation, and says how many it took.
    fn unreserve(&mut self, order: OrderId, quantity: i128) -> i128 {
        let held = self.orders.get(&order).copied().unwrap_or_default();
        let taken = held.min(quantity);
        if taken == held {
            self.orders.remove(&order)
        } else {
            self.orders.insert(order, held - taken)
        };
        self.reserved -= taken;
        taken
    }
}

/// One payment, in the currency it was opened in.
#[derive(Default)]
struct Paid {
    currency: Option<Currency>,
    /// Whether the gateway holds money to be captured. Else a capture is an authorisation as well: a sale at once.
    holds: bool,
    authorised: i64,
    captured: i64,
    refunded: i64,
}

impl Paid {
    fn take_in(&mut self, event: &PaymentEvent) -> Result<(), String> {
        match event {
            PaymentEvent::PaymentOpened(event) => {
                self.currency = Some(event.amount.currency);
                return Ok(());
            }
            PaymentEvent::PaymentAuthorised(event) => {
                self.authorised = self.sum(self.authorised, event.amount)?;
                self.holds = true;
            }
            PaymentEvent::PaymentCaptured(event) => {
                self.captured = self.sum(self.captured, event.amount)?;
                if !self.holds {
                    self.authorised = self.sum(self.authorised, event.amount)?;
                }
            }
            PaymentEvent::PaymentRefunded(event) => self.refunded = self.sum(self.refunded, event.amount)?,
            PaymentEvent::PaymentVoided(_) | PaymentEvent::PaymentExpired(_) => {
                self.authorised = self.captured;
                self.holds = false;
            }
            _ => return Ok(()),
        }
        let Self { authorised, captured, refunded, .. } = *self;
        if authorised >= captured && captured >= refunded {
            return Ok(());
        }
        Err(format!("{authorised} authorised, {captured} captured, {refunded} refunded (minor units)"))
    }

    fn sum(&self, so_far: i64, amount: Money) -> Result<i64, String> {
        if Some(amount.currency) != self.currency {
            let opened = self.currency.map_or("not opened".to_owned(), |currency| format!("in {currency}"));
            return Err(format!("{amount} was moved for a payment {opened}"));
        }
        if amount.minor <= 0 {
            return Err(format!("{amount} was moved"));
        }
        so_far.checked_add(amount.minor).ok_or_else(|| format!("{amount} more does not fit in minor units"))
    }
}

/// How often a promotion is used.
#[derive(Default)]
struct Uses {
    limit: Option<u32>,
    used: u32,
}

impl Uses {
    fn take_in(&mut self, event: &PromotionEvent) -> Result<(), String> {
        match event {
            PromotionEvent::PromotionCreated(event) => self.limit = event.usage_limit,
            PromotionEvent::PromotionRedeemed(_) => self.used = self.used.saturating_add(1),
            PromotionEvent::PromotionRestored(_) => self.used = self.used.saturating_sub(1),
            PromotionEvent::PromotionEnded(_) => {}
        }
        match self.limit {
            Some(limit) if self.used > limit => Err(format!("used {} times, of {limit} at most", self.used)),
            _ => Ok(()),
        }
    }
}

fn totals(order: &OrderPlaced) -> Result<(), String> {
    let amounts = || {
        let lines = order.lines.iter().map(|line| (line.net_minor, line.tax_minor, line.gross_minor));
        lines.chain(order.charges.iter().map(|charge| (charge.net_minor, charge.tax_minor, charge.gross_minor)))
    };
    if let Some((net, tax, gross)) = amounts().find(|(net, tax, gross)| net.checked_add(*tax) != Some(*gross)) {
        return Err(format!("a line or charge has net {net} and tax {tax}, but gross {gross}"));
    }
    let sum = |of: fn((i64, i64, i64)) -> i64| amounts().map(|amounts| i128::from(of(amounts))).sum::<i128>();
    let shipping = order.charges.iter().filter(|charge| charge.kind == ChargeKind::Shipping);
    let sums = [
        ("net", sum(|amounts| amounts.0), order.totals.net_minor),
        ("tax", sum(|amounts| amounts.1), order.totals.tax_minor),
        ("gross", sum(|amounts| amounts.2), order.totals.gross_minor),
        ("shipping", shipping.map(|charge| i128::from(charge.gross_minor)).sum(), order.totals.shipping_minor),
        ("discount", order.lines.iter().map(|line| i128::from(line.discount_minor)).sum(), order.totals.discount_minor),
    ];
    match sums.iter().find(|(_, sum, total)| *sum != i128::from(*total)) {
        Some((what, sum, total)) => Err(format!("order {} has {what} {total}, and its parts sum to {sum}", order.number)),
        None => Ok(()),
    }
}

fn credit(note: &CreditNoteIssued) -> Result<(), String> {
    let (sum, total) = (note.lines.iter().map(|line| i128::from(line.amount_minor)).sum::<i128>(), note.total.minor);
    if sum == i128::from(total) {
        Ok(())
    } else {
        Err(format!("credit note {} has {total}, and its lines sum to {sum}", note.number))
    }
}
