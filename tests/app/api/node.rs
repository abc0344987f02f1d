//! The community node for n8n, call by call: what its source (version 0.2.0) sends, and what it reads from the answer.
//! It is used with nothing altered but its base URL and its token, so every row must be answered as it stands.

use std::collections::HashSet;

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Map, Value, json};
use testkit::app::{Answer, PHONE, TestApp, local, question, read, secret};

/// What the node does with an answer.
#[derive(Clone, Copy, Debug)]
enum Reads {
    /// The status alone.
    Nothing,
    /// One item, passed through.
    Item,
    /// A bare array, each element of which becomes an item.
    Items,
    /// A bare array of `id` and `label`.
    Options,
    /// A bare array whose elements have an `id`; those without are skipped. An empty one says that nothing is new.
    Events,
}

/// How the node makes its URL of the base URL in its credential.
#[derive(Clone, Copy, Debug)]
enum Base {
    /// As it is: behind a trailing slash the path begins with a second one.
    Raw,
    /// Without one trailing slash.
    Stripped,
}

/// One row of the table.
struct Call {
    number: usize,
    method: Method,
    base: Base,
    path: String,
    /// What may be left blank in the node's form.
    optional: &'static [&'static str],
    /// Sent whatever the form holds.
    always: Value,
    /// The forms that people fill in.
    forms: Vec<Value>,
    reads: Reads,
}

/// Versions of the node, which differ in what they make of a blank field.
#[derive(Clone, Copy, Debug)]
enum Version {
    /// Left out, since 0.2.0.
    Current,
    /// An empty string.
    Earlier,
}

/// What the calls are about.
struct World {
    flow: String,
    sequence: String,
    template: String,
    /// A template without variables.
    plain: String,
    contact: String,
}

impl World {
    async fn make(app: &TestApp) -> Self {
        let flow = app.publish(&question(30)).await.to_string();
        let mut days = question(30);
        (days["kind"], days["name"]) = (json!("sequence"), json!("Days"));
        let sequence = app.publish(&days).await.to_string();
        let template = json!({"name": "cart", "language": "en", "body": "Hi {{1}}, {{total}} is waiting."});
        app.post("/templates", &template).await.expect(201);
        app.post("/templates", &json!({"name": "thanks", "language": "en", "body": "Thank you!"})).await.expect(201);
        let listed = app.post("/actions/list-templates", &json!({})).await.expect(200);
        let [template, plain] = [0, 1].map(|index| text(&listed[index]["id"]));
        let contact = json!({"phone": PHONE, "name": "Ana", "email": "ana@shop.example", "tags": "vip",
            "metadata": {"crm": 4711}});
        let contact = text(&app.post("/actions/create-contact", &contact).await.expect(201)["id"]);
        // An earlier version clears the email of whoever it updates.
        let other = json!({"phone": "+14155550124", "email": "bo@shop.example"});
        app.post("/actions/create-contact", &other).await.expect(201);
        app.say(PHONE, "Hello").await;
        Self { flow, sequence, template, plain, contact }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The table: the calls in the order of the node's own files.
fn calls(world: &World) -> Vec<Call> {
    let action = |number, name: &str, optional, always, forms, reads| Call {
        number,
        method: Method::POST,
        base: Base::Raw,
        path: format!("/api/v1/actions/{name}"),
        optional,
        always,
        forms,
        reads,
    };
    let get = |number, base, path: &str, optional, forms, reads| Call {
        number,
        method: Method::GET,
        base,
        path: format!("/api/v1/{path}"),
        optional,
        always: json!({}),
        forms,
        reads,
    };
    let dropdown = |number, path: &str| get(number, Base::Stripped, path, &[], vec![json!({})], Reads::Options);
    let trigger = |number, path: &str, optional, forms| {
        get(number, Base::Stripped, &format!("triggers/{path}"), optional, forms, Reads::Events)
    };
    let World { flow, sequence, template, plain, contact } = world;
    let nothing = || json!({});
    let by_phone = |mut more: Value| {
        more["phone"] = json!(PHONE);
        more
    };
    let by_id = |mut more: Value| {
        more["contact_id"] = json!(contact);
        more
    };
    let either: &'static [&'static str] = &["phone", "contact_id"];
    let metadata = || json!({"metadata": {}});
    let context = || json!({"context": {}});
    let tag = json!({"tag": "beta"});
    let about = json!({"name": "Ana", "email": "ana@shop.example", "tags": "vip, beta", "metadata": {"n8n": 1}});
    let message_types = ["audio", "document", "image", "location", "sticker", "text", "video"];
    let of_type = message_types.iter().map(|one| json!({"message_type": one}));
    let statuses = ["APPROVED", "PENDING", "REJECTED"].iter().map(|one| json!({"status": one}));
    let send_template = json!({"phone": PHONE, "template_id": template, "language": "en",
        "variables": {"1": "Ana", "total": "12"}});
    let without_language = json!({"phone": PHONE, "template_id": template, "variables": {"1": "Ana", "total": "12"}});
    vec![
        get(1, Base::Raw, "me", &[], vec![nothing()], Reads::Nothing),
        action(
            2,
            "create-contact",
            &["name", "email", "tags"],
            metadata(),
            vec![by_phone(nothing()), by_phone(about.clone())],
            Reads::Item,
        ),
        action(
            3,
            "update-contact",
            &["phone", "contact_id", "name", "email", "tags"],
            metadata(),
            vec![by_phone(about.clone()), by_id(about), by_phone(nothing()), by_id(nothing())],
            Reads::Item,
        ),
        action(
            4,
            "get-contact",
            &["phone", "contact_id", "email"],
            nothing(),
            vec![
                by_phone(nothing()),
                by_id(nothing()),
                json!({"email": "bo@shop.example"}),
                by_id(by_phone(json!({"email": "bo@shop.example"}))),
            ],
            Reads::Item,
        ),
        action(
            5,
            "search-contacts",
            &["query", "tag", "email"],
            nothing(),
            vec![nothing(), json!({"query": "415"}), json!({"tag": "vip"}), json!({"email": "ana@shop.example"})],
            Reads::Items,
        ),
        action(
            6,
            "add-tag",
            either,
            nothing(),
            vec![by_phone(tag.clone()), by_id(tag.clone()), by_id(by_phone(tag.clone()))],
            Reads::Item,
        ),
        action(
            7,
            "remove-tag",
            either,
            nothing(),
            vec![by_phone(tag.clone()), by_id(tag.clone()), by_id(by_phone(tag))],
            Reads::Item,
        ),
        action(8, "send-text-message", &[], nothing(), vec![by_phone(json!({"message": "Hi"}))], Reads::Item),
        action(
            9,
            "send-template-message",
            &["language"],
            nothing(),
            vec![send_template, without_language, json!({"phone": PHONE, "template_id": plain})],
            Reads::Item,
        ),
        action(
            10,
            "list-templates",
            &["status"],
            nothing(),
            std::iter::once(nothing()).chain(statuses).collect(),
            Reads::Items,
        ),
        action(11, "get-template", &[], nothing(), vec![json!({"template_id": template})], Reads::Item),
        action(12, "list-tags", &["name"], nothing(), vec![nothing(), json!({"name": "vi"})], Reads::Items),
        action(
            13,
            "trigger-sequence",
            either,
            context(),
            vec![by_phone(json!({"sequence_id": sequence})), by_id(json!({"sequence_id": sequence}))],
            Reads::Item,
        ),
        action(
            14,
            "trigger-flow",
            either,
            context(),
            vec![
                by_phone(json!({"flow_id": flow, "context": {"cart": "7"}})),
                by_id(json!({"flow_id": flow})),
                by_id(by_phone(json!({"flow_id": flow}))),
            ],
            Reads::Item,
        ),
        dropdown(15, "dropdowns/templates"),
        dropdown(16, "dropdowns/sequences"),
        dropdown(17, "dropdowns/flows"),
        dropdown(18, &format!("dropdowns/template-variables?template_id={template}")),
        trigger(19, "new-message-received", &["message_type"], std::iter::once(nothing()).chain(of_type).collect()),
        trigger(20, "new-campaign-sent", &[], vec![nothing()]),
        trigger(21, "new-flow-triggered", &[], vec![nothing()]),
        trigger(22, "new-sequence-triggered", &[], vec![nothing()]),
    ]
}

impl Call {
    /// What a version makes of a form.
    fn fields(&self, form: &Value, version: Version) -> Map<String, Value> {
        let mut fields = self.always.as_object().unwrap().clone();
        if matches!(version, Version::Earlier) {
            fields.extend(self.optional.iter().map(|name| ((*name).to_owned(), json!(""))));
        }
        fields.extend(form.as_object().unwrap().clone());
        fields
    }

    /// How many events there are for a form: of each flow a session, one message, which is a text, and no campaign.
    fn events(&self, form: &Value) -> usize {
        let is_of_another_type = form.get("message_type").is_some_and(|kind| kind != "text");
        usize::from(!is_of_another_type && !self.path.ends_with("new-campaign-sent"))
    }

    /// Sends it as the node does, with a base URL that ends in a slash or does not.
    async fn send(&self, app: &TestApp, form: &Value, version: Version, slash: &str) -> Answer {
        let base = match self.base {
            Base::Raw => format!("{}{slash}", app.base),
            Base::Stripped => app.base.clone(),
        };
        let fields = self.fields(form, version);
        let url = format!("{base}{}", self.path);
        let url = match self.method == Method::GET && !fields.is_empty() {
            true => {
                let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
                format!("{url}?{}", pairs.join("&"))
            }
            false => url,
        };
        let mut request = app
            .client
            .request(self.method.clone(), url)
            .bearer_auth(secret(Scope::Api))
            .header("Accept", "application/json");
        if self.method == Method::POST {
            let body = Value::Object(fields).to_string();
            request = request.header("Content-Type", "application/json").body(body);
        }
        read(request).await
    }
}

impl Reads {
    /// Panics where the node would, and where it would quietly see nothing.
    #[track_caller]
    fn check(self, answer: &Value, what: &str) {
        let items = || answer.as_array().unwrap_or_else(|| panic!("{what} is no bare array: {answer}")).iter();
        match self {
            Self::Nothing => {}
            Self::Item => assert!(answer["id"].is_string(), "{what}: {answer}"),
            Self::Items => assert!(items().all(|item| item["id"].is_string()), "{what}: {answer}"),
            Self::Options => {
                let named = |option: &Value| option["id"].is_string() && option["label"].is_string();
                assert!(items().all(named) && items().len() > 0, "{what}: {answer}");
            }
            Self::Events => {
                let ids: HashSet<String> = items().map(|item| text(&item["id"])).collect();
                assert_eq!(ids.len(), items().len(), "{what}: an id is an event's own: {answer}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_answered_as_the_node_sends_it() {
    local(async {
        let app = TestApp::start().await;
        let world = World::make(&app).await;
        let calls = calls(&world);
        assert!(calls.iter().map(|call| call.number).eq(1..=22), "each call has one row");
        for call in &calls {
            for form in &call.forms {
                for version in [Version::Current, Version::Earlier] {
                    for slash in ["", "/"] {
                        let what = format!("{} {} {version:?} {slash:?} {form}", call.number, call.path);
                        let answer = call.send(&app, form, version, slash).await;
                        assert!(answer.status.is_success(), "{what}: {} {}", answer.status, answer.body);
                        let kind = answer.header("content-type").unwrap();
                        assert!(kind.starts_with("application/json"), "{what}: {kind}");
                        call.reads.check(&answer.body, &what);
                        if let (Reads::Events, Some(list)) = (call.reads, answer.body.as_array()) {
                            assert_eq!(list.len(), call.events(form), "{what}: {list:?}");
                        }
                    }
                }
            }
        }
        // What was always sent has changed nothing, and nobody was made of a blank.
        let ana = app.post("/actions/get-contact", &json!({"phone": PHONE})).await.expect(200);
        assert_eq!(ana["metadata"], json!({"crm": 4711, "n8n": 1}));
        let vip_and_beta = (json!(world.contact), json!(["vip"]));
        assert_eq!((ana["id"].clone(), ana["tags"].clone()), vip_and_beta, "beta was taken off again");
        assert_eq!(app.count("contacts"), 2);
        assert_eq!(app.count("sessions"), 2, "a session of the flow and one of the sequence, however often started");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dropdown_offers_is_what_the_call_takes() {
    local(async {
        let app = TestApp::start().await;
        let world = World::make(&app).await;
        for (dropdown, action, field, expected) in [
            ("flows", "trigger-flow", "flow_id", &world.flow),
            ("sequences", "trigger-sequence", "sequence_id", &world.sequence),
            ("templates", "get-template", "template_id", &world.template),
        ] {
            let options = app.get(&format!("/dropdowns/{dropdown}")).await.expect(200);
            let expected_options = if dropdown == "templates" { 2 } else { 1 };
            assert_eq!(options.as_array().unwrap().len(), expected_options, "{dropdown}: {options}");
            assert_eq!(options[0]["id"], json!(expected), "{dropdown}");
            let mut body = json!({"contact_id": world.contact, "context": {}});
            body[field] = options[0]["id"].clone();
            let answer = app.post(&format!("/actions/{action}"), &body).await;
            assert!(answer.status.is_success(), "{action}: {}", answer.body);
        }
        // The ids of a template's variables are the keys that it is sent with.
        let path = format!("/dropdowns/template-variables?template_id={}", world.template);
        let options = app.get(&path).await.expect(200);
        let keys = options.as_array().unwrap().iter().map(|option| text(&option["id"]));
        let variables: Map<String, Value> = keys.map(|key| (key, json!("x"))).collect();
        assert_eq!(variables.len(), 2, "{options}");
        let body = json!({"phone": PHONE, "template_id": world.template, "variables": variables});
        app.post("/actions/send-template-message", &body).await.expect(200);
        app.stop().await;
    })
    .await;
}

/// What the node keeps between two polls: it emits what it has not seen, in the server's order.
#[derive(Default)]
struct Seen(HashSet<String>);

impl Seen {
    async fn poll(&mut self, app: &TestApp, path: &str) -> Vec<String> {
        let list = app.get(&format!("/triggers/{path}")).await.expect(200);
        let ids = list.as_array().unwrap().iter().map(|item| text(&item["id"]));
        ids.filter(|id| self.0.insert(id.clone())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_emitted_once_however_its_session_ends() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let (mut sessions, mut messages) = (Seen::default(), Seen::default());
        let first = text(&app.trigger(flow, PHONE).await.expect(201)["id"]);
        assert_eq!(sessions.poll(&app, "new-flow-triggered").await, [first]);
        assert_eq!(messages.poll(&app, "new-message-received").await, [""; 0]);
        app.say(PHONE, "Tea").await;
        assert_eq!(sessions.poll(&app, "new-flow-triggered").await, [""; 0], "its status alone has changed");
        assert_eq!(messages.poll(&app, "new-message-received").await.len(), 1);
        let second = text(&app.trigger(flow, PHONE).await.expect(201)["id"]);
        let third = text(&app.trigger(flow, "+14155550124").await.expect(201)["id"]);
        assert_eq!(sessions.poll(&app, "new-flow-triggered").await, [third, second], "newest first");
        assert_eq!(sessions.poll(&app, "new-flow-triggered").await, [""; 0]);
        assert_eq!(messages.poll(&app, "new-message-received").await, [""; 0]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_has_a_text_that_the_node_shows() {
    local(async {
        let app = TestApp::start().await;
        let World { contact, template, .. } = World::make(&app).await;
        let before = app.rows();
        let nobody = "01a20838-9d10-7c55-b1a2-6f0d6a1c7e21";
        for (action, body, status, key, shown) in [
            (
                "trigger-flow",
                json!({"flow_id": nobody, "phone": PHONE, "context": {}}),
                404,
                "error",
                "Flow not found or not published",
            ),
            (
                "trigger-sequence",
                json!({"sequence_id": nobody, "contact_id": contact, "context": {}}),
                404,
                "error",
                "Sequence not found or not published",
            ),
            ("get-contact", json!({"phone": "+14155550199"}), 404, "error", "Contact not found"),
            ("get-template", json!({"template_id": nobody}), 404, "error", "Template not found"),
            ("send-text-message", json!({"phone": "", "message": "Hi"}), 422, "message", "The given data was invalid."),
        ] {
            let answer = app.post(&format!("/actions/{action}"), &body).await.expect(status);
            assert_eq!(answer[key], shown, "{action}");
        }
        // A row of the form without a value is sent as an empty string, which Meta takes for no parameter.
        let blank = json!({"phone": PHONE, "template_id": template, "variables": {"1": "", "total": "12"}});
        let blank = app.post("/actions/send-template-message", &blank).await.expect(422);
        assert_eq!(blank["error"], "Template requires variables that were not provided.");
        assert_eq!(blank["missing"], json!(["1"]));
        let stranger = app.client.get(format!("{}//api/v1/me", app.base)).bearer_auth("wrong");
        assert_eq!(read(stranger).await.expect(401), json!({"message": "Unauthenticated."}));
        assert_eq!(app.rows(), before);
        app.stop().await;
    })
    .await;
}
