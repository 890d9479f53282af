//! The driver of processes: reads the log for each, submits what follows, calls gateways, and keeps its place.
//!
//! A process may repeat itself after a crash; its commands carry ids derived from the event they answer, so a repeat is
//! recognised. Work that cannot be done now is put off as a task (a deadline or a retry); what keeps failing becomes a
//! dead letter for an operator. Nothing holds up the events behind it, except a log that cannot be read or written.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use domain::{Decision, GatewayOutcome, GatewayRequest, Happened, Process, RecordGatewayOutcomes};
use event_schemas::{Idempotency, Metadata, Position, Recorded, Timestamp};
use event_store::{Log, Progress, Task};
use futures::{StreamExt, stream};
use tokio::{
    sync::{Mutex, Notify, watch},
    task::JoinHandle,
    time::Instant,
};
use uuid::Uuid;

use crate::{CommandError, Engine, Fault, Gateway};

/// Events read at once.
const PAGE: usize = 256;
/// Streams whose events are worked on at the same time.
const CONCURRENCY: usize = 64;
/// How long a process sleeps at most when nothing wakes it.
const POLL: Duration = Duration::from_millis(500);
/// How long a node keeps a process to itself after it last said so: another takes over that much later when it dies.
const TURN: Duration = Duration::from_secs(3);
/// How often a node that waits for its turn looks how far the other has come while somebody here waits for that.
const LOOK: Duration = Duration::from_millis(50);
/// How long one call to a gateway may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Failures after which work becomes a dead letter.
const MOST_ATTEMPTS: u32 = 8;
/// Marks the tasks that are retries rather than deadlines.
const RETRY: &str = "retry:";

/// How a process is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessStatus {
    /// Its name.
    pub name: &'static str,
    /// Everything up to here is done or put off.
    pub position: Position,
    /// Why it cannot go on, if it cannot; it keeps trying.
    pub stalled: Option<String>,
}

/// The processes of this node.
pub struct Processes {
    log: Arc<dyn Log>,
    engine: Engine,
    drivers: Vec<Arc<Driver>>,
    running: Mutex<Vec<JoinHandle<()>>>,
    stop: watch::Sender<bool>,
}

struct Driver {
    process: Box<dyn Process>,
    gateways: BTreeMap<&'static str, Arc<dyn Gateway>>,
    log: Arc<dyn Log>,
    engine: Engine,
    place: watch::Sender<Position>,
    /// Told when somebody begins to wait for the place.
    awaited: Notify,
    stalled: RwLock<Option<String>>,
    /// Who this node is among those that want the process's turn.
    holder: Uuid,
}

/// Whether it is this node's turn to work on a process, as far as it knows.
struct Turn {
    mine: bool,
    /// When to take or keep it again.
    ask_at: Instant,
}

/// Why a pass over events ended early.
enum Halt {
    /// The engine is stopping.
    Stopping,
    /// The log cannot be read or written now.
    Storage(String),
}

impl Processes {
    /// Starts one driver per process.
    pub fn start(log: Arc<dyn Log>, engine: Engine, processes: Vec<Box<dyn Process>>, gateways: &[Arc<dyn Gateway>]) -> Self {
        let (stop, stopping) = watch::channel(false);
        let by_name: BTreeMap<_, _> = gateways.iter().map(|gateway| (gateway.name(), gateway.clone())).collect();
        let driver = |process| {
            let (log, engine, gateways) = (log.clone(), engine.clone(), by_name.clone());
            let (place, awaited, stalled) = (watch::Sender::new(0), Notify::new(), RwLock::default());
            let holder = engine.ids().next();
            Arc::new(Driver { process, gateways, log, engine, place, awaited, stalled, holder })
        };
        let drivers: Vec<Arc<Driver>> = processes.into_iter().map(driver).collect();
        let running = drivers.iter().map(|driver| tokio::spawn(driver.clone().run(stopping.clone()))).collect();
        let running = Mutex::new(running);
        Self { log, engine, drivers, running, stop }
    }

    /// How each process is doing.
    pub fn status(&self) -> Vec<ProcessStatus> {
        let status = |driver: &Arc<Driver>| ProcessStatus {
            name: driver.process.name(),
            position: *driver.place.borrow(),
            stalled: driver.stalled.read().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        self.drivers.iter().map(status).collect()
    }

    /// Waits until every process has come past `position`. False when that takes longer than `patience`.
    pub async fn wait_for(&self, position: Position, patience: Duration) -> bool {
        let all = async {
            for driver in &self.drivers {
                let mut place = driver.place.subscribe();
                driver.awaited.notify_one();
                // The sender lives in the driver, so waiting cannot fail.
                let _ = place.wait_for(|place| *place >= position).await;
            }
        };
        tokio::time::timeout(patience, all).await.is_ok()
    }

    /// Takes a dead letter up again, at once, and gives it as it was; none if there is no such dead letter.
    ///
    /// # Errors
    /// When the engine's notes cannot be read or written.
    pub async fn retry(&self, process: &str, key: &str) -> Result<Option<Task>, Fault> {
        let letters = self.log.dead_letters().await?;
        let Some(letter) = letters.into_iter().find(|task| task.process == process && task.key == key) else {
            return Ok(None);
        };
        let again = Task { due_at: Some(self.engine.clock().now()), attempts: 0, ..letter.clone() };
        self.log.save_progress(Progress { process: process.to_owned(), put: vec![again], ..Progress::default() }).await?;
        Ok(Some(letter))
    }

    /// Stops every process after the events it is working on.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        for running in self.running.lock().await.drain(..) {
            if let Err(error) = running.await {
                tracing::error!(%error, "a process ended abnormally");
            }
        }
    }
}

impl Driver {
    async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut head = self.log.watch();
        let mut failures = 0;
        let mut turn = Turn { mine: false, ask_at: Instant::now() };
        // Without a word from outside, the end of whoever would say it is the word.
        while !*stopping.borrow() && stopping.has_changed().is_ok() {
            let wait = match self.turn(&mut turn).await {
                Ok(wait) => wait.unwrap_or_default(),
                Err(Halt::Stopping) => break,
                Err(Halt::Storage(reason)) => {
                    failures += 1;
                    tracing::warn!(process = self.process.name(), reason, "the process cannot go on for now");
                    self.stall(Some(reason));
                    tokio::select! {
                        biased;
                        _ = stopping.changed() => {}
                        () = tokio::time::sleep(back_off(failures, 0)) => {}
                    }
                    continue;
                }
            };
            failures = 0;
            self.stall(None);
            if wait > Duration::ZERO {
                tokio::select! {
                    biased;
                    _ = stopping.changed() => {}
                    // While another node has the turn, what happens is not for this one.
                    _ = head.changed(), if turn.mine => {}
                    () = self.awaited.notified(), if !turn.mine => {}
                    () = tokio::time::sleep(wait.min(POLL)) => {}
                }
            }
        }
        if let Err(error) = self.log.take_turn(self.process.name(), self.holder, Duration::ZERO).await {
            tracing::debug!(%error, "the process's turn was not given back; it ends by itself");
        }
    }

    /// Works when it is this node's turn; else looks how far the node has come whose turn it is. Gives how long to wait
    /// before the next look, none when there may be more to do at once.
    async fn turn(&self, turn: &mut Turn) -> Result<Option<Duration>, Halt> {
        let (name, now) = (self.process.name(), Instant::now());
        if turn.ask_at <= now {
            turn.mine = self.log.take_turn(name, self.holder, TURN).await?;
            // Early enough that one answer that comes late does not cost the turn.
            turn.ask_at = now + TURN / 3;
        }
        if turn.mine {
            return self.pass_in_turn(turn).await;
        }
        let place = self.log.checkpoint(name).await?;
        self.place.send_if_modified(|known| std::mem::replace(known, place) != place);
        Ok(Some(if self.place.receiver_count() > 0 { LOOK } else { POLL }))
    }

    /// Works, and holds on to the turn meanwhile: a gateway that does not answer makes a pass longer than a turn. When the turn
    /// was lost all the same, what is left is the other node's.
    async fn pass_in_turn(&self, turn: &mut Turn) -> Result<Option<Duration>, Halt> {
        tokio::select! {
            biased;
            more = self.pass() => Ok(if more? { None } else { Some(self.until_due().await) }),
            () = self.hold(turn) => Ok(None),
        }
    }

    /// Asks for the turn again and again, until it is lost. A look at the log that fails does not lose it before it has run out.
    async fn hold(&self, turn: &mut Turn) {
        let mut runs_out = turn.ask_at + (TURN - TURN / 3);
        loop {
            tokio::time::sleep_until(turn.ask_at).await;
            let asked = Instant::now();
            match self.log.take_turn(self.process.name(), self.holder, TURN).await {
                Ok(true) => (turn.ask_at, runs_out) = (asked + TURN / 3, asked + TURN),
                Err(_) if Instant::now() < runs_out => turn.ask_at = Instant::now() + TURN / 10,
                Ok(false) | Err(_) => break,
            }
        }
        turn.mine = false;
    }

    fn stall(&self, reason: Option<String>) {
        *self.stalled.write().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    async fn until_due(&self) -> Duration {
        let now = self.engine.clock().now();
        match self.log.next_due(self.process.name()).await {
            Ok(Some(due_at)) => (due_at - now).to_std().unwrap_or(Duration::from_millis(1)),
            Ok(None) | Err(_) => POLL,
        }
    }

    /// Works on the next events and on what is due. True when there may be more at once.
    async fn pass(&self) -> Result<bool, Halt> {
        let name = self.process.name();
        let now = self.engine.clock().now();
        let place = self.log.checkpoint(name).await?;
        self.place.send_if_modified(|known| std::mem::replace(known, place) != place);
        let due = self.log.due_tasks(name, now, PAGE).await?;
        let worked_off = !due.is_empty();
        if worked_off {
            self.work_off(due, now).await?;
        }
        let page = self.log.read(place, PAGE).await?;
        let Some(last) = page.last().map(|recorded| recorded.position) else { return Ok(worked_off) };
        let mut by_stream: BTreeMap<_, Vec<Recorded>> = BTreeMap::new();
        for recorded in page {
            by_stream.entry(recorded.event.stream.clone()).or_default().push(recorded);
        }
        let steps = by_stream.into_values().map(|events| self.react_in_order(events, now));
        let steps: Vec<_> = stream::iter(steps).buffered(CONCURRENCY).collect().await;
        let mut progress = Progress { process: name.to_owned(), checkpoint: Some(last), ..Progress::default() };
        for step in steps {
            step?.into_iter().for_each(|step| merge(&mut progress, step));
        }
        self.log.save_progress(progress).await?;
        self.place.send_replace(last);
        Ok(true)
    }

    /// Answers the events of one stream, one after the other.
    async fn react_in_order(&self, events: Vec<Recorded>, now: Timestamp) -> Result<Vec<Progress>, Halt> {
        let mut steps = Vec::new();
        for recorded in events {
            steps.push(self.react(&recorded, 0, now).await?);
        }
        Ok(steps)
    }

    /// Answers one event, for the first time or again after `attempts` failures.
    async fn react(&self, recorded: &Recorded, attempts: u32, now: Timestamp) -> Result<Progress, Halt> {
        let key = format!("{RETRY}{}", recorded.position);
        let mut progress = Progress { process: self.process.name().to_owned(), ..Progress::default() };
        let events = match recorded.decode() {
            Ok(events) => events,
            Err(error) => {
                progress.put.push(self.task(key, recorded, None, attempts + 1, error.to_string()));
                return Ok(progress);
            }
        };
        for (part, event) in events.iter().enumerate() {
            let reaction = self.process.react(&happened(recorded, event));
            let deadlines = reaction.deadlines.into_iter().map(|deadline| Task {
                process: self.process.name().to_owned(),
                key: deadline.key,
                position: recorded.position,
                due_at: Some(deadline.due_at),
                attempts: 0,
                last_error: None,
            });
            progress.put.extend(deadlines);
            progress.done.extend(reaction.settled);
            let own = reaction.decisions.into_iter().enumerate();
            let mut decisions: Vec<(String, Box<dyn Decision>)> =
                own.map(|(index, decision)| (format!("{part}/{index}"), decision)).collect();
            if let Some(call) = reaction.gateway_call {
                match self.call(&call, attempts).await {
                    Ok(outcomes) => {
                        // A gateway that is asked again may know more: only the same answer is the same command.
                        let name = format!("{part}/{outcomes:?}");
                        decisions.push((name, Box::new(RecordGatewayOutcomes { payment_id: call.payment_id, outcomes })));
                    }
                    Err(reason) => progress.put.push(self.put_off(key.clone(), recorded, attempts, reason, now)),
                }
            }
            for (name, decision) in decisions {
                let metadata = self.metadata(recorded, &name);
                if let Some(task) = self.submit(decision, metadata, key.clone(), recorded, attempts).await? {
                    progress.put.push(task);
                }
            }
        }
        Ok(progress)
    }

    /// Takes up tasks that are due: retries react to their event again, deadlines ask what is to be decided.
    async fn work_off(&self, due: Vec<Task>, now: Timestamp) -> Result<(), Halt> {
        let steps = due.into_iter().map(|task| self.take_up(task, now));
        let steps: Vec<_> = stream::iter(steps).buffered(CONCURRENCY).collect().await;
        let mut progress = Progress { process: self.process.name().to_owned(), ..Progress::default() };
        for step in steps {
            merge(&mut progress, step?);
        }
        Ok(self.log.save_progress(progress).await?)
    }

    async fn take_up(&self, task: Task, now: Timestamp) -> Result<Progress, Halt> {
        let page = self.log.read(task.position - 1, 1).await?;
        let Some(recorded) = page.first() else {
            return Err(Halt::Storage(format!("position {} is not in the log", task.position)));
        };
        let mut progress = if task.key.starts_with(RETRY) {
            self.react(recorded, task.attempts, now).await?
        } else {
            self.on_due(&task, recorded, now).await?
        };
        progress.done.push(task.key);
        Ok(progress)
    }

    async fn on_due(&self, task: &Task, recorded: &Recorded, now: Timestamp) -> Result<Progress, Halt> {
        let mut progress = Progress { process: self.process.name().to_owned(), ..Progress::default() };
        let events = match recorded.decode() {
            Ok(events) => events,
            Err(error) => {
                progress.put.push(self.task(task.key.clone(), recorded, None, task.attempts + 1, error.to_string()));
                return Ok(progress);
            }
        };
        for event in events {
            for (index, decision) in self.process.on_due(&happened(recorded, &event), now).into_iter().enumerate() {
                let metadata = self.metadata(recorded, &format!("due/{index}"));
                let put_off = self.submit(decision, metadata, task.key.clone(), recorded, task.attempts).await?;
                progress.put.extend(put_off);
            }
        }
        Ok(progress)
    }

    async fn call(&self, request: &GatewayRequest, attempts: u32) -> Result<Vec<GatewayOutcome>, String> {
        let Some(gateway) = self.gateways.get(request.gateway.as_str()) else {
            return Err(format!("there is no gateway named `{}`", request.gateway));
        };
        match tokio::time::timeout(CALL_TIMEOUT, gateway.call(request, attempts)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the gateway did not answer within {} ms", CALL_TIMEOUT.as_millis())),
        }
    }

    /// Submits a command. Gives the task to put off when it must be tried again or looked at.
    async fn submit(
        &self,
        decision: Box<dyn Decision>,
        metadata: Metadata,
        key: String,
        recorded: &Recorded,
        attempts: u32,
    ) -> Result<Option<Task>, Halt> {
        match self.engine.submit_in_turn(decision, metadata).await {
            Ok(_) => Ok(None),
            Err(CommandError::Refused(refusal)) => Ok(Some(match refusal.not_before() {
                Some(moment) => self.task(key, recorded, Some(moment), attempts, refusal.to_string()),
                None => self.task(key, recorded, None, attempts + 1, refusal.to_string()),
            })),
            Err(CommandError::Fault(Fault::Stopping)) => Err(Halt::Stopping),
            // One history that cannot be read, or one broken command, does not hold up the others.
            Err(CommandError::Fault(fault @ (Fault::Broken(_) | Fault::Unreadable(_)))) => {
                Ok(Some(self.task(key, recorded, None, attempts + 1, fault.to_string())))
            }
            Err(CommandError::IdempotencyKeyReused) => {
                Ok(Some(self.task(key, recorded, None, attempts + 1, CommandError::IdempotencyKeyReused.to_string())))
            }
            // Tried again from the same place, in the same order: what was done already is recognised.
            Err(CommandError::Overloaded { .. }) => Err(Halt::Storage("too many commands are waiting".to_owned())),
            Err(CommandError::Fault(fault)) => Err(Halt::Storage(fault.to_string())),
        }
    }

    /// The command's id follows from the process, the event and the command's place in the answer (UUID version 5), so a
    /// repeat after a crash is the same command.
    fn metadata(&self, recorded: &Recorded, part: &str) -> Metadata {
        let name = self.process.name();
        let command_id = Uuid::new_v5(&recorded.event.event_id, format!("{name}/{}/{part}", recorded.position).as_bytes());
        let origin = recorded.metadata().ok();
        Metadata {
            actor: format!("process:{name}"),
            command_id,
            correlation_id: origin.as_ref().and_then(|origin| origin.correlation_id),
            causation_id: Some(recorded.event.event_id),
            trace_id: origin.and_then(|origin| origin.trace_id),
            idempotency: Some(Idempotency { scope: format!("process:{name}|{command_id}"), fingerprint: String::new() }),
        }
    }

    /// Work to be tried again later, or a dead letter when it has failed too often.
    fn put_off(&self, key: String, recorded: &Recorded, attempts: u32, reason: String, now: Timestamp) -> Task {
        let attempts = attempts + 1;
        let wait = back_off(attempts, recorded.position);
        let due_at = (attempts < MOST_ATTEMPTS).then(|| now + wait);
        self.task(key, recorded, due_at, attempts, reason)
    }

    fn task(&self, key: String, recorded: &Recorded, due_at: Option<Timestamp>, attempts: u32, reason: String) -> Task {
        if due_at.is_none() {
            tracing::error!(process = self.process.name(), position = recorded.position, reason, "dead letter");
        }
        let (process, position) = (self.process.name().to_owned(), recorded.position);
        Task { process, key, position, due_at, attempts, last_error: Some(reason) }
    }
}

fn happened<'a>(recorded: &'a Recorded, event: &'a event_schemas::CommerceEvent) -> Happened<'a> {
    let Recorded { position, event: proposed, .. } = recorded;
    Happened {
        position: *position,
        event_id: proposed.event_id,
        recorded_at: proposed.recorded_at,
        stream: &proposed.stream,
        event,
    }
}

fn merge(into: &mut Progress, step: Progress) {
    // Within one pass, a deadline that is set and then settled is gone, and the other way round it stands.
    into.put.retain(|task| !step.done.contains(&task.key) && !step.put.iter().any(|newer| newer.key == task.key));
    into.done.extend(step.done);
    into.put.extend(step.put);
}

/// Twice as long after each failure, from 0.2 s to 60 s, and up to a quarter longer by `spread`, so that what failed
/// together does not come back together.
fn back_off(failures: u32, spread: u64) -> Duration {
    let base = Duration::from_millis(100 << failures.min(10)).min(Duration::from_secs(60));
    base + base / 4 * u32::try_from(spread.wrapping_mul(2_654_435_761) >> 7 & 0xff).unwrap_or(0) / 255
}

impl From<event_store::ReadError> for Halt {
    fn from(error: event_store::ReadError) -> Self {
        Self::Storage(error.to_string())
    }
}
