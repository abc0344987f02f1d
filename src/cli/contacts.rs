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
use crate::runtime::import::{self, Saved};
use crate::store::Direct;

/// Rows that are saved in one transaction.
const BATCH: usize = 500;
/// After so many rows a line is printed where no bar can be drawn.
const ROWS_PER_LINE: u64 = 100_000;

/// How to import a file.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// Only tell what would come of it.
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
/// When the file has no phone numbers, when rows were refused, or when it was interrupted.
pub fn import(context: &Context, file: &Path, options: &Import) -> Result<()> {
    if let Some(country) = options.reading.country.as_ref().filter(|country| !Phone::knows_country(country)) {
        return Err(Error::invalid(format!("`{country}` is not a country: write its ISO 3166 code, such as ES")));
    }
    let mut table = Table::open(file, &options.reading)?;
    let mut direct = context.open()?;
    if !table.is_utf8() {
        note(format_args!("{} is not UTF-8 and is read as Windows-1252", file.display()));
    }
    let keys: Vec<String> = table.metadata_keys().map(plain).collect();
    if !keys.is_empty() {
        note(format_args!("Metadata: {}", keys.join(", ")));
    }
    let stop = stop_on_interrupt()?;
    let clock = Clock::system();
    let mut refused = Refused { path: options.refused.clone(), beside: file, writer: None };
    let mut target = if options.dry_run { Target::Dry(HashSet::new()) } else { Target::Saved };
    let mut counts = Counts::default();
    let mut progress = Progress::new(table.bytes());
    let mut last_line = 0;
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH
            && let Some(row) = table.next(clock.now())?
        {
            batch.push(row);
        }
        if batch.is_empty() || stop.load(Ordering::Relaxed) {
            break;
        }
        let begun = Instant::now();
        let outcomes = target.take(&mut direct, &batch, clock.now()).inspect_err(|_| {
            progress.end();
            note(format_args!("{}; it ended after line {last_line}", counts.sentence(options.dry_run)));
        })?;
        for (row, outcome) in batch.iter().zip(outcomes) {
            last_line = row.line;
            let reason = match (&row.read, outcome) {
                (Err(reason), _) => Some(reason.clone()),
                (Ok(_), Saved::Refused(refusal)) => Some(refusal.to_string()),
                (Ok(_), Saved::Created) => counts.add(|counts| &mut counts.created),
                (Ok(_), Saved::Updated) => counts.add(|counts| &mut counts.updated),
                (Ok(_), Saved::Unchanged) => counts.add(|counts| &mut counts.unchanged),
            };
            if let Some(reason) = reason {
                counts.refused += 1;
                refused.add(&table, row, &reason)?;
            }
        }
        progress.show(table.position(), counts.rows());
        if matches!(target, Target::Saved) {
            // As long as the batch has held the database: a server that writes gets its turn.
            std::thread::sleep(begun.elapsed());
        }
    }
    progress.end();
    let refused_path = refused.finish()?;
    note(counts.sentence(options.dry_run));
    if stop.load(Ordering::Relaxed) {
        return Err(Error::invalid(format!(
            "Interrupted: the rows up to line {last_line} are done. Import the file again for the rest: what is in \
             changes nothing"
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
    fn take(&mut self, direct: &mut Direct, batch: &[Row], now: Timestamp) -> Result<Vec<Saved>> {
        let incoming = batch.iter().map(|row| row.read.as_ref().ok());
        match self {
            Self::Saved => direct.write(|tx| {
                incoming.map(|one| one.map_or(Ok(Saved::Unchanged), |one| import::save(tx, one, now))).collect()
            }),
            Self::Dry(new) => direct.read(|conn| {
                let preview = |one| match import::preview(conn, one, now)? {
                    // At most 15 digits fit.
                    Saved::Created if !new.insert(one.phone.as_str()[1..].parse().unwrap_or(0)) => Ok(Saved::Updated),
                    outcome => Ok(outcome),
                };
                let mut preview = preview;
                incoming.map(|one| one.map_or(Ok(Saved::Unchanged), &mut preview)).collect()
            }),
        }
    }
}

/// What came of the rows.
#[derive(Debug, Default)]
struct Counts {
    created: u64,
    updated: u64,
    unchanged: u64,
    refused: u64,
}

impl Counts {
    /// Counts a row that was not refused.
    fn add(&mut self, which: impl FnOnce(&mut Self) -> &mut u64) -> Option<String> {
        *which(self) += 1;
        None
    }

    fn rows(&self) -> u64 {
        self.created + self.updated + self.unchanged + self.refused
    }

    fn sentence(&self, is_dry: bool) -> String {
        let Self { created, updated, unchanged, refused } = self;
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
    writer: Option<(PathBuf, csv::Writer<File>)>,
}

impl Refused<'_> {
    fn add(&mut self, table: &Table, row: &Row, reason: &str) -> Result<()> {
        let (path, mut writer) = match self.writer.take() {
            Some(open) => open,
            None => {
                let path = self.path.clone().unwrap_or_else(|| free_path(self.beside));
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

/// `contacts.errors.csv` for `contacts.csv`, or the first such name that is free: somebody may be mending the rows of
/// an earlier import.
fn free_path(file: &Path) -> PathBuf {
    let first = file.with_extension("errors.csv");
    let numbered = (2_u32..).map(|number| file.with_extension(format!("errors-{number}.csv")));
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
