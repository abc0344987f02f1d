//! `qyvo contacts …`.

use std::collections::HashSet;
use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub use super::table::Reading;
use super::table::{Row, Table};
use super::{Context, note, plain, shown};
use crate::domain::{Phone, Timestamp};
use crate::error::{Error, Result};
use crate::runtime::Clock;
use crate::runtime::import::{self, Incoming, Outcome, Saved};
use crate::store::Direct;

/// Rows that are saved in one transaction.
const BATCH: usize = 500;
/// Bytes after which no more rows come to a transaction, however few it has: they stand in memory.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// After so many rows a line is printed where no bar can be drawn.
const ROWS_PER_LINE: u64 = 100_000;

/// How to import a file.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// Report what the import would do, and change nothing.
    pub dry_run: bool,
    /// Where rows that are refused go; `None` is beside the file.
    pub refused: Option<PathBuf>,
    /// How to read the file.
    pub reading: Reading,
}

/// `qyvo contacts import`: saves the people of a CSV file, also while a server runs. Whole batches go in, so what
/// breaks off is imported again from the start: rows that are in change nothing.
///
/// # Errors
/// When the file has no phone numbers, when rows were refused, or when it stopped before the end: because it was
/// interrupted, the disk is nearly full, or a file cannot be read or written on.
pub fn import(context: &Context, file: &Path, options: &Import) -> Result<()> {
    if let Some(country) = options.reading.country.as_ref().filter(|country| !Phone::knows_country(country)) {
        return Err(Error::invalid(format!("`{country}` is not a country: write its ISO 3166 code, such as ES")));
    }
    let table = Table::open(file, &options.reading)?;
    if let Some(path) = options.refused.as_ref().filter(|path| path.exists()) {
        return Err(Error::invalid(format!(
            "Cannot write {}: it is there already. Name another file with --errors, or move it away",
            path.display()
        )));
    }
    let direct = context.open()?;
    table.notes().iter().for_each(|said| note(plain(said)));
    let keys: Vec<String> = table.metadata_keys().map(plain).collect();
    if !keys.is_empty() {
        note(format_args!("Metadata: {}", keys.join(", ")));
    }
    let stop = stop_on_interrupt()?;
    let mut run = Run {
        progress: Progress::new(table.bytes()),
        table,
        direct,
        target: if options.dry_run { Target::Dry(HashSet::new()) } else { Target::Saved },
        min_free: context.config.storage.min_free.bytes() as u64,
        refused: Refused {
            path: options.refused.clone(),
            beside: file,
            kind: if options.dry_run { "dry-run.errors" } else { "errors" },
            writer: None,
        },
        counts: Counts::default(),
        last_line: 0,
    };
    let ended = run.take_all(&stop);
    run.progress.end();
    let Run { table, refused, counts, last_line, .. } = run;
    let ended = ended.inspect_err(|_| {
        note(format_args!("{}; it ended after line {last_line}", counts.sentence(options.dry_run)));
    })?;
    let refused_path = refused.finish()?;
    note(counts.sentence(options.dry_run));
    table.last_notes().iter().for_each(|said| note(plain(said)));
    if counts.stay_in > 0 {
        note(format_args!(
            "{} of them stay opted in, because the person has asked for it here since: where it was earlier, \
            opted_out_at must say when they opted out",
            counts.stay_in
        ));
    }
    let why = match ended {
        Ended::Whole => None,
        Ended::Interrupted => Some("Interrupted".to_owned()),
        Ended::Full => {
            Some(format!("The disk has less than {} free (storage.min_free)", context.config.storage.min_free))
        }
    };
    if let Some(why) = why {
        return Err(Error::invalid(format!(
            "{why}: the rows up to line {last_line} are done. Import the file again for the rest: what is in changes \
             nothing"
        )));
    }
    match refused_path {
        Some(path) => Err(Error::invalid(format!(
            "{} {} refused: mend them in {} and import that file",
            counts.refused,
            if counts.refused == 1 { "row was" } else { "rows were" },
            shown(&path)
        ))),
        None => Ok(()),
    }
}

/// An import under way.
struct Run<'a> {
    table: Table,
    direct: Direct,
    target: Target,
    /// Bytes that stay free on the disk.
    min_free: u64,
    refused: Refused<'a>,
    counts: Counts,
    /// Where the last row began that is done.
    last_line: u64,
    progress: Progress,
}

/// How an import ended that did not fail.
enum Ended {
    /// All rows are done.
    Whole,
    /// It was interrupted by Ctrl-C.
    Interrupted,
    /// There is no room for more.
    Full,
}

impl Run<'_> {
    fn take_all(&mut self, stop: &AtomicBool) -> Result<Ended> {
        let clock = Clock::system();
        loop {
            let batch = self.next_batch(clock.now())?;
            if batch.is_empty() {
                return Ok(Ended::Whole);
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(Ended::Interrupted);
            }
            let is_saved = matches!(self.target, Target::Saved);
            if is_saved && !self.direct.has_room(self.min_free)? {
                return Ok(Ended::Full);
            }
            let begun = Instant::now();
            let outcomes = self.target.take(&mut self.direct, &batch, clock.now())?;
            self.record(&batch, &outcomes)?;
            self.progress.show(self.table.position(), self.counts.rows());
            if is_saved {
                // As long as the batch has held the database: a server that writes gets its turn.
                std::thread::sleep(begun.elapsed());
            }
        }
    }

    /// The rows of one transaction; none at the end of the file.
    fn next_batch(&mut self, now: Timestamp) -> Result<Vec<Row>> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut bytes = 0;
        while batch.len() < BATCH
            && bytes < BATCH_BYTES
            && let Some(row) = self.table.next(now)?
        {
            bytes += row.cells.iter().map(String::len).sum::<usize>();
            batch.push(row);
        }
        Ok(batch)
    }

    /// Counts the outcomes of a committed batch, and keeps the rows that were refused.
    fn record(&mut self, batch: &[Row], outcomes: &[Outcome]) -> Result<()> {
        let mut refused = Vec::new();
        for (row, outcome) in batch.iter().zip(outcomes) {
            self.last_line = row.line;
            let counts = &mut self.counts;
            counts.stay_in += u64::from(outcome.stays_in);
            match (&row.read, outcome.saved) {
                (Err(reason), _) => refused.push((row, reason.clone())),
                (Ok(_), Saved::Refused(refusal)) => refused.push((row, refusal.to_string())),
                (Ok(_), Saved::Created) => counts.created += 1,
                (Ok(_), Saved::Updated) => counts.updated += 1,
                (Ok(_), Saved::Unchanged) => counts.unchanged += 1,
            }
        }
        self.counts.refused += refused.len() as u64;
        refused.iter().try_for_each(|(row, reason)| self.refused.add(&self.table, row, reason))
    }
}

/// Where rows go.
enum Target {
    /// Into the database.
    Saved,
    /// Nowhere; new numbers are kept in mind, because the second row of one would find a contact.
    Dry(HashSet<u64>),
}

impl Target {
    /// Takes the rows of a batch that could be read, and gives an outcome for each row. Those that could not be read
    /// have whichever.
    fn take(&mut self, direct: &mut Direct, batch: &[Row], now: Timestamp) -> Result<Vec<Outcome>> {
        let unread = Outcome { saved: Saved::Unchanged, stays_in: false };
        let incoming = batch.iter().map(|row| row.read.as_ref().ok());
        match self {
            Self::Saved => direct
                .write(|tx| incoming.map(|one| one.map_or(Ok(unread), |one| import::save(tx, one, now))).collect()),
            Self::Dry(new) => direct.read(|conn| {
                let mut preview = |one: &Incoming| {
                    let mut outcome = import::preview(conn, one, now)?;
                    // At most 15 digits fit.
                    if outcome.saved == Saved::Created && !new.insert(one.phone.as_str()[1..].parse().unwrap_or(0)) {
                        outcome.saved = Saved::Updated;
                    }
                    Ok(outcome)
                };
                incoming.map(|one| one.map_or(Ok(unread), &mut preview)).collect()
            }),
        }
    }
}

/// The outcome of the rows.
#[derive(Debug, Default)]
struct Counts {
    created: u64,
    updated: u64,
    unchanged: u64,
    refused: u64,
    /// Rows of any outcome whose opt-out is not in force any more.
    stay_in: u64,
}

impl Counts {
    fn rows(&self) -> u64 {
        self.created + self.updated + self.unchanged + self.refused
    }

    fn sentence(&self, is_dry: bool) -> String {
        let Self { created, updated, unchanged, refused, stay_in: _ } = self;
        let (head, would_be) = if is_dry { ("Dry run, nothing is changed: ", "would be ") } else { ("", "") };
        format!(
            "{head}{} rows: {would_be}{created} created, {updated} updated, {unchanged} unchanged, {refused} refused",
            self.rows()
        )
    }
}

/// The file of rows that were refused, which is made with the first of them.
struct Refused<'a> {
    path: Option<PathBuf>,
    beside: &'a Path,
    /// What stands between the file's name and the ending.
    kind: &'static str,
    writer: Option<(PathBuf, csv::Writer<File>)>,
}

impl Refused<'_> {
    fn add(&mut self, table: &Table, row: &Row, reason: &str) -> Result<()> {
        let (path, mut writer) = match self.writer.take() {
            Some(open) => open,
            None => {
                let path = self.path.clone().unwrap_or_else(|| free_path(self.beside, self.kind));
                let writer = table.refused_rows(&path)?;
                (path, writer)
            }
        };
        let line = row.line.to_string();
        let cells = [line.as_str(), reason].into_iter().chain(table.kept(&row.cells));
        writer.write_record(cells).map_err(|error| cannot_write(&path, error.into()))?;
        self.writer = Some((path, writer));
        Ok(())
    }

    /// Where the rows are, if there are any.
    fn finish(self) -> Result<Option<PathBuf>> {
        let Some((path, mut writer)) = self.writer else { return Ok(None) };
        writer.flush().map_err(|error| cannot_write(&path, error))?;
        Ok(Some(path))
    }
}

fn cannot_write(path: &Path, error: std::io::Error) -> Error {
    Error::invalid(format!("Cannot write {}", path.display())).caused_by(error)
}

/// `contacts.errors.csv` for `contacts.csv`, or the first such name that is free: the rows of an earlier import may
/// still be being mended.
fn free_path(file: &Path, kind: &str) -> PathBuf {
    let first = file.with_extension(format!("{kind}.csv"));
    let numbered = (2_u32..).map(|number| file.with_extension(format!("{kind}-{number}.csv")));
    std::iter::once(first.clone()).chain(numbered).find(|path| !path.exists()).unwrap_or(first)
}

/// A bar on a terminal, lines elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    lines: u64,
}

impl Progress {
    fn new(bytes: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:40} {percent}%  {msg}  {eta} left");
            style.map_or(bar.clone(), |style| bar.with_style(style))
        });
        Self { bar, lines: 0 }
    }

    fn show(&mut self, position: u64, rows: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(format!("{rows} rows"));
                bar.set_position(position);
            }
            None if rows / ROWS_PER_LINE > self.lines => {
                self.lines = rows / ROWS_PER_LINE;
                note(format_args!("{rows} rows"));
            }
            None => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What Ctrl-C sets: the batch under way is ended first.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let interrupted = stop.clone();
    let cannot = |error| Error::internal("Cannot listen for Ctrl-C").caused_by(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(cannot)?;
    // Registered before the first batch, and not whenever the thread gets to it.
    let mut signal = {
        let _in_runtime = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(cannot)?
    };
    std::thread::spawn(move || {
        runtime.block_on(signal.recv());
        interrupted.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}
