//! How many connections a peer may have.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

use crate::domain::Network;

/// Counts the open connections of each peer.
#[derive(Debug)]
pub(crate) struct Peers {
    /// Connections that one peer may have; 0 is no limit.
    limit: u32,
    /// Proxies, whose connections are those of many callers and are not counted.
    uncounted: Vec<IpNet>,
    open: Mutex<HashMap<Network, u32>>,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Admitted(Option<(Arc<Peers>, Network)>);

impl Peers {
    /// A limit of so many connections for each peer but those in `uncounted`; 0 is no limit.
    pub(crate) fn new(limit: u32, uncounted: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { limit, uncounted, open: Mutex::default() })
    }

    /// Counts a new connection; `None` where the peer has as many as it may.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let address = address.to_canonical();
        if self.limit == 0 || self.uncounted.iter().any(|network| network.contains(&address)) {
            return Some(Admitted(None));
        }
        let network = Network::of(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Admitted(Some((self.clone(), network))))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some((peers, network)) = self.0.take() else { return };
        let mut open = peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = open.entry(network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_as_many_connections_as_it_may_and_no_more() {
        let peers = Peers::new(2, vec!["10.0.0.0/8".parse().unwrap()]);
        let admit = |address: &str| peers.admit(address.parse().unwrap());
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap();
        assert!(admit("192.0.2.1").is_none());
        assert!(admit("192.0.2.2").is_some(), "another address is another peer");
        drop(first);
        let _third = admit("192.0.2.1").unwrap();
        assert!(admit("192.0.2.1").is_none());

        let _of_one_customer = [admit("2001:db8:1:2::1").unwrap(), admit("2001:db8:1:2::2").unwrap()];
        assert!(admit("2001:db8:1:2:3::").is_none());
        assert!(admit("2001:db8:1:3::1").is_some());

        let _of_a_proxy: Vec<Admitted> = (0..9).map(|_| admit("10.1.2.3").unwrap()).collect();
        assert!(admit("::ffff:10.1.2.3").is_some());
    }

    #[test]
    fn nothing_is_kept_of_who_has_left_and_without_a_limit() {
        let peers = Peers::new(1, Vec::new());
        drop(peers.admit("192.0.2.1".parse().unwrap()));
        assert!(peers.open.lock().unwrap().is_empty());
        let peers = Peers::new(0, Vec::new());
        let _many: Vec<Admitted> = (0..9).map(|_| peers.admit("192.0.2.1".parse().unwrap()).unwrap()).collect();
        assert!(peers.open.lock().unwrap().is_empty());
    }
}
