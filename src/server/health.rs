//! What impairs the server, noted while it runs.

use std::time::Duration;

use crate::runtime::Runtime;

/// How soon it is noted that the disk has no room.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

/// Looks at the disk for one at everything that may impair the server.
const LOOKS_PER_WHOLE: u32 = 15;

/// Notes since when the disk has had no room, and now and then what else impairs the server, until `stop` is done: so
/// that the log has it also where nobody asks.
pub(super) async fn watch_health(runtime: Runtime, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    // Not at the very start, which has better things to do.
    let mut looks = 1_u32;
    loop {
        runtime.note_room();
        if looks.is_multiple_of(LOOKS_PER_WHOLE) {
            runtime.impairments().await;
        }
        looks = looks.wrapping_add(1);
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(ROOM_INTERVAL) => {}
        }
    }
}
