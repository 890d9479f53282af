//! Nothing is sent inside: literal addresses, names that point inside, names that change.

use std::{io, net::IpAddr, sync::Arc, sync::Mutex};

use async_trait::async_trait;
use event_schemas::WebhookId;
use webhooks::{Reason, Resolver, UrlRefusal, WebhookConfig, Webhooks};

use crate::{
    receiver::Receiver,
    shop::{Names, Shop, to_loopback},
};

/// An address of each family that is not the public network.
const INSIDE: [&str; 17] = [
    "0.0.0.0",
    "10.0.0.7",
    "100.64.0.1",
    "127.0.0.1",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "fe80::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
];

async fn guarded(config: WebhookConfig) -> (Shop, Webhooks, WebhookId) {
    let shop = Shop::open().await;
    let node = shop.node(config);
    let (id, _) = shop.webhook(&node, "https://example.com/", &[]).await;
    (shop, node, id)
}

fn host(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_inside_is_refused_however_it_is_written() {
    let (_shop, node, id) = guarded(WebhookConfig::default()).await;
    let others = ["0x7f.1", "2130706433", "127.1", "0177.0.0.1", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]"].map(str::to_owned);
    for host in INSIDE.iter().map(|address| host(address)).chain(others) {
        let url = format!("https://{host}:8443/hook");
        assert_eq!(node.check_url(&url).await, Err(UrlRefusal::Forbidden), "{url}");
        assert_eq!(node.test(id, &url).await.unwrap().failed, Some(Reason::Forbidden), "{url}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_points_inside_is_refused_also_if_it_points_outside_too() {
    let names = Arc::new(Names::default());
    let (_shop, node, id) = guarded(WebhookConfig { resolver: names.clone(), ..WebhookConfig::default() }).await;
    for address in INSIDE {
        names.set("inside.example", &[address]);
        names.set("both.example", &["1.1.1.1", address]);
        for url in ["https://inside.example/", "https://both.example/"] {
            assert_eq!(node.check_url(url).await, Err(UrlRefusal::Forbidden), "{url}: {address}");
            assert_eq!(node.test(id, url).await.unwrap().failed, Some(Reason::Forbidden), "{url}: {address}");
        }
    }
    names.set("outside.example", &["1.1.1.1", "2606:4700::1111"]);
    assert_eq!(node.check_url("https://outside.example/").await, Ok(()));
    assert_eq!(node.check_url("https://later.example/").await, Ok(()), "a name may get its address later");
    assert_eq!(node.test(id, "https://later.example/").await.unwrap().failed, Some(Reason::Unresolved));
    node.stop().await;
}

/// A name that points outside when it is checked, and inside from then on.
struct Rebinding(Mutex<Vec<IpAddr>>);

#[async_trait]
impl Resolver for Rebinding {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let next = self.0.lock().unwrap().pop();
        Ok(vec![next.unwrap_or(IpAddr::from([127, 0, 0, 1]))])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_after_the_check_is_refused_when_it_is_connected_to() {
    let resolver = Arc::new(Rebinding(Mutex::new(vec![IpAddr::from([1, 1, 1, 1])])));
    let (_shop, node, id) = guarded(WebhookConfig { resolver, ..WebhookConfig::default() }).await;
    assert_eq!(node.check_url("https://turn.example/").await, Ok(()));
    assert_eq!(node.test(id, "https://turn.example/").await.unwrap().failed, Some(Reason::Forbidden));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_only_networks_that_the_operator_has_named_are_sent_to() {
    let (names, receiver) = (Arc::new(Names::default()), Receiver::willing().await);
    names.set("erp.example", &["127.0.0.1"]);
    names.set("outside.example", &["1.1.1.1"]);
    let (_shop, node, id) = guarded(WebhookConfig { resolver: names, ..to_loopback() }).await;
    let named = format!("http://erp.example:{}/", receiver.address.port());
    for url in [receiver.url(), named] {
        assert_eq!(node.check_url(&url).await, Ok(()), "{url}");
        assert_eq!(node.test(id, &url).await.unwrap().failed, None, "{url}");
    }
    for url in ["http://1.1.1.1/", "http://outside.example/", "http://10.0.0.1/"] {
        assert_eq!(node.check_url(url).await, Err(UrlRefusal::Plain), "{url}");
        assert_eq!(node.test(id, url).await.unwrap().failed, Some(Reason::Forbidden), "{url}");
    }
    assert_eq!(node.check_url("http://unknown.example/").await, Err(UrlRefusal::Plain), "nobody knows where that is");
    node.stop().await;
    assert_eq!(receiver.all().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_url_of_a_webhook_is_refused() {
    let (_shop, node, id) = guarded(to_loopback()).await;
    for url in ["", "example.com", "ftp://example.com/", "file:///etc/passwd", "https://ana:secret@example.com/", "https://"] {
        assert_eq!(node.check_url(url).await, Err(UrlRefusal::Malformed), "{url}");
        assert_eq!(node.test(id, url).await.unwrap().failed, Some(Reason::Url), "{url}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_speak_tls_is_sent_nothing() {
    let receiver = Receiver::willing().await;
    let (_shop, node, id) = guarded(to_loopback()).await;
    let url = format!("https://{}/hook", receiver.address);
    assert_eq!(node.test(id, &url).await.unwrap().failed, Some(Reason::Connection));
    node.stop().await;
    assert!(receiver.all().is_empty());
}
