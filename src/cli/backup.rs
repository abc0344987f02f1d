//! `qyvo backup`, `qyvo restore` and `qyvo compact`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Context, note, out, plural, shown};
use crate::error::Result;
use crate::store::backup::{self, CopyOptions, Progress};
use crate::store::compact;
use crate::store::erased_list;
use crate::store::restore::{self, Carried};

/// A bar on a terminal; nothing elsewhere.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    fn show(&self, progress: Progress) {
        self.0.set_length(progress.expected);
        self.0.set_position(progress.written);
    }
}

/// `qyvo backup FILE`: copies the database to a file, also while a server runs on it.
///
/// # Errors
/// Those of [`backup::copy`].
pub fn back_up(context: &Context, to: &Path) -> Result<()> {
    let database = &context.config.storage.path;
    note(format_args!("Database {}", shown(database)));
    let bar = Bar::new();
    let shown_bar = bar.0.clone();
    let options = CopyOptions {
        min_free: context.config.storage.min_free.bytes() as u64,
        is_gentle: true,
        progress: Box::new(move |progress| {
            Bar(shown_bar.clone()).show(progress);
            true
        }),
    };
    let copied = backup::copy(database, to, options);
    bar.0.finish_and_clear();
    let copied = copied?;
    let list = erased_list::path_of(database);
    if let Some(folder) = std::path::absolute(to).ok().and_then(|path| path.parent().map(Path::to_owned)) {
        // After the copy: it has every contact that the copy lacks. In the folder of the database it is there already.
        let copy = erased_list::copy_in(&folder, database);
        if copy != list {
            erased_list::copy(&list, &copy)?;
        }
    }
    let seconds = copied.took.as_secs_f64();
    note(format_args!("Copied {} in {seconds:.1} s, and checked", HumanBytes(copied.bytes)));
    out(&shown(to))
}

/// `qyvo restore FILE`: puts a copy in the place of the database, while no server runs on it.
///
/// # Errors
/// Those of [`restore::restore`].
pub fn restore(context: &Context, from: &Path) -> Result<()> {
    let database = &context.config.storage.path;
    let begun = Instant::now();
    let bar = Bar::new();
    let mut lists: Vec<PathBuf> = vec![erased_list::copy_in(&context.config.backup_dir(), database)];
    if let Some(folder) = std::path::absolute(from).ok().and_then(|path| path.parent().map(Path::to_owned)) {
        lists.push(erased_list::copy_in(&folder, database));
    }
    let restored = restore::restore(database, from, &lists, |progress| bar.show(progress));
    bar.0.finish_and_clear();
    let restored = restored?;
    match &restored.aside {
        Some(aside) => note(format_args!("The old file is {}", shown(aside))),
        None => note("There was no database before"),
    }
    match &restored.carried {
        None => {}
        Some(Ok(Carried { opt_outs, revoked })) => note(format_args!(
            "Taken over from it: {opt_outs} opt-out{} and {revoked} revoked token{} that the copy lacked",
            plural(*opt_outs),
            plural(*revoked)
        )),
        Some(Err(why)) => note(format_args!(
            "WARNING: the old file could not be read, so whoever opted out after the copy was made is opted in again, \
             and tokens that were revoked since then work again: {why}"
        )),
    }
    if restored.erasures > 0 {
        note(format_args!(
            "{} erasure{} happened after the copy was made: the next start erases those contacts again before it takes \
             a request",
            restored.erasures,
            plural(restored.erasures)
        ));
    }
    if restored.queued > 0 || restored.running > 0 {
        note(format_args!(
            "{} messages wait to go out and {} sessions go on as they stood when the copy was made: what was sent \
             since then is sent again, unless it is too old",
            restored.queued, restored.running
        ));
    }
    note("Everybody is logged out of the admin page; its password is that of the copy");
    note(format_args!("Restored {} in {:.1} s", HumanBytes(restored.bytes), begun.elapsed().as_secs_f64()));
    out(&shown(database))
}

/// `qyvo compact`: makes the database as small as what is in it, while no server runs on it.
///
/// # Errors
/// Those of [`compact::compact`].
pub fn compact(context: &Context) -> Result<()> {
    let database = &context.config.storage.path;
    let needed = compact::needed(database)?;
    note(format_args!(
        "Database {} has {}; the copy needs about {}, and {} are free",
        shown(database),
        HumanBytes(needed.database),
        HumanBytes(needed.bytes),
        HumanBytes(needed.free)
    ));
    let begun = Instant::now();
    let bar = Bar::new();
    let shown_bar = bar.0.clone();
    let done = compact::compact(database, move |progress| Bar(shown_bar.clone()).show(progress));
    bar.0.finish_and_clear();
    let done = done?;
    out(&format!(
        "{} before, {} now, in {:.1} s",
        HumanBytes(done.before),
        HumanBytes(done.after),
        begun.elapsed().as_secs_f64()
    ))
}
