//! Lanes, what is checked when it is a message's turn, and how fast messages go.

use super::*;
use crate::channels::whatsapp::WA_ID;
use crate::domain::AddressKey;

#[tokio::test]
async fn a_lane_keeps_its_order_and_waits_for_no_other() {
    let desk = Desk::new(whatsapp()).await;
    let ana = desk.start(speech(), ANA).await;
    let ben = desk.start(speech(), BEN).await;
    assert_eq!((desk.outcome(ana).0, desk.prompted_at(ben)), (Status::Completed, None), "nothing has gone out");
    let first = desk.claim().await;
    let texts =
        |attempts: &[Attempt]| attempts.iter().map(|attempt| attempt.message.content.clone()).collect::<Vec<_>>();
    let say = |text: &str| Content::Text(text.to_owned());
    assert_eq!(texts(&first), [say("One"), say("One")]);
    assert_eq!(desk.claim().await, [], "one at a time");
    desk.answer(&first[1], accepted("b1")).await;
    let second = desk.claim_one().await;
    assert_eq!((second.contact_seq, &second.message.content), (first[1].contact_seq, &say("Two")));
    desk.answer(&second, accepted("b2")).await;
    desk.answer(&desk.claim_one().await, accepted("b3")).await;
    assert_eq!(desk.claim().await, [], "Ana's first has no answer yet");
    assert_eq!(desk.statuses(BEN), [("sent", None), ("sent", None), ("sent", None)]);
    assert_eq!(desk.statuses(ANA)[0].0, "sending");
    desk.answer(&first[0], accepted("a1")).await;
    assert_eq!(texts(&desk.claim().await), [say("Two")]);
    let profile = desk.store.read(|conn| people::profile(conn, first[1].contact_seq)).unwrap().unwrap();
    assert_eq!(profile.total_messages, 3);
}

#[tokio::test]
async fn an_accepted_message_gives_its_session_the_floor_and_the_whole_timeout() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(question(), ANA).await;
    let begun = desk.clock.now();
    assert_eq!(desk.session(session).wait.unwrap().wake_at, Some(begun.plus(seconds(60))));
    let attempt = desk.claim_one().await;
    desk.clock.advance(seconds(59));
    desk.answer(
        &attempt,
        Sent::Accepted { provider_id: Some("w1".to_owned()), reached: Some(AddressKey::new(WA_ID, "14155550123")) },
    )
    .await;
    let accepted_at = desk.clock.now();
    assert_eq!(desk.session(session).wait.unwrap().wake_at, Some(accepted_at.plus(seconds(60))));
    assert_eq!(desk.prompted_at(session), Some(accepted_at));
    let message = desk.message(attempt.id());
    assert_eq!((message.provider_id.as_deref(), message.accepted_at), (Some("w1"), Some(accepted_at)));
    let addresses = desk.store.read(|conn| people::addresses(conn, attempt.contact_seq)).unwrap();
    assert!(addresses.iter().any(|address| address.kind == "wa_id" && address.value == "14155550123"));
    desk.clock.advance(seconds(59));
    assert_eq!(desk.runtime.run_due().await.unwrap(), 0);
    desk.clock.advance(seconds(1));
    assert_eq!(desk.runtime.run_due().await.unwrap(), 1);
    assert_eq!(desk.outcome(session), (Status::Completed, Some("late".to_owned())));
}

#[tokio::test]
async fn a_timeout_due_while_its_message_is_unsent_begins_anew_and_expiry_does_not() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(question(), ANA).await;
    let expires_at = desk.session(session).expires_at.unwrap();
    for _ in 0..3 {
        desk.clock.advance(seconds(60));
        assert_eq!(desk.runtime.run_due().await.unwrap(), 0);
        assert_eq!(desk.session(session).wait.unwrap().wake_at, Some(desk.clock.now().plus(seconds(60))));
    }
    // Nor while the delivery is unknown.
    let attempt = desk.claim_one().await;
    desk.answer(&attempt, ambiguous()).await;
    desk.clock.advance(seconds(60));
    assert_eq!(desk.runtime.run_due().await.unwrap(), 0);
    desk.clock.set(expires_at);
    assert_eq!(desk.runtime.run_due().await.unwrap(), 1);
    assert_eq!(desk.outcome(session).0, Status::Expired);
}

#[tokio::test]
async fn a_message_is_checked_again_when_it_is_its_turn() {
    let desk = Desk::new(whatsapp()).await;
    // A session that ended meanwhile, otherwise than by its last word.
    let cancelled = desk.start(question(), ANA).await;
    desk.runtime.handle(CancelSession { id: cancelled, reason: "paid".to_owned() }).await.unwrap();
    // One that waited too long.
    let mut brief = question();
    brief["settings"]["message_max_age_minutes"] = json!(1);
    let old = desk.start(brief, BEN).await;
    desk.clock.advance(seconds(61));
    assert_eq!(desk.claim().await, []);
    assert_eq!(desk.statuses(ANA), [("failed", Some("session_ended".to_owned()))]);
    assert_eq!(desk.statuses(BEN), [("failed", Some("too_old".to_owned()))]);
    assert_eq!(desk.outcome(old), (Status::Completed, Some("lost".to_owned())));
    // One whose window has closed.
    desk.clock.advance(seconds(24 * 3600));
    let closed = desk.start(question(), ANA).await;
    assert_eq!(desk.claim().await, []);
    assert_eq!(desk.statuses(ANA)[1], ("failed", Some("window_closed".to_owned())));
    assert_eq!(desk.outcome(closed), (Status::Completed, Some("lost".to_owned())));
    let mut unwired = question();
    unwired["nodes"][0]["exits"]["delivery_failed"] = json!(null);
    let unwired = desk.start(unwired, ANA).await;
    assert_eq!(desk.claim().await, []);
    assert_eq!(desk.outcome(unwired), (Status::Failed, Some("window_closed".to_owned())));
    assert_eq!(desk.heard("message.status.failed").len(), 4, "what a cancel drops is told of, too");
}

#[tokio::test]
async fn silence_is_broken_with_a_template_and_conversation_with_text() {
    let desk = Desk::new(whatsapp()).await;
    let template = MessageTemplate {
        name: "cart".to_owned(),
        language: "en".to_owned(),
        status: crate::domain::TemplateStatus::Approved,
        category: String::new(),
        header: None,
        body: "Hi {{1}}".to_owned(),
        footer: None,
        buttons: Vec::new(),
        unfillable: Vec::new(),
    };
    let (kept, now) = (template.clone(), desk.clock.now());
    desk.store
        .write(move |tx| templates::insert(tx, TemplateId(Uuid::now_v7()), "whatsapp", None, &kept, now))
        .await
        .unwrap();
    let mut document = question();
    document["nodes"][0]["template"] = json!({"name": "cart", "variables": {"1": "there"}});
    desk.start(document.clone(), ANA).await;
    let text = desk.claim_one().await;
    assert_eq!(text.message.content, Content::Text("How are you?".to_owned()));
    let sent = |id| serde_json::from_str::<Value>(&desk.message(id).body).unwrap()["sent"].clone();
    assert_eq!(sent(text.id()), json!({"as": "text"}));
    desk.clock.advance(seconds(24 * 3600 - 60));
    desk.start(document, BEN).await;
    let by_template = desk.claim().await.pop().unwrap();
    let Content::Template { variables, .. } = &by_template.message.content else { panic!("{by_template:?}") };
    assert_eq!(variables["1"], "there");
    assert_eq!(sent(by_template.id()), json!({"as": "template", "name": "cart", "language": "en", "text": "Hi there"}));
}

#[tokio::test]
async fn a_paced_person_waits_and_the_rest_of_the_lane_behind() {
    let desk = Desk::new(whatsapp()).await;
    let mut nodes: Vec<Value> = (0..50)
        .map(|n| {
            json!({"id": format!("n{n}"), "type": "send_message", "text": "Hi",
                "exits": {"next": format!("n{}", n + 1)}})
        })
        .collect();
    nodes.push(json!({"id": "n50", "type": "end"}));
    let document = json!({"schema_version": 1, "name": "M", "entry_node": "n0", "nodes": nodes});
    desk.start(document, ANA).await;
    let mut sent = 0;
    while let Some(attempt) = desk.claim().await.pop() {
        desk.answer(&attempt, accepted(&format!("a{sent}"))).await;
        sent += 1;
        desk.clock.advance(Duration::from_millis(100));
    }
    assert_eq!(sent, 45);
    desk.start(question(), BEN).await;
    desk.answer(&desk.claim_one().await, accepted("b")).await;
    let options = Options::new(whatsapp(), seconds(1800));
    let desk = desk.restart(options).await;
    assert_eq!(desk.claim().await, [], "a restart is no reason for a burst");
    desk.clock.advance(seconds(6));
    let attempt = desk.claim_one().await;
    desk.answer(&attempt, accepted("a45")).await;
    assert_eq!(desk.claim().await, []);
    desk.runtime.tidy().await.unwrap();
    desk.clock.advance(seconds(3600));
    desk.runtime.tidy().await.unwrap();
    assert_eq!(desk.claim().await.len(), 1);
}

#[tokio::test]
async fn a_number_that_has_had_enough_delays_and_drops_nothing() {
    let desk = Desk::new(whatsapp()).await;
    let phones: Vec<String> = (0..40).map(|n| format!("+1415555{:04}", 2_000 + n)).collect();
    for phone in &phones {
        desk.add_contact(phone).await;
        desk.start(question(), phone).await;
    }
    let batch = claim(&desk.runtime, 0).await.unwrap();
    assert_eq!(batch.claimed.attempts.len(), 10);
    let batch = claim(&desk.runtime, 0).await.unwrap();
    assert_eq!((batch.claimed.attempts.len(), batch.claimed.may_be_more), (0, false));
    let again = batch.claimed.paced_until.unwrap();
    assert!(again > desk.clock.now() && again.since(desk.clock.now()) <= Duration::from_millis(15), "{again}");
    // What comes in counts, too.
    desk.runtime.count_inbound(20);
    desk.clock.advance(Duration::from_millis(250));
    assert!(desk.claim().await.len() <= 1);
    let mut sent = 10;
    for _ in 0..100 {
        desk.clock.advance(Duration::from_millis(100));
        sent += desk.claim().await.len();
    }
    assert!((39..=40).contains(&sent), "{sent}");
}

#[tokio::test]
async fn a_head_that_nobody_released_goes_on_within_a_minute() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(speech(), ANA).await;
    let attempt = desk.claim_one().await;
    let (seq, now) = (attempt.seq, desk.clock.now());
    desk.store.write(move |tx| crate::store::outbox::fail(tx, seq, "gone", None, now)).await.unwrap();
    assert_eq!(desk.claim().await, []);
    desk.runtime.tidy().await.unwrap();
    assert_eq!(desk.claim_one().await.message.content, Content::Text("Two".to_owned()));
}

#[tokio::test]
async fn a_session_that_cannot_be_read_holds_up_nobody_and_loses_no_answer() {
    let desk = Desk::new(whatsapp()).await;
    let broken = desk.start(question(), ANA).await;
    let breaking = move |tx: &crate::store::Tx<'_>| {
        testing::break_session(tx, broken);
        Ok(())
    };
    let attempt = desk.claim_one().await;
    desk.store.write(breaking).await.unwrap();
    desk.answer(&attempt, accepted("a1")).await;
    assert_eq!(desk.message(attempt.id()).status, MessageStatus::Sent);
    // The same by a status.
    let desk = Desk::new(whatsapp()).await;
    let broken = desk.start(question(), ANA).await;
    let breaking = move |tx: &crate::store::Tx<'_>| {
        testing::break_session(tx, broken);
        Ok(())
    };
    let attempt = desk.claim_one().await;
    desk.store.write(breaking).await.unwrap();
    assert_eq!(desk.told(attempt.id(), Stage::Delivered, None).await, ProgressOutcome::Noted);
    assert_eq!(desk.message(attempt.id()).status, MessageStatus::Delivered);
    // And one that fails when it is its turn.
    let desk = Desk::new(whatsapp()).await;
    let mut brief = question();
    brief["settings"]["message_max_age_minutes"] = json!(1);
    let broken = desk.start(brief, ANA).await;
    let breaking = move |tx: &crate::store::Tx<'_>| {
        testing::break_session(tx, broken);
        Ok(())
    };
    desk.store.write(breaking).await.unwrap();
    desk.clock.advance(seconds(61));
    let ben = desk.start(question(), BEN).await;
    assert_eq!(desk.claim().await.len(), 1);
    assert_eq!(desk.statuses(BEN)[0].0, "sending");
    assert_eq!(desk.session(ben).status, Status::Running);
    assert_eq!(desk.statuses(ANA), [("failed", Some("too_old".to_owned()))]);
}

#[tokio::test]
async fn who_opted_out_hears_the_confirmation_and_people_and_nothing_else() {
    let desk = Desk::new(whatsapp()).await;
    let mut ids = Vec::new();
    for origin in [Origin::Flow, Origin::Api, Origin::Consent, Origin::Agent] {
        ids.push(desk.say(ANA, origin, origin.as_str()).await);
    }
    let (now, phone) = (desk.clock.now(), ANA.parse::<Phone>().unwrap());
    desk.store
        .write(move |tx| {
            let known = people::find_by_phone(tx, &phone)?.unwrap();
            let mut contact = known.contact.clone();
            contact.apply(
                &crate::domain::ContactChange { opt_out: Some(true), ..crate::domain::ContactChange::default() },
                now,
            );
            people::update(tx, known.seq, &contact, &known.contact, now)
        })
        .await
        .unwrap();
    for (n, expected) in ["consent", "agent"].into_iter().enumerate() {
        let attempt = desk.claim_one().await;
        assert_eq!(attempt.message.content, Content::Text(expected.to_owned()));
        desk.answer(&attempt, accepted(&format!("a{n}"))).await;
    }
    let opted_out = ("failed", Some("opted_out".to_owned()));
    assert_eq!(desk.statuses(ANA), [opted_out.clone(), opted_out, ("sent", None), ("sent", None)]);
}

#[tokio::test]
async fn two_heads_of_lanes_that_became_one_keep_their_order() {
    for first_is_dropped in [false, true] {
        let desk = Desk::new(whatsapp()).await;
        let (one, two) = (desk.say(ANA, Origin::Flow, "One").await, desk.say(ANA, Origin::Flow, "Two").await);
        let now = desk.clock.now();
        desk.store
            .write(move |tx| {
                let [one, two] = [one, two].map(|id| stored::find_by_id(tx, id).unwrap().unwrap().seq);
                stored::delay(tx, two, now)?;
                if first_is_dropped { stored::set_good_until(tx, one, now.minus(seconds(1))) } else { Ok(()) }
            })
            .await
            .unwrap();
        let attempt = desk.claim_one().await;
        if first_is_dropped {
            assert_eq!(attempt.id(), two, "it is not forgotten");
        } else {
            assert_eq!(attempt.id(), one);
            desk.answer(&attempt, accepted("a1")).await;
            assert_eq!(desk.claim_one().await.id(), two);
        }
    }
}

#[tokio::test]
async fn what_is_dropped_from_the_queue_is_told_of() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(question(), ANA).await;
    desk.runtime.handle(CancelSession { id: session, reason: "paid".to_owned() }).await.unwrap();
    let id = desk.messages(ANA)[0].id;
    let heard = desk.heard("message.status.failed");
    assert_eq!(heard.len(), 1);
    assert_eq!((&heard[0]["message_id"], &heard[0]["error_code"]), (&json!(id), &json!("session_ended")));
    let seq = desk.messages(ANA)[0].seq;
    let stages = desk.store.read(|conn| messages::stages(conn, seq)).unwrap();
    assert_eq!(stages, [("failed".to_owned(), desk.clock.now())]);
    // A session with nothing queued publishes nothing.
    let other = desk.start(question(), BEN).await;
    let attempt = desk.claim_one().await;
    desk.answer(&attempt, accepted("b1")).await;
    desk.runtime.handle(CancelSession { id: other, reason: "paid".to_owned() }).await.unwrap();
    assert_eq!(desk.heard("message.status.failed").len(), 1);
}
