//! One pass of a worker: the next events of the log put into their lines, and what is due tried.

use std::time::Duration;

use chrono::TimeDelta;
use domain::{ChangeWebhook, WebhookCommand};
use engine::CommandError;
use event_schemas::{CommerceEvent, Position, Recorded, Sequence, StreamId, Timestamp, WebhookEvent};
use futures::{StreamExt, stream};
use tokio::{sync::watch, time::Instant};

use crate::{
    Endpoint, Reason,
    back_off::back_off,
    line::{self, Line},
    message::{event_type, message_of},
    place::Place,
    secrets::{self, Secrets},
    sender::Failure,
    worker::{Halt, Shared},
};

/// Events of the log read at once.
const PAGE: usize = 128;
/// Lines beyond which the log is not read on: a receiver that is down for all must not fill the vault.
const MOST_LINES: usize = 256;
/// Lines that are worked on at the same time.
const CONCURRENCY: usize = 8;
/// Events of a stream read at once.
const OF_STREAM: usize = 16;
/// How long a pass begins new deliveries before it writes down what it did.
const LONGEST: Duration = Duration::from_secs(5);
/// When work is taken up again that the shop itself could not do.
const LATER: TimeDelta = TimeDelta::seconds(30);
/// How long a line waits at most when the log is not read on for so many lines, and the receiver takes something again.
const SOON: TimeDelta = TimeDelta::minutes(10);
/// How long a webhook may fail before it is paused.
const PATIENCE: TimeDelta = TimeDelta::days(5);

/// A pass over what a webhook is to be told.
pub(crate) struct Pass<'w> {
    shared: &'w Shared,
    endpoint: &'w Endpoint,
    stopping: &'w watch::Receiver<bool>,
    until: Instant,
}

/// What a pass came to.
pub(crate) struct Passed {
    pub(crate) place: Place,
    /// Whether something was tried, so that the place must be written down.
    pub(crate) worked: bool,
    /// Whether there may be more to do at once.
    pub(crate) more: bool,
    /// Whether the webhook is to be paused: its receiver wants no more, or has failed for too long.
    pub(crate) give_up: bool,
}

/// What became of a line.
#[derive(Default)]
struct Ran {
    left: Option<Line>,
    delivered: bool,
    failed: Option<Reason>,
    gone: bool,
}

/// What became of one event.
enum Step {
    /// It is done with; whether it was delivered.
    Done { delivered: bool },
    /// It is to be tried again at a moment.
    Again(Timestamp, Failure),
    /// It cannot be dealt with now, for a reason that is not the receiver's.
    NotNow(String),
}

impl<'w> Pass<'w> {
    pub(crate) fn new(shared: &'w Shared, endpoint: &'w Endpoint, stopping: &'w watch::Receiver<bool>) -> Self {
        Self { shared, endpoint, stopping, until: Instant::now() + LONGEST }
    }

    /// Reads on, and tries what is due.
    pub(crate) async fn run(&self, mut place: Place) -> Result<Passed, Halt> {
        let mut more = false;
        if has_room(&place) {
            more = self.read_on(&mut place).await?;
        }
        let now = self.shared.now();
        let (due, waiting): (Vec<Line>, Vec<Line>) = place.lines.into_iter().partition(|line| line.due_at <= now);
        place.lines = waiting;
        if due.is_empty() {
            return Ok(Passed { place, worked: false, more, give_up: false });
        }
        let Some(secrets) = secrets::load(&self.shared.vault, self.endpoint.id).await? else {
            return Err(Halt::NoSecret);
        };
        let running = due.into_iter().map(|line| self.run_line(line, &secrets));
        let ran: Vec<Ran> = stream::iter(running).buffer_unordered(CONCURRENCY).collect().await;
        let give_up = self.account_for(&mut place, ran);
        Ok(Passed { place, worked: true, more, give_up })
    }

    /// Puts the next events into their lines. Whether there may be more.
    async fn read_on(&self, place: &mut Place) -> Result<bool, Halt> {
        let (page, now) = (self.shared.log.read(place.cursor, PAGE).await?, self.shared.now());
        for recorded in &page {
            if self.is_wanted(recorded) {
                line::queue(&mut place.lines, recorded, now);
            } else if let Some(position) = self.asked_again(recorded)
                && let Some(event) = self.shared.log.read(position.saturating_sub(1), 1).await?.first()
                && event.position == position
                && self.is_wanted(event)
            {
                line::queue_again(&mut place.lines, event, recorded.position, now);
            }
        }
        if let Some(last) = page.last() {
            place.cursor = last.position;
            place.marks.leave(last);
        }
        Ok(page.len() == PAGE && has_room(place))
    }

    fn is_wanted(&self, recorded: &Recorded) -> bool {
        let kind = event_type(&recorded.event.stream.aggregate_type, &recorded.event.event_type);
        kind.is_some_and(|kind| self.endpoint.types.is_empty() || self.endpoint.types.contains(&kind))
    }

    /// The position of the event that staff have sent again, if that is what happened.
    fn asked_again(&self, recorded: &Recorded) -> Option<Position> {
        let stream = &recorded.event.stream;
        if stream.aggregate_type != "webhook" || stream.aggregate_id != self.endpoint.id.to_string() {
            return None;
        }
        let events = recorded.decode().ok()?;
        events.iter().find_map(|event| match event {
            CommerceEvent::Webhook(WebhookEvent::WebhookDeliveryRetried(retried)) => Some(retried.position),
            _ => None,
        })
    }

    /// Notes what became of the lines. Whether the webhook is to be paused.
    fn account_for(&self, place: &mut Place, ran: Vec<Ran>) -> bool {
        let now = self.shared.now();
        let delivered = ran.iter().any(|ran| ran.delivered);
        let gone = ran.iter().any(|ran| ran.gone);
        let was_full = place.lines.len() + ran.len() >= MOST_LINES;
        let failed = ran.iter().rev().find_map(|ran| ran.failed);
        if delivered {
            (place.delivered_at, place.failing_since, place.last_failure) = (Some(now), None, None);
        }
        if let Some(reason) = failed {
            place.last_failure = Some(reason.to_string());
            if !delivered {
                place.failing_since.get_or_insert(now);
            }
        }
        place.lines.extend(ran.into_iter().filter_map(|ran| ran.left));
        if delivered && was_full {
            line::hasten(&mut place.lines, now + SOON);
        }
        gone || (failed.is_some() && place.failing_since.is_some_and(|since| now - since >= PATIENCE))
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until || *self.stopping.borrow()
    }

    /// Delivers a line's events one after the other, until one fails or the pass is over.
    async fn run_line(&self, mut line: Line, secrets: &Secrets) -> Ran {
        let mut ran = Ran::default();
        while !line.is_done() && !self.is_over() {
            let events = match self.events(&line).await {
                Ok(events) => events,
                Err(reason) => {
                    self.not_now(&mut line, &reason);
                    break;
                }
            };
            for recorded in events {
                if recorded.event.sequence > line.last || self.is_over() {
                    break;
                }
                match self.step(&line, &recorded, secrets).await {
                    Step::Done { delivered } => {
                        line.advance(recorded.event.sequence);
                        ran.delivered |= delivered;
                    }
                    Step::Again(due_at, failure) => {
                        (line.attempts, line.due_at) = (line.attempts + 1, due_at);
                        (ran.failed, ran.gone) = (Some(failure.reason), failure.is_gone());
                        return Ran { left: Some(line), ..ran };
                    }
                    Step::NotNow(reason) => {
                        self.not_now(&mut line, &reason);
                        return Ran { left: Some(line), ..ran };
                    }
                }
            }
        }
        Ran { left: (!line.is_done()).then_some(line), ..ran }
    }

    /// The next events of a line, at least one.
    async fn events(&self, line: &Line) -> Result<Vec<Recorded>, String> {
        let stream: StreamId = line.stream.parse().map_err(|_| format!("`{}` is no stream", line.stream))?;
        let after: Sequence = line.next.saturating_sub(1);
        let events = self.shared.log.read_stream(&stream, after, OF_STREAM).await.map_err(|error| error.to_string())?;
        if events.is_empty() { Err(format!("{stream} has no event after {after}")) } else { Ok(events) }
    }

    fn not_now(&self, line: &mut Line, reason: &str) {
        tracing::warn!(webhook = %self.endpoint.id, stream = line.stream, reason, "an event cannot be dealt with for now");
        line.due_at = self.shared.now() + LATER;
    }

    /// Tries to deliver one event.
    async fn step(&self, line: &Line, recorded: &Recorded, secrets: &Secrets) -> Step {
        // The types may have been changed since it was queued. Whoever has something sent again tells no more than they name.
        if !self.is_wanted(recorded) {
            return Step::Done { delivered: false };
        }
        let attempts = line.attempts + 1;
        let message = match message_of(self.endpoint.id, recorded) {
            Ok(Some(message)) => message,
            Ok(None) => return Step::Done { delivered: false },
            Err(_) => return self.bury(line, recorded, attempts, Reason::Message).await,
        };
        let Err(failure) = self.shared.sender.send(&self.endpoint.url, &message, secrets, self.shared.now()).await else {
            tracing::debug!(webhook = %self.endpoint.id, position = recorded.position, attempts, "delivered");
            return Step::Done { delivered: true };
        };
        let (webhook, position, reason) = (self.endpoint.id, recorded.position, failure.reason);
        tracing::debug!(%webhook, position, attempts, %reason, "not delivered");
        match back_off(attempts, recorded.position, failure.retry_after) {
            Some(wait) => Step::Again(self.shared.now() + wait, failure),
            None => self.bury(line, recorded, attempts, failure.reason).await,
        }
    }

    /// Gives an event up: the log says so, for staff to see and to have it sent again, and its stream goes on.
    async fn bury(&self, line: &Line, recorded: &Recorded, attempts: u32, reason: Reason) -> Step {
        let (webhook_id, position) = (self.endpoint.id, recorded.position);
        let command = WebhookCommand::DeliveryFailed { position, attempts, reason: reason.to_string() };
        // Said once for each time that it was to be sent, also if this node ends before it has noted that it was said.
        let name = format!("failed/{position}/{}", line.again.unwrap_or_default());
        let decision = ChangeWebhook { webhook_id, command };
        match self.shared.submit(decision, webhook_id, &name, Some(recorded.event.event_id)).await {
            Ok(_) => {
                tracing::warn!(webhook = %webhook_id, position, attempts, %reason, "an event was given up");
                Step::Done { delivered: false }
            }
            // It was removed: there is nobody to tell.
            Err(CommandError::Refused(_)) => Step::Done { delivered: false },
            Err(error) => Step::NotNow(error.to_string()),
        }
    }
}

/// Whether the log may be read on.
pub(crate) fn has_room(place: &Place) -> bool {
    place.lines.len() < MOST_LINES
}
