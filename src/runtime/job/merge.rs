//! Two contacts turn out to be one person.

use super::access::Access;
use super::changes::Change;
use super::{Deferred, Job};
use crate::domain::Reason;
use crate::store::merge;
use crate::store::sessions::{self, StoredSession};

impl Job<'_> {
    /// Makes one contact of two and returns its row: the older one's. Where a flow runs for both, the session that
    /// spoke last goes on. If either has opted out, both have. All of the history changes hands in this one job.
    ///
    /// With degraded access whatever runs for the younger contact ends.
    pub(in crate::runtime) fn merge(&self, one: i64, other: i64, access: Access) -> Result<i64, Deferred> {
        let (one, other) = (self.contact(one)?, self.contact(other)?);
        let is_first = (one.created_at, one.seq) <= (other.created_at, other.seq);
        let (keep, gone) = if is_first { (one, other) } else { (other, one) };
        let is_one_opted_out = keep.contact.is_opted_out() != gone.contact.is_opted_out();
        // Whatever may defer the job comes before anything is written.
        let mut ending = Vec::new();
        if access == Access::Degraded {
            let reason = if is_one_opted_out { Reason::OptedOut } else { Reason::Merged };
            while self.cancel_unloaded(gone.seq, reason)? {}
            while is_one_opted_out && self.cancel_unloaded(keep.seq, reason)? {}
        } else if is_one_opted_out {
            for contact in [&keep, &gone] {
                ending.extend(
                    self.running(contact, usize::MAX, false)?.into_iter().map(|loaded| (loaded, Reason::OptedOut)),
                );
            }
        } else {
            let of_keep = sessions::running_of_contact(self.tx(), keep.seq)?;
            for theirs in sessions::running_of_contact(self.tx(), gone.seq)? {
                let Some(ours) = of_keep.iter().find(|ours| ours.flow_seq == theirs.flow_seq) else { continue };
                let (contact, loser) =
                    if spoke_at(ours) > spoke_at(&theirs) { (&gone, theirs) } else { (&keep, ours.clone()) };
                ending.push((self.load(loser, contact.clone())?, Reason::Merged));
            }
        }
        let is_opted_out = keep.contact.is_opted_out() || gone.contact.is_opted_out();
        for (loaded, reason) in ending {
            self.cancel_all(vec![loaded], reason)?;
        }
        if is_opted_out {
            for contact in [&keep, &gone] {
                self.drop_queued_of(contact.seq, Reason::OptedOut)?;
            }
        }
        // What timers did that were overdue must not be undone.
        let (keep, gone) = (self.contact(keep.seq)?, self.contact(gone.seq)?);
        let held = [&keep, &gone].into_iter().filter_map(|contact| contact.held).max_by_key(|held| held.until);
        if let Some(held) = held.filter(|held| access.is_full() && held.is_on(self.now())) {
            // A hold on the conversation of either contact becomes a hold on the merged one.
            for contact in [&keep, &gone] {
                let from = self.holder(contact.held).map_or(self.now(), |held| held.until);
                self.move_hold(contact.seq, from, &held)?;
            }
        }
        merge::unite(self.tx(), &keep, &gone, self.now())?;
        self.note_change(|| Change::Everything);
        Ok(keep.seq)
    }
}

/// When a session spoke last; of two that have not spoken, the younger one counts.
fn spoke_at(stored: &StoredSession) -> impl Ord + use<> {
    (stored.prompted_at, stored.seq)
}
