//! What stops the server: signals, and what hears of them.

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The steps in which a server stops; what has to end with one of them waits for it.
pub(super) struct Stops {
    /// A stop was asked for: requests under way finish.
    pub(super) closing: watch::Receiver<bool>,
    /// It has stopped: there are no requests any more.
    pub(super) stopped: watch::Receiver<bool>,
    /// Nothing is waited for any more.
    pub(super) aborted: watch::Receiver<bool>,
}

impl Stops {
    /// Done once a stop was asked for, or the server has stopped without that.
    pub(super) fn until_told(&self) -> impl Future<Output = ()> + Send + use<> {
        let (closing, stopped) = (until(&self.closing), until(&self.stopped));
        async move {
            tokio::select! {
                () = closing => {}
                () = stopped => {}
            }
        }
    }

    /// Done once the server has stopped.
    pub(super) fn until_stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        until(&self.stopped)
    }

    /// Done once nothing is waited for any more.
    pub(super) fn until_aborted(&self) -> impl Future<Output = ()> + Send + use<> {
        until(&self.aborted)
    }
}

/// Done once a watched value is true. The sender going away counts, too.
fn until(watched: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + use<> {
    let mut watched = watched.clone();
    async move { drop(watched.wait_for(|is_so| *is_so).await) }
}

/// Stops the server on SIGTERM or SIGINT, letting requests and messages under way finish. Raises `abort` on the second
/// one, or on one that comes once the server has stopped for another reason: then nothing is waited for any more.
pub(super) async fn stop_on_signals(
    server: ServerHandle,
    closing: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    abort: watch::Sender<bool>,
) {
    let signals = || Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
    let (mut terminate, mut interrupt) = match signals() {
        Ok(signals) => signals,
        Err(error) => {
            let error: std::io::Error = error;
            tracing::error!(%error, "signals cannot be heard: only a kill stops this server");
            // The senders going away would be a stop.
            return std::future::pending().await;
        }
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if *stopped.borrow() || closing.send_replace(true) {
            tracing::warn!("stopping at once: what is under way is cut off, and the next start decides on it");
            abort.send_replace(true);
        } else {
            tracing::info!("stopping: what is under way finishes; a second signal cuts it off");
            // Not awaited, so that a second signal is heard meanwhile.
            drop(actix_web::rt::spawn(server.stop(true)));
        }
    }
}
