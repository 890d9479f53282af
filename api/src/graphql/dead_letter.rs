//! Dead letters: work of a process that failed too often or that a rule forbids, for operators to see and take up again.

use std::sync::Arc;

use async_graphql::{Context, Error, InputObject, Object, SimpleObject};
use event_store::Task;

use crate::{
    access::{Permission, sees},
    graphql::{command::payload, problem, scalar::Long, user_error::UserError, user_error_code::UserErrorCode},
    shop::Shop,
};

/// Work that failed and waits for an operator.
#[derive(SimpleObject)]
pub(crate) struct DeadLetter {
    /// The process whose work it is, such as `gateway`.
    process: String,
    /// What it is about, unique within the process.
    key: String,
    /// The event that it answers: `events(afterPosition: …)` shows it.
    event_position: Long,
    /// How often it was tried.
    attempts: u32,
    /// What went wrong last.
    reason: Option<String>,
}

impl From<Task> for DeadLetter {
    fn from(task: Task) -> Self {
        let Task { process, key, position, attempts, last_error, .. } = task;
        Self { process, key, event_position: Long::of(position), attempts, reason: last_error }
    }
}

/// A dead letter to take up again.
#[derive(InputObject)]
pub(crate) struct DeadLetterRetryInput {
    /// Its process.
    process: String,
    /// Its key within the process.
    key: String,
}

payload! {
    /// A dead letter that was taken up again.
    DeadLetterRetryPayload {
        /// The work, to be tried at once; null when there is no such dead letter.
        dead_letter: DeadLetter,
    }
}

#[derive(Default)]
pub(crate) struct DeadLetterQuery;

#[Object]
impl DeadLetterQuery {
    /// Work of the processes that failed and waits for an operator, oldest first.
    #[graphql(guard = "Permission::ViewOperations", visible = "sees::operations")]
    async fn dead_letters(&self, ctx: &Context<'_>) -> Result<Vec<DeadLetter>, Error> {
        let letters = ctx.data::<Arc<Shop>>()?.log.dead_letters().await.map_err(|error| problem::fault(&error))?;
        Ok(letters.into_iter().map(DeadLetter::from).collect())
    }
}

#[derive(Default)]
pub(crate) struct DeadLetterMutation;

#[Object]
impl DeadLetterMutation {
    /// Takes work up again that had failed, once what it failed at is repaired. It carries out what the event asked for
    /// then, at most once, however often this is called.
    #[graphql(guard = "Permission::Operate", visible = "sees::operate")]
    async fn dead_letter_retry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The dead letter.")] input: DeadLetterRetryInput,
    ) -> Result<DeadLetterRetryPayload, Error> {
        let shop = ctx.data::<Arc<Shop>>()?;
        let taken_up = shop.processes.retry(&input.process, &input.key).await.map_err(|error| problem::fault(&error))?;
        let user_errors = match taken_up {
            Some(_) => Vec::new(),
            None => vec![UserError::new(UserErrorCode::DeadLetterNotFound, "there is no such dead letter")],
        };
        Ok(DeadLetterRetryPayload {
            dead_letter: taken_up.map(DeadLetter::from),
            position: Long::of(shop.head()),
            user_errors,
            ..Default::default()
        })
    }
}
