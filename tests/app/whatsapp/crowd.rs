//! Many people talk at once, and nobody hears what is said to somebody else.

use std::collections::HashSet;

use futures::StreamExt;
use qyvo::domain::FlowId;
use serde_json::{Value, json};
use testkit::meta::{Delivery, Pacing, Phone};

use crate::whatsapp::crash::until;
use crate::whatsapp::world::{World, held};

/// How many of them are asked at once about what is stored of them.
const AT_ONCE: usize = 8;
/// Questions of the interview.
const TURNS: usize = 5;

/// Somebody of the crowd.
struct Person {
    name: String,
    number: String,
    phone: Phone,
}

impl Person {
    fn of(world: &World, n: usize) -> Self {
        let number = format!("+1415{n:07}");
        Self { name: format!("Person-{n}"), phone: world.cloud.phone(&number), number }
    }

    /// No other person says this, and this person says it once.
    fn answer(&self, turn: usize) -> String {
        format!("answer {turn} of {}", self.name)
    }

    /// Everything that this person is to hear: each question with the answer before it, and then all answers.
    fn script(&self) -> Vec<String> {
        let question = |turn: usize| {
            let before = if turn == 1 { "nothing".to_owned() } else { self.answer(turn - 1) };
            format!("{}: question {turn} after {before}", self.name)
        };
        let answers: Vec<String> = (1..=TURNS).map(|turn| self.answer(turn)).collect();
        (1..=TURNS).map(question).chain([format!("{}: {}", self.name, answers.join(", "))]).collect()
    }

    async fn start(&self, world: &World, flow: FlowId) -> Value {
        world.trigger(flow, &self.number, json!({"who": self.name})).await
    }
}

/// Five questions that name the person and what was last said, and a last word that tells all that was kept.
fn interview() -> Value {
    let ask = |turn: usize| {
        let next = if turn < TURNS { format!("q{}", turn + 1) } else { "end".to_owned() };
        json!({"id": format!("q{turn}"), "type": "ask", "save_as": format!("a{turn}"), "timeout_seconds": 1200,
            "text": format!("{{{{context.who}}}}: question {turn} after {{{{input.text|default('nothing')}}}}"),
            "exits": {"reply": next, "no_match": null, "timeout": null}})
    };
    let kept: Vec<String> = (1..=TURNS).map(|turn| format!("{{{{context.a{turn}}}}}")).collect();
    let end = json!({"id": "end", "type": "end", "outcome": "told",
        "text": format!("{{{{context.who}}}}: {}", kept.join(", "))});
    json!({"schema_version": 1, "name": "Interview", "entry_node": "q1",
        "nodes": (1..=TURNS).map(ask).chain([end]).collect::<Vec<_>>()})
}

/// Each of them heard all of it once, in order, and from their own session; and nothing is left over.
async fn assert_all_heard(world: &World, people: &[Person], sessions: &[Value]) {
    let ids: HashSet<&str> = sessions.iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(ids.len(), people.len(), "a session for each");
    futures::stream::iter(people.iter().zip(sessions))
        .for_each_concurrent(AT_ONCE, async |(person, id)| {
            let name = &person.name;
            assert_eq!(person.phone.texts(), person.script(), "{name}");
            let session = world.app.session(id).await;
            assert_eq!((&session["status"], &session["outcome"]), (&json!("completed"), &json!("told")), "{name}");
            // Every id that went out to this phone is of the message of that text, of this person's session.
            let said = world.messages(&session["contact_id"]).await;
            let said = said.iter().filter(|message| message["direction"] == "out");
            let stored: Vec<Value> =
                said.map(|message| json!([message["id"], message["text"], message["session_id"]])).collect();
            let heard = person.phone.inbox().into_iter();
            let heard: Vec<Value> = heard.map(|message| json!([message.callback, message.text, id])).collect();
            assert_eq!(heard, stored, "{name}");
        })
        .await;
    let accepted = world.cloud.accepted();
    assert_eq!(accepted.len(), people.len() * (TURNS + 1), "nothing was sent twice");
    let callbacks: HashSet<_> = accepted.iter().map(|message| message.callback.as_deref().unwrap()).collect();
    assert_eq!(callbacks.len(), accepted.len(), "no two messages have one id");
    world.assert_all_taken();
    world.assert_at_rest().await;
}

/// Every webhook comes twice, in any order, many at a time.
fn doubled(rest: Delivery) -> Delivery {
    Delivery { twice: true, shuffled: true, batch: 20, parallel: 16, ..rest }
}

#[actix_web::test]
async fn a_thousand_people_at_once_hear_each_message_once_and_in_order() {
    const PEOPLE: usize = 1_000;
    // The number's pace is shown elsewhere.
    let world = World::start_with(Pacing::OFF, |_| {}, |config| config.whatsapp.messages_per_second = 1_000).await;
    let flow = world.app.publish(&interview()).await;
    world.cloud.set_delivery(doubled(held()));
    let people: Vec<Person> = (0..PEOPLE).map(|n| Person::of(&world, n)).collect();
    for person in &people {
        person.phone.say("hi");
    }
    world.drain().await;
    let starting = futures::stream::iter(&people).map(|person| person.start(&world, flow));
    let sessions: Vec<Value> = starting.buffered(AT_ONCE).collect().await;
    world.drain().await;
    for turn in 1..=TURNS {
        world.assert_nothing_in_doubt().await;
        for person in &people {
            assert_eq!(person.phone.texts(), person.script()[..turn], "turn {turn} of {}", person.name);
            person.phone.say(&person.answer(turn));
        }
        world.drain().await;
    }
    assert_all_heard(&world, &people, &sessions).await;
}

#[actix_web::test]
async fn a_hundred_people_are_heard_by_the_worker_itself_each_at_their_own_speed() {
    const PEOPLE: usize = 100;
    let world = World::start_alive(|_| {}, |config| config.whatsapp.messages_per_second = 1_000).await;
    let flow = world.app.publish(&interview()).await;
    world.cloud.set_delivery(doubled(Delivery::default()));
    let people: Vec<Person> = (0..PEOPLE).map(|n| Person::of(&world, n)).collect();
    let conversations = people.iter().map(async |person| {
        let wamid = person.phone.say("hi");
        until("the hello", async || world.cloud.posted().iter().any(|posted| posted.body.contains(&wamid))).await;
        let session = person.start(&world, flow).await;
        for turn in 1..=TURNS {
            assert_eq!(person.phone.wait_for(turn).await.len(), turn, "{}", person.name);
            person.phone.say(&person.answer(turn));
        }
        person.phone.wait_for(TURNS + 1).await;
        session
    });
    let sessions: Vec<Value> = futures::future::join_all(conversations).await;
    for under_way in ["sending", "sent"] {
        until("the last status", async || world.with_status(under_way).await.is_empty()).await;
    }
    assert_all_heard(&world, &people, &sessions).await;
}
