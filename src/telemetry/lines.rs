//! The thread that writes the log, so that no other thread waits for the log's reader.
//!
//! A log that is read too slowly, or not at all, loses lines and holds nothing up. How many were lost is logged once it
//! goes on.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines that wait to be written, at most.
const LINES: usize = 2048;
/// Bytes of such lines, at most.
const BYTES: usize = 4 * 1024 * 1024;

thread_local! {
    /// This thread is the one that writes.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// Lines on their way to a writer.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There are lines.
    more: Condvar,
    /// All lines are written.
    done: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    lost: u64,
    is_writing: bool,
}

impl Lines {
    /// Starts the thread. `tell` logs how many lines were lost.
    pub(super) fn start(out: impl Write + Send + 'static, tell: fn(u64)) -> io::Result<Self> {
        let lines = Self(Arc::default());
        let shared = lines.0.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_to(out, tell))?;
        Ok(lines)
    }

    /// Adds a line; it is lost where too many wait.
    pub(super) fn push(&self, line: &[u8]) {
        let mut queue = self.0.lock();
        let has_room = queue.lines.len() < LINES && queue.bytes + line.len() <= BYTES;
        // What the writer itself says comes once for many lines.
        if has_room || WRITES.get() {
            queue.bytes += line.len();
            queue.lines.push_back(line.to_vec());
            self.0.more.notify_one();
        } else {
            queue.lost += 1;
        }
    }

    /// Waits until all lines are written, but not for ever.
    pub(super) fn flush(&self, within: Duration) {
        if WRITES.get() {
            return;
        }
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        drop(self.0.done.wait_timeout_while(self.0.lock(), within, is_busy));
    }
}

impl Write for Lines {
    /// Takes one line as a whole, which is how the subscriber writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut out: impl Write, tell: fn(u64)) {
        WRITES.set(true);
        loop {
            let mut queue = self.lock();
            queue.is_writing = false;
            if queue.lines.is_empty() {
                self.done.notify_all();
            }
            let is_empty = |queue: &mut Queue| queue.lines.is_empty();
            let mut queue = self.more.wait_while(queue, is_empty).unwrap_or_else(PoisonError::into_inner);
            let Some(line) = queue.lines.pop_front() else { continue };
            queue.bytes -= line.len();
            queue.is_writing = true;
            drop(queue);
            // There is no way left to report that the log cannot be written.
            let _ = out.write_all(&line).and_then(|()| out.flush());
            let lost = std::mem::take(&mut self.lock().lost);
            if lost > 0 {
                tell(lost);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes a line each time it is allowed to.
    struct Slow {
        allowed: mpsc::Receiver<()>,
        taken: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.allowed.recv();
            let _ = self.taken.send(line.to_vec());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_takes_are_counted_and_hold_nobody_up() {
        static TOLD: Mutex<Vec<u64>> = Mutex::new(Vec::new());
        let ((allow, allowed), (taken, lines_taken)) = (mpsc::channel(), mpsc::channel());
        let lines = Lines::start(Slow { allowed, taken }, |lost| TOLD.lock().unwrap().push(lost)).unwrap();
        lines.push(b"first\n");
        // The writer has the first line and is stuck with it.
        while !lines.0.lock().is_writing {
            std::thread::yield_now();
        }
        for n in 0..LINES + 7 {
            lines.push(format!("{n}\n").as_bytes());
        }
        lines.flush(Duration::from_millis(1));
        assert_eq!(lines.0.lock().lost, 7);
        drop(allow);
        lines.flush(Duration::from_secs(60));
        assert_eq!(*TOLD.lock().unwrap(), [7]);
        assert_eq!(lines_taken.try_iter().count(), LINES + 1);

        lines.push(&vec![b'x'; BYTES + 1]);
        assert_eq!(lines.0.lock().lost, 1, "what takes too much memory is lost, too");
    }
}
