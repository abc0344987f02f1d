//! Waiting for what has to come: one bound for all tests, and one way to wait.

use std::time::{Duration, Instant};

/// How long a test waits for something that has to come before it fails. A test that passes never waits this long,
/// however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at something that is awaited.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until something is so.
///
/// # Panics
/// When it is not so within [`PATIENCE`].
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for something that has to come.
///
/// # Panics
/// When it does not come within [`PATIENCE`].
pub async fn patiently<T>(what: &str, coming: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, coming).await {
        Ok(came) => came,
        Err(_) => panic!("waited in vain for {what}"),
    }
}
