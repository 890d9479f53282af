//! The one writer of the views: the generations that follow the log, and the transaction of a batch.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use event_schemas::{Position, Timestamp};
use uuid::Uuid;

use crate::{
    FoldError, Projection, ProjectionState, ProjectionStatus, RowCache, Rows, Session, Value, ViewError, Views,
    batch::{Batch, Decoded},
    checkpoint::{self, Checkpoint},
    store::{Connection, Dialect, Statements},
};

/// A table whose cache holds more rows than this is forgotten after its batch, which bounds the runner's memory.
const MOST_CACHED_ROWS: usize = 5_000;
/// A new view that is further behind than this is built aside, without indexes, and published when it is whole.
const BUILD_ASIDE: u64 = 20_000;

/// How often what may wait is done.
const TEND: Duration = Duration::from_secs(2);

/// So many projections are folded at a time, when a batch is large enough to be worth it.
const FOLDING_THREADS: usize = 2;
/// A batch of fewer events is folded on one thread.
const WORTH_A_THREAD: usize = 512;

/// A generation of a projection.
struct Follower {
    projection: &'static Projection,
    checkpoint: Checkpoint,
    /// Whether it moves on with the log; an older version that serves until its successor is built does not.
    followed: bool,
    cache: RowCache,
    statements: Vec<Statements>,
    /// The time spent on it.
    spent: Duration,
}

/// What a batch did to a follower.
struct Step {
    follower: usize,
    position: Position,
    seen_at: Option<Timestamp>,
    halted: Option<String>,
}

pub(crate) struct Writer {
    connection: Box<dyn Connection>,
    /// What folds load rows through, one for each thread that folds.
    loaders: Vec<Box<dyn Connection>>,
    followers: Vec<Follower>,
    log_id: Uuid,
    tended: Option<Instant>,
}

impl Writer {
    /// Opens the views for the projections of this code, checks every checkpoint against the log, and makes what is
    /// missing: empty tables for a new projection, a new generation for one whose version has changed.
    pub fn open(views: &Views, log_id: Uuid, head: Position, projections: &[&'static Projection]) -> Result<Self, ViewError> {
        let connection = views.store().writer()?;
        let mut writer = Self { connection, loaders: Vec::new(), followers: Vec::new(), log_id, tended: None };
        match writer.take_up(views, head, projections).and_then(|()| writer.tend()) {
            Ok(()) => Ok(writer),
            Err(error) => {
                writer.close();
                Err(error)
            }
        }
    }

    fn take_up(&mut self, views: &Views, head: Position, projections: &[&'static Projection]) -> Result<(), ViewError> {
        let stored = checkpoint::load(&*self.connection)?;
        stored.iter().try_for_each(|checkpoint| checkpoint.check(self.log_id, head))?;
        self.loaders = (0..FOLDING_THREADS).map(|_| views.store().loader()).collect::<Result<_, _>>()?;
        for projection in projections {
            let own = stored.iter().filter(|checkpoint| checkpoint.projection == projection.name).cloned();
            self.transaction(|writer| writer.adopt(projection, own.collect(), head))?;
        }
        Ok(())
    }

    fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, ViewError>) -> Result<T, ViewError> {
        self.connection.begin()?;
        let result = work(self).and_then(|done| self.connection.commit().map(|()| done));
        if result.is_err() {
            self.connection.roll_back();
            self.forget();
        }
        result
    }

    /// Takes up the stored generations of a projection, and makes the ones it lacks.
    fn adopt(&mut self, projection: &'static Projection, stored: Vec<Checkpoint>, head: Position) -> Result<(), ViewError> {
        let mut next = self.connection.highest_generation(projection.name)? + 1;
        let (mut serving, mut building) = (None, None);
        for mut checkpoint in stored {
            let current = checkpoint.is_of(projection);
            if !checkpoint.serving && !current {
                checkpoint.discard(&*self.connection)?;
                continue;
            }
            // Whatever halted it is tried again.
            checkpoint.halted = None;
            let slot = if checkpoint.serving { &mut serving } else { &mut building };
            *slot = Some(Follower::new(projection, checkpoint, current, self.connection.dialect()));
        }
        let mut serving = match serving {
            Some(serving) => serving,
            None => {
                let created = self.create(projection, next, true)?;
                next += 1;
                created
            }
        };
        let far_behind = serving.checkpoint.position == 0 && head > BUILD_ASIDE;
        if building.is_none() && (!serving.followed || far_behind) {
            building = Some(self.create(projection, next, false)?);
        }
        serving.followed &= !(building.is_some() && serving.checkpoint.position == 0);
        self.followers.push(serving);
        self.followers.extend(building);
        Ok(())
    }

    /// Makes a generation with empty tables. One that serves at once is published with its indexes.
    fn create(&self, projection: &'static Projection, generation: u32, serving: bool) -> Result<Follower, ViewError> {
        self.connection.create_tables(projection, generation)?;
        if serving {
            self.connection.create_indexes(projection, generation)?;
            self.connection.publish(projection, generation)?;
        }
        let checkpoint = Checkpoint::new(projection, generation, serving, self.log_id);
        checkpoint::save(std::slice::from_ref(&checkpoint), &*self.connection)?;
        let follower = Follower::new(projection, checkpoint, true, self.connection.dialect());
        Ok(Follower { cache: RowCache::over_empty_tables(), ..follower })
    }

    /// Begins a new generation of a projection beside the one that serves. One that is being built already goes on.
    pub fn rebuild(&mut self, name: &str) -> Result<(), ViewError> {
        let own = || self.followers.iter().filter(|follower| follower.projection.name == name);
        let projection = own().next().ok_or_else(|| ViewError::UnknownProjection(name.to_owned()))?.projection;
        if own().any(|follower| !follower.checkpoint.serving) {
            return Ok(());
        }
        let generation = self.connection.highest_generation(name)? + 1;
        let follower = self.transaction(|writer| writer.create(projection, generation, false))?;
        // An empty generation that serves for want of a better one need not be filled as well.
        let empty = |follower: &&mut Follower| follower.projection.name == name && follower.checkpoint.position == 0;
        self.followers.iter_mut().filter(empty).for_each(|follower| follower.followed = false);
        self.followers.push(follower);
        Ok(())
    }

    /// The time spent on what each projection serves.
    pub fn spent(&self) -> BTreeMap<&'static str, Duration> {
        let serving = self.followers.iter().filter(|follower| follower.checkpoint.serving);
        serving.map(|follower| (follower.projection.name, follower.spent)).collect()
    }

    /// How many rows each projection serves, over all its tables.
    pub fn count_rows(&self) -> Result<BTreeMap<&'static str, u64>, ViewError> {
        let mut found = BTreeMap::new();
        for follower in self.followers.iter().filter(|follower| follower.checkpoint.serving) {
            let Checkpoint { projection, generation, .. } = &follower.checkpoint;
            for table in follower.projection.tables {
                let name = self.connection.dialect().physical(projection, table.name, *generation);
                self.connection.each(&format!("SELECT count(*) FROM {name}"), &[], &mut |at| {
                    let Value::Integer(rows) = at(0) else { return Ok(()) };
                    *found.entry(follower.projection.name).or_default() += u64::try_from(rows).unwrap_or(0);
                    Ok(())
                })?;
            }
        }
        Ok(found)
    }

    /// The positions from which someone wants to read on, the nearest to the head first.
    pub fn cohorts(&self, head: Position) -> Vec<Position> {
        let going = self.followers.iter().filter(|follower| follower.is_going() && follower.checkpoint.position < head);
        let mut positions: Vec<_> = going.map(|follower| follower.checkpoint.position).collect();
        positions.sort_unstable_by(|a, b| b.cmp(a));
        positions.dedup();
        positions
    }

    /// Folds a batch into every generation that stands right before it, then writes rows and checkpoints in one
    /// transaction. A fold writes nothing, so projections are folded side by side.
    pub fn apply(&mut self, batch: &Batch) -> Result<(), ViewError> {
        let steps = self.fold(batch).inspect_err(|_| self.forget())?;
        self.transaction(|writer| {
            let Self { connection, followers, .. } = writer;
            let moved = steps.iter().map(|step| followers[step.follower].write(&**connection, step));
            checkpoint::save(&moved.collect::<Result<Vec<_>, _>>()?, &**connection)
        })?;
        for Step { follower, position, seen_at, halted } in steps {
            let follower = &mut self.followers[follower];
            follower.checkpoint.advance(position, seen_at, halted);
            follower.cache.shrink(MOST_CACHED_ROWS);
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.followers.iter_mut().for_each(|follower| follower.cache.forget());
    }

    fn fold(&mut self, batch: &Batch) -> Result<Vec<Step>, ViewError> {
        let cohort = self.followers.iter_mut().enumerate();
        let cohort =
            Mutex::new(cohort.filter(|(_, follower)| follower.is_going() && follower.checkpoint.position == batch.after));
        let next = || cohort.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = |loader: &mut Box<dyn Connection>| -> Result<Vec<Step>, ViewError> {
            std::iter::from_fn(next).map(|(index, follower)| follower.fold_batch(&**loader, index, batch)).collect()
        };
        let Some((first, others)) = self.loaders.split_first_mut() else { return Ok(Vec::new()) };
        if batch.events.len() < WORTH_A_THREAD {
            return work(first);
        }
        std::thread::scope(|scope| {
            let work = &work;
            let running: Vec<_> = others.iter_mut().map(|loader| scope.spawn(move || work(loader))).collect();
            let mut steps = work(first)?;
            for thread in running {
                let panicked = |_| ViewError::Unavailable("a thread that folds panicked".to_owned());
                steps.extend(thread.join().map_err(panicked)??);
            }
            Ok(steps)
        })
    }

    /// Puts every generation that has caught up with `head` in the place of the one that served until now, in one
    /// transaction: readers see the old tables or the new ones, whole. Gives whether there was any.
    pub fn publish_caught_up(&mut self, head: Position) -> Result<bool, ViewError> {
        let ready = |follower: &Follower| {
            !follower.checkpoint.serving && follower.checkpoint.halted.is_none() && follower.checkpoint.position >= head
        };
        if !self.followers.iter().any(ready) {
            return Ok(false);
        }
        let spent = self.transaction(|writer| {
            let mut spent = Vec::new();
            for new in writer.followers.iter().filter(|follower| ready(follower)) {
                let (started, connection) = (Instant::now(), &*writer.connection);
                connection.create_indexes(new.projection, new.checkpoint.generation)?;
                if let Some(old) = writer.followers.iter().find(|follower| follower.is_replaced_by(new)) {
                    old.checkpoint.discard(connection)?;
                }
                connection.publish(new.projection, new.checkpoint.generation)?;
                checkpoint::save(&[Checkpoint { serving: true, ..new.checkpoint.clone() }], connection)?;
                spent.push((new.projection.name, started.elapsed()));
            }
            Ok(spent)
        })?;
        self.tended = None;
        for (name, spent) in spent {
            self.followers.retain(|follower| follower.projection.name != name || !follower.checkpoint.serving);
            for follower in self.followers.iter_mut().filter(|follower| follower.projection.name == name) {
                follower.checkpoint.serving = true;
                follower.spent += spent;
            }
        }
        Ok(true)
    }

    /// How each projection stands, given where the log ends.
    pub fn status(&self, head: Position) -> Vec<ProjectionStatus> {
        let mut projections: Vec<_> = self.followers.iter().map(|follower| follower.projection).collect();
        projections.dedup_by_key(|projection| projection.name);
        let checkpoints: Vec<_> = self.followers.iter().map(|follower| follower.checkpoint.clone()).collect();
        statuses(&projections, &checkpoints, head)
    }

    /// Whether it is time for what may wait.
    pub fn is_tending_due(&self) -> bool {
        self.tended.is_none_or(|tended| tended.elapsed() >= TEND)
    }

    /// Does what may wait, now and then.
    pub fn tend(&mut self) -> Result<(), ViewError> {
        if !self.is_tending_due() {
            return Ok(());
        }
        let is_current = |follower: &&Follower| follower.checkpoint.serving && follower.checkpoint.is_of(follower.projection);
        let current = self.followers.iter().filter(is_current);
        let serving: Vec<_> = current.map(|follower| (follower.projection, follower.checkpoint.generation)).collect();
        self.connection.tend(&serving)?;
        self.tended = Some(Instant::now());
        Ok(())
    }

    /// Whether it can go on no more, because the store is gone or another process writes. What loads rows may notice first.
    pub fn is_lost(&self) -> bool {
        self.connection.is_lost() || self.loaders.iter().any(|loader| loader.is_lost())
    }

    /// Lets go of the right to write.
    pub fn close(self) {
        self.connection.close();
    }
}

/// How each projection stands by its checkpoints, given where the log ends.
pub(crate) fn statuses(projections: &[&'static Projection], checkpoints: &[Checkpoint], head: Position) -> Vec<ProjectionStatus> {
    let status = |projection: &&'static Projection| {
        let own = |serving| checkpoints.iter().find(|c| c.projection == projection.name && c.serving == serving);
        own(true).map(|checkpoint| status_of(projection.name, checkpoint, own(false), head))
    };
    projections.iter().filter_map(status).collect()
}

fn status_of(name: &'static str, checkpoint: &Checkpoint, building: Option<&Checkpoint>, head: Position) -> ProjectionStatus {
    let halted = checkpoint.halted.as_ref().or_else(|| building.and_then(|new| new.halted.as_ref()));
    let state = match (halted, building) {
        (Some(_), _) => ProjectionState::Halted,
        (None, Some(_)) => ProjectionState::Rebuilding,
        (None, None) if checkpoint.position < head => ProjectionState::CatchingUp,
        (None, None) => ProjectionState::Live,
    };
    let stale_since = halted.map(|halt| halt.since).or(checkpoint.seen_at);
    ProjectionStatus {
        name,
        version: checkpoint.version,
        generation: checkpoint.generation,
        position: checkpoint.position,
        lag: head.saturating_sub(checkpoint.position),
        state,
        rebuilt_to: building.map(|new| new.position),
        reason: halted.map(|halt| halt.reason.clone()),
        stale_since: stale_since.filter(|_| state != ProjectionState::Live),
    }
}

impl Follower {
    fn new(projection: &'static Projection, checkpoint: Checkpoint, followed: bool, dialect: Dialect) -> Self {
        let statements = dialect.statements(projection, checkpoint.generation);
        Self { projection, checkpoint, followed, cache: RowCache::default(), statements, spent: Duration::ZERO }
    }

    fn is_replaced_by(&self, new: &Self) -> bool {
        self.checkpoint.serving && self.projection.name == new.projection.name
    }

    fn is_going(&self) -> bool {
        self.followed && self.checkpoint.halted.is_none()
    }

    /// Folds a batch in memory, up to the first event that cannot be folded; that one halts it.
    fn fold_batch(&mut self, connection: &dyn Connection, index: usize, batch: &Batch) -> Result<Step, ViewError> {
        let started = Instant::now();
        let mut events = batch.events.as_slice();
        let mut halted = batch.unreadable.as_ref().map(|(position, reason)| halt(*position, reason));
        if let Err((failed, reason)) = self.fold(connection, events)? {
            // Nothing of the batch is written yet: what came before the failing event is folded again, without it.
            self.cache.forget();
            halted = Some(halt(events[failed].position, &reason));
            events = &events[..failed];
            if let Err((_, reason)) = self.fold(connection, events)? {
                let table = self.projection.name.to_owned();
                return Err(ViewError::Damaged { table, reason: format!("its fold is not deterministic: {reason}") });
            }
        }
        let position = events.last().map_or(self.checkpoint.position, |event| event.position);
        let seen_at = events.last().map_or(self.checkpoint.seen_at, |event| Some(event.recorded_at));
        self.spent += started.elapsed();
        Ok(Step { follower: index, position, seen_at, halted })
    }

    /// Writes the rows that a batch changed, and gives the checkpoint to write with them.
    fn write(&mut self, connection: &dyn Connection, step: &Step) -> Result<Checkpoint, ViewError> {
        let started = Instant::now();
        self.cache.flush(&*connection.session(&self.statements))?;
        let mut checkpoint = self.checkpoint.clone();
        checkpoint.advance(step.position, step.seen_at, step.halted.clone());
        self.spent += started.elapsed();
        Ok(checkpoint)
    }

    /// Folds events; gives the number of the first that cannot be folded, and why.
    fn fold(&mut self, connection: &dyn Connection, events: &[Decoded]) -> Result<Result<(), (usize, String)>, ViewError> {
        let session = connection.session(&self.statements);
        loop {
            let folded = fold_once(self.projection, &mut self.cache, &*session, events)?;
            if !self.cache.fetch_missed(&*session)? {
                return Ok(folded);
            }
        }
    }
}

/// Folds events up to the first that cannot be folded; those whose rows have to be fetched first do not count.
fn fold_once(
    projection: &Projection,
    cache: &mut RowCache,
    session: &dyn Session,
    events: &[Decoded],
) -> Result<Result<(), (usize, String)>, ViewError> {
    for (number, event) in events.iter().enumerate() {
        for fact in event.facts() {
            let mut rows = Rows::new(cache, session, fact.stamp());
            // A fold that panics is a bug like any other: it halts its projection and no other.
            let folded = catch_unwind(AssertUnwindSafe(|| (projection.fold)(&mut rows, &fact)))
                .unwrap_or_else(|_| Err(FoldError::Contradiction("the fold panicked".to_owned())));
            match folded {
                Ok(()) => {}
                // Until all rows are here, no failure is the event's fault for certain.
                Err(_) if cache.has_missed() => break,
                Err(FoldError::Store(error)) if !matches!(error, ViewError::Damaged { .. }) => return Err(error),
                Err(error) => return Ok(Err((number, error.to_string()))),
            }
        }
    }
    Ok(Ok(()))
}

fn halt(position: Position, reason: &str) -> String {
    format!("the event at position {position} cannot be folded: {reason}")
}
