//! Looking without deciding: what would be decided now, or what is, as the log has it.

use domain::World;
use event_schemas::StreamId;
use event_store::Log;

use crate::{cache::Cache, engine::Fault, load::load};

/// How often an answer may ask for more, as for decisions.
const READ_ROUNDS: usize = 64;

/// Asks what is, without changing anything: `ask` is run on what the log holds, again until nothing that it asks for is
/// missing. What many ask for is best asked for in one look: it is loaded together.
///
/// The log goes on meanwhile, so that the answer may be out of date when it is given; only a decision is sure.
///
/// # Errors
/// [`Fault::NotRead`] when the log fails, [`Fault::Unreadable`] for a history that this version does not understand.
pub async fn look<T>(log: &dyn Log, ask: impl Fn(&World<'_>) -> T) -> Result<T, Fault> {
    let mut cache = Cache::new(usize::MAX);
    for _ in 0..READ_ROUNDS {
        let missing: Vec<StreamId> = {
            let world = World::new(&cache);
            let answer = ask(&world);
            let missing = world.into_missing();
            if missing.is_empty() {
                return Ok(answer);
            }
            missing
        };
        if let Some(fault) = load(log, &mut cache, missing).await?.into_values().next() {
            return Err(fault);
        }
    }
    Err(Fault::Broken("a look never has enough".to_owned()))
}
