//! Phrases for a day by how far it is off, beside those of CLDR.

/// Language, days for each that is counted, and the phrase.
pub(super) const LATER: &[(&str, u8, &str)] = &[
    ("pt", 1, "daqui a {0} dias"),
    ("it", 1, "fra {0} giorni"),
    ("it", 7, "fra {0} settimane"),
    ("es", 1, "en {0} días"),
    ("id", 1, "{0} hari lagi"),
    ("id", 7, "{0} minggu lagi"),
    ("hi", 1, "{0} दिन बाद"),
    ("hi", 1, "{0} din baad"),
    ("ar", 1, "بعد {0} أيام"),
    ("ar", 1, "بعد {0} يوم"),
    ("tr", 1, "{0} güne"),
    ("vi", 1, "{0} ngày nữa"),
    ("zh", 1, "{0}天之后"),
];
