//! The command line: parse, dispatch, exit code.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use qyvo::cli::{self, Context};
use qyvo::config::Flags;
use qyvo::store::tokens::Scope;

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
    },
    /// Make, list and revoke API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Check, import, export and list flows
    #[command(subcommand)]
    Flow(FlowCommand),
    /// Look after the admin page
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Check the configuration and the database
    Check,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Make a new password for the admin page and print it, alone, on standard output
    ResetPassword,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make a token and print it, alone, on standard output
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do: trigger flows, use the API, or everything
        #[arg(long, value_enum, default_value_t = ScopeName::Trigger)]
        scope: ScopeName,
    },
    /// List tokens
    List,
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
        /// The document; `-` reads standard input
        file: PathBuf,
    },
    /// Create a flow, or replace its draft, and print its id, alone, on standard output
    Import {
        /// The document; `-` reads standard input
        file: PathBuf,
        /// Publish it, too
        #[arg(long)]
        publish: bool,
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
    let done = Context::load(flags).and_then(|context| match arguments.command {
        Command::Serve { demo, .. } => cli::serve(&context, demo),
        Command::Token(TokenCommand::Create { name, scope }) => cli::tokens::create(&context, &name, scope.into()),
        Command::Token(TokenCommand::List) => cli::tokens::list(&context),
        Command::Token(TokenCommand::Revoke { id }) => cli::tokens::revoke(&context, &id),
        Command::Flow(FlowCommand::Validate { file }) => cli::flows::validate(&context, &file),
        Command::Flow(FlowCommand::Import { file, publish }) => cli::flows::import(&context, &file, publish),
        Command::Flow(FlowCommand::Export { id }) => cli::flows::export(&context, &id),
        Command::Flow(FlowCommand::List) => cli::flows::list(&context),
        Command::Admin(AdminCommand::ResetPassword) => cli::admin::reset_password(&context),
        Command::Check => cli::check(&context),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("qyvo: {error}");
            ExitCode::FAILURE
        }
    }
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
