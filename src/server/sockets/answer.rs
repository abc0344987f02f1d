//! Answers, handed over to the socket in slices.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::{ConnectionType, Response};
use actix_web::web::Bytes;

use super::pace::Turn;

/// Bytes of an answer that are copied for the socket at once.
const SLICE: usize = 16 * 1024;

/// The body of an answer, copied for the socket in slices: a large answer that is not taken is not there twice.
#[derive(Debug)]
pub(super) struct Answer {
    body: BoxBody,
    rest: Bytes,
    /// Nothing is left to hand over.
    is_over: bool,
    _turn: Option<Turn>,
}

impl Answer {
    /// The answer of a request, which is being answered until the body has been handed over; one without a body has the
    /// head that it would have with it.
    pub(super) fn of(response: impl Into<Response<BoxBody>>, turn: Option<Turn>, has_body: bool) -> Response<Self> {
        let mut response = response.into();
        if turn.as_ref().is_some_and(Turn::owes_continue) {
            // Whether the body comes all the same is the client's to choose: only a new connection is sure to begin
            // with a request (RFC 9110, section 10.1.1).
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        response.map_body(|_, body| Self { body, rest: Bytes::new(), is_over: !has_body, _turn: turn })
    }
}

impl MessageBody for Answer {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(Ok(piece)) => self.rest = piece,
                other => return Poll::Ready(other),
            }
        }
        let length = self.rest.len().min(SLICE);
        Poll::Ready(Some(Ok(self.rest.split_to(length))))
    }
}
