//! How a world ends: the faults stop, time passes until every deadline has come, and then nothing may be stuck, the gateway's
//! books must be ours, and the views must say what the log says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use event_schemas::Timestamp;
use uuid::Uuid;

use super::{
    model::{Attempt, Cart, MINUTE, Model},
    node::Nodes,
    views,
    world::World,
};

const PROCESSES: [&str; 3] = ["gateway", "orders", "deadlines"];
/// How often an operator takes up the same dead letter.
const MOST_RETRIES: u32 = 3;

/// Lets everything come to its end and looks at what is left.
pub async fn close(world: &Arc<World>, nodes: &Arc<Nodes>) {
    world.note(format_args!("all is calm"));
    for node in 0..world.profile.nodes {
        world.skew(node, 0);
    }
    let mut retried = BTreeMap::new();
    // Clocks were wrong by up to an hour, and what was set by one that was fast comes later by as much.
    for _ in 0..12 {
        if !settled(world, nodes).await {
            return;
        }
        retry_dead_letters(world, nodes, &mut retried).await;
        world.let_time_pass(20 * MINUTE);
    }
    if settled(world, nodes).await {
        let findings = stuck(world, nodes);
        findings.into_iter().for_each(|finding| world.find(finding));
        if !world.has_failed() {
            views::compare(world);
        }
    }
}

/// Waits until every process has come to the end of the log and nothing is due.
async fn settled(world: &Arc<World>, nodes: &Arc<Nodes>) -> bool {
    let mut quiet = 0;
    for _ in 0..1200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = Timestamp::from_timestamp_micros(world.now(0)).unwrap();
        let busy = {
            let truth = &world.contents().truth;
            let head = truth.head().position;
            PROCESSES.iter().any(|name| truth.checkpoint(name) != head || !truth.due_tasks(name, now, 1).is_empty())
        };
        quiet = if busy || !nodes.all_up() { 0 } else { quiet + 1 };
        if quiet == 2 || world.has_failed() {
            return !world.has_failed();
        }
    }
    world.find("the processes never come to the end of the log".to_owned());
    false
}

async fn retry_dead_letters(world: &Arc<World>, nodes: &Arc<Nodes>, retried: &mut BTreeMap<String, u32>) {
    let letters = world.contents().truth.dead_letters();
    for letter in letters {
        let times = retried.entry(format!("{} {}", letter.process, letter.key)).or_default();
        *times += 1;
        if *times > MOST_RETRIES {
            return world.find(format!("a dead letter stays dead: {letter:?}"));
        }
        if let Some(node) = nodes.any() {
            node.processes.retry(&letter.process, &letter.key).await.expect("all is calm");
        }
    }
}

/// What has not come to where it had to.
fn stuck(world: &World, nodes: &Nodes) -> Vec<String> {
    let (contents, accounts) = (world.contents(), nodes.till.accounts());
    let model = &contents.auditor.model;
    let now = world.now(0);
    let mut findings = Vec::new();
    for (id, payment) in &model.payments {
        let account = accounts.get(id).cloned().unwrap_or_default();
        let waits = payment.attempt == Attempt::Asked || payment.void_requested || payment.pending() > 0;
        if waits || payment.capturing > 0 {
            findings.push(format!("payment {id} waits for the gateway for ever: {payment:?}"));
        }
        if (account.captured, account.refunded) != (payment.captured, payment.refunded) {
            findings.push(format!("payment {id}: the gateway has {account:?}, we have {payment:?}"));
        }
        let order = &model.orders[&payment.order];
        if (order.received, order.refunded) != (payment.captured, payment.refunded) {
            findings.push(format!("order {}: its money is not that of its payment: {order:?} {payment:?}", payment.order));
        }
        // Of a hold that was taken in part the rest is not yet let go when it runs out: a known gap.
        if payment.hold() > 0 && payment.captured == 0 && payment.held_until.is_some_and(|until| until <= now) {
            findings.push(format!("payment {id} counts on a hold that has run out: {payment:?}"));
        }
        if order.closed() && payment.hold() > 0 {
            findings.push(format!("order {} is closed and money is held for it: {payment:?}", payment.order));
        }
    }
    for (id, order) in &model.orders {
        findings.extend(stuck_order(model, *id, order, now));
    }
    for (id, cart) in &model.carts {
        if matches!(cart, Cart::Open(open) if open.expires_at <= now) {
            findings.push(format!("cart {id} never expires: {cart:?}"));
        }
    }
    findings
}

fn stuck_order(model: &Model, id: Uuid, order: &super::model::Order, now: i64) -> Option<String> {
    let held: Vec<_> = model.shelves.iter().filter_map(|(shelf, stock)| Some((shelf, *stock.held.get(&id)?))).collect();
    let payment = order.payment.map(|id| &model.payments[&id]);
    let secured = payment.is_some_and(|payment| payment.authorised() - payment.refunded >= order.due);
    let late = order.pay_by.is_some_and(|until| until <= now);
    let failed = payment.is_some_and(|payment| payment.refunds.values().any(|refund| *refund == super::model::Refund::Failed));
    if order.closed() {
        let left = payment.map_or(0, super::model::Payment::refundable);
        return match (held.is_empty(), left > 0 && !failed) {
            (false, _) => Some(format!("order {id} is closed and holds {held:?}")),
            (_, true) => Some(format!("order {id} is closed and {left} of its money stays: {order:?} {payment:?}")),
            _ => None,
        };
    }
    if !order.paid {
        return (late && !secured).then(|| format!("order {id} is neither paid nor given up: {order:?} {payment:?}"));
    }
    let shares = order.shares.iter().map(|share| share.quantity - share.shipped).sum::<i64>();
    let set_aside = held.iter().map(|(_, (units, _))| units).sum::<i64>();
    let committed = held.iter().all(|(_, (_, paid))| *paid);
    (shares != set_aside || !committed)
        .then(|| format!("order {id} is paid and has not what it was promised: {held:?} {order:?}"))
}
