//! The word or sign beside an amount that names its currency.

/// Whether a word beside an amount is surely a currency.
pub(super) fn is_one(word: &str) -> bool {
    let mut chars = word.chars();
    let is_sign = matches!((chars.next(), chars.next()), (Some(c), None) if is_currency(c) && !matches!(c, '¢' | '￠'));
    is_sign || codes_of(word).is_some()
}

/// Whether a word beside an amount says that it is of the currency that is wanted, or leaves it open: `$` is dollars
/// of any country, `US$` is not. What is wanted is a code or a sign; a word that is neither, such as `points`, can
/// only be itself.
pub(super) fn may_be(word: &str, wanted: &str) -> bool {
    let of_any_case = |word: &str| codes_of(word).or_else(|| code(&word.to_uppercase()));
    match of_any_case(wanted.trim()) {
        Some([wanted, ..]) => {
            let names_it = |codes: &[&str]| codes.contains(wanted);
            codes_of(word).is_some_and(names_it) || code(&word.to_uppercase()).is_some_and(names_it)
        }
        _ => word.to_lowercase() == wanted.trim().to_lowercase(),
    }
}

/// The general category Sc of Unicode.
pub(super) fn is_currency(c: char) -> bool {
    matches!(c, '$' | '¢'..='¥' | '\u{58f}' | '\u{60b}' | '\u{9f2}' | '\u{9f3}' | '\u{e3f}' | '\u{17db}'
        | '\u{20a0}'..='\u{20cf}' | '\u{fdfc}' | '\u{fe69}' | '\u{ff04}' | '\u{ffe0}' | '\u{ffe1}' | '\u{ffe5}'
        | '\u{ffe6}')
}

/// The codes of the currencies that a word can stand for, the one it mostly stands for first.
fn codes_of(word: &str) -> Option<&'static [&'static str]> {
    let without_dot = word.strip_suffix('.').unwrap_or(word);
    let lower = without_dot.to_lowercase();
    let among = |words: &'static [(&[&str], &[&str])], word: &str| {
        words.iter().find(|(words, _)| words.contains(&word)).map(|(_, codes)| *codes)
    };
    code(without_dot).or_else(|| among(&SIGNS, without_dot)).or_else(|| among(&NAMES, &lower))
}

/// A code as it stands in the list.
fn code(word: &str) -> Option<&'static [&'static str]> {
    CODES.binary_search(&word).ok().map(|at| &CODES[at..=at])
}

/// The codes of ISO 4217 that are legal tender somewhere (Unicode CLDR 49), in order.
#[rustfmt::skip]
const CODES: [&str; 153] = [
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BHD", "BIF", "BMD", "BND",
    "BOB", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "COP", "CRC", "CUP", "CVE",
    "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD",
    "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD", "JOD", "JPY",
    "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "LYD", "MAD",
    "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO",
    "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF",
    "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SYP", "SZL", "THB", "TJS",
    "TMT", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS", "VES", "VND", "VUV", "WST",
    "XAF", "XCD", "XCG", "XOF", "XPF", "YER", "ZAR", "ZMW", "ZWG",
];

/// The currencies that are called dollars.
#[rustfmt::skip]
const DOLLARS: [&str; 22] = [
    "USD", "AUD", "BBD", "BMD", "BND", "BSD", "BZD", "CAD", "FJD", "GYD", "HKD", "JMD", "KYD", "LRD", "NAD", "NZD",
    "SBD", "SGD", "SRD", "TTD", "TWD", "XCD",
];
/// Those and the pesos that are written with the same sign.
#[rustfmt::skip]
const DOLLAR_SIGN: [&str; 30] = [
    "USD", "AUD", "BBD", "BMD", "BND", "BSD", "BZD", "CAD", "FJD", "GYD", "HKD", "JMD", "KYD", "LRD", "NAD", "NZD",
    "SBD", "SGD", "SRD", "TTD", "TWD", "XCD", "MXN", "ARS", "CLP", "COP", "CUP", "DOP", "UYU", "NIO",
];

/// Signs and abbreviations, in the case in which they are written, without the dot behind (Unicode CLDR 49, and what
/// is written beside them). Those that are units as well, such as `L` and `KM`, are left out.
#[rustfmt::skip]
const SIGNS: [(&[&str], &[&str]); 107] = [
    (&["$", "＄", "﹩"], &DOLLAR_SIGN), (&["US$", "$US", "U$S", "U$D"], &["USD"]), (&["C$"], &["CAD", "NIO"]),
    (&["CA$", "$CA", "CAN$", "CDN$"], &["CAD"]), (&["A$"], &["AUD", "ARS"]), (&["AU$", "$AU", "$A"], &["AUD"]),
    (&["NZ$", "$NZ"], &["NZD"]), (&["HK$", "$HK"], &["HKD"]), (&["S$"], &["SGD"]), (&["SG$", "$SG"], &["SGD"]),
    (&["NT$", "TW$"], &["TWD"]), (&["R$", "BR$"], &["BRL"]), (&["MX$", "$MX", "Mex$", "MEX$"], &["MXN"]),
    (&["AR$", "$AR"], &["ARS"]), (&["CL$", "$CL"], &["CLP"]), (&["COL$", "CO$", "$CO"], &["COP"]),
    (&["$U", "UY$", "$UY"], &["UYU"]), (&["RD$"], &["DOP"]), (&["EC$", "$EC"], &["XCD"]),
    (&["TT$", "$TT"], &["TTD"]), (&["J$", "JM$"], &["JMD"]), (&["BZ$", "$BZ"], &["BZD"]), (&["BS$"], &["BSD"]),
    (&["BM$", "$BM"], &["BMD"]), (&["Bds$"], &["BBD"]), (&["BN$", "B$", "$BN"], &["BND"]),
    (&["FJ$", "$FJ"], &["FJD"]), (&["CI$"], &["KYD"]), (&["SI$", "$SB"], &["SBD"]), (&["N$", "$NA"], &["NAD"]),
    (&["$SR"], &["SRD"]), (&["G$"], &["GYD"]), (&["L$"], &["LRD"]), (&["T$"], &["TOP"]),
    (&["WS$", "$WS"], &["WST"]), (&["MOP$"], &["MOP"]), (&["€"], &["EUR"]),
    (&["£", "￡"], &["GBP", "EGP", "FKP", "GIP", "LBP", "SHP", "SSP", "SYP"]), (&["UK£", "GB£", "£GB"], &["GBP"]),
    (&["EG£", "E£"], &["EGP"]), (&["¥", "￥"], &["JPY", "CNY"]), (&["円", "JP¥"], &["JPY"]),
    (&["元", "圓"], &["CNY", "TWD", "HKD", "MOP"]), (&["CN¥", "RMB", "人民币"], &["CNY"]), (&["₹"], &["INR"]),
    (&["Rs", "₨"], &["INR", "PKR", "LKR", "NPR", "MUR", "SCR"]), (&["रु"], &["INR", "NPR"]), (&["රු"], &["LKR"]),
    (&["৳", "Tk"], &["BDT"]), (&["₽", "руб", "р"], &["RUB"]), (&["₴", "грн"], &["UAH"]), (&["Br"], &["BYN", "ETB"]),
    (&["₺", "TL"], &["TRY"]), (&["₩", "￦", "원"], &["KRW", "KPW"]), (&["₫", "đ", "VNĐ"], &["VND"]),
    (&["₪", "NIS"], &["ILS"]), (&["฿"], &["THB"]), (&["₦"], &["NGN"]), (&["₱"], &["PHP"]), (&["₡"], &["CRC"]),
    (&["₲", "Gs"], &["PYG"]), (&["₸", "тг"], &["KZT"]), (&["₾"], &["GEL"]), (&["₼"], &["AZN"]), (&["֏"], &["AMD"]),
    (&["؋"], &["AFN"]), (&["៛"], &["KHR"]), (&["₭"], &["LAK"]), (&["₮"], &["MNT"]), (&["₵", "GH₵"], &["GHS"]),
    (&["﷼", "ریال", "ريال"], &["IRR", "SAR", "YER", "OMR", "QAR"]), (&["kr", "Kr"], &["SEK", "NOK", "DKK", "ISK"]),
    (&["Ft"], &["HUF"]), (&["lei", "Lei"], &["RON", "MDL"]), (&["Fr", "SFr", "sFr"], &["CHF"]),
    (&["FCFA", "CFA"], &["XOF", "XAF"]), (&["zł", "zl", "Zł"], &["PLN"]), (&["Kč", "Kc"], &["CZK"]),
    (&["Rp"], &["IDR"]), (&["RM"], &["MYR"]), (&["R"], &["ZAR"]), (&["Ksh", "KSh"], &["KES"]),
    (&["TSh", "Tsh"], &["TZS"]), (&["USh", "Ush"], &["UGX"]), (&["Kz"], &["AOA"]), (&["MTn"], &["MZN"]),
    (&["S/"], &["PEN"]), (&["B/"], &["PAB"]), (&["Bs"], &["BOB", "VES"]),
    (&["DH", "Dh", "Dhs", "dhs"], &["AED", "MAD"]), (&["din", "дин"], &["RSD"]),
    (&["сом"], &["KGS"]), (&["сўм", "сум", "soʻm"], &["UZS"]), (&["Lekë", "lekë"], &["ALL"]), (&["د.إ"], &["AED"]),
    (&["ر.س"], &["SAR"]), (&["ج.م"], &["EGP"]), (&["د.م"], &["MAD"]), (&["د.ج"], &["DZD"]), (&["د.ت"], &["TND"]),
    (&["د.ك"], &["KWD"]), (&["د.أ"], &["JOD"]), (&["د.ع"], &["IQD"]), (&["د.ب"], &["BHD"]), (&["ر.ق"], &["QAR"]),
    (&["ر.ع"], &["OMR"]), (&["ل.ل"], &["LBP"]),
];

/// Names, in lower case, and codes that are seen in lower case and are no words. Pounds are weighed as well.
#[rustfmt::skip]
const NAMES: [(&[&str], &[&str]); 31] = [
    (&["eur", "euro", "euros", "euroa", "евро", "ευρώ", "ευρω", "يورو", "אירו", "ユーロ", "欧元", "歐元", "유로"], &["EUR"]),
    (&["dollar", "dollars", "dólar", "dólares", "dolar", "dolares", "dollari", "доллар", "доллара", "долларов", "دولار",
       "ドル", "달러"], &DOLLARS),
    (&["usd", "美元"], &["USD"]), (&["gbp"], &["GBP"]),
    (&["brl", "reais"], &["BRL"]), (&["mxn"], &["MXN"]), (&["inr"], &["INR"]), (&["jpy", "yen"], &["JPY"]),
    (&["cny", "yuan"], &["CNY"]), (&["chf", "franken"], &["CHF"]), (&["kronor"], &["SEK"]),
    (&["nok"], &["NOK"]), (&["dkk"], &["DKK"]), (&["kroner"], &["NOK", "DKK"]),
    (&["pln", "zloty", "złoty", "złote", "złotych"], &["PLN"]), (&["czk", "koruna", "koruny", "korun"], &["CZK"]),
    (&["huf", "forint"], &["HUF"]), (&["ron"], &["RON"]), (&["uah", "гривень", "гривен", "гривны"], &["UAH"]),
    (&["rub", "рубль", "рубля", "рублей"], &["RUB"]), (&["idr", "rupiah"], &["IDR"]),
    (&["rupee", "rupees", "रुपये", "रुपए"], &["INR", "PKR", "LKR", "NPR", "MUR", "SCR"]),
    (&["ngn", "naira"], &["NGN"]), (&["thb", "baht", "บาท"], &["THB"]),
    (&["vnd", "đồng"], &["VND"]), (&["lira"], &["TRY"]),
    (&["franc", "francs"], &["CHF", "XOF", "XAF", "XPF", "CDF"]),
    (&["peso", "pesos"], &["MXN", "ARS", "CLP", "COP", "CUP", "DOP", "PHP", "UYU"]),
    (&["aed", "dirham", "dirhams", "درهم"], &["AED", "MAD"]), (&["riyal", "riyals"], &["SAR", "QAR", "YER", "OMR"]),
    (&["myr", "ringgit"], &["MYR"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_names_stand_for_codes_that_are_in_use() {
        assert!(CODES.is_sorted_by(|a, b| a < b));
        let mut seen = std::collections::HashSet::new();
        for (words, codes) in SIGNS.iter().chain(&NAMES) {
            assert!(codes.iter().all(|one| code(one).is_some()), "{codes:?}");
            assert!(words.iter().all(|word| seen.insert(*word) && !word.ends_with('.')), "{words:?}");
        }
        for word in
            ["GB", "kg", "ft", "km", "CR", "DR", "pounds", "sek", "Cent", "¢", "PCT", "MLD", "all", "try", "top", ""]
        {
            assert!(!is_one(word), "{word}");
        }
    }
}
