//! The words by which a person says that nobody shall write any more.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::text::normalize_reply;

/// The words that opt out unless the operator names others, by language (BCP 47). A typed message counts if all of it
/// is such a word.
///
/// Left out is what people also answer to a question, such as `cancel`, `end` and `quit`, though operators of short
/// messages count these: whoever cancels an order must not vanish from the list.
pub const OPT_OUT_WORDS: &[(&str, &[&str])] = &[
    ("en", &["stop", "stop all", "stopall", "unsubscribe", "opt out", "opt-out", "optout"]),
    ("ar", &["توقف", "إيقاف", "ايقاف", "إلغاء الاشتراك", "الغاء الاشتراك"]),
    ("de", &["stopp", "abmelden", "abbestellen", "austragen"]),
    ("es", &["alto", "baja", "dar de baja", "darme de baja", "cancelar suscripción", "cancelar suscripcion"]),
    ("fr", &["arrêt", "arret", "arrêter", "arreter", "désabonner", "desabonner", "se désabonner", "me désabonner"]),
    ("he", &["הסר", "הסירו אותי"]),
    ("hi", &["रोकें", "सदस्यता समाप्त"]),
    ("id", &["berhenti", "berhenti berlangganan"]),
    ("it", &["disiscrivimi", "disiscriviti", "cancella iscrizione", "annulla iscrizione"]),
    ("ja", &["配信停止", "停止"]),
    ("ko", &["수신거부", "수신 거부"]),
    ("nl", &["afmelden", "uitschrijven"]),
    ("pl", &["wypisz", "wypisz mnie", "rezygnuję"]),
    ("pt", &["parar", "pare", "sair", "descadastrar", "cancelar inscrição", "cancelar inscricao"]),
    ("ru", &["стоп", "отписаться", "отписка"]),
    ("sv", &["stoppa", "avregistrera", "avsluta prenumeration"]),
    ("tr", &["durdur", "abonelikten çık"]),
    ("uk", &["відписатися"]),
    ("zh", &["退订", "退訂", "取消订阅", "取消訂閱"]),
];

/// Whether a text, however it is cased and whatever stands around it, is one of [`OPT_OUT_WORDS`].
pub fn is_opt_out_word(text: &str) -> bool {
    static NORMAL: LazyLock<HashSet<String>> = LazyLock::new(|| {
        OPT_OUT_WORDS.iter().flat_map(|(_, words)| words.iter()).map(|word| normalize_reply(word)).collect()
    });
    NORMAL.contains(&normalize_reply(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_is_the_word() {
        for word in ["STOP", " stop! ", "Ｓｔｏｐ", "Opt-Out.", "Désabonner", "СТОП", "退订"] {
            assert!(is_opt_out_word(word), "{word}");
        }
        for word in ["", "stop it", "please stop", "non-stop", "cancel", "no"] {
            assert!(!is_opt_out_word(word), "{word}");
        }
    }

    #[test]
    fn each_word_is_named_once() {
        let mut seen = HashSet::new();
        for (language, words) in OPT_OUT_WORDS {
            for word in *words {
                let normal = normalize_reply(word);
                assert!(!normal.is_empty() && seen.insert((language, normal)), "{language} {word}");
            }
        }
    }
}
