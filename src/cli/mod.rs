//! What the commands do. Results go to standard output, everything else to standard error.
//!
//! Except `serve`, the commands work on the database file directly, also while a server runs on it, and take effect
//! there within a second. Only `serve` creates a database.

pub mod admin;
pub mod backup;
pub mod contacts;
mod demo;
pub mod flows;
pub mod settings;
pub mod simulate;
mod table;
pub mod tokens;

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use crate::channels::ChannelKind;
use crate::config::{Config, Flags};
use crate::domain::TextLimits;
use crate::domain::consent::ConsentWords;
use crate::error::{Error, Result};
use crate::runtime::publishing::ServerFacts;
use crate::runtime::{Clock, ServerSettings, health};
use crate::server::App;
use crate::settings as stored_settings;
use crate::store::{self, Direct, Reads};
use crate::telemetry;

/// What every command starts from.
pub struct Context {
    config: Config,
    sources: Vec<String>,
}

impl Context {
    /// Reads the configuration from file, environment and flags.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn load(flags: Flags) -> Result<Self> {
        let loaded = Config::load(&flags, std::env::vars_os())?;
        for variable in &loaded.unknown {
            note(format_args!("{variable} is not a key of the configuration and is ignored: see qyvo.toml.example"));
        }
        Ok(Self { config: loaded.config, sources: loaded.sources })
    }

    /// What the server on this database checks documents against.
    fn server_facts(&self, reads: &impl Reads) -> Result<ServerFacts> {
        server_facts(&self.config, reads)
    }

    /// The database file, which must be there; says on standard error which one it is.
    fn open(&self) -> Result<Direct> {
        let path = &self.config.storage.path;
        let direct = Direct::open(path)?;
        note(format_args!("Database {}", shown(path)));
        Ok(direct)
    }
}

/// How `qyvo serve` begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Serve {
    /// With the sample flows in a database of their own.
    pub demo: bool,
    /// With an empty database where there was one that is gone.
    pub new: bool,
    /// With the write-ahead log that stands beside another file than the last server had open.
    pub keep_log: bool,
}

/// What simulations have to know of how a server with a configuration is set.
fn server_settings(config: &Config) -> ServerSettings {
    let words = ConsentWords::new(&config.routing.opt_out_words, &config.routing.opt_in_words).into();
    let webhook = TextLimits::all(config.webhook.text_chars as usize);
    let fallback = config.routing.fallback_flow.parse().ok();
    let (default_ttl, colleague_pause) = (config.sessions.default_ttl, config.routing.colleague_pause);
    let settings = ServerSettings { default_ttl, words, colleague_pause, live: TextLimits::NONE, webhook, fallback };
    match config.live_channel() {
        Ok(live) => settings.on_channel(live.as_str()),
        Err(_) => settings,
    }
}

/// The settings by which the server on a database checks documents. A command's configuration may lack keys of the
/// server's, so the channel that the last server had counts, too.
fn server_facts(config: &Config, reads: &impl Reads) -> Result<ServerFacts> {
    let (stored, last) =
        reads.read(|conn| Ok((stored_settings::stored(conn)?, stored_settings::last_channel(conn)?)))?;
    // Invalid settings of the database are left out by the server, too.
    let laid = config.with_settings(&stored);
    let laid = laid.as_ref().unwrap_or(config);
    let configured = config.live_channel_with(laid).ok().map(|live| live.channel.as_str());
    Ok(ServerFacts::of(server_settings(laid), configured.into_iter().chain(last.as_deref())))
}

/// `qyvo serve`: runs the server until it is stopped.
///
/// # Errors
/// When it cannot start, or when the database stops taking writes.
pub fn serve(context: &Context, options: Serve) -> Result<()> {
    let mut config = context.config.clone();
    (config.storage.begin_anew, config.storage.keep_log) = (options.new, options.keep_log);
    let config = &config;
    telemetry::init(&config.log.level, config.log.format)?;
    for source in context.sources.iter().filter(|source| store::is_open_to_all(Path::new(source))) {
        tracing::warn!("everybody on this machine can read the configuration {source}: `chmod o= {source}` ends that");
    }
    let demo = if options.demo { Some(demo::prepare(config)?) } else { None };
    App::serve(config, Clock::system(), |app| {
        for source in &context.sources {
            tracing::info!("configuration from {source}");
        }
        let address = std::net::SocketAddr::new(config.server.bind.ip(), app.port());
        tracing::info!("database {}", shown(&config.storage.path));
        let channel = app.runtime().channel();
        match channel.kind().reaches_phones() {
            true if channel.lacks().is_some() => tracing::info!("channel {}: messages wait", channel.name()),
            true => tracing::info!("channel {}: messages go out", channel.name()),
            false => tracing::info!("channel {}: messages are recorded, none reaches a phone", channel.name()),
        }
        tracing::info!("listening on http://{address}");
        if let Some(code) = app.set_up_code() {
            // Not for the log, which others may read. Behind the `#` the code reaches no log of a proxy either.
            note(format_args!("Set the admin page's password at http://{address}/admin/#/set-up/{code}"));
            note(format_args!("or at any other address of this server, below /admin/, with the code {code}"));
        }
        demo.as_ref().map_or(Ok(()), |demo| out(&demo.instructions(address)))
    })?;
    tracing::info!("stopped");
    Ok(())
}

/// `qyvo check`: reads the configuration, checks it with the settings of the database as a start does, and checks the
/// database file.
///
/// # Errors
/// When there is a problem.
pub fn check(context: &Context) -> Result<()> {
    if context.sources.is_empty() {
        note("Configuration: defaults, no file");
    }
    for source in &context.sources {
        note(format_args!("Configuration {source}"));
    }
    let direct = context.open()?;
    let mut problems = stored_settings::problems_at_start(&context.config, &direct.read(stored_settings::stored)?);
    problems.extend(direct.check()?);
    if !direct.has_room(context.config.storage.min_free.bytes() as u64)? {
        let min_free = context.config.storage.min_free;
        problems.push(format!(
            "The disk has less than {min_free} free (storage.min_free) beside what the log takes: a server refuses \
            triggers. Free some space."
        ));
    }
    let live = context.config.live_channel().ok().filter(|kind| kind.reaches_phones()).map(ChannelKind::as_str);
    problems.extend(direct.read(|conn| health::kept_troubles(conn, live, Clock::system().now()))?);
    if problems.is_empty() {
        return out("No problems found");
    }
    for problem in &problems {
        note(problem);
    }
    let problems = problems.len();
    Err(Error::invalid(format!(
        "There {} {problems} problem{}",
        if problems == 1 { "is" } else { "are" },
        plural(problems)
    )))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// A line on standard error.
fn note(line: impl Display) {
    telemetry::print_line(&line.to_string());
}

/// A text from elsewhere without control characters, so that it moves nothing on the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A line on standard output.
fn out(line: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .map_err(|error| Error::internal("Cannot write to standard output").caused_by(error))
}
