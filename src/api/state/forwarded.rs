//! Where a request comes from, behind proxies that are trusted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use actix_web::HttpRequest;
use ipnet::IpNet;

/// The caller's address: the peer, or the address that the nearest proxy names and that is not trusted itself. `None`
/// for a peer that is not known. The second value is whether an untrusted peer names another address.
pub(in crate::api) fn caller(request: &HttpRequest, trusted: &[IpNet]) -> Option<(IpAddr, bool)> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let values = |name: &str| -> Vec<String> {
        let values = request.headers().get_all(name).filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(str::to_owned).collect()
    };
    let mut hops = values("x-forwarded-for");
    if hops.is_empty() {
        hops = values("forwarded");
    }
    let is_ignored = !hops.is_empty() && !is_trusted(&peer);
    let mut address = peer;
    for hop in hops.iter().rev() {
        if !is_trusted(&address) {
            break;
        }
        match read_hop(hop) {
            Some(hop) => address = hop,
            None => break,
        }
    }
    Some((address, is_ignored))
}

/// The address of one hop as proxies write it: bare, with a port, in brackets, in quotes, or as `for=` among the
/// parameters of RFC 7239.
fn read_hop(hop: &str) -> Option<IpAddr> {
    let is_for = |part: &&str| part.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("for="));
    let named = hop.split(';').map(str::trim).find(is_for).and_then(|part| part.get(4..));
    let bare = named.unwrap_or(hop).trim().trim_matches('"').trim();
    let inner = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(bare);
    // An unspecified address is none: a proxy writes it for a socket without one.
    let address = inner.parse::<IpAddr>().or_else(|_| bare.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?;
    (address != IpAddr::V4(Ipv4Addr::UNSPECIFIED)).then(|| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn called(trusted: &[&str], peer: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let mut request = TestRequest::default().peer_addr(format!("{peer}:1").parse().unwrap());
        for header in headers {
            request = request.append_header(*header);
        }
        caller(&request.to_http_request(), &trusted).unwrap().0.to_string()
    }

    #[test]
    fn a_proxy_is_believed_only_if_it_is_trusted() {
        let network =
            |trusted: &[&str], peer: &str, forwarded: &str| called(trusted, peer, &[("X-Forwarded-For", forwarded)]);
        assert_eq!(network(&[], "192.0.2.1", "198.51.100.7"), "192.0.2.1");
        assert_eq!(network(&["192.0.2.0/24"], "192.0.2.1", "198.51.100.7"), "198.51.100.7");
        let chain = "203.0.113.9, 198.51.100.7, 192.0.2.2";
        assert_eq!(
            network(&["192.0.2.0/24"], "192.0.2.1", chain),
            "198.51.100.7",
            "what it told itself is not believed"
        );
        assert_eq!(network(&["192.0.2.0/24"], "192.0.2.1", "nonsense"), "192.0.2.1");
        assert_eq!(network(&[], "[::ffff:192.0.2.1]", ""), "192.0.2.1");
    }

    #[test]
    fn an_address_is_read_however_a_proxy_writes_it() {
        let forwarded = |name: &'static str, hop: &str| called(&["192.0.2.1/32"], "192.0.2.1", &[(name, hop)]);
        for (hop, expected) in [
            ("3.3.3.1:1234", "3.3.3.1"),
            (" 3.3.3.1 ", "3.3.3.1"),
            ("\"3.3.3.1:80\"", "3.3.3.1"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:3.3.3.1", "3.3.3.1"),
            ("[::ffff:3.3.3.1]:80", "3.3.3.1"),
            ("for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("9.9.9.9, 3.3.3.1:1", "3.3.3.1"),
            ("3.3.3.1:99999", "192.0.2.1"),
            ("unknown", "192.0.2.1"),
        ] {
            assert_eq!(forwarded("X-Forwarded-For", hop), expected, "{hop}");
        }
        for (value, expected) in [
            ("for=3.3.3.1", "3.3.3.1"),
            ("For=\"3.3.3.1:80\";proto=https;by=203.0.113.43", "3.3.3.1"),
            ("proto=https; for=\"[2001:db8::7]\"", "2001:db8::7"),
            ("for=9.9.9.9, for=3.3.3.1", "3.3.3.1"),
            ("for=_hidden", "192.0.2.1"),
        ] {
            assert_eq!(forwarded("Forwarded", value), expected, "{value}");
        }
        let both = [("Forwarded", "for=9.9.9.9"), ("X-Forwarded-For", "3.3.3.1")];
        assert_eq!(called(&["192.0.2.1/32"], "192.0.2.1", &both), "3.3.3.1");
    }
}
