//! The command line: parse, dispatch, exit code.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use qyvo::cli::{self, Context, contacts, simulate};
use qyvo::config::Flags;
use qyvo::domain::{Phone, Scope, Timestamp};
use qyvo::runtime::publishing::Consent;
use qyvo::telemetry;
use serde_json::{Map, Value};

/// Runs conversation flows from one binary and one SQLite file.
#[derive(Parser)]
#[command(name = "qyvo", version, arg_required_else_help = true)]
struct Arguments {
    /// Configuration file [default: ./qyvo.toml, else /etc/qyvo/qyvo.toml, if there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Database file [default: storage.path, which is qyvo.db]
    #[arg(long, global = true, value_name = "FILE")]
    database: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve {
        /// Address to listen on [default: server.bind, which is 127.0.0.1:8080]
        #[arg(long, value_name = "ADDRESS", value_parser = address)]
        bind: Option<SocketAddr>,
        /// Publish the sample flows into a database of its own, make a token, and print commands to try
        #[arg(long)]
        demo: bool,
        /// Begin with an empty database where there was one that is gone
        #[arg(long)]
        new: bool,
        /// Take in the write-ahead log beside a database that is not the file that the last server had open: right
        /// after both were copied or put back together, wrong where only the database was put there
        #[arg(long)]
        keep_log: bool,
    },
    /// Make, list, rotate and revoke API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Check, import, export and list flows
    #[command(subcommand)]
    Flow(FlowCommand),
    /// Chat with a flow in the terminal; reaches nobody
    Simulate {
        /// The document
        file: PathBuf,
        /// What a trigger would pass, as JSON
        #[arg(long, value_name = "JSON", value_parser = object, default_value = "{}", hide_default_value = true)]
        context: Map<String, Value>,
        /// What somebody writes that begins it, such as a keyword, in place of a trigger
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
        /// When it begins, such as 2026-05-07T08:00:00Z [default: now]
        #[arg(long, value_name = "TIME")]
        now: Option<Timestamp>,
        /// Decides random splits [default: another one each time]
        #[arg(long, value_name = "NUMBER")]
        seed: Option<u64>,
        /// The contact's phone number [default: one of a range that is kept for fiction]
        #[arg(long)]
        phone: Option<Phone>,
        /// The contact's name
        #[arg(long)]
        name: Option<String>,
        /// Show the path with its reasons, too
        #[arg(long)]
        trace: bool,
    },
    /// Bring in the people that another system knows
    #[command(subcommand)]
    Contacts(ContactsCommand),
    /// Show every setting in force and where it comes from; change those that the admin page keeps in the database
    Settings {
        /// Print them as JSON, for programs
        #[arg(long)]
        json: bool,
        #[command(subcommand)]
        command: Option<SettingsCommand>,
    },
    /// Look after the admin page
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Check the configuration and the database
    Check,
    /// Copy the database to a file, also while the server runs, and print its path
    ///
    /// The copy is one snapshot with everything that was answered before it began. It is checked, and takes the name
    /// once it is whole; an older copy of that name is replaced. Beside it goes the list of erased contacts, which a
    /// restore needs. With backup.every the server makes copies by itself.
    Backup {
        /// The file
        file: PathBuf,
    },
    /// Make the database as small as what is in it, while no server runs
    ///
    /// Rows that are deleted leave room for later ones, and the file does not shrink by itself. It is copied without
    /// gaps, which needs room for the copy; the copy is checked and takes the place of the file.
    Compact,
    /// Put a copy in the place of the database, while no server runs, and print its path
    ///
    /// The copy is checked first, and the old file is kept beside under another name. Who opted out since the copy was
    /// made stays opted out, if the old file can be read, and who was erased is erased again by the next start.
    Restore {
        /// The copy
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum ContactsCommand {
    /// Create and update contacts from a CSV file, also while the server runs
    ///
    /// A row names the columns: phone, name (or first_name and last_name), email, language, tags (separated by , ; or
    /// |), opted_in_at and opted_out_at (a time, or yes or no); the names that other programs give them are known, too.
    /// Every other column becomes metadata. Titles above that row and a last row of totals are left out. Contacts are
    /// found by their phone; tags are added, metadata is merged, and what is blank stays as it is. Nobody who has opted
    /// out is opted in. Whoever is opted out is in no conversation any more; but who has opted in by a word here stays
    /// in unless opted_out_at is later than that word. Exits with 1 if a row was refused.
    Import {
        /// The file
        file: PathBuf,
        /// Only tell what would come of it
        #[arg(long)]
        dry_run: bool,
        /// Where refused rows go, with their lines and the reasons [default: beside the file, as NAME.errors.csv,
        /// of a dry run as NAME.dry-run.errors.csv]
        #[arg(long, value_name = "FILE")]
        errors: Option<PathBuf>,
        /// What stands between the cells: a character, or `tab` [default: found in the first rows]
        #[arg(long, value_parser = delimiter)]
        delimiter: Option<u8>,
        /// What the file is in, such as windows-1251 or shift_jis (labels of the WHATWG Encoding Standard) [default:
        /// found out; where that is not sure nothing goes in, and the likely ones are listed with how names read]
        #[arg(long, value_name = "NAME")]
        encoding: Option<String>,
        /// Whose national numbers are in the file, as an ISO 3166 code such as ES [default: numbers need a + or 00]
        #[arg(long, value_name = "CODE")]
        country: Option<String>,
        /// What a column is: a field's name, metadata.KEY, or `-` to leave it out. May be repeated
        #[arg(long = "map", value_name = "COLUMN=FIELD", value_parser = mapping)]
        maps: Vec<(String, String)>,
    },
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Make a new password for the admin page and print it, alone, on standard output
    ResetPassword,
}

#[derive(Subcommand)]
enum SettingsCommand {
    /// List every key with its value and where that comes from
    List,
    /// Print the value of a key, alone; a secret as ***
    Get {
        /// The key, such as server.public_url
        key: String,
    },
    /// Keep a value in the database, under what the file and the environment say
    Set {
        /// The key, such as server.public_url
        key: String,
        /// Its value
        value: String,
    },
    /// Take a key out of the database, such as one that keeps a channel from going
    Unset {
        /// The key, such as whatsapp.access_token
        key: String,
    },
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make a token and print it, alone, on standard output
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do: trigger flows, use the API, or everything. By the assistants' tools at /mcp, `api` also
        /// reads flows with their drafts and sessions with their traces, and makes drafts; only `admin` publishes
        #[arg(long, value_enum, default_value_t = ScopeName::Trigger)]
        scope: ScopeName,
        /// Requests per minute in place of limits.requests_per_minute; 0 is no limit
        #[arg(long, value_name = "N")]
        rate_limit: Option<u64>,
    },
    /// List tokens
    List,
    /// Give a token another secret and print it, alone, on standard output
    Rotate {
        /// Its id, as `token list` shows it
        id: String,
        /// How long the old secret is taken as well, such as 1h or 7d, at most 30 days; 0s ends it at once
        #[arg(long, value_name = "TIME", default_value = "0s")]
        grace: String,
    },
    /// Revoke a token
    Revoke {
        /// Its id, as `token list` shows it
        id: String,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ScopeName {
    Trigger,
    Api,
    Admin,
}

#[derive(Subcommand)]
enum FlowCommand {
    /// Check a flow document and print its problems
    Validate {
        /// The document, JSON in UTF-8 or UTF-16; `-` reads standard input
        file: PathBuf,
    },
    /// Create a flow, or replace its draft, and print its id, alone, on standard output
    Import {
        /// The document, JSON in UTF-8 or UTF-16; `-` reads standard input
        file: PathBuf,
        /// Publish it, too; of what is live already no version is made
        #[arg(long)]
        publish: bool,
        /// Publish it with this warning, such as unreachable_node; may be repeated
        #[arg(long, value_name = "WARNING", value_delimiter = ',', requires = "publish", value_parser = warning)]
        accept: Vec<&'static str>,
    },
    /// Print a flow's draft as a document
    Export {
        /// Its id
        id: String,
    },
    /// List flows
    List,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let bind = match &arguments.command {
        Command::Serve { bind, .. } => *bind,
        _ => None,
    };
    let flags = Flags { config: arguments.config, database: arguments.database, bind };
    let done = match arguments.command {
        // It shows what is wrong with a configuration that no other command takes.
        Command::Settings { json, command: None } => cli::settings::show(&flags, json),
        command => Context::load(flags).and_then(|context| run(&context, command)),
    };
    let code = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::print_line(&format!("qyvo: {error}"));
            ExitCode::FAILURE
        }
    };
    telemetry::flush();
    code
}

fn run(context: &Context, command: Command) -> qyvo::error::Result<()> {
    match command {
        Command::Serve { demo, new, keep_log, .. } => cli::serve(context, cli::Serve { demo, new, keep_log }),
        Command::Token(TokenCommand::Create { name, scope, rate_limit }) => {
            cli::tokens::create(context, &name, scope.into(), rate_limit)
        }
        Command::Token(TokenCommand::List) => cli::tokens::list(context),
        Command::Token(TokenCommand::Rotate { id, grace }) => cli::tokens::rotate(context, &id, &grace),
        Command::Token(TokenCommand::Revoke { id }) => cli::tokens::revoke(context, &id),
        Command::Flow(FlowCommand::Validate { file }) => cli::flows::validate(context, &file),
        Command::Flow(FlowCommand::Import { file, publish, accept }) => {
            cli::flows::import(context, &file, publish.then_some(Consent { force: false, accept }).as_ref())
        }
        Command::Flow(FlowCommand::Export { id }) => cli::flows::export(context, &id),
        Command::Flow(FlowCommand::List) => cli::flows::list(context),
        Command::Simulate { file, context: passed, message, now, seed, phone, name, trace } => {
            let options = simulate::Options { context: passed, message, now, seed, phone, name, trace };
            simulate::simulate(context, &file, options)
        }
        Command::Contacts(ContactsCommand::Import { file, dry_run, errors, delimiter, encoding, country, maps }) => {
            let country = country.map(|code| code.trim().to_uppercase());
            let reading = contacts::Reading { delimiter, encoding, country, columns: maps };
            contacts::import(context, &file, &contacts::Import { dry_run, refused: errors, reading })
        }
        Command::Settings { command: None, .. } => Ok(()),
        Command::Settings { json: true, .. } => {
            Err(qyvo::error::Error::invalid("--json goes with `qyvo settings` alone: leave it or the subcommand out"))
        }
        Command::Settings { command: Some(SettingsCommand::List), .. } => cli::settings::list(context),
        Command::Settings { command: Some(SettingsCommand::Get { key }), .. } => cli::settings::get(context, &key),
        Command::Settings { command: Some(SettingsCommand::Set { key, value }), .. } => {
            cli::settings::set(context, &key, &value)
        }
        Command::Settings { command: Some(SettingsCommand::Unset { key }), .. } => cli::settings::unset(context, &key),
        Command::Admin(AdminCommand::ResetPassword) => cli::admin::reset_password(context),
        Command::Check => cli::check(context),
        Command::Backup { file } => cli::backup::back_up(context, &file),
        Command::Compact => cli::backup::compact(context),
        Command::Restore { file } => cli::backup::restore(context, &file),
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("write a JSON object: {error}"))
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [one] if one.is_ascii_punctuation() && *one != b'"' || *one == b'\t' => Ok(*one),
        _ => Err("write one character such as , or ; or the word tab".to_owned()),
    }
}

fn mapping(text: &str) -> Result<(String, String), String> {
    // The name of a column may have a = in it, that of a field has none.
    let (column, field) = text.rsplit_once('=').ok_or("write COLUMN=FIELD, such as 'Mobile number=phone'")?;
    Ok((column.to_owned(), field.to_owned()))
}

fn warning(text: &str) -> Result<&'static str, String> {
    let mut consent = Consent::default();
    consent.accept(text)?;
    consent.accept.pop().ok_or_else(|| "name a warning".to_owned())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address with a port, such as 127.0.0.1:8080".to_owned())
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Trigger => Self::Trigger,
            ScopeName::Api => Self::Api,
            ScopeName::Admin => Self::Admin,
        }
    }
}
