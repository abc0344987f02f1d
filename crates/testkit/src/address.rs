//! Addresses of this machine where nobody listens.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

/// The ports that are given out begin here.
static NEXT: AtomicU16 = AtomicU16::new(20_000);

/// An address where nobody listens, and where nobody but the caller will: the host is this process's own, since a port
/// of 127.0.0.1 that is free now may be given to another test at any time.
pub fn unused() -> SocketAddr {
    let [_, second, third, fourth] = std::process::id().to_be_bytes();
    // 127.0.0.* is everybody's.
    let host = Ipv4Addr::new(127, second | 0x80, third, fourth);
    SocketAddr::from((host, NEXT.fetch_add(1, Ordering::Relaxed)))
}
