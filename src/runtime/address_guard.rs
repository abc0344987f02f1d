//! Where flows may not call: every address that is not the public internet's.
//!
//! A flow's author need not be the machine's operator, and part of an address may come from a contact. So nothing is
//! called inside the operator's network unless the operator allows it: no service without a password on this machine,
//! no router, and no cloud provider's metadata (169.254.169.254). What counts is the address that is connected to:
//! literal ones are checked in the URL, the others after DNS has resolved them, each time a connection is made.
//!
//! One address looks public and is not: 168.63.129.16 is Azure's platform as its virtual machines see it, with their
//! certificates and extensions (Microsoft's documentation, "What is IP address 168.63.129.16?").
//!
//! The networks are otherwise those of the IANA special-purpose address registries (RFC 6890) that are not globally
//! reachable, and the IPv6 forms that carry an IPv4 address, by the IPv4 address inside.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Name, Resolve, Resolving};
use tokio::sync::{Semaphore, watch};

/// Names that are looked up at once.
const LOOKUPS: usize = 64;

/// Networks that are not called, each with what it is. The first that holds an address names it.
static REFUSED: LazyLock<Vec<(IpNet, &str)>> = LazyLock::new(|| {
    let networks = [
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared, of carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "of Azure's platform, which is not the public internet's"),
        ("169.254.0.0/16", "link-local, where metadata services are"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "of a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
        ("::1/128", "loopback"),
        ("::/128", "unspecified"),
        ("::/96", "IPv4-compatible"),
        ("64:ff9b:1::/48", "of a local NAT64"),
        ("100::/64", "discarded"),
        // Teredo, benchmarks and ORCHIDs among it.
        ("2001::/23", "for protocols"),
        ("2001:db8::/32", "for documentation"),
        ("3fff::/20", "for documentation"),
        ("fc00::/7", "private (unique local)"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private (site-local)"),
        ("ff00::/8", "multicast"),
    ];
    let parsed = networks.into_iter().map(|(network, what)| (network.parse(), what));
    parsed.map(|(network, what)| (network.unwrap_or_else(|_| unreachable!("the table is well formed")), what)).collect()
});
/// The only IPv6 addresses that are given out for the public internet (RFC 4291, section 2.4).
static GLOBAL_UNICAST: LazyLock<IpNet> =
    LazyLock::new(|| "2000::/3".parse().unwrap_or_else(|_| unreachable!("a literal")));

/// Says which addresses may be called.
#[derive(Debug)]
pub(super) struct Guard {
    allow: Vec<IpNet>,
}

/// Why something is not called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Guard {
    /// A guard that lets through these networks besides the public internet.
    pub(super) fn new(allow: Vec<IpNet>) -> Self {
        Self { allow }
    }

    /// Whether an address may be connected to.
    ///
    /// # Errors
    /// What kind of address it is instead.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Refused> {
        if self.is_allowed(address) {
            return Ok(());
        }
        if let IpAddr::V6(outer) = address {
            let refused = |why: Refused| Refused(format!("{address} carries an IPv4 address, and {why}"));
            match carried(outer) {
                Carried::Nothing => {}
                Carried::Whole(inner) => return self.check(IpAddr::V4(inner)).map_err(refused),
                Carried::Part(inner) => self.check(IpAddr::V4(inner)).map_err(refused)?,
            }
        }
        let what = REFUSED.iter().find(|(network, _)| network.contains(&address)).map(|(_, what)| *what);
        match what {
            Some(what) => Err(refusal(address, what)),
            None if address.is_ipv6() && !GLOBAL_UNICAST.contains(&address) => Err(refusal(address, "reserved")),
            None => Ok(()),
        }
    }

    /// Whether a URL may be called, as far as that shows before its name is resolved.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check_url(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused(format!("only http and https are called, and not {}", truncate(url.scheme()))));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused("the URL has a user name or a password in it; use an Authorization header".to_owned()));
        }
        // The parser has brought odd forms of IPv4 addresses (`0x7f.1`, `2130706433`) to the usual one.
        let host = url.host_str().unwrap_or_default();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = address.parse() {
            return self.check(address);
        }
        let name = host.trim_end_matches('.');
        if name.is_empty() {
            return Err(Refused("the URL names no host".to_owned()));
        }
        let local = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        // RFC 6761, section 6.3: these names are this machine, whatever a resolver says.
        if (name == "localhost" || name.ends_with(".localhost")) && !local.iter().any(|it| self.is_allowed(*it)) {
            return Err(Refused(format!("`{}` is this machine (loopback)", truncate(name))));
        }
        Ok(())
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(&address))
    }
}

fn refusal(address: IpAddr, what: &str) -> Refused {
    Refused(format!(
        "{address} is no address of the public internet ({what}); \
         the operator can allow its network with `http_request.allow`"
    ))
}

/// The IPv4 address inside an IPv6 address, where traffic to it ends up.
enum Carried {
    Nothing,
    /// It alone says where that is.
    Whole(Ipv4Addr),
    /// The rest of the address has a say, too.
    Part(Ipv4Addr),
}

fn carried(address: Ipv6Addr) -> Carried {
    let bytes = address.octets();
    let from = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
    match address.segments() {
        // Mapped (RFC 4291, section 2.5.5.2) and translated (RFC 2765, section 2.1).
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Carried::Whole(from(12)),
        // NAT64 (RFC 6052, section 2.1).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Carried::Whole(from(12)),
        // 6to4 (RFC 3056, section 2).
        [0x2002, ..] => Carried::Whole(from(2)),
        // ISATAP (RFC 5214, section 6.1).
        [.., 0 | 0x200, 0x5efe, _, _] => Carried::Part(from(12)),
        _ => Carried::Nothing,
    }
}

/// What is shown of a part of a URL.
fn truncate(text: &str) -> String {
    text.chars().take(100).collect()
}

/// A resolver that gives only addresses that may be called. A connection is made to none but these, so a name that
/// resolves differently the next time (DNS rebinding) gains nothing.
pub(super) struct Guarded {
    pub(super) inner: Arc<dyn Resolve>,
    pub(super) guard: Arc<Guard>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.guard.clone();
        let shown = truncate(name.as_str());
        let resolving = self.inner.resolve(name);
        Box::pin(async move {
            let mut allowed = Vec::new();
            let mut refused = None;
            for address in resolving.await? {
                match guard.check(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(why) => refused = Some(Refused(format!("`{shown}` resolves to {why}"))),
                }
            }
            match refused {
                Some(why) if allowed.is_empty() => Err(why.into()),
                _ => Ok(Box::new(allowed.into_iter()) as _),
            }
        })
    }
}

/// What a look-up found, or why nothing.
type LookupResult = Result<Vec<SocketAddr>, String>;

/// The operating system's resolver. It blocks a thread for as long as it likes, even after every caller has stopped
/// waiting; reads of the database need threads of the same pool. So concurrent requests for a name share one look-up,
/// and the number of concurrent look-ups is limited.
#[derive(Clone)]
pub(super) struct System {
    under_way: Arc<Mutex<HashMap<String, watch::Receiver<Option<LookupResult>>>>>,
    places: Arc<Semaphore>,
}

impl Default for System {
    fn default() -> Self {
        Self { under_way: Arc::default(), places: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl System {
    /// The look-up of a name that is under way, or a new one.
    fn look_up(&self, name: &str) -> watch::Receiver<Option<LookupResult>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = under_way.get(name) {
            return found.clone();
        }
        let (sender, found) = watch::channel(None);
        under_way.insert(name.to_owned(), found.clone());
        let (system, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            // Never closed.
            let _place = system.places.acquire().await;
            let result = tokio::net::lookup_host((name.as_str(), 0)).await;
            system.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            sender.send_replace(Some(result.map(Iterator::collect).map_err(|error| error.to_string())));
        });
        found
    }
}

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        let mut found = self.look_up(name.as_str());
        Box::pin(async move {
            match found.wait_for(Option::is_some).await?.clone() {
                Some(Ok(addresses)) => Ok(Box::new(addresses.into_iter()) as _),
                Some(Err(why)) => Err(why.into()),
                None => Err("the look-up has ended".into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allow: &[&str]) -> Guard {
        Guard::new(allow.iter().map(|network| network.parse().unwrap()).collect())
    }

    #[test]
    fn every_kind_of_inner_address_is_refused_by_its_name() {
        let table = [
            ("0.0.0.0", "this network"),
            ("0.1.2.3", "this network"),
            ("10.0.0.1", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.1", "carrier-grade"),
            ("100.127.255.255", "carrier-grade"),
            ("127.0.0.1", "loopback"),
            ("127.8.9.1", "loopback"),
            ("168.63.129.16", "Azure"),
            ("::ffff:168.63.129.16", "Azure"),
            ("169.254.169.254", "metadata"),
            ("169.254.170.2", "metadata"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.192", "protocols"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "6to4"),
            ("192.168.1.1", "private"),
            ("198.18.0.1", "benchmarks"),
            ("198.19.255.255", "benchmarks"),
            ("198.51.100.7", "documentation"),
            ("203.0.113.7", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::7f00:1", "IPv4-compatible"),
            ("::808:808", "IPv4-compatible"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "metadata"),
            ("::ffff:0:10.0.0.1", "private"),
            ("64:ff9b::a00:1", "private"),
            ("64:ff9b::169.254.169.254", "metadata"),
            ("64:ff9b:1::808:808", "NAT64"),
            ("100::1", "discarded"),
            ("2001::1", "protocols"),
            ("2001:0:4136:e378:8000:63bf:f5ff:fffe", "protocols"),
            ("2001:2::1", "protocols"),
            ("2001:10::1", "protocols"),
            ("2001:db8::1", "documentation"),
            ("3fff::1", "documentation"),
            ("2002:7f00:1::1", "loopback"),
            ("2002:a9fe:a9fe::", "metadata"),
            ("2606:4700::5efe:192.168.0.1", "private"),
            ("2606:4700::200:5efe:10.0.0.1", "private"),
            ("fe80::5efe:8.8.8.8", "link-local"),
            ("fc00::1", "unique local"),
            ("fd00:ec2::254", "unique local"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("5f00::1", "reserved"),
            ("4000::1", "reserved"),
        ];
        for (address, why) in table {
            let refused = guard(&[]).check(address.parse().unwrap()).unwrap_err().to_string();
            assert!(refused.contains(why), "{address}: {refused}");
        }
    }

    #[test]
    fn the_public_internet_is_called() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001:830::200e",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert_eq!(guard(&[]).check(address.parse().unwrap()), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_network_that_the_operator_allows_is_called_and_no_other() {
        let guard = guard(&["10.1.0.0/16", "fd00:1::/32"]);
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd00:1::5"] {
            assert_eq!(guard.check(address.parse().unwrap()), Ok(()), "{address}");
        }
        for address in ["10.2.0.1", "127.0.0.1", "fd00:2::5", "::ffff:10.2.0.1"] {
            assert!(guard.check(address.parse().unwrap()).is_err(), "{address}");
        }
    }

    #[test]
    fn urls_are_refused_before_anything_is_resolved() {
        let table = [
            ("http://127.0.0.1/", "loopback"),
            ("http://127.1/", "loopback"),
            ("http://0x7f.1/", "loopback"),
            ("http://0x7f000001/", "loopback"),
            ("http://2130706433/", "loopback"),
            ("http://017700000001/", "loopback"),
            ("http://127.0.0.1./", "loopback"),
            ("http://１２７.0.0.1/", "loopback"),
            ("http://0/", "this network"),
            ("http://[::1]:8080/", "loopback"),
            ("http://[::ffff:7f00:1]/", "loopback"),
            ("http://[0:0:0:0:0:ffff:169.254.169.254]/", "metadata"),
            ("https://169.254.169.254/latest/meta-data", "metadata"),
            ("http://localhost/", "loopback"),
            ("http://LOCALHOST:80/", "loopback"),
            ("http://localhost./", "loopback"),
            ("http://api.localhost/", "loopback"),
            ("http://user@example.com/", "user name"),
            ("http://:secret@example.com/", "password"),
            ("ftp://example.com/", "only http"),
            ("file:///etc/passwd", "only http"),
            ("gopher://127.0.0.1/", "only http"),
        ];
        for (url, why) in table {
            let refused = guard(&[]).check_url(&url.parse().unwrap()).unwrap_err().to_string();
            assert!(refused.contains(why) && !refused.contains("secret"), "{url}: {refused}");
        }
        for url in ["https://example.com/", "http://localhost.example.com/", "http://notlocalhost/", "http://8.8.8.8/"]
        {
            assert_eq!(guard(&[]).check_url(&url.parse().unwrap()), Ok(()), "{url}");
        }
        let own = guard(&["127.0.0.0/8"]);
        for url in ["http://localhost:1/", "http://127.0.0.1/", "http://2130706433/"] {
            assert_eq!(own.check_url(&url.parse().unwrap()), Ok(()), "{url}");
        }
        assert!(own.check_url(&"http://[::1]/".parse().unwrap()).is_err());
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_for_all_who_ask_meanwhile() {
        let system = System::default();
        let asked: Vec<_> = (0..100).map(|_| system.resolve("localhost".parse().unwrap())).collect();
        assert_eq!(system.under_way.lock().unwrap().len(), 1);
        // A caller that stops waiting does not end the look-up for the others.
        let mut asked = asked.into_iter();
        drop(asked.next());
        for found in asked {
            assert!(found.await.unwrap().all(|address| address.ip().is_loopback()));
        }
        assert!(system.under_way.lock().unwrap().is_empty());
        assert!(system.resolve("no such name".parse().unwrap()).await.is_err());
    }
}
