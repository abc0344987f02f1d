//! Values of the configuration that are more than a number or a text, and how they are read.

use std::cell::Cell;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Characters of the admin page's password at least.
const PASSWORD_CHARS: usize = 10;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Characters of the token for `/metrics` at least: so many that it cannot be guessed at any pace.
const METRICS_TOKEN_CHARS: usize = 16;

/// An amount of data, at least 1 KiB: `256KiB`, `3 MiB`, `10MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(usize);

/// Names and sizes of the units, larger before smaller, so that the first that divides an amount shows it shortest.
const UNITS: [(&str, usize); 5] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("MB", 1_000_000), ("KiB", 1 << 10), ("KB", 1_000)];

impl ByteSize {
    /// So many bytes.
    pub(super) const fn of(bytes: usize) -> Self {
        Self(bytes)
    }

    /// The amount in bytes.
    pub fn bytes(self) -> usize {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_start();
        let Some((_, size)) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) else {
            return Err(format!("`{text}` is not a size: write a whole number and one of KiB, MiB, GiB, KB, MB"));
        };
        let number: usize = number
            .parse()
            .map_err(|_| format!("`{text}` is not a size: write a whole number and one of KiB, MiB, GiB, KB, MB"))?;
        match number.checked_mul(*size) {
            Some(bytes) if bytes >= 1024 => Ok(Self(bytes)),
            Some(_) => Err(format!("`{text}` is too small: at least 1KiB is needed")),
            None => Err(format!("`{text}` is more than this machine can address")),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, size)| self.0.is_multiple_of(*size)) {
            Some((name, size)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

/// A bound on an amount of data, written as a [`ByteSize`]; `0` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct ByteLimit(usize);

impl ByteLimit {
    /// A bound of so many bytes.
    pub const fn of(bytes: usize) -> Self {
        Self(bytes)
    }

    /// The bound in bytes; 0 is none.
    pub fn bytes(self) -> u64 {
        self.0 as u64
    }
}

impl<'de> Deserialize<'de> for ByteLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// A bare 0 is what people write to switch a limit off.
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a size such as \"160MiB\", or 0 for no limit")]
        enum Written {
            Number(i64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        match text.trim() {
            "0" => Ok(Self(0)),
            size => size.parse().map(|size: ByteSize| Self(size.bytes())).map_err(serde::de::Error::custom),
        }
    }
}

impl fmt::Display for ByteLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0") } else { ByteSize(self.0).fmt(f) }
    }
}

impl From<ByteLimit> for String {
    fn from(limit: ByteLimit) -> Self {
        limit.to_string()
    }
}

/// What is logged: a level (`info`), or directives by module (`warn,qyvo=debug`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogFilter(String);

impl LogFilter {
    /// The directives, in the syntax of `tracing_subscriber::EnvFilter`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let directives = text.trim();
        // The library takes any single word for the name of a module, so that `verbose` would silence the log.
        let understood = |part: &str| part.contains(['=', '[']) || LevelFilter::from_str(part).is_ok();
        if directives.is_empty() || !directives.split(',').map(str::trim).all(understood) {
            return Err(format!(
                "`{text}` is not a log level: write one of off, error, warn, info, debug, trace, \
                 or levels by module such as warn,qyvo=debug"
            ));
        }
        EnvFilter::try_new(directives).map_err(|error| format!("`{text}` is not a log filter ({error})"))?;
        Ok(Self(directives.to_owned()))
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for LogFilter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<LogFilter> for String {
    fn from(filter: LogFilter) -> Self {
        filter.0
    }
}

/// A text that is never shown. It serialises as it is, because the layers of a configuration pass through a table.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// What a secret serialises as inside of [`with_secrets_marked`].
pub(super) const SECRET_MARK: &str = "a secret";

thread_local! {
    static ARE_SECRETS_MARKED: Cell<bool> = const { Cell::new(false) };
}

/// Runs what serialises a configuration, with [`SECRET_MARK`] in the place of each secret: so the keys that hold one
/// are found by their type.
pub(super) fn with_secrets_marked<T>(serialise: impl FnOnce() -> T) -> T {
    ARE_SECRETS_MARKED.set(true);
    let marked = serialise();
    ARE_SECRETS_MARKED.set(false);
    marked
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if ARE_SECRETS_MARKED.get() { SECRET_MARK } else { &self.0 })
    }
}

impl Secret {
    /// The text itself; empty if none is set.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "***" })
    }
}

pub(super) fn password<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let secret = Secret::deserialize(deserializer)?;
    if !secret.0.is_empty() && secret.0.chars().count() < PASSWORD_CHARS {
        return Err(serde::de::Error::custom(format!("the password needs at least {PASSWORD_CHARS} characters")));
    }
    Ok(secret)
}

pub(super) fn metrics_token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let secret = Secret::deserialize(deserializer)?;
    let is_sendable = secret.0.bytes().all(|byte| byte.is_ascii_graphic());
    if !secret.0.is_empty() && (!is_sendable || secret.0.len() < METRICS_TOKEN_CHARS) {
        return Err(serde::de::Error::custom(format!(
            "the token needs at least {METRICS_TOKEN_CHARS} visible ASCII characters without spaces, such as those of \
             `openssl rand -hex 32`"
        )));
    }
    Ok(secret)
}

pub(super) fn public_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = text.trim().trim_end_matches('/');
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "?#\"'<>\\".contains(c);
    if !url.is_empty() && host.is_none_or(|host| host.is_empty() || host.starts_with('/') || host.contains(is_odd)) {
        return Err(serde::de::Error::custom(format!("`{text}` is not a URL such as https://qyvo.example.org")));
    }
    Ok(url.to_owned())
}

pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts
        .iter()
        .map(|text| {
            let address = text.trim().parse().map(|address: IpAddr| IpNet::from(address));
            address.or_else(|_| text.trim().parse()).map_err(|_| {
                let message = format!("`{text}` is neither an IP address nor a network such as 10.0.0.0/8");
                serde::de::Error::custom(message)
            })
        })
        .collect()
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.trim().parse().map_err(|_| {
        let message = format!("`{text}` is not an IP address with a port; 0.0.0.0 listens on every interface");
        serde::de::Error::custom(message)
    })
}

pub(super) fn file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() {
        return Err(serde::de::Error::custom("the path is empty"));
    }
    Ok(path)
}

pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = i64::deserialize(deserializer)?;
    u32::try_from(number)
        .map_err(|_| serde::de::Error::custom(format!("{number} is out of range: 0 to {} are allowed", u32::MAX)))
}

pub(super) fn time_to_live<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let ttl: Duration = humantime_serde::deserialize(deserializer)?;
    let whole = ttl.subsec_nanos() == 0 && ttl.as_secs().is_multiple_of(60);
    if !whole || !(1..=43_200).contains(&(ttl.as_secs() / 60)) {
        let shown = humantime::format_duration(ttl);
        let message = format!("{shown} is not a time to live: it has 1 to 43,200 whole minutes");
        return Err(serde::de::Error::custom(message));
    }
    Ok(ttl)
}

pub(super) fn sweep_interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let interval: Duration = humantime_serde::deserialize(deserializer)?;
    if !(Duration::from_millis(10)..=Duration::from_secs(3600)).contains(&interval) {
        let shown = humantime::format_duration(interval);
        return Err(serde::de::Error::custom(format!("{shown} is out of range: 10ms to 1h are allowed")));
    }
    Ok(interval)
}

pub(super) fn backup_interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let interval: Duration = humantime_serde::deserialize(deserializer)?;
    if !interval.is_zero() && interval < Duration::from_secs(60) {
        let shown = humantime::format_duration(interval);
        return Err(serde::de::Error::custom(format!("{shown} is out of range: at least 1m, and 0s for none")));
    }
    Ok(interval)
}

/// For how long rows are kept that others look back to for a week and more.
pub(super) fn kept<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let kept: Duration = humantime_serde::deserialize(deserializer)?;
    if !kept.is_zero() && kept < Duration::from_secs(8 * 24 * 3600) {
        let shown = humantime::format_duration(kept);
        return Err(serde::de::Error::custom(format!(
            "{shown} is too short: at least 8days, for redeliveries and late replies, and 0s for good"
        )));
    }
    Ok(kept)
}

pub(super) fn backups_kept<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = i64::deserialize(deserializer)?;
    u32::try_from(number)
        .ok()
        .filter(|number| (1..=10_000).contains(number))
        .ok_or_else(|| serde::de::Error::custom(format!("{number} is out of range: 1 to 10,000 are allowed")))
}

pub(super) fn colleague_pause<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let pause: Duration = humantime_serde::deserialize(deserializer)?;
    if !pause.is_zero() && !(Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3600)).contains(&pause) {
        let shown = humantime::format_duration(pause);
        return Err(serde::de::Error::custom(format!(
            "{shown} is out of range: 1m to 7d are allowed, and 0s for none"
        )));
    }
    Ok(pause)
}

pub(super) fn unknown_after<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let span: Duration = humantime_serde::deserialize(deserializer)?;
    if !(Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&span) {
        let shown = humantime::format_duration(span);
        return Err(serde::de::Error::custom(format!("{shown} is out of range: 1s to 1h are allowed")));
    }
    Ok(span)
}

pub(super) fn audit_kept<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let span: Duration = humantime_serde::deserialize(deserializer)?;
    if !(DAY * 8..=DAY * 36_500).contains(&span) {
        let shown = humantime::format_duration(span);
        return Err(serde::de::Error::custom(format!("{shown} is out of range: 8d to 36500d are allowed")));
    }
    Ok(span)
}

/// Writes whole days as days, where the library has years and months that no calendar knows.
pub(super) fn as_days<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    match span.as_nanos() % DAY.as_nanos() {
        0 => serializer.serialize_str(&format!("{}d", span.as_secs() / DAY.as_secs())),
        _ => humantime_serde::serialize(span, serializer),
    }
}

pub(super) fn per_second<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = i64::deserialize(deserializer)?;
    u32::try_from(number)
        .ok()
        .filter(|number| (1..=1_000).contains(number))
        .ok_or_else(|| serde::de::Error::custom(format!("{number} is out of range: 1 to 1,000 are allowed")))
}

/// Characters of a message, from those of ten short messages of a phone to more than anybody reads in one.
pub(super) fn text_chars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = i64::deserialize(deserializer)?;
    u32::try_from(number)
        .ok()
        .filter(|number| (1_000..=65_536).contains(number))
        .ok_or_else(|| serde::de::Error::custom(format!("{number} is out of range: 1,000 to 65,536 are allowed")))
}

/// A part of a path: opaque, but nothing that could lead to another path.
pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let id = text.trim();
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) || id.contains("..") {
        let message = format!("`{text}` is not an id: letters, digits, dots, dashes and underscores are allowed");
        return Err(serde::de::Error::custom(message));
    }
    Ok(id.to_owned())
}

pub(super) fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    if words.iter().any(|word| word.rsplit(':').next().is_none_or(|bare| bare.trim().is_empty())) {
        return Err(serde::de::Error::custom(
            "a word is blank: write it as `stop`, or with its language as `de:stopp`",
        ));
    }
    Ok(words)
}

pub(super) fn flow_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let id = text.trim();
    if !id.is_empty() && id.parse::<uuid::Uuid>().is_err() {
        return Err(serde::de::Error::custom(format!("`{text}` is not the id of a flow, which is a UUID")));
    }
    Ok(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_trip() {
        for (text, bytes, shown) in [
            ("256KiB", 262_144, "256KiB"),
            ("1024 kib", 1_048_576, "1MiB"),
            (" 3MiB", 3_145_728, "3MiB"),
            ("2GiB", 2_147_483_648, "2GiB"),
            ("10MB", 10_000_000, "10MB"),
            ("1500KB", 1_500_000, "1500KB"),
            ("1KiB", 1024, "1KiB"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, shown));
            assert_eq!(shown.parse(), Ok(size));
        }
        for text in ["", "KiB", "-1KiB", "1", "1TiB", "1KB", "0MiB", "99999999999GiB", "99999999999999999999999KiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
    #[test]
    fn a_bound_is_a_size_or_0_for_none() {
        let read = |value: serde_json::Value| serde_json::from_value::<ByteLimit>(value).map_err(|e| e.to_string());
        for (value, bytes, shown) in [("160MiB", 160 << 20, "160MiB"), ("0", 0, "0"), (" 1024 KiB", 1 << 20, "1MiB")] {
            let limit = read(value.into()).unwrap();
            assert_eq!((limit.bytes(), limit.to_string().as_str()), (bytes, shown));
            assert_eq!(read(String::from(limit).into()), Ok(limit));
        }
        assert_eq!(read(0.into()), Ok(ByteLimit::of(0)));
        for wrong in [serde_json::json!("lots"), 7.into(), (-1).into(), "-1MiB".into(), "0KiB".into()] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
