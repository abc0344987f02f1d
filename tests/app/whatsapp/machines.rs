//! A machine at the other end that answers whatever it gets.

use std::time::Duration;

use serde_json::json;
use testkit::app::PHONE;

use crate::whatsapp::world::World;

#[actix_web::test]
async fn an_auto_reply_that_answers_every_message_of_ours_gets_ten() {
    let world = World::start(|_| {}).await;
    world
        .app
        .publish(&json!({
            "schema_version": 1, "name": "Hours",
            "settings": {"keywords": ["hi"], "late_reply": {"text": "We are closed."}},
            "entry_node": "end", "nodes": [{"id": "end", "type": "end", "text": "We are open from nine."}]}))
        .await;
    let machine = world.cloud.phone(PHONE);
    machine.say("hi");
    let mut answered = 0;
    // Each of our messages is answered by one of theirs.
    for _ in 0..20 {
        world.wait(1).await;
        // Deliveries come by a connection of their own; the clock stands meanwhile.
        for _ in 0..50 {
            if machine.inbox().len() > answered {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            world.settle().await;
        }
        if machine.inbox().len() == answered {
            break;
        }
        answered = machine.inbox().len();
        machine.say("Thank you for your message. I am away.");
    }
    assert_eq!(answered, 10);
    let kept = world.app.get("/messages?status=unrouted&reason=auto_reply_limit").await.expect(200);
    assert_eq!(kept["data"].as_array().unwrap().len(), 1);
    // The person behind it asks to be left alone, and is.
    machine.say("STOP");
    world.settle().await;
    world.wait(60).await;
    assert_eq!(machine.inbox().len(), 11);
    assert!(machine.texts().last().unwrap().starts_with("You will not get any more messages"));
}
