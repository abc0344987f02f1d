//! What waits for a channel that is not in use any more.

use super::*;

fn brief_question() -> Value {
    let mut document = question();
    document["settings"]["message_max_age_minutes"] = json!(10);
    document
}

#[tokio::test]
async fn a_message_for_another_channel_grows_too_old_there() {
    for channel in [Channel::Simulator, webhook("http://127.0.0.1:9".to_owned())] {
        let desk = Desk::new(whatsapp()).await;
        let session = desk.start(brief_question(), ANA).await;
        desk.start(brief_question(), BEN).await;
        let desk = desk.restart(Options::new(channel.clone(), seconds(1800))).await;
        assert_eq!(desk.statuses(ANA), [("queued", None)], "it may be back in time");
        desk.clock.advance(seconds(599));
        desk.runtime.release_stuck_messages().await.unwrap();
        assert_eq!(desk.statuses(BEN), [("queued", None)]);
        desk.clock.advance(seconds(2));
        desk.runtime.release_stuck_messages().await.unwrap();
        for phone in [ANA, BEN] {
            assert_eq!(desk.statuses(phone)[0], ("failed", Some("too_old".to_owned())));
        }
        assert_eq!(desk.heard("message.status.failed").len(), 2);
        assert_ne!(desk.outcome(session).0, Status::Running);
        assert_eq!(desk.claim().await, []);
    }
}

#[tokio::test]
async fn a_start_on_another_channel_drops_what_is_too_old_already() {
    let desk = Desk::new(whatsapp()).await;
    desk.start(brief_question(), ANA).await;
    desk.clock.advance(seconds(601));
    let desk = desk.restart(Options::new(Channel::Simulator, seconds(1800))).await;
    assert_eq!(desk.statuses(ANA)[0], ("failed", Some("too_old".to_owned())));
}

#[tokio::test]
async fn a_timeout_does_not_wait_for_another_channel() {
    let desk = Desk::new(whatsapp()).await;
    let session = desk.start(question(), ANA).await;
    let desk = desk.restart(Options::new(Channel::Simulator, seconds(1800))).await;
    desk.clock.advance(seconds(60));
    desk.runtime.run_due().await.unwrap();
    assert_eq!(desk.outcome(session), (Status::Completed, Some("late".to_owned())));
    assert_eq!(desk.statuses(ANA)[0].0, "queued", "the channel may be back while it is worth reading");
    desk.clock.advance(seconds(86_400));
    desk.runtime.release_stuck_messages().await.unwrap();
    assert_eq!(desk.statuses(ANA)[0], ("failed", Some("too_old".to_owned())));
}
