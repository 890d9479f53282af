//! Whether requests can be answered, and what is wrong when they cannot: one code for each kind of trouble, each with a
//! run-book in `docs/runbooks.md`.

use std::{
    sync::{Weak, atomic::Ordering::Relaxed},
    time::Duration,
};

use event_store::{Head, ReadError};
use projections::{ProjectionState, ProjectionStatus};
use serde_json::{Value, json};

use crate::shop::Shop;

/// How long the log may take to say where it ends.
const LOG_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether the vault still has its key.
const KEY_CHECK: Duration = Duration::from_secs(5);
/// How many events the views may lack before a load balancer should prefer another node.
const MOST_LAG: u64 = 10_000;
/// How far this machine's clock may be off from the log's before it is told, in seconds. It is corrected either way.
const MOST_CLOCK_OFFSET: i64 = 1;

/// Something that an operator should look at.
struct Trouble {
    code: &'static str,
    message: String,
    /// Whether requests should go elsewhere meanwhile.
    serious: bool,
}

impl Trouble {
    fn serious(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), serious: true }
    }

    fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { serious: false, ..Self::serious(code, message) }
    }
}

impl Shop {
    /// Whether requests can be answered, and how everything behind them is doing.
    pub(crate) async fn readiness(&self) -> (bool, Value) {
        let asked = tokio::time::timeout(LOG_PATIENCE, async { (self.log.head().await, self.log.dead_letters().await) });
        let silent = || ReadError::Unavailable(format!("it did not answer within {} s", LOG_PATIENCE.as_secs()));
        let (head, letters) = asked.await.unwrap_or_else(|_| (Err(silent()), Err(silent())));
        let letters = letters.ok().map(|letters| letters.len());
        let projections = self.views.status();
        let mut troubles = self.own_troubles();
        troubles.extend(head.as_ref().err().map(|error| Trouble::serious("LOG_UNREACHABLE", error.to_string())));
        troubles.extend(view_troubles(&projections));
        troubles.extend(self.process_troubles(letters));
        let ready = !troubles.iter().any(|trouble| trouble.serious);
        let told = |serious| -> Vec<Value> {
            let some = troubles.iter().filter(|trouble| trouble.serious == serious);
            some.map(|trouble| json!({ "code": trouble.code, "message": trouble.message })).collect()
        };
        let report = json!({
            "ready": ready,
            "problems": told(true),
            "warnings": told(false),
            "stopping": *self.stopping.borrow(),
            "log": log(&head),
            "notary": self.notary.as_ref().map(|notary| signed(&notary.notary.status())),
            "as_of": self.as_of.map(|shown| shown.describe()),
            "clock_offset_seconds": self.clock.offset().as_seconds_f64(),
            "projections": projections.iter().map(projection).collect::<Vec<_>>(),
            "processes": self.processes.status().iter().map(process).collect::<Vec<_>>(),
            "dead_letters": letters,
        });
        (ready, report)
    }

    fn own_troubles(&self) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        if *self.stopping.borrow() {
            troubles.push(Trouble::serious("STOPPING", "the server is stopping"));
        } else if !self.engine.is_running() {
            troubles.push(Trouble::serious("DECIDER_ENDED", "no commands are decided any more; restart this node"));
        }
        if let Some(reason) = self.engine.lost() {
            let message = format!("{reason}: nothing is decided here until this node is started again; see the run-book first");
            troubles.push(Trouble::serious("LOG_LOST_EVENTS", message));
        }
        if self.vault_key_replaced.load(Relaxed) {
            let message = "the vault was given another key: nobody can log in here, and nothing personal be read or written, \
                           until this node is started again with the new key";
            troubles.push(Trouble::serious("VAULT_KEY_REPLACED", message));
        }
        if let Some(status) = self.notary.as_ref().map(|notary| notary.notary.status()) {
            let trouble = |code, reason: Option<String>| reason.map(|reason| Trouble::warning(code, reason));
            troubles.extend(trouble("NOTARY_BROKEN", status.broken));
            troubles.extend(trouble("NOTARY_STALLED", status.trouble));
        }
        let offset = self.clock.offset();
        if offset.num_seconds().abs() >= MOST_CLOCK_OFFSET {
            let message = format!(
                "this machine's clock is off by {} s from the log's; the log's time is used. Set the clock",
                -offset.num_seconds()
            );
            troubles.push(Trouble::warning("CLOCK_OFF", message));
        }
        troubles
    }

    fn process_troubles(&self, letters: Option<usize>) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        for process in self.processes.status() {
            if let Some(reason) = process.stalled {
                troubles
                    .push(Trouble::warning("PROCESS_STALLED", format!("the process {} cannot go on: {reason}", process.name)));
            }
        }
        if let Some(letters @ 1..) = letters {
            troubles.push(Trouble::warning("DEAD_LETTERS", format!("{letters} pieces of work failed and wait for an operator")));
        }
        troubles
    }
}

/// Looks now and again whether the vault still has the key that this node knows. While it cannot be reached, nothing is said:
/// what needs no vault goes on.
pub(crate) async fn watch_vault_key(shop: Weak<Shop>) {
    while let Some(vault) = shop.upgrade().map(|shop| shop.vault.clone()) {
        let asked = vault.has_our_key().await;
        if let (Some(shop), Ok(has_ours)) = (shop.upgrade(), asked)
            && !shop.vault_key_replaced.swap(!has_ours, Relaxed)
            && !has_ours
        {
            tracing::error!(vault = vault.name(), "the vault was given another key: restart this node with it");
        }
        // Whoever closes the shop finds the vault closed as well.
        drop(vault);
        tokio::time::sleep(KEY_CHECK).await;
    }
}

fn view_troubles(projections: &[ProjectionStatus]) -> Vec<Trouble> {
    let trouble = |projection: &ProjectionStatus| {
        let ProjectionStatus { name, position, lag, .. } = projection;
        if projection.state == ProjectionState::Halted {
            let reason = projection.reason.as_deref().unwrap_or("for no reason that is known");
            Some(Trouble::serious("PROJECTION_HALTED", format!("{name} stands still at position {position}: {reason}")))
        } else if *position == 0 && *lag > 0 {
            // It holds nothing yet of a log that holds something.
            Some(Trouble::serious("PROJECTION_BUILDING", format!("{name} is being built for the first time, {lag} events to go")))
        } else if *lag > MOST_LAG {
            Some(Trouble::serious("PROJECTION_BEHIND", format!("{name} is behind the log by {lag} events")))
        } else {
            None
        }
    };
    let none = Trouble::serious("PROJECTION_BUILDING", "no view is open yet");
    if projections.is_empty() { vec![none] } else { projections.iter().filter_map(trouble).collect() }
}

fn log(head: &Result<Head, ReadError>) -> Value {
    match head {
        Ok(head) => json!({ "reachable": true, "head": head.position }),
        Err(error) => json!({ "reachable": false, "reason": error.to_string() }),
    }
}

fn signed(status: &notary::NotaryStatus) -> Value {
    json!({
        "size": status.size,
        "signed": status.signed,
        "broken": status.broken,
        "stalled": status.trouble,
        "kept_by_another_process": status.is_elsewhere,
    })
}

fn projection(projection: &ProjectionStatus) -> Value {
    json!({
        "name": projection.name,
        "state": projection.state.as_str(),
        "position": projection.position,
        "lag": projection.lag,
        "reason": projection.reason,
        "stale_since": projection.stale_since.map(event_schemas::rfc3339),
    })
}

fn process(process: &engine::ProcessStatus) -> Value {
    json!({ "name": process.name, "position": process.position, "stalled": process.stalled })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(position: u64, lag: u64, state: ProjectionState) -> ProjectionStatus {
        let reason = (state == ProjectionState::Halted).then(|| "position 8: no such currency".to_owned());
        let (rebuilt_to, stale_since) = (None, None);
        ProjectionStatus { name: "orders", version: 1, generation: 1, position, lag, state, rebuilt_to, reason, stale_since }
    }

    #[test]
    fn a_halted_a_new_and_a_late_view_are_told_apart_and_a_fresh_one_is_no_trouble() {
        let views = [
            status(7, 3, ProjectionState::Halted),
            status(0, 9, ProjectionState::CatchingUp),
            status(9, 10_001, ProjectionState::CatchingUp),
            status(9, 10_000, ProjectionState::CatchingUp),
            status(9, 0, ProjectionState::Live),
        ];
        let codes: Vec<_> = view_troubles(&views).iter().map(|trouble| trouble.code).collect();
        assert_eq!(codes, ["PROJECTION_HALTED", "PROJECTION_BUILDING", "PROJECTION_BEHIND"]);
        assert!(view_troubles(&views)[0].message.ends_with("position 8: no such currency"));
        assert_eq!(view_troubles(&[]).len(), 1);
    }
}
