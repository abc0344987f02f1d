//! The HTTP server: its sockets.

mod sockets;

pub(crate) use sockets::{Options, bind, serve};
