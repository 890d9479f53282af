//! One simulated world: its seed, its time, its store, and everything that was noted on the way.

use std::{
    fmt::Write as _,
    hash::{DefaultHasher, Hasher as _},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use engine::Clock;
use event_schemas::{Position, Proposed, Timestamp};
use event_store::AppendError;
use fastrand::Rng;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use uuid::Uuid;

use super::{auditor::Auditor, bugs::Bug, profile::Profile, truth::Truth};

/// The morning on which every world begins.
const MORNING: i64 = 1_800_000_000_000_000;

/// A node between a start and a crash. One that is dead gets no answer from outside any more, so nothing that it still has
/// in hand can be seen by anyone: that is what a crash is.
#[derive(Debug)]
pub struct Life {
    pub node: usize,
    dead: AtomicBool,
    died: Notify,
    /// Who follows the log, each with a channel of its own: tokio wakes the receivers of one channel in random order.
    followers: Mutex<Vec<watch::Sender<Position>>>,
    /// The log's end when this life began.
    pub born_at: Position,
}

impl Life {
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    pub fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_waiters();
    }

    pub async fn death(&self) {
        let died = self.died.notified();
        if !self.is_dead() {
            died.await;
        }
    }

    fn followers(&self) -> MutexGuard<'_, Vec<watch::Sender<Position>>> {
        self.followers.lock().expect("nothing panicked over the followers")
    }

    pub fn follow(&self) -> watch::Receiver<Position> {
        let (sender, receiver) = watch::channel(self.born_at);
        self.followers().push(sender);
        receiver
    }

    fn tell(&self, head: Position) {
        self.followers().iter().for_each(|follower| {
            follower.send_replace(head);
        });
    }
}

/// What changes as the world goes on. Nobody holds it across an await.
pub struct Contents {
    pub rng: Rng,
    trace: DefaultHasher,
    pub truth: Truth,
    pub auditor: Auditor,
    pub finding: Option<String>,
    lives: Vec<Arc<Life>>,
}

pub struct World {
    pub profile: Profile,
    pub bug: Option<Bug>,
    /// Print what happens.
    pub aloud: bool,
    begun: Instant,
    calm: AtomicBool,
    /// Until when the store says nothing of what it does, in milliseconds since the beginning.
    silent_until: AtomicU64,
    /// Time that passed on top of what was slept, and how wrong each node's clock is, in microseconds.
    passed: AtomicI64,
    skews: [AtomicI64; 4],
    contents: Mutex<Contents>,
}

struct Note<'a>(&'a mut DefaultHasher);

impl std::fmt::Write for Note<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl World {
    pub fn new(seed: u64, bug: Option<Bug>, aloud: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let profile = Profile::draw(&mut rng);
        let contents = Contents {
            rng,
            trace: DefaultHasher::new(),
            truth: Truth::default(),
            auditor: Auditor::default(),
            finding: None,
            lives: Vec::new(),
        };
        let (calm, silent_until, contents) = (AtomicBool::new(true), AtomicU64::new(0), Mutex::new(contents));
        let passed = AtomicI64::new(0);
        Self { profile, bug, aloud, begun: Instant::now(), calm, silent_until, passed, skews: Default::default(), contents }
    }

    pub fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().expect("nothing panicked while it looked at the world")
    }

    /// Takes what happens into the trace that two runs of one seed must share.
    pub fn note(&self, what: std::fmt::Arguments<'_>) {
        let at = self.begun.elapsed().as_millis();
        let contents = &mut *self.contents();
        if self.aloud {
            println!("{at:>8} ms  {what}");
        }
        writeln!(Note(&mut contents.trace), "{at} {what}").unwrap();
    }

    pub fn trace(&self) -> u64 {
        self.contents().trace.finish()
    }

    /// Something that must not be. The first is kept.
    pub fn find(&self, finding: String) {
        if self.aloud {
            println!("          FOUND  {finding}");
        }
        self.contents().finding.get_or_insert(finding);
    }

    pub fn has_failed(&self) -> bool {
        self.contents().finding.is_some()
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    pub fn set_calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::SeqCst);
    }

    /// Whether a fault happens that has this chance in a thousand.
    pub fn chance(&self, thousandths: u32) -> bool {
        !self.is_calm() && thousandths > 0 && self.contents().rng.u32(..1000) < thousandths
    }

    /// Whether the planted bug is this one, and bites now.
    pub fn bites(&self, bug: Bug, thousandths: u32) -> bool {
        self.bug == Some(bug) && (thousandths >= 1000 || self.chance(thousandths))
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// From now on the store says for some seconds nothing of what becomes of appends.
    pub fn fall_silent(&self) {
        self.silent_until.store(self.millis() + self.below(15_000), Ordering::SeqCst);
    }

    pub fn is_silent(&self) -> bool {
        !self.is_calm() && self.millis() < self.silent_until.load(Ordering::SeqCst)
    }

    pub fn below(&self, most: u64) -> u64 {
        self.contents().rng.u64(..most.max(1))
    }

    pub fn new_id(&self) -> Uuid {
        Uuid::from_u128(self.contents().rng.u128(..))
    }

    /// Waits for up to `most` milliseconds of simulated time.
    pub async fn delay(&self, most: u64) {
        if most > 0 && !self.is_calm() {
            let millis = self.below(most + 1);
            tokio::time::sleep(Duration::from_millis(millis)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }

    pub fn let_time_pass(&self, micros: i64) {
        self.passed.fetch_add(micros, Ordering::SeqCst);
    }

    pub fn skew(&self, node: usize, micros: i64) {
        self.skews[node].store(micros, Ordering::SeqCst);
    }

    /// What a node's clock shows, in microseconds.
    pub fn now(&self, node: usize) -> i64 {
        let slept = i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX);
        MORNING + slept + self.passed.load(Ordering::SeqCst) + self.skews[node].load(Ordering::SeqCst)
    }

    /// Begins a life of a node.
    pub fn begin_life(&self, node: usize) -> Arc<Life> {
        let contents = &mut *self.contents();
        let born_at = contents.truth.head().position;
        let life = Life { node, dead: AtomicBool::new(false), died: Notify::new(), followers: Mutex::default(), born_at };
        let life = Arc::new(life);
        contents.lives.retain(|life| !life.is_dead());
        contents.lives.push(life.clone());
        life
    }

    /// Writes a batch if the log ends at `head`, and wakes who follows, sooner or later, in any order, or not at all.
    pub fn commit(self: &Arc<Self>, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError> {
        let (end, lives, findings) = {
            let Contents { truth, auditor, lives, .. } = &mut *self.contents();
            let end = truth.head().position;
            if end != head {
                return Err(AppendError::HeadMoved { head: end });
            }
            truth.write(batch);
            let findings = auditor.observe(&truth.events[usize::try_from(end).unwrap()..]);
            (truth.head().position, lives.clone(), findings)
        };
        self.note(format_args!("the log is at {end}"));
        findings.into_iter().for_each(|finding| self.find(finding));
        for life in lives {
            self.wake(life, end);
        }
        Ok(end)
    }

    fn wake(self: &Arc<Self>, life: Arc<Life>, head: Position) {
        if self.chance(self.profile.wake_lost) {
            return;
        }
        if self.profile.wake_late == 0 || self.is_calm() {
            life.tell(head);
            return;
        }
        let world = self.clone();
        tokio::spawn(async move {
            world.delay(world.profile.wake_late).await;
            life.tell(head);
        });
    }
}

/// The clock of one node.
pub struct NodeClock {
    pub world: Arc<World>,
    pub node: usize,
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        let now = self.world.now(self.node);
        self.world.contents().auditor.clock_showed(now);
        Timestamp::from_timestamp_micros(now).unwrap()
    }
}
