//! Telemetry: what the server says about itself on standard error.

mod lines;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFilter, LogFormat};
use crate::error::{Error, Result};
use lines::Lines;

/// How long the end of the program waits for the log to be written.
const FLUSH: Duration = Duration::from_secs(2);
/// How long a thread that panics waits for it.
const FLUSH_PANIC: Duration = Duration::from_millis(200);
/// How often lines of one kind come that any number of requests can cause.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The log, once it is started.
static LOG: OnceLock<Lines> = OnceLock::new();

/// The module that panics are logged under, for directives such as `qyvo::panic=off`.
const PANICS: &str = "qyvo::panic";

/// Starts logging to standard error, panics included. Call it once, before any work.
///
/// # Errors
/// `Invalid` if the filter cannot be read, `Internal` if the process is logging already.
pub fn init(filter: &LogFilter, format: LogFormat) -> Result<()> {
    let directives = EnvFilter::try_new(quieted(filter))
        .map_err(|error| Error::invalid(format!("The log filter `{filter}` cannot be read")).caused_by(error))?;
    // The subscriber would report a failed write on standard error, where writing just failed, and that panics: a
    // server must outlive the terminal or the log collector it was started from.
    let cannot_start = |error| Error::internal("The thread that writes the log cannot be started").caused_by(error);
    let log = Lines::start(std::io::stderr(), log_lost).map_err(cannot_start)?;
    let writer = log.clone();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(directives)
        .with_writer(move || writer.clone())
        .log_internal_errors(false);
    match format {
        LogFormat::Text if std::io::stderr().is_terminal() => builder.try_init(),
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|error| Error::internal("Logging cannot be started twice in one process").caused_by(error))?;
    let _ = LOG.set(log);
    log_panics();
    Ok(())
}

/// A line on standard error, between those of the log where there is one. It is not part of the log: no collector that
/// reads levels or JSON needs it.
pub fn print_line(line: &str) {
    let line = format!("{line}\n");
    match LOG.get() {
        Some(log) => log.push(line.as_bytes()),
        // There is no way left to report that standard error is closed.
        None => drop(std::io::stderr().write_all(line.as_bytes())),
    }
}

/// Waits until what was logged is written, for two seconds at most: for the end of the program.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.flush(FLUSH);
    }
}

fn log_lost(lines: u64) {
    tracing::warn!(lines, "lines of the log were lost, because standard error was read too slowly");
}

/// Lets one line a second through, of a kind that any number of requests can cause.
#[derive(Debug, Default)]
pub struct LogRateLimit(Mutex<(Option<Instant>, u64)>);

impl LogRateLimit {
    /// Nothing has come through yet.
    pub const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// Whether a line may come now; then the number of those that did not since the last one.
    pub fn let_through(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, skipped) = &mut *state;
        if last.is_some_and(|last| last.elapsed() < LOG_INTERVAL) {
            *skipped += 1;
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(skipped))
    }
}

/// The filter, without the protocol library's warnings about invalid requests of assistants: their clients get the
/// error, and a log that any client can fill is no use. A filter that names the library includes them all the same.
fn quieted(filter: &LogFilter) -> String {
    let filter = filter.as_str();
    if filter.contains("rmcp") || filter == "off" { filter.to_owned() } else { format!("{filter},rmcp::service=error") }
}

/// Makes panics events of the log, with the place and, where `RUST_BACKTRACE` asks for it, the way there.
///
/// The hook that was there before still reports a panic that the log's filter would swallow.
fn log_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !tracing::enabled!(target: PANICS, Level::ERROR) {
            return before(panic);
        }
        log_panic(panic);
        // It may have been the main thread's, and then this was the last line.
        if let Some(log) = LOG.get() {
            log.flush(FLUSH_PANIC);
        }
    }));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("a value that is not text");
    let location = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        target: PANICS,
        location,
        thread = thread.name(),
        backtrace,
        "A thread panicked: {message}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn caught(filter: &str, panic: fn()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || std::panic::catch_unwind(panic).unwrap_err());
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn lines_of_one_kind_come_once_a_second() {
        let limit = LogRateLimit::new();
        assert_eq!(limit.let_through(), Some(0));
        assert_eq!((limit.let_through(), limit.let_through()), (None, None));
        limit.0.lock().unwrap().0 = Instant::now().checked_sub(LOG_INTERVAL);
        assert_eq!(limit.let_through(), Some(2));
    }

    #[test]
    fn what_assistants_send_wrong_fills_no_log_unless_it_is_asked_for() {
        for (filter, expected) in [
            ("info", "info,rmcp::service=error"),
            ("warn,qyvo=debug", "warn,qyvo=debug,rmcp::service=error"),
            ("off", "off"),
            ("info,rmcp=debug", "info,rmcp=debug"),
        ] {
            assert_eq!(quieted(&filter.parse().unwrap()), expected);
        }
    }

    /// The hook belongs to the process, so that everything about it stands in one test.
    #[test]
    fn panics_are_logged_with_their_place() {
        static REPORTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let original = std::panic::take_hook();
        std::panic::set_hook(Box::new(|panic| {
            REPORTED.lock().unwrap().push(panic.payload_as_str().unwrap_or_default().to_owned());
        }));
        log_panics();

        let lines = caught("info", || panic!("the shelf is {}", "empty"));
        let event: serde_json::Value = serde_json::from_str(&lines).unwrap();
        assert_eq!(event["message"], "A thread panicked: the shelf is empty");
        assert_eq!(event["level"], "ERROR");
        assert_eq!(event["target"], PANICS);
        assert!(event["location"].as_str().unwrap().starts_with("src/telemetry/mod.rs:"), "{event}");
        assert!(event["thread"].as_str().unwrap().contains("panics_are_logged"), "{event}");

        let lines = caught("info", || std::panic::panic_any(7));
        assert!(lines.contains("a value that is not text"), "{lines}");
        let silent = caught("off", || panic!("nobody listens"));
        assert_eq!(silent, "");
        std::panic::set_hook(original);
        let reported = REPORTED.lock().unwrap();
        assert!(reported.contains(&"nobody listens".to_owned()));
        assert!(!reported.iter().any(|message| message.contains("the shelf")), "a logged panic is reported once");
    }
}
