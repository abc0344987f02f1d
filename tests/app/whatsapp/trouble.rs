//! When the channel, the account or the network is not well.

use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::{Fault, Pacing};
use tokio::net::{TcpListener, TcpStream};

use crate::whatsapp::world::{World, cart, cart_context, cart_template};

fn phone(n: usize) -> String {
    format!("+1415555{n:04}")
}

/// How a channel is down.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outage {
    /// Nobody listens at the address.
    Refused,
    /// Everything is answered with 500 and a page.
    Sorry,
}

#[actix_web::test]
async fn ten_minutes_without_a_connection_delay_messages_and_no_trigger() {
    ten_minutes_of(Outage::Refused).await;
}

#[actix_web::test]
async fn ten_minutes_of_500_delay_messages_and_no_trigger() {
    ten_minutes_of(Outage::Sorry).await;
}

/// One conversation of three texts begins every five seconds.
async fn ten_minutes_of(outage: Outage) {
    const PEOPLE: usize = 120;
    let pacing = Pacing { pair: true, per_second: Some(80) };
    // The connection to the cloud, which can be cut.
    let line = Line::new();
    let base = format!("http://{}", line.address);
    let world = World::start_with(
        pacing,
        |cloud| line.connect(cloud.base_url()),
        |config| {
            config.whatsapp.api_base = base;
        },
    )
    .await;
    let flow = world.app.publish(&three_texts()).await;
    let phones: Vec<_> = (0..PEOPLE).map(|n| world.cloud.phone(&phone(n))).collect();
    for (n, phone) in phones.iter().enumerate() {
        phone.say("hello");
        if n % 40 == 39 {
            world.wait(1).await;
        }
    }
    world.settle().await;

    match outage {
        Outage::Refused => line.cut(),
        Outage::Sorry => world.cloud.when(usize::MAX, |request| request.path.ends_with("/messages"), Fault::html()),
    }
    let asked_before = world.cloud.requests().len();
    let mut reasons = std::collections::BTreeSet::new();
    for n in 0..PEOPLE {
        // It is answered before the outbox runs: this test runs it, and only when time passes.
        world.trigger(flow, &phone(n), json!({})).await;
        world.wait(5).await;
        let ready = world.app.request(reqwest::Method::GET, "/readyz", None, None).await;
        assert_eq!(ready.status, 200, "it takes triggers");
        let channel = &ready.body["channel"];
        assert_ne!(channel["state"], "paused", "nobody has to act: {channel}");
        if channel["state"] == "backing_off" {
            reasons.insert(channel["reason"].as_str().unwrap().to_owned());
        }
    }
    let reason = if outage == Outage::Refused { "unreachable" } else { "http_500" };
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), [reason]);
    assert!(world.cloud.accepted().is_empty());
    let asked = world.cloud.requests().len() - asked_before;
    assert!(asked < 100, "a channel that is down is not asked on and on: {asked}");
    assert_eq!(world.with_status("failed").await, [] as [Value; 0]);

    match outage {
        Outage::Refused => line.connect(world.cloud.base_url()),
        Outage::Sorry => world.cloud.clear_faults(),
    }
    // The channel is tried within half a minute. From then on as much goes out at each step of the clock as the
    // number's pace lets out at one moment, which is ten.
    let mut silent = 0;
    while world.cloud.accepted().is_empty() {
        world.wait(1).await;
        silent += 1;
        assert!(silent <= 30, "nothing for {silent} s");
    }
    let mut waited = 0;
    while world.cloud.accepted().len() < 3 * PEOPLE {
        world.wait(1).await;
        waited += 1;
        assert!(waited <= 3 * PEOPLE / 10, "{} of {} after {waited} s", world.cloud.accepted().len(), 3 * PEOPLE);
    }
    println!("{outage:?}: tried after {silent} s, all there {waited} s later");
    world.wait(60).await;
    for (n, phone) in phones.iter().enumerate() {
        assert_eq!(phone.texts(), ["One.", "Two.", "Three."], "{n}");
    }
    for status in ["queued", "sending", "unknown", "failed"] {
        assert_eq!(world.with_status(status).await, [] as [Value; 0], "{status}");
    }
    let refused = world.cloud.refused();
    let is_pacing = |code: i64| [130_429, 131_056].contains(&code);
    assert!(!refused.iter().any(|refused| is_pacing(refused.error.code)), "paced by ourselves");
    let ready = world.app.request(reqwest::Method::GET, "/readyz", None, None).await;
    assert_eq!(ready.body["status"], "ready");
}

fn three_texts() -> Value {
    json!({"schema_version": 1, "name": "Three", "entry_node": "a", "nodes": [
        {"id": "a", "type": "send_message", "text": "One.", "exits": {"next": "b"}},
        {"id": "b", "type": "send_message", "text": "Two.", "exits": {"next": "c"}},
        {"id": "c", "type": "end", "text": "Three."}
    ]})
}

/// What lies between the server and the cloud: an address whose connections are passed on, or refused.
struct Line {
    address: std::net::SocketAddr,
    passing: std::cell::RefCell<Option<tokio::task::JoinHandle<()>>>,
}

impl Line {
    /// An address of its own where nobody listens yet.
    fn new() -> Self {
        Self { address: testkit::address::unused(), passing: std::cell::RefCell::default() }
    }

    /// Passes connections on to an address.
    fn connect(&self, base_url: &str) {
        let to = base_url.trim_start_matches("http://").to_owned();
        let listener = std::net::TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let passing = tokio::spawn(async move {
            // Ends with this task, so that cutting the line ends what was open as well.
            let mut open = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let to = to.clone();
                open.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(to).await {
                        // Either side may hang up.
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        *self.passing.borrow_mut() = Some(passing);
    }

    /// Refuses connections, and ends those that are open.
    fn cut(&self) {
        if let Some(passing) = self.passing.borrow_mut().take() {
            passing.abort();
        }
    }
}

#[actix_web::test]
async fn one_answer_of_a_proxy_pauses_nothing() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    for (n, status) in [302, 401, 403, 404].into_iter().enumerate() {
        let body = "<html>Who are you?</html>".to_owned();
        world.cloud.next(Fault::Answer { status, content_type: "text/html", body });
        world.trigger(flow, &phone(n), cart_context()).await;
        world.settle().await;
        let ready = world.app.request(reqwest::Method::GET, "/readyz", None, None).await;
        let channel = &ready.body["channel"];
        let wanted = json!(["backing_off", format!("http_{status}")]);
        assert_eq!(json!([channel["state"], channel["reason"]]), wanted, "nobody has to act");
        assert_eq!(world.cloud.accepted().len(), n);
        world.wait(2).await;
        assert_eq!(world.cloud.accepted().len(), n + 1, "{status}");
    }
    // Meta's own word is another matter.
    world.cloud.next(Fault::error(190));
    world.trigger(flow, &phone(9), cart_context()).await;
    world.wait(60).await;
    let ready = world.app.request(reqwest::Method::GET, "/readyz", None, None).await;
    assert_eq!((&ready.body["channel"]["state"], &ready.body["channel"]["reason"]), (&json!("paused"), &json!("190")));
    assert_eq!(world.cloud.accepted().len(), 4);
}

#[actix_web::test]
async fn a_message_accepted_late_gives_the_person_the_whole_time() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    world.cloud.when(usize::MAX, |request| request.path.ends_with("/messages"), Fault::html());
    let id = world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    // Its twenty minutes pass while the message is not out.
    world.wait(1200).await;
    assert_eq!(world.app.session(&id).await["status"], "running", "the timeout does not fire for a message unsent");
    world.cloud.clear_faults();
    world.wait(60).await;
    assert_eq!(world.cloud.accepted().len(), 1);
    let accepted_at = world.cloud.now();
    let wake_at = world.app.session(&id).await["wake_at"].clone();
    assert_eq!(wake_at, json!(at(accepted_at + 1_200_000)));
}

fn at(millis: i64) -> String {
    qyvo::domain::Timestamp::from_millis(millis).to_iso_seconds()
}
