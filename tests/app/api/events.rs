//! Events from outside, over HTTP: taken, kept, too late, sent twice, and for several sessions at once.

use qyvo::domain::FlowId;
use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{Answer, PHONE, TestApp, local, question, secret};

/// Asks for a size, then waits an hour for a payment.
fn order(name: &str) -> Value {
    json!({
        "schema_version": 1, "name": name, "entry_node": "size",
        "nodes": [
            {"id": "size", "type": "ask", "text": "Which size?", "exits": {"reply": "paid"}},
            {"id": "paid", "type": "wait_for_event", "event": "order.paid", "timeout_seconds": 3600,
                "save_as": "payment",
             "exits": {"event": "thanks", "timeout": "late"}},
            {"id": "thanks", "type": "end", "outcome": "paid", "text": "Thank you for {{context.payment.total}}."},
            {"id": "late", "type": "end", "outcome": "unpaid"}
        ]
    })
}

async fn tell(app: &TestApp, session: &Value, body: &Value) -> Answer {
    app.post(&format!("/sessions/{}/events", session["id"].as_str().unwrap()), body).await
}

async fn waiting(app: &TestApp, flow: FlowId) -> Value {
    let session = app.trigger(flow, PHONE).await.expect(201);
    app.say(PHONE, "L").await;
    assert_eq!(app.session(&session["id"]).await["waiting_for"], "event");
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_ends_the_wait_for_it() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&order("Order")).await;
        let session = waiting(&app, flow).await;
        let waits = app.session(&session["id"]).await;
        assert_eq!(waits["wake_at"], "2026-05-07T09:00:00+00:00");
        assert_eq!(waits["expires_at"], "2026-05-07T09:30:00+00:00", "the wait takes the time to live along");
        let heard = app.say(PHONE, "Hello?").await;
        assert_eq!(
            (&heard["handled"], &heard["reason"]),
            (&json!("ignored"), &json!("the session waits for an event"))
        );

        let answer =
            tell(&app, &session, &json!({"event": "order.paid", "payload": {"total": 12.5}})).await.expect(202);
        assert_eq!(answer, json!({"id": session["id"], "handled": "taken"}));
        let ended = app.session(&session["id"]).await;
        assert_eq!((&ended["status"], &ended["outcome"]), (&json!("completed"), &json!("paid")));
        assert_eq!(ended["context"]["payment"], json!({"total": 12.5}));
        let said = app.talk(&session["contact_id"]).await;
        assert_eq!(said.last().unwrap(), "out Thank you for 12.5. [simulated]");
        let turns = app.turns(&session["id"]).await;
        let last = turns.iter().max_by_key(|turn| turn["turn"].as_u64()).unwrap();
        assert_eq!(last["stimulus"], json!({"type": "event", "name": "order.paid", "payload": {"total": 12.5}}));

        let before = app.rows();
        let late = tell(&app, &session, &json!({"event": "order.paid"})).await.expect(409);
        assert_eq!(late["error"], "The session has ended.");
        assert_eq!(app.rows(), before);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_early_is_kept_over_a_restart_and_taken_then() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&order("Order")).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let before = app.session(&session["id"]).await;
        let kept = json!({"id": session["id"], "handled": "kept"});
        for (name, total) in [("order.paid", 1), ("order.shipped", 2), ("order.paid", 3)] {
            let body = json!({"event": name, "payload": {"total": total}});
            assert_eq!(tell(&app, &session, &body).await.expect(202), kept);
        }
        assert_eq!(app.session(&session["id"]).await, before, "the session stands where it stood");
        let turns = app.turns(&session["id"]).await;
        assert_eq!(turns.len(), 4, "what was kept is in the trace: {turns:?}");

        let clock = app.clock.clone();
        let app = TestApp::start_in(app.stop().await, clock, |_| {}).await;
        app.say(PHONE, "L").await;
        let ended = app.session(&session["id"]).await;
        assert_eq!((&ended["status"], &ended["turn"]), (&json!("completed"), &json!(2)));
        assert_eq!(ended["context"]["payment"], json!({"total": 1}), "the earliest of that name");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_after_the_timeout_is_too_late_though_the_sweeper_never_ran() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&order("Order")).await;
        let in_time = waiting(&app, flow).await;
        app.advance_millis(3_599_999);
        tell(&app, &in_time, &json!({"event": "order.paid"})).await.expect(202);
        let late = waiting(&app, flow).await;
        app.advance(3_600);
        tell(&app, &late, &json!({"event": "order.paid"})).await.expect(409);
        assert_eq!(app.session(&late["id"]).await["outcome"], "unpaid");
        assert_eq!(app.session(&late["id"]).await["context"].get("payment"), None);

        let swept = waiting(&app, flow).await;
        app.advance(3_600);
        assert_eq!(app.runtime.run_due().await.unwrap(), 1);
        assert_eq!(app.session(&swept["id"]).await["outcome"], "unpaid");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_by_contact_reaches_the_running_sessions() {
    local(async {
        let app = TestApp::start().await;
        let (first, second) = (app.publish(&order("First")).await, app.publish(&order("Second")).await);
        let send = async |body: Value| {
            let path = "/api/v1/actions/send-event";
            app.request(Method::POST, path, Some(&secret(Scope::Trigger)), Some(body.to_string())).await.expect(200)
        };
        let nobody = json!({"sessions": []});
        let before = app.rows();
        assert_eq!(send(json!({"phone": PHONE, "event": "order.paid"})).await, nobody, "of an unknown number");
        assert_eq!(app.rows(), before, "which does not become a contact");

        let waits = waiting(&app, first).await;
        let asks = app.trigger(second, PHONE).await.expect(201);
        let body =
            json!({"phone": PHONE, "flow_id": second, "event": "order.paid", "payload": {"total": 1}, "other": 1});
        assert_eq!(send(body).await, json!({"sessions": [{"id": asks["id"], "handled": "kept"}]}), "of one flow");
        let body = json!({"contact_id": waits["contact_id"], "flow_id": "", "event": "order.paid", "payload": ""});
        let both =
            json!({"sessions": [{"id": asks["id"], "handled": "kept"}, {"id": waits["id"], "handled": "taken"}]});
        assert_eq!(send(body).await, both, "of all flows");
        assert_eq!(app.session(&waits["id"]).await["context"]["payment"], "", "any JSON is a payload");
        app.say(PHONE, "S").await;
        assert_eq!(app.session(&asks["id"]).await["context"]["payment"], json!({"total": 1}));
        assert_eq!(send(json!({"phone": PHONE, "event": "order.paid"})).await, nobody, "all have ended");

        // One that is over by now, only that nobody has noticed, is settled and left out.
        let asks = app.trigger(second, PHONE).await.expect(201);
        app.advance(1_800);
        assert_eq!(send(json!({"phone": PHONE, "event": "order.paid"})).await, nobody);
        assert_eq!(app.session(&asks["id"]).await["status"], "expired");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_a_retry_of_the_same_event_harmless() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&order("Order")).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let body = json!({"phone": PHONE, "event": "order.paid", "payload": {"total": 1}});
        let first = app.post_with_key("/actions/send-event", "paid-1", &body).await;
        assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (200, None));
        let before = app.rows();
        let again = app.post_with_key("/actions/send-event", "paid-1", &body).await;
        assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, Some("true")));
        assert_eq!(again.body, first.body);
        assert_eq!(app.rows(), before, "it is not kept twice");
        let other = json!({"phone": PHONE, "event": "order.paid", "payload": {"total": 2}});
        app.post_with_key("/actions/send-event", "paid-1", &other).await.expect(422);
        assert_eq!(app.rows(), before);
        let third = app.post_with_key("/actions/send-event", "paid-2", &other).await.expect(200);
        assert_eq!(third, json!({"sessions": [{"id": session["id"], "handled": "kept"}]}));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_room_is_refused_and_traced() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        let body = json!({"event": "x", "payload": "x".repeat(65_000)});
        for _ in 0..4 {
            tell(&app, &session, &body).await.expect(202);
        }
        let before = app.session(&session["id"]).await;
        let refused = tell(&app, &session, &body).await.expect(409);
        assert_eq!(refused["error"], "The session has no room to keep the event.");
        let by_contact = json!({"phone": PHONE, "event": "x", "payload": body["payload"]});
        let refused = json!({"sessions": [{"id": session["id"], "handled": "refused"}]});
        assert_eq!(app.post("/actions/send-event", &by_contact).await.expect(200), refused);
        assert_eq!(app.session(&session["id"]).await, before);
        let turns = app.turns(&session["id"]).await;
        let why = json!([{"node": null, "text": "ignored: there is no room to keep the event"}]);
        assert_eq!(turns.iter().filter(|turn| turn["warnings"] == why).count(), 2);
        app.say(PHONE, "tea").await;
        assert_eq!(app.session(&session["id"]).await["outcome"], "answered", "the conversation goes on");
        app.stop().await;
    })
    .await;
}
