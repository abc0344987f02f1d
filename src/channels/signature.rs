//! Signatures: of what we post, and of what is posted to us.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The header that carries [`sign`]'s text.
pub const SIGNATURE_HEADER: &str = "X-Qyvo-Signature";

/// The value of `X-Qyvo-Signature` for a body that is posted at `unix` seconds: `t=<unix>,v1=<hex>`, where the hex is
/// the HMAC-SHA256 of `<unix>.<body>`. The time is signed along, so that a receiver can refuse what is old.
pub fn sign(secret: &str, unix: i64, body: &[u8]) -> String {
    let mut mac = keyed(secret);
    mac.update(unix.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("t={unix},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// Whether `hex` is the lowercase HMAC-SHA256 of a body. Takes the same time wherever the two differ.
pub(super) fn is_hmac_of(secret: &str, hex: &str, body: &[u8]) -> bool {
    let mut mac = keyed(secret);
    mac.update(body);
    let right = hex::encode(mac.finalize().into_bytes());
    hex.as_bytes().ct_eq(right.as_bytes()).into()
}

/// Whether two secrets are the same. The time it takes reveals nothing but their lengths.
pub(super) fn is_same_secret(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

fn keyed(secret: &str) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.as_bytes()).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_the_time_along_with_the_body() {
        // echo -n '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let expected = "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
        assert_eq!(sign("secret", 1_700_000_000, br#"{"a":1}"#), expected);
        assert_ne!(sign("secret", 1_700_000_001, br#"{"a":1}"#), expected);
    }

    #[test]
    fn takes_lowercase_hex_of_the_very_bytes_alone() {
        // RFC 4231, test case 2.
        let right = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let body = b"what do ya want for nothing?";
        assert!(is_hmac_of("Jefe", right, body));
        for wrong in [&right.to_uppercase(), &right[..63], "", "zz", &format!("{right}0")] {
            assert!(!is_hmac_of("Jefe", wrong, body), "{wrong}");
        }
        assert!(!is_hmac_of("jefe", right, body));
        assert!(!is_hmac_of("Jefe", right, b"what do ya want for nothing!"));
        assert!(is_same_secret("a", "a") && !is_same_secret("a", "b") && !is_same_secret("a", "ab"));
    }
}
