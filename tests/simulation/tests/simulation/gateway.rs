//! A payment gateway with books of its own, that answers late, twice or never, and sends webhooks before or after.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use domain::{GatewayAction, GatewayOutcome, GatewayRequest};
use engine::{Gateway, GatewayError};
use event_schemas::{Timestamp, to_micros};
use uuid::Uuid;

use super::{
    ask::euros,
    bugs::Bug,
    world::{Life, World},
};

/// What the gateway did for one payment, in minor units.
#[derive(Debug, Default, Clone)]
pub struct Account {
    held: i64,
    pub captured: i64,
    pub refunded: i64,
}

#[derive(Default)]
struct Books {
    /// The answer to each request, by its idempotency key.
    answers: BTreeMap<Uuid, Vec<GatewayOutcome>>,
    accounts: BTreeMap<Uuid, Account>,
    /// Reports that are still to be sent as webhooks.
    webhooks: Vec<(Uuid, Vec<GatewayOutcome>)>,
}

/// The gateway itself, outside of every node.
#[derive(Default)]
pub struct Till(Mutex<Books>);

impl Till {
    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.0.lock().expect("nothing panicked over the books")
    }

    pub fn accounts(&self) -> BTreeMap<Uuid, Account> {
        self.books().accounts.clone()
    }

    /// A report that some webhook is to bring, at random.
    pub fn webhook(&self, world: &World) -> Option<(Uuid, Vec<GatewayOutcome>)> {
        let books = self.books();
        let most = books.webhooks.len() as u64;
        (most > 0).then(|| books.webhooks[usize::try_from(world.below(most)).unwrap()].clone())
    }

    /// Does what is asked, once per key.
    fn carry_out(&self, world: &World, key: Uuid, request: &GatewayRequest) -> Vec<GatewayOutcome> {
        let draw = world.below(1000);
        let mut books = self.books();
        if let Some(answer) = books.answers.get(&key) {
            return answer.clone();
        }
        let payment = request.payment_id.0;
        let account = books.accounts.entry(payment).or_default();
        let answer = act(account, &request.action, key, draw, world);
        books.answers.insert(key, answer.clone());
        books.webhooks.push((payment, answer.clone()));
        answer
    }
}

fn act(account: &mut Account, action: &GatewayAction, key: Uuid, draw: u64, world: &World) -> Vec<GatewayOutcome> {
    let gateway_reference = format!("ref_{}", key.simple());
    let declined = || {
        let (code, message) = ("declined".to_owned(), "not today".to_owned());
        vec![GatewayOutcome::Declined { code, message }]
    };
    match action {
        GatewayAction::Confirm { token, .. } if token == "decline" => declined(),
        GatewayAction::Confirm { token, .. } if token == "action" => {
            vec![GatewayOutcome::ActionRequired { action_url: "https://gateway.invalid/3ds".to_owned(), gateway_reference }]
        }
        GatewayAction::Confirm { capture, amount, .. } => {
            account.held += amount.minor;
            let until = world.now(0) + i64::try_from(draw).unwrap() * 2_000_000;
            let expires_at =
                (!capture && draw.is_multiple_of(3)).then(|| to_micros(Timestamp::from_timestamp_micros(until).unwrap()));
            let held = GatewayOutcome::Authorised { amount: *amount, gateway_reference: gateway_reference.clone(), expires_at };
            if !capture {
                return vec![held];
            }
            account.captured += amount.minor;
            vec![held, GatewayOutcome::Captured { amount: *amount, gateway_reference }]
        }
        GatewayAction::Capture { amount } if amount.minor > account.held - account.captured => declined(),
        GatewayAction::Capture { amount } => {
            account.captured += amount.minor;
            vec![GatewayOutcome::Captured { amount: *amount, gateway_reference }]
        }
        GatewayAction::Void => {
            account.held = account.captured;
            vec![GatewayOutcome::Voided { gateway_reference }]
        }
        GatewayAction::Refund { refund_id, .. } if draw < 60 => {
            vec![GatewayOutcome::RefundFailed { refund_id: *refund_id, reason: "not today".to_owned() }]
        }
        GatewayAction::Refund { refund_id, amount } => {
            account.refunded += amount.minor;
            vec![GatewayOutcome::Refunded { refund_id: *refund_id, amount: euros(amount.minor), gateway_reference }]
        }
    }
}

/// The way of one node to the gateway.
pub struct NodeGateway {
    pub world: Arc<World>,
    pub life: Arc<Life>,
    pub till: Arc<Till>,
}

#[async_trait]
impl Gateway for NodeGateway {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn call(&self, request: &GatewayRequest, attempt: u32) -> Result<Vec<GatewayOutcome>, GatewayError> {
        let (world, fails) = (&self.world, self.world.profile.gateway_fails);
        let never = matches!(&request.action, GatewayAction::Confirm { token, .. } if token == "never");
        world.delay(30).await;
        if self.life.is_dead() {
            std::future::pending::<()>().await;
        }
        if world.chance(fails) || (never && !world.is_calm()) {
            return Err(GatewayError::Unavailable("simulated".to_owned()));
        }
        let key = if world.bites(Bug::ActsTwice, 1000) { world.new_id() } else { request.idempotency_key };
        let answer = self.till.carry_out(world, key, request);
        world.note(format_args!("the gateway, asked {attempt} times before, for {}: {answer:?}", request.payment_id.0));
        if world.chance(fails) {
            // The money has moved, and the answer comes too late.
            tokio::time::sleep(Duration::from_secs(world.below(5))).await;
        }
        world.delay(30).await;
        if self.life.is_dead() {
            std::future::pending::<()>().await;
        }
        let twice = world.chance(world.profile.gateway_twice);
        let answer: Vec<_> = if twice { answer.into_iter().flat_map(|one| [one.clone(), one]).collect() } else { answer };
        world.contents().auditor.gateway_said(request.idempotency_key, answer.clone());
        Ok(answer)
    }
}
