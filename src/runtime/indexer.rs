//! Keeping the index by which contacts are searched up to date.

use std::future::Future;
use std::time::{Duration, Instant};

use super::{Runtime, log_failure};
use crate::error::Result;
use crate::store::{self, search};

/// Contacts that one job indexes while others write: about 10 ms of the writer's time.
const CONTACTS_PER_JOB: u32 = 100;
/// Contacts that one job indexes while there are no other writes. Larger jobs need less time for each contact.
const CONTACTS_PER_IDLE_JOB: u32 = 500;
/// Others are taken to write for so long after they did.
const BUSY: Duration = Duration::from_secs(1);
/// The part of a job's time that is left to other processes after it while no other writes are known: they find the
/// database free by trying again and again.
const PAUSE_DIVISOR: u32 = 8;
/// Interval at which the index is checked for missing contacts. A changed contact is then found within a second.
const POLL: Duration = Duration::from_millis(400);
/// How long to wait after a job that was refused.
const AFTER_ERROR: Duration = Duration::from_secs(1);

impl Runtime {
    /// Indexes what has changed of contacts, a bounded number of them. Returns of how many; 0 when nothing is left to
    /// do.
    ///
    /// # Errors
    /// When the database cannot be read or refuses; it is tried again then.
    pub async fn run_search_index_once(&self) -> Result<u32> {
        self.index_some(CONTACTS_PER_JOB).await
    }

    /// Keeps the index up to date until `stop` is done. A file that comes from an older version, or many contacts that
    /// were imported, are indexed beside everything else: half of the time is left to other writes while there are any.
    pub async fn run_search_index(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        if self.clock().is_by_hand() {
            return stop.await;
        }
        let mut pace = Pace::new(self.writes().await, Instant::now());
        loop {
            let began = Instant::now();
            let limit = pace.limit(began);
            let pause = match self.index_some(limit).await {
                Ok(done) if done == limit => {
                    let writes = self.writes().await;
                    let now = Instant::now();
                    pace.after_job(writes, now - began, now)
                }
                Ok(_) => POLL,
                Err(error) => {
                    log_failure(self, &error, "contacts could not be indexed for the search; it is tried again");
                    AFTER_ERROR
                }
            };
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn index_some(&self, limit: u32) -> Result<u32> {
        if !self.store().query_vital(search::index::is_behind).await? {
            return Ok(0);
        }
        self.store().write(move |tx| search::index::index_some(tx, limit)).await
    }

    async fn writes(&self) -> Writes {
        // If the file cannot be read, the next job reports it.
        let elsewhere = self.store().query_vital(store::generation).await.unwrap_or_default();
        Writes { here: self.store().writes_begun(), elsewhere }
    }
}

/// How much was written until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Writes {
    /// Jobs that this process has given to the writer.
    here: u64,
    /// Generation of the file, which every other process that writes raises.
    elsewhere: i64,
}

/// How large a job may be and how long to wait after it.
#[derive(Debug)]
struct Pace {
    /// The counts of writes when the last job was done.
    known: Writes,
    /// Until when others are taken to write.
    busy_until: Instant,
}

impl Pace {
    fn new(known: Writes, now: Instant) -> Self {
        Self { known, busy_until: now }
    }

    fn limit(&self, now: Instant) -> u32 {
        if now < self.busy_until { CONTACTS_PER_JOB } else { CONTACTS_PER_IDLE_JOB }
    }

    /// The pause after a job that `took` so long.
    fn after_job(&mut self, writes: Writes, took: Duration, now: Instant) -> Duration {
        let own = Writes { here: self.known.here + 1, ..self.known };
        if writes != own {
            self.busy_until = now + BUSY;
        }
        self.known = writes;
        if now < self.busy_until { took } else { took / PAUSE_DIVISOR }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_who_write_get_half_of_the_time_and_short_jobs() {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let took = Duration::from_millis(40);
        let mut pace = Pace::new(Writes { here: 5, elsewhere: 0 }, began);
        assert_eq!(pace.limit(began), CONTACTS_PER_IDLE_JOB);
        assert_eq!(pace.after_job(Writes { here: 6, elsewhere: 0 }, took, at(40)), took / PAUSE_DIVISOR, "its own job");
        assert_eq!(pace.limit(at(45)), CONTACTS_PER_IDLE_JOB);

        assert_eq!(pace.after_job(Writes { here: 8, elsewhere: 0 }, took, at(85)), took, "another job");
        assert_eq!(pace.limit(at(125)), CONTACTS_PER_JOB);
        assert_eq!(pace.after_job(Writes { here: 9, elsewhere: 0 }, took, at(165)), took, "shortly after");
        assert_eq!((pace.limit(at(1_084)), pace.limit(at(1_085))), (CONTACTS_PER_JOB, CONTACTS_PER_IDLE_JOB));

        assert_eq!(pace.after_job(Writes { here: 10, elsewhere: 1 }, took, at(1_200)), took, "another process");
        assert_eq!(pace.limit(at(2_199)), CONTACTS_PER_JOB);
    }
}
