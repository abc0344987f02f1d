//! What a test can plan: errors, silence, lateness.

use serde_json::{Value, json};
use testkit::meta::{Fate, Fault, Gate};

use crate::fake_cloud::business::{ANNA, Business, text};

#[tokio::test]
async fn faults_meet_the_next_messages_in_order_and_then_end() {
    let business = Business::start();
    let anna = business.cloud.phone(ANNA);
    let inbound = anna.say("hello");
    business.cloud.next(Fault::html());
    business.cloud.next_times(2, Fault::error(131016));
    let mark = json!({"messaging_product": "whatsapp", "status": "read", "message_id": inbound});
    assert_eq!(business.post("/v26.0/106540352242922/messages", &mark).await.unwrap().0, 200, "marking is no message");
    let (status, body) = business.try_send(text("a")).await.unwrap();
    assert_eq!(status, 500);
    assert!(matches!(body, Value::String(html) if html.starts_with("<!DOCTYPE html>")));
    for _ in 0..2 {
        assert_eq!(business.refused(text("b")).await.0, 131016);
    }
    business.send(text("c")).await;
    assert_eq!(anna.texts(), ["c"]);
    assert_eq!((business.cloud.accepted().len(), business.cloud.refused().len()), (1, 2));
}

#[tokio::test]
async fn a_fault_can_wait_for_a_request_that_matches() {
    let business = Business::start();
    let anna = business.cloud.phone(ANNA);
    anna.say("hello");
    business.cloud.when(1, |request| request.body["text"]["body"] == "b", Fault::error(130429));
    business.cloud.when(1, |request| request.path.ends_with("/message_templates"), Fault::error(4));
    business.send(text("a")).await;
    assert_eq!(business.refused(text("b")).await.0, 130429);
    business.send(text("b")).await;
    assert_eq!(business.get("/v26.0/102290129340398/message_templates").await.0, 400);
    assert_eq!(business.get("/v26.0/102290129340398/message_templates").await.0, 200);
    assert_eq!(anna.texts(), ["a", "b"]);
}

#[tokio::test]
async fn a_connection_can_end_before_or_after_acceptance() {
    let business = Business::start();
    let anna = business.cloud.phone(ANNA);
    anna.say("hello");
    business.cloud.next(Fault::DropBefore);
    business.cloud.next(Fault::AcceptThenDrop);
    let mut message = text("a");
    message["biz_opaque_callback_data"] = "row-1".into();
    assert!(business.try_send(message.clone()).await.is_err());
    assert_eq!(anna.inbox().len(), 0);
    assert!(business.try_send(message).await.is_err());
    assert_eq!(anna.texts(), ["a"]);
    business.cloud.settle().await;
    assert!(business.items("statuses").iter().all(|status| status["biz_opaque_callback_data"] == "row-1"));
    assert_eq!(business.items("statuses").len(), 2);
    assert!(business.cloud.requests().iter().all(|request| request.status.is_none()));
    business.send(text("b")).await;
}

#[tokio::test]
async fn an_answer_can_be_late_with_the_message_accepted_or_not() {
    let business = Business::start();
    let anna = business.cloud.phone(ANNA);
    anna.say("hello");
    let gate = business.cloud.hold_next_answer();
    let sending = async { business.send(text("accepted at once")).await };
    let meanwhile = async {
        anna.wait_for(1).await;
        assert_eq!(business.cloud.requests()[0].status, None);
        gate.open();
    };
    tokio::join!(sending, meanwhile);

    let gate = Gate::closed();
    business.cloud.next(Fault::HoldRequest(gate.clone()));
    let sending = async { business.send(text("looked at late")).await };
    let meanwhile = async {
        business.cloud.wait_for_requests(2).await;
        assert_eq!(anna.inbox().len(), 1);
        business.send(text("others go on")).await;
        gate.open();
    };
    tokio::join!(sending, meanwhile);
    assert_eq!(anna.texts(), ["accepted at once", "others go on", "looked at late"]);
    assert_eq!(business.cloud.wait_for_accepted(3).await.len(), 3);
}

#[tokio::test]
async fn a_message_can_fail_later_or_be_held_by_meta() {
    let business = Business::start();
    business.add_template();
    let anna = business.cloud.phone(ANNA);
    anna.say("hello");
    business.cloud.next(Fault::fail_later(131049));
    business.cloud.next(Fault::MessageStatus("held_for_quality_assessment"));
    let failed = business.send(text("a")).await;
    let (_, held) = business.try_send(crate::fake_cloud::business::template(&["a", "b"])).await.unwrap();
    assert_eq!(held["messages"][0]["message_status"], "held_for_quality_assessment");
    business.cloud.settle().await;
    let statuses = business.items("statuses");
    assert_eq!(
        (statuses.len(), &statuses[0]["id"], &statuses[0]["errors"][0]["code"]),
        (1, &json!(failed), &json!(131049))
    );
    assert!(matches!(&business.cloud.accepted()[0].fate, Fate::Failed(error) if error.code == 131049));
    assert_eq!(business.cloud.accepted()[1].fate, Fate::Nowhere);
    assert_eq!(anna.inbox().len(), 0);
    business.cloud.next(Fault::html());
    business.cloud.clear_faults();
    business.send(text("b")).await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_has_sent_nevertheless() {
    let business = Business::start();
    let anna = business.cloud.phone(ANNA);
    anna.say("hello");
    let gate = Gate::closed();
    business.cloud.next(Fault::HoldRequest(gate.clone()));
    tokio::select! {
        answer = business.try_send(text("given up")) => panic!("{answer:?}"),
        () = business.cloud.wait_for_requests(1) => {}
    }
    assert_eq!(anna.inbox().len(), 0);
    gate.open();
    anna.wait_for(1).await;
}
