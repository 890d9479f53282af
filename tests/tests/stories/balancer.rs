//! What the containers of `deploy/` run, without containers: a real nginx with the balancer's file in front of two nodes on
//! one database, and the settings that the image and the compose file give.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use test_postgres::Postgres;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::process::{Killed, Process, bearer, binary};

const LONG: Duration = Duration::from_secs(60);

fn deployed(name: &str) -> String {
    std::fs::read_to_string(format!("{}/../deploy/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A running nginx with the balancer's file, but for the addresses and the place of its own files.
struct Balancer {
    _nginx: Killed,
    url: String,
}

impl Balancer {
    /// None where there is no nginx.
    fn in_front_of(nodes: [&Process; 2], folder: &Path) -> Option<Self> {
        let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists())?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut file = deployed("nginx.conf");
        let own = format!("pid {0}/pid; error_log {0}/errors;\nevents {{", folder.display());
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let paths: String = paths.iter().map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.display())).collect();
        for (here, there) in [
            ("events {", own.as_str()),
            ("http {", &format!("http {{\naccess_log off;\n{paths}")),
            ("node-1:8080", nodes[0].url.trim_start_matches("http://")),
            ("node-2:8080", nodes[1].url.trim_start_matches("http://")),
            ("listen 8080;", &format!("listen {address};")),
        ] {
            assert_eq!(file.matches(here).count(), 1, "{here} of nginx.conf");
            file = file.replace(here, there);
        }
        std::fs::write(folder.join("nginx.conf"), file).unwrap();
        let child = Command::new(nginx)
            .args(["-g", "daemon off; master_process off;", "-e", "stderr", "-p"])
            .arg(folder)
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()
            .map(Killed)
            .unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < LONG, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { _nginx: child, url: format!("http://{address}") })
    }

    async fn ask(&self, query: &str) -> Value {
        let answer = reqwest::Client::new().post(format!("{}/graphql", self.url)).json(&json!({ "query": query }));
        answer.send().await.unwrap().json().await.unwrap()
    }
}

/// The settings of the image: `ENV NAME=VALUE …`.
fn settings_of_the_image() -> Vec<(String, String)> {
    let file = deployed("Dockerfile");
    let line = file.lines().find_map(|line| line.strip_prefix("ENV ")).unwrap();
    let setting = |setting: &str| setting.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
    line.split(' ').map(setting).collect()
}

#[test]
fn the_image_runs_a_command_that_there_is_with_settings_that_it_knows() {
    let file = deployed("Dockerfile");
    assert!(file.contains(r#"ENTRYPOINT ["daybook"]"#) && file.contains(r#"CMD ["serve"]"#));
    let help = Command::new(binary("daybook")).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let names = settings_of_the_image().into_iter().map(|(name, _)| name);
    let compose = deployed("compose.yaml");
    let given = compose.lines().filter_map(|line| line.trim().split_once(": ").map(|(name, _)| name.to_owned()));
    let names: Vec<_> = names.chain(given.filter(|name| name.starts_with("DAYBOOK_"))).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    for name in names {
        assert!(help.contains(&format!("env: {name}")), "{name} is not a setting of `daybook serve`");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_nginx_passes_requests_and_sockets_on_and_either_node_may_go() {
    let Some(server) = Postgres::start() else { return };
    let (shop, nginx) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = server.database("daybook");
    // As the compose file and the image have it, but for the address, which they share with the world.
    let format = settings_of_the_image().into_iter().find(|(name, _)| name == "DAYBOOK_LOG_FORMAT").unwrap().1;
    let settings =
        [("DAYBOOK_EVENTS", database.as_str()), ("DAYBOOK_VIEWS", database.as_str()), ("DAYBOOK_LOG_FORMAT", format.as_str())];
    let first = Process::serve_with(shop.path(), &[&settings[..], &[("DAYBOOK_DEMO", "true")]].concat());
    let second = Process::serve_with(shop.path(), &settings);
    let Some(balancer) = Balancer::in_front_of([&first, &second], nginx.path()) else {
        println!("skipped: nginx is not installed here; ./test.sh installs it");
        return;
    };
    assert_eq!(balancer.ask("{ __typename }").await["data"]["__typename"], "Query");

    // A subscription through the balancer: the upgrade is passed on, and events arrive.
    let authorization = bearer(shop.path(), "auditor", &settings);
    let mut request = format!("{}/graphql", balancer.url.replace("http", "ws")).into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "graphql-transport-ws".parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    for message in [
        json!({ "type": "connection_init", "payload": { "Authorization": authorization } }),
        json!({ "type": "subscribe", "id": "1", "payload": {
            "query": "subscription { events(fromPosition: 0) { position type } }" } }),
    ] {
        socket.send(Message::text(message.to_string())).await.unwrap();
    }
    let next = async {
        while let Some(message) = socket.next().await {
            let message = message.unwrap().into_text().unwrap();
            if message.contains(r#""next""#) {
                return message.to_string();
            }
        }
        panic!("the socket was closed")
    };
    let event = tokio::time::timeout(LONG, next).await.unwrap();
    assert!(event.contains(r#""position""#) && !event.contains("errors"), "{event}");

    // Either node goes: requests go to the other one.
    drop(first);
    for _ in 0..20 {
        assert_eq!(balancer.ask("{ __typename }").await["data"]["__typename"], "Query");
    }
    drop(second);
}
