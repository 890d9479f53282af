//! `diff`: what changed in an aggregate between two moments.

use std::collections::BTreeSet;

use clap::Args;
use event_schemas::StreamId;
use event_store::Moment;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Failure, LogUrl, Report, json, open, state_at};

/// Which aggregate, and between which moments.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The stream, such as order/0197… or stock/TEA-100@main.
    stream: StreamId,
    #[command(flatten)]
    log: LogUrl,
    /// The earlier moment: a position, a time by which it had been recorded, or occurred: and a time by which it had happened.
    #[arg(long, env = "DAYBOOK_FROM", value_name = "POSITION|TIME")]
    from: Moment,
    /// The later moment; now if not told.
    #[arg(long, env = "DAYBOOK_TO", value_name = "POSITION|TIME")]
    to: Option<Moment>,
}

impl DiffArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let backwards = self.to.is_some_and(|to| self.from.is_after(&to));
        let log = open(&self.log.log).await?;
        let before = state_at(&*log, &self.stream, Some(self.from)).await?;
        let after = state_at(&*log, &self.stream, self.to).await?;
        if backwards || before.events > after.events {
            return Err(Failure::Refused("--from is later than --to; change them round".to_owned()));
        }
        let changes = changes(&before.state, &after.state);
        let mut text = String::new();
        for Change { path, before, after } in &changes {
            text.push_str(&format!("{path}: {} → {}\n", shown(before.as_ref()), shown(after.as_ref())));
        }
        let to = self.to.map_or("now".to_owned(), |to| to.to_string());
        let events = after.events - before.events;
        text.push_str(&format!("{} from {} to {to}: changes {}, events {events}\n", self.stream, self.from, changes.len()));
        let json = json!({
            "stream": self.stream.to_string(), "from": before.position, "to": after.position, "events": events,
            "changes": json(&changes)?
        });
        Ok(Report { ok: true, text, json })
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or("absent".to_owned(), Value::to_string)
}

/// A value that is other than it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Where it is, as a JSON pointer (RFC 6901); empty for the whole.
    pub path: String,
    /// What it was; none if it was not there.
    pub before: Option<Value>,
    /// What it is; none if it is not there.
    pub after: Option<Value>,
}

/// The smallest values that differ between two, in the order of their paths.
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(String::new(), Some(before), Some(after), &mut found);
    found
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Change>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(was)), Some(Value::Object(is))) => {
            for key in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
                let step = key.replace('~', "~0").replace('/', "~1");
                compare(format!("{path}/{step}"), was.get(key), is.get(key), found);
            }
        }
        (Some(Value::Array(was)), Some(Value::Array(is))) => {
            for index in 0..was.len().max(is.len()) {
                compare(format!("{path}/{index}"), was.get(index), is.get(index), found);
            }
        }
        _ => found.push(Change { path, before: before.cloned(), after: after.cloned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_smallest_values_that_differ_are_named() {
        let before = json!({ "on_hand": 10, "orders": { "a/b": 1, "c": 2 }, "tags": ["x", "y"] });
        let after = json!({ "on_hand": 9, "orders": { "a/b": 3 }, "tags": ["x", "z", "w"] });
        let found: Vec<_> = changes(&before, &after).into_iter().map(|c| (c.path, c.before, c.after)).collect();
        let expected = [
            ("/on_hand", Some(json!(10)), Some(json!(9))),
            ("/orders/a~1b", Some(json!(1)), Some(json!(3))),
            ("/orders/c", Some(json!(2)), None),
            ("/tags/1", Some(json!("y")), Some(json!("z"))),
            ("/tags/2", None, Some(json!("w"))),
        ];
        assert_eq!(found, expected.map(|(path, before, after)| (path.to_owned(), before, after)));
    }

    #[test]
    fn an_aggregate_that_did_not_exist_changes_as_a_whole() {
        let found = changes(&Value::Null, &json!({ "on_hand": 1 }));
        assert_eq!(found, [Change { path: String::new(), before: Some(Value::Null), after: Some(json!({ "on_hand": 1 })) }]);
        assert_eq!(changes(&json!([1]), &json!([1])), []);
    }
}
