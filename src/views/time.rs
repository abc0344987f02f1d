//! A moment as the outside sees it.

use serde::{Serialize, Serializer};

use crate::domain::Timestamp;

/// A moment in ISO 8601 in UTC with whole seconds, such as `2026-05-07T08:14:23+00:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsoTime(pub Timestamp);

impl From<Timestamp> for IsoTime {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl Serialize for IsoTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_iso_seconds())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_moment_is_shown_in_whole_seconds() {
        let at: Timestamp = "2026-05-07T10:14:23.250+02:00".parse().unwrap();
        assert_eq!(json!([IsoTime(at), None::<IsoTime>]), json!(["2026-05-07T08:14:23+00:00", null]));
    }
}
