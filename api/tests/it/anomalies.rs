//! Who follows what is out of the ordinary: told once of each, and after a break of what was not seen yet.

use std::time::Duration;

use api::{ServeConfig, access::Role};
use serde_json::{Value, json};

use crate::{
    server::{Server, config},
    socket_rules::Socket,
};

const FOLLOW: &str = "{ position anomalies { day currency metric severity reason positions } }";

/// What a subscriber is told after a position, until it was told of so many days.
async fn told(server: &Server, after: &str, days: usize) -> Vec<Value> {
    let mut socket = Socket::ready(server, Some(server.token(Role::Analyst, Duration::from_secs(60)))).await;
    socket.subscribe("1", &format!("subscription {{ anomalyRaised(fromPosition: {after}) {FOLLOW} }}")).await;
    let (mut updates, mut found) = (Vec::new(), 0);
    while found < days {
        let update = socket.data().await["anomalyRaised"].clone();
        found += update["anomalies"].as_array().unwrap().len();
        updates.push(update);
    }
    updates
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_anomalies_is_told_once_of_each_and_goes_on_after_a_break() {
    let folder = tempfile::tempdir().unwrap();
    let demo = ServeConfig { demo: true, ..config(folder.path()) };
    let server = Server::configured(folder, demo).await;
    let listed = "{ anomalies(first: 100) { nodes { day currency metric severity reason positions } } }";
    let listed = server.run(Some(Role::Analyst), listed, json!({})).await["data"]["anomalies"]["nodes"].clone();
    let mut listed = listed.as_array().unwrap().clone();
    assert!(listed.len() > 1, "the demo has days to be found: {listed:?}");

    let updates = told(&server, "0", listed.len()).await;
    let mut days: Vec<_> = updates.iter().flat_map(|update| update["anomalies"].as_array().unwrap().clone()).collect();
    for list in [&mut listed, &mut days] {
        list.sort_by_key(Value::to_string);
    }
    assert_eq!(days, listed);
    let positions: Vec<u64> = updates.iter().map(|update| update["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted_by(|one, next| one < next), "each event in one update: {positions:?}");

    let rest: usize = updates[1..].iter().map(|update| update["anomalies"].as_array().unwrap().len()).sum();
    assert_eq!(told(&server, &positions[0].to_string(), rest).await, updates[1..]);
}
