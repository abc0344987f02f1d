//! How fast a connection is read: not ahead of the answers that it is owed.
//!
//! actix-http decodes all requests of what it has read, up to 128 KiB at a time, before it answers the first one. Each
//! decoded request takes some 3 KB, so that a caller who sends thousands of requests and reads no answer would fill the
//! memory. [`Connection`] stands between the socket and actix-http and gives it input in portions:
//!
//! - While an answer waits for the socket to take it, there is no input.
//! - While a request is being answered there is no input but the request's own body, of which at most [`AHEAD`] bytes
//!   may wait for the handler.
//! - A portion holds at most one `HTTP/1.`, which every request line has, so that requests are decoded one after
//!   another. A body that has this text arrives in more portions and is the same.
//!
//! The socket is read all the same until there is something that must wait, so that a caller who goes away is noticed.
//!
//! A client that sends `Expect: 100-continue` gets its `100 Continue` once the handler asks for the body, and not
//! before: what the head alone decides is answered without it.
//!
//! A connection that makes no progress is closed: one that takes nothing of an answer, one that has begun a request and
//! does not finish it, and one that never begins. How long a request's body may take is the handler's business.
//! The socket is read before the time is looked at: what lies in it after the process stood still has come in time.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use actix_http::{BoxedPayloadStream, Payload, Request};
use actix_web::web::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::peers::Admitted;

/// Bytes of a request's body that may be read before the handler has asked for them.
const AHEAD: usize = 64 * 1024;
/// Bytes of answers after which a connection lets the others go on. A socket that takes all it is offered would keep
/// its thread for as long as the answer is.
const SHARE: usize = 64 * 1024;
/// What stands in every request line.
const MARK: &[u8] = b"HTTP/1.";
/// What a client that asked for it waits for before it sends a body. actix-http writes it before anybody has looked at
/// the request, in one piece and at the beginning of what it writes.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How long a connection may make no progress before it is closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProgressTimeouts {
    /// With an answer that it is to take, a request that it has begun, or its first one.
    pub(super) begun: Duration,
    /// Between two requests; actix-http itself closes it earlier unless bytes have come that are no request yet.
    pub(super) idle: Duration,
}

/// What a connection and the answers to its requests know of each other.
#[derive(Debug)]
pub(super) struct Pace {
    /// Requests that are being answered: 0 or 1, as HTTP/1 has it.
    answering: Cell<u32>,
    /// The body of that request has not been read to its end.
    has_body: Cell<bool>,
    /// Bytes that were passed on since the handler asked for its body.
    ahead: Cell<usize>,
    /// Something is coming in that no handler has: a request, or the rest of a body that is not wanted.
    is_arriving: Cell<bool>,
    /// When the connection is closed unless a request is answered by then.
    closes_at: Cell<Option<Instant>>,
    timeouts: ProgressTimeouts,
    /// Reads on when what it waited for has happened.
    reader: RefCell<Option<Waker>>,
    /// What the client of that request waits for before it sends the body.
    go_on: Cell<GoOn>,
}

/// Whether a client gets a `100 Continue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GoOn {
    /// It does not wait for one, or has it.
    Settled,
    /// It has no body to send, or its answer already, and gets none.
    Pointless,
    /// It waits, and the handler has not asked for the body yet.
    Awaited,
    /// It waits; actix-http has written it, and it is kept back until the handler asks for the body.
    KeptBack,
    /// The handler has asked for the body: so many bytes of it are to be written still.
    Due(usize),
}

impl Pace {
    fn new(timeouts: ProgressTimeouts) -> Self {
        Self {
            answering: Cell::new(0),
            has_body: Cell::new(false),
            ahead: Cell::new(0),
            is_arriving: Cell::new(false),
            closes_at: Cell::new(Some(Instant::now() + timeouts.begun)),
            timeouts,
            reader: RefCell::new(None),
            go_on: Cell::new(GoOn::Settled),
        }
    }

    /// Notes that a request is answered from now on, until what is given back is dropped.
    pub(super) fn begin(self: &Rc<Self>, request: &mut Request) -> Turn {
        self.answering.set(self.answering.get() + 1);
        self.is_arriving.set(false);
        self.closes_at.set(None);
        self.ahead.set(0);
        let payload = std::mem::replace(request.payload(), Payload::None);
        self.go_on.set(match (request.head().expect(), &payload) {
            (false, _) => GoOn::Settled,
            (true, Payload::None) => GoOn::Pointless,
            (true, _) => GoOn::Awaited,
        });
        if !matches!(payload, Payload::None) {
            self.has_body.set(true);
            let body = Body { payload, pace: self.clone() };
            *request.payload() = Payload::Stream { payload: Box::pin(body) };
        }
        Turn(self.clone())
    }

    /// Notes that something comes in which has to be whole within a time.
    fn arrive(&self) {
        if !self.is_arriving.replace(true) {
            self.closes_at.set(Some(Instant::now() + self.timeouts.begun));
        }
    }

    fn may_pass(&self) -> bool {
        self.answering.get() == 0 || (self.has_body.get() && self.ahead.get() < AHEAD)
    }

    fn read_on(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Turn(Rc<Pace>);

impl Turn {
    /// Whether the client waits for a `100 Continue` that the handler has not asked for.
    pub(super) fn owes_continue(&self) -> bool {
        matches!(self.0.go_on.get(), GoOn::Awaited | GoOn::KeptBack)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let pace = &self.0;
        pace.go_on.set(match pace.go_on.get() {
            // It stands in front of the answer still, which is written when it is whole.
            GoOn::Awaited | GoOn::Pointless => GoOn::Pointless,
            GoOn::Settled | GoOn::KeptBack | GoOn::Due(_) => GoOn::Settled,
        });
        pace.answering.set(pace.answering.get().saturating_sub(1));
        if !pace.is_arriving.get() {
            pace.closes_at.set(Some(Instant::now() + pace.timeouts.idle));
        }
        pace.read_on();
    }
}

/// The body of a request.
struct Body {
    payload: Payload<BoxedPayloadStream>,
    pace: Rc<Pace>,
}

impl Stream for Body {
    type Item = Result<Bytes, actix_http::error::PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.pace.go_on.get() {
            GoOn::Awaited => self.pace.go_on.set(GoOn::Settled),
            GoOn::KeptBack => {
                self.pace.go_on.set(GoOn::Due(CONTINUE.len()));
                // The connection is polled by this very task, and nothing else may happen to it before the body comes.
                cx.waker().wake_by_ref();
            }
            GoOn::Settled | GoOn::Pointless | GoOn::Due(_) => {}
        }
        self.pace.ahead.set(0);
        self.pace.read_on();
        let piece = ready!(Pin::new(&mut self.payload).poll_next(cx));
        if !matches!(piece, Some(Ok(_))) {
            self.pace.has_body.set(false);
        }
        Poll::Ready(piece)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // The rest of a body that the handler did not want has to come in, too.
        if self.pace.has_body.replace(false) {
            self.pace.arrive();
        }
    }
}

/// A socket that is read no faster than its answers are taken.
pub(super) struct Connection<T> {
    io: T,
    pace: Rc<Pace>,
    /// Input that has to wait.
    held: BytesMut,
    /// Bytes of [`MARK`] that the input passed on ends with.
    matched: usize,
    /// The portion that is passed on has its request line already.
    has_mark: bool,
    /// The portion is over, and actix-http is to work on it.
    is_cut: bool,
    /// The portion before this one ended where [`MARK`] begins.
    is_resumed: bool,
    /// Since when the socket has taken nothing of what it is offered.
    stuck_since: Option<Instant>,
    /// Bytes that the socket has taken since the others were let go on.
    taken: usize,
    /// Wakes the connection when it may have to be closed; too early where it has made progress meanwhile.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whom the timer wakes.
    wakes: Option<Waker>,
    _admitted: Admitted,
}

impl<T> Connection<T> {
    pub(super) fn new(io: T, timeouts: ProgressTimeouts, admitted: Admitted) -> Self {
        Self {
            io,
            pace: Rc::new(Pace::new(timeouts)),
            held: BytesMut::new(),
            matched: 0,
            has_mark: false,
            is_cut: false,
            is_resumed: false,
            stuck_since: None,
            taken: 0,
            timer: None,
            wakes: None,
            _admitted: admitted,
        }
    }

    pub(super) fn pace(&self) -> Rc<Pace> {
        self.pace.clone()
    }

    /// How many of these bytes belong to the portion that is passed on.
    fn portion(&mut self, bytes: &[u8]) -> usize {
        let before = self.matched;
        let mut matched = before;
        // Behind a body the next request may begin; unless that was the body's own text, it waits for the answer.
        if self.pace.answering.get() > 0 && !self.is_resumed {
            self.has_mark = true;
        }
        let mut next = 0;
        while let Some(byte) = bytes.get(next) {
            if matched == 0 && *byte != MARK[0] {
                let Some(skipped) = memchr::memchr(MARK[0], &bytes[next..]) else { break };
                next += skipped;
                continue;
            }
            let index = next;
            next += 1;
            matched = match *byte {
                byte if byte == MARK[matched] => matched + 1,
                byte if byte == MARK[0] => 1,
                _ => 0,
            };
            if matched < MARK.len() {
                continue;
            }
            matched = 0;
            if std::mem::replace(&mut self.has_mark, true) {
                let start = (index + 1).saturating_sub(MARK.len());
                self.matched = if index + 1 >= MARK.len() { 0 } else { before };
                self.is_cut = true;
                return start;
            }
        }
        self.matched = matched;
        bytes.len()
    }

    /// Notes what is passed on.
    fn pass(&mut self, bytes: usize) {
        let pace = &self.pace;
        if pace.answering.get() > 0 {
            pace.ahead.set(pace.ahead.get() + bytes);
        } else {
            pace.arrive();
        }
    }

    /// Ends a portion: actix-http works on what it has before it gets more.
    fn end_portion(&mut self) {
        self.has_mark = false;
        self.is_resumed = std::mem::take(&mut self.is_cut);
    }

    /// An error once there has been no progress for too long.
    fn check_progress(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let stuck = self.stuck_since.map(|since| since + self.pace.timeouts.begun);
            let unanswered = self.pace.closes_at.get().filter(|_| self.pace.answering.get() == 0);
            let Some(due) = [stuck, unanswered].into_iter().flatten().min() else { return Ok(()) };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() > due || timer.is_elapsed() {
                timer.as_mut().reset(due);
                self.wakes = None;
            }
            if self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Ok(());
            }
            if timer.as_mut().poll(cx).is_pending() {
                self.wakes = Some(cx.waker().clone());
                return Ok(());
            }
            if timer.deadline() >= due {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the connection makes no progress"));
            }
        }
    }
}

impl<T: AsyncRead + Unpin> Connection<T> {
    fn poll_portion(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_cut {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.held.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            let may_pass = self.may_pass();
            let read = &buffer.filled()[before..];
            let length = if may_pass { self.portion(read) } else { 0 };
            self.held.extend_from_slice(&read[length..]);
            buffer.set_filled(before + length);
            if length > 0 {
                self.pass(length);
                return Poll::Ready(Ok(()));
            }
        } else if self.may_pass() {
            let held = std::mem::take(&mut self.held);
            let length = held.len().min(buffer.remaining());
            let length = self.portion(&held[..length]);
            buffer.put_slice(&held[..length]);
            self.held = held;
            self.held.advance(length);
            if self.held.is_empty() {
                self.held = BytesMut::new();
            }
            if length > 0 {
                self.pass(length);
                return Poll::Ready(Ok(()));
            }
        }
        if self.is_cut {
            cx.waker().wake_by_ref();
        } else {
            *self.pace.reader.borrow_mut() = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn may_pass(&self) -> bool {
        self.stuck_since.is_none() && self.pace.may_pass()
    }
}

impl<T: AsyncWrite + Unpin> Connection<T> {
    /// Tells the client to send its body, if that was kept back and is due now.
    fn poll_continue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let GoOn::Due(left) = self.pace.go_on.get() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &CONTINUE[CONTINUE.len() - left..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.pace.go_on.set(if written < left { GoOn::Due(left - written) } else { GoOn::Settled });
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Nothing else may be written while a handler waits for the body.
        if let Poll::Ready(Err(error)) = this.poll_continue(cx) {
            return Poll::Ready(Err(error));
        }
        let polled = this.poll_portion(cx, buffer);
        if polled.is_pending() {
            this.end_portion();
            // actix-http reads until there is nothing more, so this comes after each portion.
            this.check_progress(cx)?;
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let kept_back = match this.pace.go_on.get() {
            GoOn::Awaited => Some(GoOn::KeptBack),
            GoOn::Pointless => Some(GoOn::Settled),
            GoOn::Settled | GoOn::KeptBack | GoOn::Due(_) => None,
        };
        if let Some(go_on) = kept_back.filter(|_| bytes.starts_with(CONTINUE)) {
            this.pace.go_on.set(go_on);
            return Poll::Ready(Ok(CONTINUE.len()));
        }
        ready!(this.poll_continue(cx))?;
        if this.taken >= SHARE {
            this.taken = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(length)) = &written {
            this.taken += length;
        }
        if written.is_pending() {
            this.stuck_since.get_or_insert_with(Instant::now);
            this.check_progress(cx)?;
        } else if this.stuck_since.is_some() {
            // Not over yet: more of the answer may wait, and `poll_flush` comes when nothing does.
            this.stuck_since = Some(Instant::now());
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_continue(cx))?;
        if this.stuck_since.take().is_some() {
            this.pace.read_on();
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
