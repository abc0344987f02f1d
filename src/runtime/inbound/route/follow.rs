//! What a route does, once the message is stored.

use super::Route;
use super::floor::quoted;
use crate::domain::{Handling, Origin, Reason, Reply, ReplyKind, SessionId};
use crate::engine::Event;
use crate::error::Result;
use crate::runtime::inbound::message::{Inbound, Received, Stored};
use crate::runtime::job::{Deferred, Job, Taken};
use crate::store::contacts::StoredContact;
use crate::store::messages;

/// Goes the way that was chosen, now that the message is stored.
pub(in crate::runtime::inbound) fn follow(
    job: &Job<'_>,
    inbound: &Inbound,
    kind: ReplyKind,
    route: Route,
    (contact, stored): (&StoredContact, &Stored),
    received: &mut Received,
) -> Result<(), Deferred> {
    match route {
        Route::To(mut loaded) => {
            let answers_turn = answered_turn(job, inbound, loaded.session.id)?;
            let (handling, why) = match job.apply_reply(&mut loaded, &event(inbound.reply(kind, answers_turn)))? {
                Taken::Accepted => return Ok(()),
                Taken::NoAnswer(why) => (Handling::Reply, why),
                Taken::Ignored(why) => {
                    received.handling = Handling::Ignored;
                    received.reason = Some(why.into());
                    (Handling::Ignored, why)
                }
            };
            messages::set_handled(job.tx(), stored.seq, handling, Some(why.as_str()), loaded.seq)?;
        }
        Route::Held(Some(at), by) => {
            job.trace_not_taken(at.seq, at.turn, event(inbound.reply(kind, None)), by.reason())?;
        }
        Route::NotTaken(at, why) => job.trace_not_taken(at.seq, at.turn, event(inbound.reply(kind, None)), why)?,
        // Timers that were overdue may have changed the contact.
        // While another system has the conversation, the wish is not confirmed either.
        Route::OptOut(language, ending) => {
            let language = (!inbound.is_overheard).then_some(language.as_deref());
            job.opt_out(&job.contact(contact.seq)?, language, ending)?;
        }
        Route::OptIn(language) => {
            let language = (!inbound.is_overheard).then_some(language.as_deref());
            job.opt_in(&job.contact(contact.seq)?, language)?;
        }
        Route::Say(at, text, max_age) => {
            job.trace_not_taken(at.seq, at.turn, event(inbound.reply(kind, None)), Reason::LateReply)?;
            // Timers that were overdue may have changed the contact.
            job.enqueue_text(&job.contact(contact.seq)?, Origin::Flow, &text, Some(max_age))?;
        }
        Route::Start(start, handling) => {
            if let Some(at) = start.after {
                job.trace_not_taken(at.seq, at.turn, event(inbound.reply(kind, None)), Reason::LateReply)?;
            }
            let (seq, id) = start.run(job, inbound, kind, contact.seq)?;
            received.session_id = Some(id);
            messages::set_handled(job.tx(), stored.seq, handling, None, seq)?;
        }
        Route::Handoff(_) | Route::Held(None, _) | Route::Nowhere(_) | Route::Noted => {}
    }
    Ok(())
}

/// The event that a message is to a session.
fn event(reply: Reply) -> Event {
    Event::Reply(reply)
}

fn answered_turn(job: &Job<'_>, inbound: &Inbound, session: SessionId) -> Result<Option<u32>> {
    let message = quoted(job, inbound)?;
    Ok(message.filter(|message| message.session_id == Some(session)).and_then(|message| message.turn))
}
