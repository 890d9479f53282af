//! The auditor: sees every command that is issued, every event that is written and every answer that is given, and says what
//! must not be.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
};

use domain::GatewayOutcome;
use engine::{CommandError, Fault, Outcome};
use event_schemas::{CommerceEvent, Idempotency, Metadata, OrderFacts, Position, Recorded, StreamId};
use serde_json::Value;
use uuid::Uuid;

use super::{ask::Ask, model::Model};

/// What a command must be answered, as far as the model can tell before it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Done,
    NothingToDo,
    Refused(&'static str),
    Repeated(Position),
    KeyReused,
}

/// A command that someone issued.
#[derive(Debug)]
struct Issued {
    ask: Ask,
    now: i64,
    key: Option<Idempotency>,
    /// Where the log ended when it was issued.
    issued_at: Position,
    /// What would have been right at some place of the log since.
    right: BTreeSet<Verdict>,
    /// Its events, once they are written: first and last position.
    written: Option<(Position, Position)>,
    /// The caller was told that nothing was written.
    denied: bool,
}

/// Who knows what was right when.
#[derive(Debug, Default)]
pub struct Auditor {
    pub model: Model,
    issued: BTreeMap<Uuid, Issued>,
    /// Commands that wait for their answer.
    waiting: Vec<Uuid>,
    /// The command that used each idempotency scope, with its fingerprint and its last position.
    keys: BTreeMap<String, (String, Position)>,
    sequences: HashMap<StreamId, u64>,
    facts: BTreeMap<String, OrderFacts>,
    /// Type, stream and position of every event, by its id.
    events: HashMap<Uuid, (String, String, Position)>,
    /// What the gateway said in answer to each request, by the id of the event that asked.
    said: HashMap<Uuid, Vec<Vec<GatewayOutcome>>>,
    recorded_at: i64,
    latest_clock: i64,
    /// How often each thing happened: events by type, refusals by code, other answers by name.
    pub counts: BTreeMap<String, u64>,
}

type Findings = Vec<String>;

impl Auditor {
    pub fn clock_showed(&mut self, now: i64) {
        self.latest_clock = self.latest_clock.max(now);
    }

    pub fn gateway_said(&mut self, request: Uuid, outcomes: Vec<GatewayOutcome>) {
        let said = self.said.entry(request).or_default();
        if !said.contains(&outcomes) {
            said.push(outcomes);
        }
    }

    fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    /// A command is on its way to a node.
    pub fn issue(&mut self, id: Uuid, ask: &Ask, now: i64, key: Option<Idempotency>, head: Position) {
        let (right, ask) = (BTreeSet::new(), ask.clone());
        let mut issued = Issued { ask, now, key, issued_at: head, right, written: None, denied: false };
        issued.right.insert(self.right_now(&issued));
        self.issued.insert(id, issued);
        self.waiting.push(id);
    }

    /// What a command must be answered if it is decided at this place of the log.
    fn right_now(&self, issued: &Issued) -> Verdict {
        if let Some(key) = &issued.key
            && let Some((fingerprint, position)) = self.keys.get(&key.scope)
        {
            return if *fingerprint == key.fingerprint { Verdict::Repeated(*position) } else { Verdict::KeyReused };
        }
        match self.model.predict(&issued.ask, issued.now) {
            Err(code) => Verdict::Refused(code),
            Ok(effects) if effects.is_empty() => Verdict::NothingToDo,
            Ok(_) => Verdict::Done,
        }
    }

    /// Looks at what was just written, command by command.
    pub fn observe(&mut self, written: &[Recorded]) -> Findings {
        let mut findings = Vec::new();
        let mut rest = written;
        while let Some(first) = rest.first() {
            let metadata = first.metadata().expect("the engine writes metadata that can be read");
            let same = |event: &&Recorded| event.metadata().is_ok_and(|other| other.command_id == metadata.command_id);
            let (command, after) = rest.split_at(rest.iter().take_while(same).count());
            rest = after;
            let payloads: Vec<Value> = command.iter().map(|event| serde_json::from_str(&event.event.payload).unwrap()).collect();
            findings.extend(self.wrong_command(&metadata, command, &payloads));
            for (event, payload) in command.iter().zip(&payloads) {
                findings.extend(self.wrong_record(event));
                let stream = &event.event.stream;
                self.model.fold(&stream.aggregate_type, &stream.aggregate_id, &event.event.event_type, payload);
                findings.extend(self.broken_promise(event));
                self.count(&event.event.event_type);
            }
            let last = command.last().map_or(0, |last| last.position);
            if let Some(key) = metadata.idempotency {
                self.keys.insert(key.scope, (key.fingerprint, last));
            }
            self.look_at_waiting();
        }
        findings
    }

    /// At this place of the log, too, every waiting command may be decided.
    fn look_at_waiting(&mut self) {
        let waiting = mem::take(&mut self.waiting);
        for id in &waiting {
            let right = self.right_now(&self.issued[id]);
            self.issued.entry(*id).and_modify(|issued| {
                issued.right.insert(right);
            });
        }
        self.waiting = waiting;
    }

    /// Whether the events of one command are what it had to lead to.
    fn wrong_command(&mut self, metadata: &Metadata, events: &[Recorded], payloads: &[Value]) -> Option<String> {
        let (first, last) = (events.first()?.position, events.last()?.position);
        let what = |asked: &dyn std::fmt::Debug, right: &dyn std::fmt::Debug| {
            let kinds: Vec<_> = events.iter().map(|event| format!("{} {}", event.event.stream, event.event.event_type)).collect();
            Some(format!(
                "positions {first} to {last}: {asked:?} by {} led to {kinds:?} {payloads:?}, but {right:?} is right",
                metadata.actor
            ))
        };
        if let Some(key) = &metadata.idempotency
            && self.keys.contains_key(&key.scope)
        {
            return Some(format!("position {first}: the idempotency key {} was used before", key.scope));
        }
        if let Some(mut issued) = self.issued.remove(&metadata.command_id) {
            let answer = self.model.predict(&issued.ask, issued.now);
            let twice = issued.written.replace((first, last)).is_some() || issued.denied || issued.key != metadata.idempotency;
            let fits = issued.ask == Ask::Open || answer.as_ref().is_ok_and(|effects| fit(effects, events, payloads));
            let finding = match (twice, fits) {
                (true, _) => Some(format!("position {first}: {issued:?} is written twice or was denied")),
                (_, false) => what(&issued.ask, &answer),
                _ => None,
            };
            self.issued.insert(metadata.command_id, issued);
            return finding;
        }
        let candidates = self.candidates(metadata);
        let answers: Vec<_> = candidates.iter().map(|ask| self.model.predict(ask, self.latest_clock)).collect();
        let fits = answers.iter().any(|answer| answer.as_ref().is_ok_and(|effects| fit(effects, events, payloads)));
        if fits { None } else { what(&candidates, &answers) }
    }

    /// What a process may ask because of the event that it names as the cause.
    fn candidates(&self, metadata: &Metadata) -> Vec<Ask> {
        let Some(process) = metadata.actor.strip_prefix("process:") else { return Vec::new() };
        let Some((cause, (kind, id, _))) = metadata.causation_id.and_then(|id| self.events.get_key_value(&id)) else {
            return Vec::new();
        };
        let refund = Uuid::new_v5(cause, b"refund");
        let Ok(id) = id.parse::<Uuid>() else { return Vec::new() };
        match (process, kind.as_str()) {
            ("gateway", _) => {
                let said = self.said.get(cause).into_iter().flatten();
                said.map(|outcomes| Ask::Report { payment: id, outcomes: outcomes.clone() }).collect()
            }
            ("orders", "PaymentCaptured") => {
                vec![Ask::RecordPayment { payment: id, refund }, Ask::VoidHoldOfClosedOrder { payment: id }]
            }
            ("orders", "PaymentAuthorised" | "PaymentDeclined") => vec![Ask::VoidHoldOfClosedOrder { payment: id }],
            ("orders", "PaymentDisputeClosed") => vec![Ask::GiveBackToClosedOrder { payment: id, refund }],
            ("orders", "PaymentRefunded") => vec![Ask::RecordRefund { payment: id }],
            ("orders", "PaymentVoided" | "PaymentExpired") => vec![Ask::CancelUnpaid { payment: id, refund }],
            ("deadlines", "CartCreated") => vec![Ask::ExpireCart { cart: id }],
            ("deadlines", "OrderPlaced") => vec![Ask::ExpireOrder { order: id, refund }],
            ("deadlines", "PaymentAuthorised") => vec![Ask::ExpirePayment { payment: id }],
            _ => Vec::new(),
        }
    }

    /// Whether an event stands where and when it must.
    fn wrong_record(&mut self, event: &Recorded) -> Option<String> {
        let Recorded { position, event: proposed, .. } = event;
        let sequence = self.sequences.entry(proposed.stream.clone()).or_default();
        *sequence += 1;
        let names = (proposed.event_type.to_string(), proposed.stream.aggregate_id.clone(), *position);
        let known = self.events.insert(proposed.event_id, names);
        let recorded_at = proposed.recorded_at.timestamp_micros();
        let before = self.recorded_at;
        self.recorded_at = before.max(recorded_at);
        if *position != self.events.len() as Position || known.is_some() {
            return Some(format!("position {position} is not the next, or its event was there before"));
        }
        if proposed.sequence != *sequence {
            let stream = &proposed.stream;
            return Some(format!("position {position}: {stream} goes on at {}, not at {sequence}", proposed.sequence));
        }
        let later = recorded_at > self.latest_clock.max(before);
        (recorded_at < before || later)
            .then(|| format!("position {position}: it was recorded before the one in front of it, or later than now"))
    }

    /// What must hold after every event, however it came about.
    fn broken_promise(&mut self, event: &Recorded) -> Option<String> {
        let (kind, id) = (&*event.event.event_type, &event.event.stream.aggregate_id);
        let position = event.position;
        match event.decode().expect("today's events can be read").as_slice() {
            [CommerceEvent::Stock(_)] if kind == "StockReserved" => {
                let (sku, place) = id.split_once('@')?;
                let stock = self.model.shelf(&(sku.to_owned(), place.to_owned()));
                let oversold = stock.set_aside() + stock.safety > stock.on_hand + stock.backorder;
                oversold.then(|| format!("position {position}: {id} is oversold: {stock:?}"))
            }
            [CommerceEvent::Payment(_)] => {
                let payment = &self.model.payments[&id.parse().ok()?];
                let (out, own) = (payment.refunded, payment.captured);
                let unsound = payment.kept() < 0 || own < out || payment.authorised() < own;
                unsound.then(|| format!("position {position}: more goes back than came in: {payment:?}"))
            }
            [CommerceEvent::Order(event)] => {
                let facts = self.facts.entry(id.clone()).or_default();
                facts.evolve(event);
                let order = &self.model.orders[&id.parse().ok()?];
                let status = format!("{:?}", facts.status());
                let same = status == order.status() && facts.received_minor == order.received && facts.paid == order.paid;
                (!same).then(|| format!("position {position}: the order is {status}, and {} for the model", order.status()))
            }
            _ => None,
        }
    }

    /// The caller will never know what became of the command.
    pub fn abandon(&mut self, id: Uuid) {
        self.waiting.retain(|waiting| *waiting != id);
        self.count("no answer");
    }

    /// The caller was answered: is it right, and true?
    pub fn answered(&mut self, id: Uuid, answer: &Result<Outcome, CommandError>, log: &[Recorded]) -> Option<String> {
        self.waiting.retain(|waiting| *waiting != id);
        let issued = self.issued.get_mut(&id)?;
        // Set for what is answered in the last arm below.
        issued.denied = matches!(
            answer,
            Err(CommandError::Overloaded { .. } | CommandError::Fault(Fault::NotWritten(_) | Fault::NotRead(_) | Fault::Stopping))
        );
        let issued = &*issued;
        let untrue = |why: &str| Some(format!("{why}: {answer:?} for {issued:?}"));
        let head = log.len() as Position;
        let (verdict, name) = match answer {
            Ok(Outcome { position, changes, repeated: true }) => {
                if !holds(log, *position, changes) {
                    return untrue("the first answer is another one");
                }
                (Verdict::Repeated(*position), "repeated")
            }
            Ok(Outcome { changes, position, .. }) if changes.is_empty() => {
                if !(issued.issued_at..=head).contains(position) {
                    return untrue("the position is none that the log ended at meanwhile");
                }
                (Verdict::NothingToDo, "nothing to do")
            }
            Ok(Outcome { changes, position, .. }) => {
                let written = issued.written.is_some_and(|(_, last)| last == *position) && holds(log, *position, changes);
                if !written {
                    return untrue("what was acknowledged is not in the log");
                }
                self.count("done");
                return None;
            }
            Err(CommandError::Refused(refusal)) => (Verdict::Refused(refusal.code()), refusal.code()),
            Err(CommandError::IdempotencyKeyReused) => (Verdict::KeyReused, "key reused"),
            Err(CommandError::Fault(Fault::OutcomeUnknown(_))) => {
                self.count("unknown");
                return None;
            }
            Err(CommandError::Fault(Fault::Broken(_) | Fault::Unreadable(_) | Fault::HistoryLost(_))) => {
                return untrue("the engine broke");
            }
            Err(CommandError::Fault(_) | CommandError::Overloaded { .. }) => {
                let lie = issued.written.is_some();
                let finding = if lie { untrue("what was said not to be written is in the log") } else { None };
                self.count("not written");
                return finding;
            }
        };
        let wrong = !issued.right.contains(&verdict) || issued.written.is_some();
        let finding = if wrong { untrue("the answer was never right while it was waited for") } else { None };
        self.count(name);
        finding
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// Whether the log holds these changes, ending at a position, and nothing else.
fn holds(log: &[Recorded], position: Position, changes: &[domain::Change]) -> bool {
    let end = usize::try_from(position).unwrap();
    let Some(events) = end.checked_sub(changes.len()).and_then(|start| log.get(start..end)) else { return false };
    !changes.is_empty()
        && events.iter().zip(changes).all(|(event, change)| {
            event.event.stream == change.stream && change.event.payload().is_ok_and(|payload| payload == event.event.payload)
        })
}

fn fit(effects: &[super::model::Effect], events: &[Recorded], payloads: &[Value]) -> bool {
    let pairs = || effects.iter().zip(events.iter().zip(payloads));
    effects.len() == events.len() && pairs().all(|(effect, (event, payload))| effect.is(event, payload))
}
