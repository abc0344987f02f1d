//! The process dies at a named point of the outbox and is started again on its file: what is lost, what comes twice.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::app::PHONE;
use testkit::meta::{Delivery, FakeCloud, Pacing, Phone, Setup};
use testkit::process::Server;

use crate::whatsapp::world::{cart, cart_context, cart_template};
pub(crate) use testkit::wait::{patiently, until};

/// Says two things and asks a third.
fn talk() -> Value {
    json!({
        "schema_version": 1, "name": "Talk", "entry_node": "one",
        "nodes": [
            {"id": "one", "type": "send_message", "text": "One.", "exits": {"next": "two"}},
            {"id": "two", "type": "send_message", "text": "Two.", "exits": {"next": "ask"}},
            {"id": "ask", "type": "ask", "text": "And you?", "timeout_seconds": 600,
             "exits": {"reply": "done", "no_match": null, "timeout": null}},
            {"id": "done", "type": "end", "outcome": "answered", "text": "Thank you for {{input.text}}."}
        ]
    })
}

/// The real binary, the cloud that it sends through, and its file.
pub(crate) struct Mortal {
    pub(crate) server: Server,
    pub(crate) cloud: FakeCloud,
    pub(crate) token: String,
    _folder: TempDir,
}

impl Mortal {
    /// `settings` are lines of the configuration behind those of the channel.
    pub(crate) async fn start(settings: &str, environment: &[(&str, &str)], pacing: Pacing) -> Self {
        let setup = Setup { pacing, ..Setup::default() };
        let folder = tempfile::tempdir().unwrap();
        let cloud = FakeCloud::start(setup.clone());
        cloud.add_template(cart_template());
        let config = format!(
            "[whatsapp]\napi_base = \"{}\"\nphone_number_id = \"{}\"\nbusiness_account_id = \"{}\"\n\
             access_token = \"{}\"\napp_secret = \"{}\"\nverify_token = \"{}\"\n{settings}",
            cloud.base_url(),
            setup.phone_number_id,
            setup.business_account_id,
            setup.access_token,
            setup.app_secret,
            setup.verify_token
        );
        std::fs::write(folder.path().join("qyvo.toml"), config).unwrap();
        let server = Server::start_with(folder.path(), &[], environment).await;
        let token = server.token("admin");
        let mortal = Self { server, cloud, token, _folder: folder };
        mortal.listen();
        mortal
    }

    /// Starts it again, after it died.
    pub(crate) async fn restart(&mut self) {
        self.server.restart(&[]).await;
        self.listen();
    }

    fn listen(&self) {
        self.cloud.set_webhook(&self.server.url("/webhooks/whatsapp"));
    }

    /// Publishes a conversation in texts, and the one that begins with a template.
    pub(crate) async fn publish(&self) -> (String, String) {
        let talk = self.server.publish(&self.token, &talk()).await;
        self.server.send(&self.token, "POST", "/api/v1/templates/sync", &json!({})).await;
        (talk, self.server.publish(&self.token, &cart()).await)
    }

    /// Starts a flow; `None` if the process died meanwhile.
    pub(crate) async fn trigger(&self, flow: &str, phone: &str) -> Option<(u16, Value)> {
        let body = json!({"flow_id": flow, "phone": phone, "context": cart_context()});
        let url = self.server.url("/api/v1/actions/trigger-flow");
        let response = self.server.client.post(url).bearer_auth(&self.token).json(&body).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    }

    pub(crate) async fn session(&self, id: &str) -> Value {
        self.server.get(&self.token, &format!("/api/v1/sessions/{id}")).await
    }

    /// Messages to people that stand at a status.
    pub(crate) async fn with_status(&self, status: &str) -> Vec<Value> {
        let listed = self.server.get(&self.token, &format!("/api/v1/messages?status={status}&limit=200")).await;
        listed["data"].as_array().unwrap().clone()
    }

    /// Whether nothing waits to go out or is on its way. A message that is tried again goes back from one to the other,
    /// so the first is looked at again.
    pub(crate) async fn has_nothing_under_way(&self) -> bool {
        for status in ["queued", "sending", "queued"] {
            if !self.with_status(status).await.is_empty() {
                return false;
            }
        }
        true
    }

    /// The file is whole, and nothing waits to go out or is on its way any more.
    pub(crate) async fn assert_at_rest(&self) {
        // The phone has a message before the server has read that it was taken.
        until("rest", async || self.has_nothing_under_way().await).await;
        let check = self.server.command(&["check"]);
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    }
}

/// What a person read, where the same message may come again at once: each text, and how often it came. The same text
/// has the same callback id each time, and no other text has it.
pub(crate) fn heard(phone: &Phone) -> Vec<(String, usize)> {
    let mut heard: Vec<(String, usize)> = Vec::new();
    let mut callbacks: Vec<Option<String>> = Vec::new();
    for message in phone.inbox() {
        match callbacks.iter().position(|known| *known == message.callback) {
            Some(index) => {
                assert_eq!(index, callbacks.len() - 1, "an earlier message after a later one: {:?}", phone.texts());
                assert_eq!(heard[index].0, message.text, "one id for two messages");
                heard[index].1 += 1;
            }
            None => {
                callbacks.push(message.callback);
                heard.push((message.text, 1));
            }
        }
    }
    heard
}

/// What the table at the head of the outbox says of a point.
struct Point {
    name: &'static str,
    /// Whether the message has gone out when the process dies.
    has_gone_out: bool,
    /// Whether anybody can tell after the restart.
    is_in_doubt: bool,
}

/// How the process dies, and over which message.
struct Death<'a> {
    point: &'a Point,
    resend: &'static str,
    is_template: bool,
    /// Which message of the conversation it is, from 1.
    nth: usize,
    /// Whether it is killed from outside while it stands there, or ends itself.
    is_killed: bool,
}

/// Dies at a point over the first message with each policy, of a text and of a template.
async fn die(point: &Point) {
    let mut deaths = Vec::new();
    for resend in ["none", "texts", "all"] {
        for is_template in [false, true] {
            deaths.push(Death { point, resend, is_template, nth: 1, is_killed: false }.happen());
        }
    }
    futures::future::join_all(deaths).await;
}

/// Dies at a point over the second and the third message of a conversation.
async fn die_later(point: &Point) {
    let mut deaths = Vec::new();
    for resend in ["none", "all"] {
        for nth in [2, 3] {
            deaths.push(Death { point, resend, is_template: false, nth, is_killed: false }.happen());
        }
    }
    futures::future::join_all(deaths).await;
}

impl Death<'_> {
    async fn happen(self) {
        let Self { point, resend, is_template, nth, is_killed } = self;
        let goes_again = point.is_in_doubt && (resend == "all" || resend == "texts" && !is_template);
        let arrivals = usize::from(point.has_gone_out || !point.is_in_doubt) + usize::from(goes_again);
        let case = format!("{} {resend} template: {is_template} message {nth} killed: {is_killed}", point.name);
        let texts: &[&str] = match is_template {
            true => &["Hi there, your cart of 49.90 is waiting."],
            false => &["One.", "Two.", "And you?"],
        };

        let settings = format!("resend = \"{resend}\"\n[outbox]\nunknown_after = \"1s\"\n");
        let variable = if is_killed { "QYVO_STAND_AT" } else { "QYVO_CRASH_AT" };
        let place = format!("{}:{nth}", point.name);
        let mut mortal = Mortal::start(&settings, &[(variable, &place)], Pacing::OFF).await;
        let (talk, cart) = mortal.publish().await;
        // Nobody tells what became of a message: the policy alone decides.
        mortal.cloud.set_delivery(Delivery { delay_statuses: true, ..Delivery::default() });
        let anna = mortal.cloud.phone(PHONE);
        if !is_template {
            anna.say("hello");
            until("the hello", async || mortal.cloud.posted().len() == 1).await;
        }
        let flow = if is_template { &cart } else { &talk };
        // The answer may be lost with the process; the session is not.
        let answered = mortal.trigger(flow, PHONE).await;
        if is_killed {
            until("the point", async || mortal.server.log().contains("stands until it is killed")).await;
            let standing = if point.name == "outbox.before_claim" { "queued" } else { "sending" };
            let standing = mortal.with_status(standing).await;
            assert!(standing.iter().any(|message| message["text"] == texts[nth - 1]), "{case}: {standing:?}");
            mortal.server.kill();
        } else {
            mortal.server.wait_until_dead().await;
        }
        let before: Vec<&str> = texts[..nth - usize::from(!point.has_gone_out)].to_vec();
        assert_eq!(anna.texts(), before, "{case}");

        mortal.restart().await;
        let (status, session) = mortal.trigger(flow, PHONE).await.unwrap();
        let id = session["id"].as_str().unwrap();
        assert_eq!(status, 200, "{case}: the session is there");
        assert!(answered.is_none_or(|(_, answer)| answer["id"] == *id), "{case}");

        let in_all = texts.len() - 1 + arrivals;
        anna.wait_for(in_all).await;
        anna.say(if is_template { "Check out" } else { "tea" });
        // What answers stands in the same lane: that it comes shows that the lane goes on.
        anna.wait_for(in_all + 1).await;
        until("the last answer of the cloud", async || mortal.with_status("sending").await.is_empty()).await;
        let last = match is_template {
            true => "Great! You can finish your order here: https://shop.example.com/cart/7",
            false => "Thank you for tea.",
        };
        let times = |index: usize| if index + 1 == nth { arrivals } else { 1 };
        let expected: Vec<(String, usize)> = texts
            .iter()
            .copied()
            .chain([last])
            .enumerate()
            .map(|(index, text)| (text.to_owned(), times(index)))
            .filter(|(_, times)| *times > 0)
            .collect();
        assert_eq!(heard(&anna), expected, "{case}");
        assert_eq!(mortal.session(id).await["status"], "completed", "{case}");

        // What nobody can tell of is shown as that, and is all that is.
        let unknown = mortal.with_status("unknown").await;
        assert_eq!(unknown.len(), usize::from(point.is_in_doubt && !goes_again), "{case}: {unknown:?}");
        assert!(is_template || unknown.iter().all(|message| message["text"] == texts[nth - 1]), "{case}: {unknown:?}");
        assert_eq!(mortal.with_status("sent").await.len(), texts.len() + 1 - unknown.len(), "{case}");
        assert_eq!(mortal.with_status("failed").await, [] as [Value; 0], "{case}");
        mortal.assert_at_rest().await;
    }
}

const BEFORE_CLAIM: Point = Point { name: "outbox.before_claim", has_gone_out: false, is_in_doubt: false };
const AFTER_CLAIM: Point = Point { name: "outbox.after_claim", has_gone_out: false, is_in_doubt: true };
const AFTER_SEND: Point = Point { name: "outbox.after_send", has_gone_out: true, is_in_doubt: true };
const BEFORE_RECORD: Point = Point { name: "outbox.before_record", has_gone_out: true, is_in_doubt: true };

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_before_the_claim_has_lost_and_doubled_nothing() {
    die(&BEFORE_CLAIM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_after_the_claim_has_not_sent_and_cannot_tell() {
    die(&AFTER_CLAIM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_after_sending_has_sent_and_cannot_tell() {
    die(&AFTER_SEND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_before_recording_has_sent_and_cannot_tell() {
    die(&BEFORE_RECORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_in_the_midst_of_a_conversation_doubts_that_message_alone() {
    // A claim is also made of nothing, so that only the other points can be counted by messages.
    for point in [AFTER_CLAIM, AFTER_SEND, BEFORE_RECORD] {
        die_later(&point).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_killed_at_a_point_leaves_what_who_dies_there_leaves() {
    let deaths = [(BEFORE_CLAIM, 1), (AFTER_CLAIM, 2), (AFTER_SEND, 2), (BEFORE_RECORD, 2)];
    let deaths = deaths
        .each_ref()
        .map(|(point, nth)| Death { point, resend: "all", is_template: false, nth: *nth, is_killed: true }.happen());
    futures::future::join_all(deaths).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn word_that_comes_after_the_restart_settles_what_nobody_could_tell() {
    let settings = "resend = \"all\"\n[outbox]\nunknown_after = \"1h\"\n";
    let mut mortal = Mortal::start(settings, &[("QYVO_CRASH_AT", "outbox.before_record")], Pacing::OFF).await;
    let (talk, _) = mortal.publish().await;
    mortal.cloud.set_delivery(Delivery { delay_statuses: true, ..Delivery::default() });
    let anna = mortal.cloud.phone(PHONE);
    anna.say("hello");
    until("the hello", async || mortal.cloud.posted().len() == 1).await;
    mortal.trigger(&talk, PHONE).await;
    mortal.server.wait_until_dead().await;
    mortal.restart().await;
    until("the restarted outbox", async || mortal.with_status("unknown").await.len() == 1).await;
    assert_eq!(anna.texts(), ["One."], "its lane waits, and nothing goes out in doubt");
    // Meta tells of the message by our id, though its own was lost with the process.
    mortal.cloud.release_statuses();
    anna.wait_for(3).await;
    until("the last status", async || mortal.with_status("delivered").await.len() == 3).await;
    assert_eq!(anna.texts(), ["One.", "Two.", "And you?"], "nothing came twice");
    let (_, session) = mortal.trigger(&talk, PHONE).await.unwrap();
    let session = mortal.session(session["id"].as_str().unwrap()).await;
    assert_eq!((&session["status"], &session["waiting_for"]), (&json!("running"), &json!("reply")));
    assert!(session["wake_at"].is_string(), "its timeout is armed: {session}");
    assert_eq!(mortal.with_status("unknown").await, [] as [Value; 0]);
    mortal.assert_at_rest().await;
}
