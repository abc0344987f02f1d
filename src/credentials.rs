//! What people and programs prove themselves with: tokens, the admin page's password, its cookie and its set-up code.
//!
//! Random secrets have 256 bits, and only their SHA-256 is kept. What a person chooses is kept as argon2id.

use std::time::Duration;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::text::has_odd_characters;
use crate::domain::{Scope, Timestamp, TokenId};
use crate::error::{Error, Result};
use crate::store::tokens::{self, NewSecret, NewToken};
use crate::store::{Tx, logins, secrets};

/// What every token begins with, so that a leaked one is recognised.
const TOKEN_PREFIX: &str = "qyvo_";
/// Characters of a token that lists show.
const HINT_CHARS: usize = 12;
/// Characters of a token's name at most.
const TOKEN_NAME_CHARS: usize = 100;
/// How long an old secret may be taken after a rotation at most.
const MAX_GRACE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Requests per minute that a token's own limit may be at most.
const MAX_RATE_LIMIT: u32 = 1_000_000;
/// Characters of a password, at least and at most. Longer ones would only cost time.
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 10..=200;
/// Where the password's hash is kept.
const PASSWORD: &str = "admin_password";
/// Letters and digits of codes that people type: without those that look alike.
const CODE_ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// A fresh token.
///
/// # Errors
/// When the system has no random bytes.
pub fn make_token() -> Result<String> {
    Ok(format!("{TOKEN_PREFIX}{}", make_secret()?))
}

/// 256 random bits, in hexadecimal.
///
/// # Errors
/// When the system has no random bytes.
pub fn make_secret() -> Result<String> {
    Ok(hex::encode(random::<32>()?))
}

/// A code that is typed once, such as `K7QF-2M9D`: 40 random bits.
///
/// # Errors
/// When the system has no random bytes.
pub fn make_code() -> Result<String> {
    let letter = |byte: &u8| char::from(CODE_ALPHABET[usize::from(byte % 32)]);
    let letters: String = random::<8>()?.iter().map(letter).collect();
    let (first, second) = letters.split_at(4);
    Ok(format!("{first}-{second}"))
}

/// A random password: 100 bits, in groups.
///
/// # Errors
/// When the system has no random bytes.
pub fn make_password() -> Result<String> {
    Ok([make_code()?, make_code()?, make_code()?].join("-"))
}

/// What is kept of a random secret.
pub fn fingerprint(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whether a token can have this name.
///
/// # Errors
/// What is wrong with it, to stand behind "The name".
pub fn check_token_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name.chars().count() > TOKEN_NAME_CHARS || has_odd_characters(name) {
        return Err(format!("must have 1 to {TOKEN_NAME_CHARS} characters that can be seen"));
    }
    Ok(())
}

/// Whether a token can have this many requests per minute; 0 is no limit.
///
/// # Errors
/// What is wrong with it, to stand behind "The rate limit".
pub fn check_rate_limit(per_minute: u64) -> Result<u32, String> {
    let fits = u32::try_from(per_minute).ok().filter(|per_minute| *per_minute <= MAX_RATE_LIMIT);
    fits.ok_or_else(|| format!("must be at most {MAX_RATE_LIMIT} requests per minute, or 0 for no limit"))
}

/// Keeps a token's fingerprint, and gives its id. `rate_limit` is as in [`NewToken`]. Inside a write transaction.
///
/// # Errors
/// When the database refuses.
pub fn keep_token(
    tx: &Tx<'_>,
    name: &str,
    scope: Scope,
    rate_limit: Option<u32>,
    secret: &str,
    now: Timestamp,
) -> Result<TokenId> {
    let id = TokenId(Uuid::now_v7());
    let hint: String = secret.chars().take(HINT_CHARS).collect();
    tokens::insert(tx, &NewToken { id, name, scope, hash: fingerprint(secret), hint: &hint, rate_limit }, now)?;
    Ok(id)
}

/// That a token was made, for the audit.
pub fn token_made(by: Actor, id: TokenId, name: &str, scope: Scope) -> Deed {
    Deed::new(AuditAction::TokenCreated, by).to(id).saying(format!("{name}, scope {scope}"))
}

/// That a token got another secret, for the audit.
pub fn token_rotated(by: Actor, id: TokenId, grace: Duration) -> Deed {
    let detail = format!("the old one ends after {}", humantime::format_duration(grace));
    Deed::new(AuditAction::TokenRotated, by).to(id).saying(detail)
}

/// How long a token's old secret may be taken after a rotation: `1h`, `7d`, `0s` for not at all, at most 30 days.
///
/// # Errors
/// What is wrong with it, to stand behind "The grace".
pub fn read_grace(text: &str) -> Result<Duration, String> {
    let grace = humantime::parse_duration(text.trim()).map_err(|_| "must be a time such as 1h, 7d or 0s".to_owned())?;
    if grace > MAX_GRACE {
        return Err("must be at most 30 days".to_owned());
    }
    Ok(grace)
}

/// Keeps the fingerprint of another secret for a token; the one before is taken as long as the grace, if that is more
/// than nothing. Returns whether there is a token that is taken. Inside a write transaction.
///
/// # Errors
/// When the database refuses.
pub fn rotate_token(tx: &Tx<'_>, id: TokenId, secret: &str, grace: Duration, now: Timestamp) -> Result<bool> {
    let hint: String = secret.chars().take(HINT_CHARS).collect();
    let old_until = (!grace.is_zero()).then(|| now.plus(grace));
    tokens::rotate(tx, id, &NewSecret { hash: fingerprint(secret), hint: &hint, old_until })
}

/// Whether a person may choose this password.
///
/// # Errors
/// What is wrong with it, to stand behind "The password".
pub fn check_password(password: &str) -> Result<(), String> {
    if PASSWORD_CHARS.contains(&password.chars().count()) {
        return Ok(());
    }
    Err(format!("must have {} to {} characters", PASSWORD_CHARS.start(), PASSWORD_CHARS.end()))
}

/// What is kept of a password. Takes tens of milliseconds and 19 MiB, so never on a thread that serves requests.
///
/// # Errors
/// When the system has no random bytes.
pub fn hash_password(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash.map_err(|error| Error::internal(format!("The password cannot be hashed: {error}")))?.to_string())
}

/// Whether a password is the one that was hashed. As slow as [`hash_password`].
pub fn is_password(password: &str, hash: &str) -> bool {
    argon2::password_hash::phc::PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// The hash of the admin page's password, if one is set.
///
/// # Errors
/// When the database cannot be read.
pub fn password(conn: &crate::store::Conn) -> Result<Option<String>> {
    secrets::get(conn, PASSWORD)
}

/// Sets the admin page's password, and ends every log-in but the one to `keep`. Wrong guesses at the one before are
/// forgotten. Inside a write transaction.
///
/// # Errors
/// When the database refuses.
pub fn set_password(tx: &Tx<'_>, hash: &str, keep: Option<i64>, now: Timestamp) -> Result<()> {
    secrets::set(tx, PASSWORD, hash, now)?;
    logins::clear_all_failures(tx)?;
    logins::delete_all(tx, keep)
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal("The system has no random bytes").caused_by(error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(is_password("correct horse", &hash));
        assert!(!is_password("correct horsf", &hash) && !is_password("correct horse", "nonsense"));
        assert_ne!(hash, hash_password("correct horse").unwrap(), "salted");
        assert!(check_password("nine char").is_err() && check_password(&"x".repeat(201)).is_err());
        assert!(check_password("ten chars!").is_ok());
    }

    #[test]
    fn a_grace_is_a_time_of_at_most_30_days() {
        assert_eq!(read_grace(" 1h "), Ok(Duration::from_secs(3600)));
        assert_eq!((read_grace("0s"), read_grace("30d")), (Ok(Duration::ZERO), Ok(MAX_GRACE)));
        assert!(read_grace("31d").unwrap_err().contains("30 days"));
        assert!(read_grace("soon").is_err() && read_grace("-1h").is_err() && read_grace("60").is_err());
    }

    #[test]
    fn codes_and_tokens_are_random_and_can_be_typed() {
        let (one, other) = (make_code().unwrap(), make_code().unwrap());
        assert_ne!(one, other);
        assert_eq!((one.len(), &one[4..5]), (9, "-"));
        assert!(one.chars().all(|c| c == '-' || CODE_ALPHABET.contains(&u8::try_from(c).unwrap())), "{one}");
        assert_eq!(make_token().unwrap().len(), TOKEN_PREFIX.len() + 64);
    }
}
