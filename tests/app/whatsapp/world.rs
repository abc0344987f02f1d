//! A server, the cloud it sends through, and the clock of both.

use std::sync::Arc;

use qyvo::config::Config;
use qyvo::domain::FlowId;
use qyvo::runtime::Clock;
use serde_json::{Value, json};
use testkit::app::{START, TestApp};
use testkit::meta::{Delivery, FakeCloud, Pacing, Setup, Template};

/// What a test plays in.
pub(crate) struct World {
    pub(crate) app: TestApp,
    pub(crate) cloud: FakeCloud,
}

impl World {
    /// A server whose templates are those of the cloud, without pacing.
    pub(crate) async fn start(prepare: impl FnOnce(&FakeCloud)) -> Self {
        Self::start_with(Pacing::OFF, prepare, |_| {}).await
    }

    pub(crate) async fn start_with(
        pacing: Pacing,
        prepare: impl FnOnce(&FakeCloud),
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let world = Self::start_by(Clock::by_hand(START.parse().unwrap()), pacing, prepare, change).await;
        world.app.post("/templates/sync", &json!({})).await.expect(200);
        world
    }

    /// The same, where the templates may be refused.
    pub(crate) async fn start_unsynced(prepare: impl FnOnce(&FakeCloud)) -> Self {
        Self::start_by(Clock::by_hand(START.parse().unwrap()), Pacing::OFF, prepare, |_| {}).await
    }

    /// By the machine's clock: the server's own workers send and fire, and nobody calls them.
    pub(crate) async fn start_alive(prepare: impl FnOnce(&FakeCloud), change: impl FnOnce(&mut Config)) -> Self {
        let world = Self::start_by(Clock::system(), Pacing::OFF, prepare, change).await;
        world.app.post("/templates/sync", &json!({})).await.expect(200);
        world
    }

    async fn start_by(
        clock: Clock,
        pacing: Pacing,
        prepare: impl FnOnce(&FakeCloud),
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let shared = clock.clone();
        let setup = Setup { now: Arc::new(move || shared.now().as_millis()), pacing, ..Setup::default() };
        let cloud = FakeCloud::start(setup);
        prepare(&cloud);
        let folder = tempfile::tempdir().unwrap();
        let base = cloud.base_url().to_owned();
        let app = TestApp::start_in(folder, clock, |config| {
            configure(config, &base);
            change(config);
        })
        .await;
        cloud.set_webhook(&format!("{}/webhooks/whatsapp", app.base));
        Self { app, cloud }
    }

    /// Carries on until nothing is under way any more: messages go out, and what Meta tells of them comes in.
    pub(crate) async fn settle(&self) {
        loop {
            // Counted before anything else: a webhook that is posted while the outbox runs may queue an answer, which
            // only another round sends.
            let posted = self.cloud.posted().len();
            let sent = self.app.runtime.run_outbox_once().await.unwrap();
            self.cloud.deliver().await;
            self.cloud.settle().await;
            if sent == 0 && self.cloud.posted().len() == posted {
                break;
            }
        }
    }

    /// Carries on until nothing is queued any more, and lets time pass as the number's pace asks for.
    pub(crate) async fn drain(&self) {
        self.settle().await;
        while !self.with_status("queued").await.is_empty() {
            self.wait(1).await;
        }
    }

    /// Lets time pass and fires what falls due.
    pub(crate) async fn wait(&self, seconds: u64) {
        self.app.advance(seconds);
        self.app.runtime.run_due().await.unwrap();
        self.settle().await;
    }

    /// Every delivery of the cloud was answered with 200.
    pub(crate) fn assert_all_taken(&self) {
        for posted in self.cloud.posted() {
            assert_eq!(posted.status, Some(200), "{} {}", posted.answer, posted.body);
        }
    }

    /// Nothing is on its way, in doubt or lost.
    pub(crate) async fn assert_nothing_in_doubt(&self) {
        for status in ["queued", "sending", "unknown", "failed"] {
            assert_eq!(self.with_status(status).await, [] as [Value; 0], "{status}");
        }
    }

    /// [`World::assert_nothing_in_doubt`], and no session waits for anything.
    pub(crate) async fn assert_at_rest(&self) {
        self.assert_nothing_in_doubt().await;
        let running = self.app.get("/sessions?status=running").await.expect(200);
        assert_eq!(running["data"], json!([]));
    }

    /// Starts a flow for a phone and gives the session's id.
    pub(crate) async fn trigger(&self, flow: FlowId, phone: &str, context: Value) -> Value {
        let body = json!({"flow_id": flow, "phone": phone, "context": context});
        self.app.post("/actions/trigger-flow", &body).await.expect(201)["id"].clone()
    }

    /// What the stored messages of a contact are: direction, type, status and reason, oldest first.
    pub(crate) async fn messages(&self, contact: &Value) -> Vec<Value> {
        let path = format!("/contacts/{}/messages?limit=200", contact.as_str().unwrap());
        let mut data = self.app.get(&path).await.expect(200)["data"].as_array().unwrap().clone();
        data.reverse();
        data
    }

    /// How often each status of messages to people is there.
    pub(crate) async fn with_status(&self, status: &str) -> Vec<Value> {
        let path = format!("/messages?status={status}&limit=200");
        self.app.get(&path).await.expect(200)["data"].as_array().unwrap().clone()
    }
}

/// The keys of a server that sends through the cloud.
pub(crate) fn configure(config: &mut Config, base: &str) {
    let setup = Setup::default();
    let secret = |text: &str| serde_json::from_value(json!(text)).unwrap();
    config.whatsapp.api_base = base.to_owned();
    config.whatsapp.phone_number_id = setup.phone_number_id;
    config.whatsapp.business_account_id = setup.business_account_id;
    config.whatsapp.access_token = secret(&setup.access_token);
    config.whatsapp.app_secret = secret(&setup.app_secret);
    config.whatsapp.verify_token = secret(&setup.verify_token);
}

/// The template of the abandoned-cart sample.
pub(crate) fn cart_template() -> Template {
    Template::new("abandoned_cart", "en")
        .body("Hi {{1}}, your cart of {{2}} is waiting.")
        .quick_reply("Check out")
        .quick_reply("I need help")
        .quick_reply("Not now")
}

/// The abandoned-cart sample.
pub(crate) fn cart() -> Value {
    serde_json::from_str(include_str!("../../../static/samples/abandoned-cart.json")).unwrap()
}

/// What a shop passes when a cart was left.
pub(crate) fn cart_context() -> Value {
    json!({"cart_total": "49.9", "checkout_url": "https://shop.example.com/cart/7"})
}

/// Webhooks wait until the test delivers them.
pub(crate) fn held() -> Delivery {
    Delivery { held: true, ..Delivery::default() }
}
