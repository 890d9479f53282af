//! The nodes of a world: the real engine and the real processes, each node with its own way to the log and its own clock.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{DeadlineProcess, GatewayProcess, OrderProcess, Process};
use engine::{Engine, Gateway, Processes, SeededIds};

use super::{
    gateway::{NodeGateway, Till},
    log::NodeLog,
    world::{Life, NodeClock, World},
};

/// A node that runs.
#[derive(Clone)]
pub struct Node {
    pub life: Arc<Life>,
    pub engine: Engine,
    pub processes: Arc<Processes>,
}

/// All nodes; one that is down has nothing here.
pub struct Nodes {
    world: Arc<World>,
    pub till: Arc<Till>,
    running: Mutex<Vec<Option<Node>>>,
}

impl Nodes {
    pub fn new(world: &Arc<World>) -> Arc<Self> {
        let running = Mutex::new(vec![None; world.profile.nodes]);
        Arc::new(Self { world: world.clone(), till: Arc::default(), running })
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Vec<Option<Node>>> {
        self.running.lock().expect("nothing panicked over the nodes")
    }

    /// Starts a node and, if the log cannot be read, tries again.
    pub async fn start(&self, node: usize) {
        let world = &self.world;
        loop {
            let life = world.begin_life(node);
            let clock = Arc::new(NodeClock { world: world.clone(), node });
            let ids = Arc::new(SeededIds::new(world.below(u64::MAX)));
            let log = NodeLog::new(world, &life, true);
            match Engine::start(log, clock, ids, world.profile.limits.clone()).await {
                Ok(engine) => {
                    let (world, till) = (world.clone(), self.till.clone());
                    let gateway: Arc<dyn Gateway> = Arc::new(NodeGateway { world, life: life.clone(), till });
                    let processes: Vec<Box<dyn Process>> =
                        vec![Box::new(GatewayProcess), Box::new(OrderProcess), Box::new(DeadlineProcess)];
                    let log = NodeLog::new(&self.world, &life, false);
                    let processes = Arc::new(Processes::start(log, engine.clone(), processes, &[gateway]));
                    self.world.note(format_args!("node {node} is up"));
                    self.running()[node] = Some(Node { life, engine, processes });
                    return;
                }
                Err(_) => life.die(),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills a node wherever it stands. False if it was down.
    pub fn crash(&self, node: usize) -> bool {
        let down = self.running()[node].take();
        if let Some(node) = &down {
            self.world.note(format_args!("node {} crashes", node.life.node));
            node.life.die();
        }
        down.is_some()
    }

    /// Some node that runs.
    pub fn any(&self) -> Option<Node> {
        let up: Vec<Node> = self.running().iter().flatten().cloned().collect();
        let chosen = self.world.below(up.len() as u64);
        up.into_iter().nth(usize::try_from(chosen).unwrap())
    }

    /// Whether, when these many were just taken down, others were down before and may be coming up.
    pub fn any_starting(&self, taken: usize) -> bool {
        taken < self.running().len()
    }

    pub fn all_up(&self) -> bool {
        self.running().iter().all(Option::is_some)
    }
}
