//! Words that make more of the number beside them: thousands, millions, lakhs, dozens.

use unicode_normalization::UnicodeNormalization;

/// Ends of words that are written in one: `hunderttausend`, `honderdduizend`.
const COMPOUNDS: [&str; 7] = ["tausend", "hundert", "duizend", "honderd", "tusen", "tusind", "százezer"];

/// Whether a word behind a number, in lower case, makes more of it.
pub(super) fn is_multiple(word: &str) -> bool {
    let word: String = word.nfc().collect();
    let is_listed = |word: &str| AFTER.binary_search(&word).is_ok() || MORE.binary_search(&word).is_ok();
    let is_compound = || COMPOUNDS.iter().any(|end| word.ends_with(end)) && !word.starts_with("jahr");
    // Where no blank ends the word, the next one may follow: `พันบาท`.
    let begins_with_one = || {
        let mut ends = word.char_indices().map(|(at, _)| at).skip(2);
        word.starts_with(is_without_blanks) && ends.any(|end| is_listed(&word[..end]))
    };
    is_listed(&word) || is_compound() || begins_with_one()
}

/// Whether a word before a number, in lower case, makes more of it: `elfu 5`.
pub(super) fn is_multiple_before(word: &str) -> bool {
    let word: String = word.nfc().collect();
    BEFORE.binary_search(&word.as_str()).is_ok()
}

/// Letters of Thai, Lao, Burmese and Khmer, which are written without blanks between words.
fn is_without_blanks(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

/// Words that people write and that these formats lack, in order.
#[rustfmt::skip]
const MORE: [&str; 134] = [
    "belas", "centaine", "centaines", "centinaia", "centos", "chục", "cientos", "crores", "crs", "darjan",
    "docena", "docenas", "douzaine", "douzaines", "dozen", "dozens", "dozijn", "dozzina", "dozzine",
    "duizenden", "dussin", "dutzend", "dutzende", "duzia", "duzias", "dúzia", "dúzias", "düzine", "grand",
    "hajaar", "hajar", "hazaar", "hazar", "honderd", "hundert", "hunderte", "hundra", "hundred", "hundrede",
    "hundreder", "hundreds", "k", "karod", "karor", "keur", "lac", "lacs", "lakhs", "lks", "lusin", "migliaia",
    "migliaio", "milhares", "milheiro", "milionech", "milionem", "milliardes", "milliers", "mươi", "ngan",
    "ngàn", "puluh", "ratus", "rbu", "sataa", "sataatuhatta", "sau", "stovek", "stovky", "sute", "sută", "száz",
    "százezer", "tausende", "teur", "thousands", "tisíců", "trăm", "tucat", "tucet", "tucty", "tuctů",
    "tusentals", "tuzin", "tuziny", "tuzinów", "tysiącach", "tízezer", "tūkstančius", "tỉ", "yüz", "χιλιάδων",
    "десятков", "десяток", "дюжин", "дюжина", "дюжины", "к", "кк", "миллиарды", "миллионы", "сот", "сотен",
    "сотни", "сотня", "т.р", "тисячу", "тр", "тысячу", "тыщ", "тыща", "тыщи", "хиляда", "אלפים", "מאות", "الاف",
    "الف", "دستة", "صد", "مئات", "مئة", "مائة", "दर्जन", "लाखों", "सौ", "हज़ारों", "শত", "ร้อย", "สิบ", "ሺ",
    "十", "打", "백", "십",
];

/// Words after a number that multiply it, in order: those of the compact decimal formats of all locales of Unicode CLDR
/// 49, in lower case, in Latin and Greek letters also without their accents. Left out are words of one letter and those
/// that are something else beside a number elsewhere, such as `min`, `km`, `mm`, `tn`, `kr`, `ko`, `mile` and `bln`.
#[rustfmt::skip]
const AFTER: [&str; 782] = [
    "afe", "alaf", "bhillean", "bhilliun", "bhilliún", "bi", "bil", "bilhao", "bilhau", "bilhoes", "bilhão",
    "bilhãu", "bilhões", "biliao", "biliau", "bilijon", "bilijona", "bilijoni", "bilijonov", "bilijun",
    "bilijuna", "bilio", "bilioes", "bilioi", "bilion", "biliona", "bilionaj", "bilioni", "bilionov",
    "bilionow", "bilions", "bilionu", "biliony", "bilionów", "bilionů", "biliun", "biliuna", "biliuni",
    "biliuns", "biliwn", "bilião", "biliãu", "bilió", "bilión", "bilióna", "biliónov", "bilióny", "biliões",
    "biliɔnu", "bilj", "biljoen", "biljon", "biljona", "biljonat", "biljoner", "biljoon", "biljoona",
    "biljoonaa", "biljovdna", "biljovdnat", "biljovn", "bill", "billean", "billeanan", "billio", "billion",
    "billionar", "billionen", "billioner", "billiones", "billionir", "billions", "billioon", "billioone",
    "billioun", "billiounen", "billiun", "billiuns", "billió", "billión", "billiónir", "billiún", "billjon",
    "billjonir", "billjuhn", "billjón", "billjónir", "billon", "billones", "billons", "billón", "billóns",
    "bilyan", "bilyon", "bilíɔ̀nù", "bilíọ̀nù", "bin", "bion", "biu", "bió", "bn", "bíliọn", "cr", "crore",
    "dausend", "dousend", "dsd", "dtrilliun", "dtrilliún", "duhahat", "duhat", "duháhat", "duhát", "duiliono",
    "duilionoj", "duisend", "duizend", "duusen", "düüsen", "egberun", "ewu", "ezer", "hezar", "hilj",
    "hiljada", "hiljade", "hjar", "hoz", "hozar", "ijeri", "imelyaren", "imelyaṛen", "imelyunen",
    "inkulungwane", "isigidi", "isigidintathu", "itrilyunen", "jt", "juta", "kcr", "kotti", "lak", "lakh",
    "lcr", "libo", "mbilliun", "mbilliún", "melyar", "melyun", "mhile", "mhillean", "mhilliun",
    "mhilliún", "mhìle", "mhíle", "mia", "mie", "migghiaru", "migia", "mii", "mije", "mijë", "mil", "mila",
    "miler", "milers", "milhao", "milhau", "milhoes", "milhão", "milhãu", "milhões", "miliad", "miliar",
    "miliard", "miliarda", "miliarde", "miliardi", "miliardo", "miliardoj", "miliardow", "miliards",
    "miliardu", "miliardum", "miliardy", "miliardze", "miliardów", "miliardźe", "miliarg", "miliarze",
    "miliarźe", "miliau", "milies", "milijard", "milijarda", "milijardai", "milijardas", "milijarde",
    "milijardi", "milijardo", "milijardu", "milijardų", "milijon", "milijona", "milijonai", "milijonas",
    "milijoni", "milijono", "milijonov", "milijonu", "milijonų", "milijun", "milijuna", "milio", "milioane",
    "milioi", "milion", "miliona", "milionaj", "milione", "miliones", "milioni", "miliono", "milionoj",
    "milionov", "milionow", "milions", "milionu", "miliony", "milionów", "milionů", "miliun", "miliuna",
    "miliuni", "miliuns", "miliwn", "miliárd", "miliãu", "milió", "milión", "milióna", "miliónov", "milióny",
    "miliɔnu", "milj", "miljaard", "miljard", "miljarda", "miljardat", "miljarder", "miljardi", "miljardia",
    "miljardit", "miljards", "miljardu", "miljoen", "miljon", "miljona", "miljonat", "miljoner", "miljoni",
    "miljonit", "miljons", "miljonu", "miljoon", "miljoona", "miljoonaa", "miljovn", "miljárda", "miljárdat",
    "mill", "millar", "millares", "mille", "millean", "milleanan", "milles", "millia", "milliard",
    "milliarda", "milliardar", "milliardas", "milliarde", "milliarden", "milliarder", "milliardir",
    "milliardo", "milliardos", "milliards", "milliardu", "millier", "millio", "million", "millionar",
    "millione", "millionen", "millioner", "milliones", "millionir", "millions", "millioon", "millioone",
    "millioun", "milliounen", "milliun", "milliuns", "milliárd", "millió", "millión", "milliónir", "milliún",
    "milljard", "milljarde", "milljarðar", "milljarður", "milljon", "milljonir", "milljuhne", "milljón",
    "milljónir", "millon", "millones", "millons", "millón", "millóns", "miltean", "milyan", "milyar",
    "milyard", "milyon", "ming", "mio", "mioin", "mion", "miu", "mió", "mjd", "mld", "mlg", "mljrd", "mln",
    "mlr", "mlrd", "mn", "mrd", "mìg", "mìgia", "mìle", "mìltean", "míle", "míliọn", "mílíɔ̀nù", "mílíọ̀nù",
    "müň", "nde", "nghin", "nghìn", "nikh", "nikhorv", "obz", "piliona", "puku", "rb", "rebu", "ribu", "rèbu",
    "tausend", "tauzan", "taúzan", "thousand", "thrillean", "thrilliun", "thrilliún", "tiliona", "tiri",
    "tiriliau", "tirilionu", "tiriliãu", "tiriliɔnu", "tiriliɔ̀nù", "tiriliọ̀nù", "tirillon", "tirillón",
    "tirilyan", "tis", "tisic", "tisica", "tisice", "tisoc", "tisoč", "tisuca", "tisuce", "tisuća", "tisuće",
    "tisíc", "tisíca", "tisíce", "tr", "tri", "trieu", "tril", "trilhao", "trilhoes", "trilhão", "trilhões",
    "trilijonai", "trilijonas", "trilijono", "trilijonu", "trilijonų", "trilioane", "trilion", "triliun",
    "triliwn", "triliɔn", "trilj", "triljon", "triljoni", "triljonit", "triljons", "triljonu", "trillean",
    "trilleanan", "trillion", "trilliun", "trilliún", "trillon", "trillones", "trillón", "trilyon", "trilyun",
    "trion", "triệu", "trln", "tríliọn", "tsd", "tsg", "tuh", "tuhat", "tuhatta", "tuhhaat", "tuhháát",
    "tukst", "tukstanciai", "tukstancio", "tukstanciu", "tukstantis", "tukstosi", "tukstosu", "tukstotis",
    "tusen", "tusind", "tusund", "tuusig", "tuzen", "tys", "tysac", "tysiac", "tysiaca", "tysiace", "tysiecy",
    "tysiąc", "tysiąca", "tysiące", "tysięcy", "tús", "túsund", "tûzen", "tūkst", "tūkstantis", "tūkstančiai",
    "tūkstančio", "tūkstančių", "tūkstotis", "tūkstoši", "tūkstošu", "tỷ", "umelyar", "umelyaṛ", "umilyun",
    "utrilyun", "viliad", "viliadou", "viliadoù", "viliard", "viliardou", "viliardoù", "wagim", "wagimen",
    "yuta", "èwu", "þusund", "þúsund", "ɛgbɛrun", "ɛgbɛ̀rún", "δισ", "δισεκατομμυρια", "δισεκατομμυριο",
    "δισεκατομμύρια", "δισεκατομμύριο", "εκατομμυρια", "εκατομμυριο", "εκατομμύρια", "εκατομμύριο", "τρισ",
    "τρισεκατομμυρια", "τρισεκατομμυριο", "τρισεκατομμύρια", "τρισεκατομμύριο", "χιλ", "χιλιάδα", "χιλιάδες",
    "χιλιαδα", "χιλιαδες", "бил", "билион", "билиона", "билиони", "илј", "илјада", "илјади", "мең", "мил",
    "милиард", "милиарда", "милион", "милиона", "милиони", "милијарда", "милијарде", "милијарди", "миллиард",
    "миллиарда", "миллиардов", "миллион", "миллиона", "миллионов", "милј", "минг", "миң", "млд", "млн",
    "млрд", "мың", "мян", "мянга", "мільйон", "мільйона", "мільйони", "мільйонів", "мільярд", "мільярда",
    "мільярдаў", "мільярди", "мільярды", "мільярдів", "мільён", "мільёна", "мільёнаў", "мільёны", "мј", "мөл",
    "мөлүйүөн", "наяд", "пин", "сая", "тис", "тисяч", "тисяча", "тисячі", "трилион", "трилиона", "триллион",
    "триллиона", "триллионов", "трильйон", "трильйона", "трильйони", "трильйонів", "трлн", "трыльён",
    "трыльёна", "трыльёнаў", "трыльёны", "тыс", "тысяч", "тысяча", "тысячаў", "тысячи", "тысячы", "тыһ",
    "тыһыынча", "тэрбум", "хил", "хиляди", "хиљ", "хиљада", "хиљаде", "эзар", "ҳазор", "ҳзр", "հազար", "հզր",
    "միլիարդ", "միլիոն", "մլն", "մլրդ", "տրիլիոն", "տրլն", "אלף", "טריליון", "מיליארד", "מיליון", "آلاف",
    "ألف", "ارب", "بلين", "بيليون", "بیلیونه", "ترلن", "ترليون", "تريلليون", "تريليون", "تریلیون", "تىرىليون",
    "زره", "لاکھ", "ملايين", "ملرد", "ملن", "مليار", "ملين", "مليون", "مىليارد", "مىليون", "مىڭ", "ميلليارد",
    "ميلليون", "میلیارد", "میلیون", "میلیونه", "هزار", "هزارمیلیارد", "ٹریلین", "ټریلیونه", "ٽرلين", "کروڑ",
    "کھرب", "ھزار", "ہزار", "अब्ज", "अरब", "एम", "करोड", "करोड़", "कोटी", "खरब", "खर्व", "त्रिलियन", "निख",
    "निखर्व", "निजुत", "नील", "पद्म", "बिलियन", "लख", "लाख", "शंख", "हज", "हज़ार", "हजार", "কোটি", "নিযুত",
    "পৰাৰ্দ্ধ", "লাখ", "শঃকোঃ", "শঃপঃ", "হাজার", "হাজাৰ", "ਅਰਬ", "ਕਰੋੜ", "ਖਰਬ", "ਨੀਲ", "ਲੱਖ", "ਹਜ਼ਾਰ", "અબજ",
    "કરોડ", "જલધિ", "નિખર્વ", "મહાપદ્મ", "લાખ", "શંકુ", "હજાર", "ଟ୍ରି", "ନିୟୁତ", "ଲକ୍ଷକୋଟି", "ଶହକୋଟି", "ହଜାର",
    "ஆயிரம்", "டிரில்லியன்", "பில்லியன்", "மில்லியன்", "ట్రి", "ట్రిలియన్", "ట్రిలియన్లు", "బిలియన్",
    "బిలియన్లు", "మిలియన్", "మిలియన్లు", "వేయి", "వేలు", "ಟ್ರಿ", "ಟ್ರಿಲಿಯನ್", "ಬಿಲಿಯನ್", "ಮಿಲಿಯನ್", "ಸಾವಿರ",
    "ആയിരം", "ട്രില്യൺ", "ദശലക്ഷം", "ബില്യൺ", "พัน", "พันล้าน", "ล้าน", "ล้านล้าน", "หมื่น", "หมื่นล้าน",
    "แสน", "แสนล้าน", "ພັນ", "ລລ", "ລ້ານ", "ລ້ານລ້ານ", "ແສນ", "ကုဋေ", "ကောဋိ", "ထောင်", "မိုၼ်ႇ",
    "မိုၼ်ႇလၢၼ်ႉ", "လၢၼ်ႉ", "လၢၼ်ႉလၢၼ်ႉ", "သန်း", "သိန်း", "သောင်း", "သႅၼ်", "သႅၼ်လၢၼ်ႉ", "ႁဵင်", "ႁဵင်လၢၼ်ႉ",
    "ათ", "ათასი", "მილიარდი", "მილიონი", "მლნ", "მლრ", "მლრდ", "ტრილიონი", "ტრლ", "ሚሊዮን", "ሚልዮን", "ሽሕ",
    "ቢሊዮን", "ቢልዮን", "ትሪሊዮን", "ትሪልዮን", "ទ្រីលាន", "ប៊ីលាន", "ពាន់", "លាន", "ẹgbẹ̀rún", "万亿", "ꭲᏻꮖꮧꮕꮫ", "ꭲꮿꭶᏼꮅ",
    "ꭲꮿꮤꮃꮧꮕꮫ", "ꭲꮿꮶꭰꮧꮕꮫ", "𐑑𐑮𐑦𐑤𐑾𐑯", "𐑔𐑬𐑟𐑩𐑯𐑛", "𐑚𐑦𐑤𐑘𐑩𐑯", "𐑥𐑦𐑤𐑘𐑩𐑯", "𞤣𞤵𞤦𞤵𞤲𞤫𞤪𞤫", "𞤣𞤵𞤶𞤵𞤲𞤫𞤪𞤫", "𞤣𞤶", "𞤵𞤶𞤵𞤲𞤫𞤪𞤫",
    "𞤼𞤵𞤶𞤵𞤲𞤫𞤪𞤫",
];

/// Such words that stand before a number, in order, from the same formats.
#[rustfmt::skip]
const BEFORE: [&str; 36] = [
    "akpe", "akrǝ", "akulo", "apem", "biiliyoona", "bilioni", "biliyan", "biliɔn", "bʊkuli", "dubu", "elfu",
    "gakuli", "kotoku", "kuma", "miiliyoona", "milioni", "miliyan", "miliɔn", "mpem", "sâh", "tiriiliyoona",
    "trilioni", "triliyan", "triliɔn", "ŋkrǝ", "ŋkulo", "ɔpepem", "ɔpepepem", "ɔpepepepem", "ɩkotoku", "ට්රි",
    "ට්රිලියන", "දහස", "බිලියන", "මිලියන", "ကုဋေ",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_order_in_lower_case_and_no_units() {
        for words in [&AFTER[..], &BEFORE[..], &MORE[..]] {
            assert!(words.is_sorted_by(|a, b| a < b));
            for word in words {
                assert_eq!(**word, word.to_lowercase().nfc().collect::<String>());
            }
        }
        for unit in
            ["g", "h", "kg", "km", "m", "mi", "miles", "min", "mins", "ml", "mm", "t", "gb", "kr", "ft", "years"]
        {
            assert!(!is_multiple(unit), "{unit}");
        }
    }
}
