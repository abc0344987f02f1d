//! What a durable trigger costs beside the bare SQL of its rows.
//!
//! A trigger here is the whole of it short of HTTP: a contact, its address, a session, its first message, the trace and
//! the counters of a phone number that nobody has seen before, and `synchronous = FULL`. The bare side writes copies of
//! the same rows into the same tables of a file of its own, with prepared statements and one commit for the batch.
//!
//! The batches are exact. A first job holds the writer until the last trigger is queued and then lets go, so the writer
//! finds them all and commits them together. There are two clocks. The job's runs from when the writer is let go until
//! the last trigger is answered: what the writer needs for a batch, and what bounds a server whose callers queue while
//! it works. The caller's runs from before the first trigger is queued, as if nobody could queue meanwhile. The phone
//! numbers and contexts are made beforehand on both sides; ids are made inside. Checkpoints, which move the same pages
//! on both sides, happen between batches and outside both clocks.
//!
//! The two sides take turns within one run, so that a machine with other things to do slows both, and the ratio is that
//! of the medians.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use futures::future::join_all;
use qyvo::channels::Channel;
use qyvo::domain::FlowId;
use qyvo::runtime::{Clock, Options, Runtime, Triggered};
use qyvo::store::{self, Store};

#[path = "support/mod.rs"]
mod support;

use support::{Bare, Phones, TTL, publish_sample, trigger};

/// Triggers in a commit. The first batches grow the files, so the ratio of the last ones is that of files in use.
const BATCHES: [usize; 4] = [512, 64, 8, 1];
/// What the project promises for batches of 64 and more.
const TARGET: f64 = 1.5;

/// The runtime on a database of its own.
struct Whole {
    runtime: Runtime,
    tokio: tokio::runtime::Runtime,
    flow_id: FlowId,
    phones: Phones,
}

impl Whole {
    fn new(folder: &std::path::Path, seed: u64) -> Self {
        let store = Store::open(&store::Options::new(folder.join("qyvo.db"))).expect("a new file");
        let flow_id = publish_sample(&store);
        let runtime = Runtime::new(store, Clock::system(), Options::new(Channel::Simulator, TTL));
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut whole = Self { runtime, tokio, flow_id, phones: Phones::new(seed) };
        // Compiles the flow.
        whole.write(1);
        whole
    }

    /// Triggers the sample for so many new numbers in one commit.
    fn write(&mut self, rows: usize) -> Took {
        let Self { runtime, tokio, flow_id, phones } = self;
        let triggers: Vec<_> = (0..rows).map(|_| trigger(*flow_id, &phones.next())).collect();
        let (begin, begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let store = runtime.store().clone();
        tokio.block_on(async {
            let gate = store.write(move |_| {
                let _ = begin.send(());
                // Ends when the sender is dropped, which is all the news there is.
                if let Ok(released) = released.lock() {
                    let _ = released.recv();
                }
                Ok(())
            });
            let mut gate = Box::pin(gate);
            assert!(is_pending(gate.as_mut()).await);
            begun.recv().expect("the writer runs the gate");
            let clock = Instant::now();
            let triggers = join_all(triggers.into_iter().map(|trigger| runtime.handle(trigger)));
            // A server has a task for each of them, which no other's messages use up the budget of.
            let mut triggers = Box::pin(tokio::task::unconstrained(triggers));
            // The first poll queues every job.
            assert!(is_pending(triggers.as_mut()).await);
            let queued = clock.elapsed();
            drop(release);
            let outcomes = triggers.await;
            let caller = clock.elapsed();
            gate.await.expect("the gate commits nothing");
            for outcome in outcomes {
                assert!(matches!(outcome, Ok(Triggered::Started { .. })), "{outcome:?}");
            }
            Took { job: caller - queued, caller }
        })
    }
}

/// What a batch took by either clock.
struct Took {
    job: Duration,
    caller: Duration,
}

/// Polls a future once.
async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

/// Times of both sides for one size of batch.
#[derive(Default)]
struct Times {
    job: Vec<f64>,
    caller: Vec<f64>,
    bare: Vec<f64>,
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seed = now_nanos();
    let mut whole = Whole::new(folder.path(), seed);
    let mut bare = Bare::new(folder.path(), seed ^ 0x5555);
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    let mut table = Vec::new();
    for rows in BATCHES {
        let mut times = Times::default();
        let mut group = criterion.benchmark_group("store");
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(format!("triggers in a batch of {rows}"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut sum = Duration::ZERO;
                for round in 0..rounds {
                    // Whoever goes first finds the machine in another state than who goes second.
                    if round % 2 == 0 {
                        times.bare.push(write_bare(&mut bare, rows));
                    }
                    let took = whole.write(rows);
                    times.job.push(took.job.as_secs_f64());
                    times.caller.push(took.caller.as_secs_f64());
                    sum += took.job;
                    if round % 2 == 1 {
                        times.bare.push(write_bare(&mut bare, rows));
                    }
                }
                sum
            });
        });
        group.finish();
        table.push((rows, times));
    }
    drop(whole);
    criterion.final_summary();
    println!(" batch  commits  bare us/row   job us/row  ratio  caller us/row  ratio   triggers/s");
    for (rows, mut times) in table {
        let commits = times.job.len();
        let medians = (median(&mut times.bare), median(&mut times.job), median(&mut times.caller));
        let (Some(bare), Some(job), Some(caller)) = medians else { continue };
        let per_row = |seconds: f64| seconds * 1e6 / rows as f64;
        let verdict = if rows >= 64 && job / bare > TARGET { "  over the target of 1.5" } else { "" };
        println!(
            "{rows:>6} {commits:>8} {:>12.1} {:>12.1} {:>6.2} {:>14.1} {:>6.2} {:>12.0}{verdict}",
            per_row(bare),
            per_row(job),
            job / bare,
            per_row(caller),
            caller / bare,
            rows as f64 / job,
        );
    }
}

fn write_bare(bare: &mut Bare, rows: usize) -> f64 {
    let phones = bare.phones(rows);
    let clock = Instant::now();
    bare.write(phones).expect("the rows are as good as those that they were copied from");
    let took = clock.elapsed();
    bare.checkpoint_if_long().expect("a checkpoint");
    took.as_secs_f64()
}

fn median(times: &mut [f64]) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// Other numbers in every run, so that no run depends on a lucky order.
fn now_nanos() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64
}
