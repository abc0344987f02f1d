//! The words by which a person says that nobody shall write any more, or that somebody may again, and what is answered.

use std::collections::{HashMap, HashSet};
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

/// The words that opt in again unless the operator names others, by language. They are heard only from who has opted
/// out; from anybody else they are words like all others.
pub const OPT_IN_WORDS: &[(&str, &[&str])] = &[
    ("en", &["start", "unstop", "subscribe", "resubscribe", "opt in", "opt-in", "optin"]),
    ("ar", &["ابدأ", "اشتراك"]),
    ("de", &["anmelden", "wieder anmelden", "abonnieren"]),
    ("es", &["alta", "darme de alta", "suscribirme", "suscribir"]),
    ("fr", &["commencer", "reprendre", "s'abonner", "m'abonner", "abonner"]),
    ("he", &["הצטרף", "הצטרפות"]),
    ("hi", &["शुरू", "शुरू करें"]),
    ("id", &["mulai", "berlangganan"]),
    ("it", &["iscrivimi", "iscriviti", "riprendi"]),
    ("ja", &["配信再開", "開始"]),
    ("ko", &["수신동의", "수신 동의"]),
    ("nl", &["aanmelden", "inschrijven"]),
    ("pl", &["zapisz", "zapisz mnie", "wznów"]),
    ("pt", &["começar", "comecar", "voltar", "cadastrar", "inscrever"]),
    ("ru", &["старт", "подписаться", "подписка"]),
    ("sv", &["starta", "börja", "prenumerera"]),
    ("tr", &["başla", "abone ol"]),
    ("uk", &["почати", "підписатися"]),
    ("zh", &["订阅", "訂閱", "开始", "開始"]),
];

/// What is answered to who opts out, by language; `{}` stands for the word that undoes it.
const OPTED_OUT: &[(&str, &str)] = &[
    ("en", "You will not get any more messages from us. Reply {} to get them again."),
    ("ar", "لن تصلك أي رسائل أخرى منا. أرسل {} لتلقيها من جديد."),
    ("de", "Sie erhalten keine weiteren Nachrichten von uns. Antworten Sie mit {}, um sie wieder zu erhalten."),
    ("es", "No recibirás más mensajes nuestros. Responde {} para volver a recibirlos."),
    ("fr", "Vous ne recevrez plus de messages de notre part. Répondez {} pour en recevoir à nouveau."),
    ("he", "לא יישלחו אליך הודעות נוספות מאיתנו. כדי לקבל אותן שוב, יש להשיב {}."),
    ("hi", "अब आपको हमारी ओर से कोई संदेश नहीं मिलेगा। फिर से पाने के लिए {} लिखकर भेजें।"),
    ("id", "Anda tidak akan menerima pesan lagi dari kami. Balas {} untuk menerimanya kembali."),
    ("it", "Non riceverai più messaggi da noi. Rispondi {} per riceverli di nuovo."),
    ("ja", "今後、メッセージは送信されません。再開するには {} と返信してください。"),
    ("ko", "더 이상 메시지를 보내지 않습니다. 다시 받으려면 {} 라고 답장해 주세요."),
    ("nl", "Je ontvangt geen berichten meer van ons. Antwoord {} om ze weer te ontvangen."),
    ("pl", "Nie otrzymasz od nas więcej wiadomości. Odpisz {}, aby znów je otrzymywać."),
    ("pt", "Você não receberá mais mensagens nossas. Responda {} para voltar a receber."),
    ("ru", "Вы больше не будете получать от нас сообщения. Ответьте {}, чтобы получать их снова."),
    ("sv", "Du får inga fler meddelanden från oss. Svara {} för att få dem igen."),
    ("tr", "Bizden artık mesaj almayacaksınız. Yeniden almak için {} yanıtını gönderin."),
    ("uk", "Ви більше не отримуватимете від нас повідомлень. Надішліть {}, щоб отримувати їх знову."),
    ("zh", "您将不再收到我们的消息。回复 {} 即可重新接收。"),
];

/// What is answered to who opts in again; `{}` stands for the word that undoes it.
const OPTED_IN: &[(&str, &str)] = &[
    ("en", "You will get our messages again. Reply {} to get no more."),
    ("ar", "ستصلك رسائلنا من جديد. أرسل {} لإيقافها."),
    ("de", "Sie erhalten wieder Nachrichten von uns. Antworten Sie mit {}, um keine mehr zu erhalten."),
    ("es", "Volverás a recibir nuestros mensajes. Responde {} para dejar de recibirlos."),
    ("fr", "Vous recevrez à nouveau nos messages. Répondez {} pour ne plus en recevoir."),
    ("he", "ההודעות שלנו יישלחו אליך שוב. כדי להפסיק, יש להשיב {}."),
    ("hi", "अब आपको हमारे संदेश फिर से मिलेंगे। बंद करने के लिए {} लिखकर भेजें।"),
    ("id", "Anda akan menerima pesan kami lagi. Balas {} untuk berhenti."),
    ("it", "Riceverai di nuovo i nostri messaggi. Rispondi {} per non riceverne più."),
    ("ja", "メッセージの送信を再開します。停止するには {} と返信してください。"),
    ("ko", "메시지를 다시 보내 드립니다. 중단하려면 {} 라고 답장해 주세요."),
    ("nl", "Je ontvangt weer berichten van ons. Antwoord {} om ze niet meer te ontvangen."),
    ("pl", "Znów będziesz otrzymywać nasze wiadomości. Odpisz {}, aby z nich zrezygnować."),
    ("pt", "Você voltará a receber nossas mensagens. Responda {} para não receber mais."),
    ("ru", "Вы снова будете получать наши сообщения. Ответьте {}, чтобы больше их не получать."),
    ("sv", "Du får våra meddelanden igen. Svara {} för att inte få fler."),
    ("tr", "Mesajlarımızı yeniden alacaksınız. Durdurmak için {} yanıtını gönderin."),
    ("uk", "Ви знову отримуватимете наші повідомлення. Надішліть {}, щоб більше їх не отримувати."),
    ("zh", "您将重新收到我们的消息。回复 {} 即可停止接收。"),
];

/// What a word of [`ConsentWords`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To get no more messages.
    OptOut,
    /// To get them again.
    OptIn,
}

/// The words that are heard: the built-in ones, or the operator's.
#[derive(Debug, Clone)]
pub struct ConsentWords {
    opt_out: Words,
    opt_in: Words,
}

/// Words in their normal form, each with its language if it has one.
#[derive(Debug, Clone)]
struct Words {
    languages: HashMap<String, Option<String>>,
    /// How the first of them is written, for whoever is told of it.
    first: String,
}

impl ConsentWords {
    /// The words of an operator, each perhaps with its language before it (`de:stopp`). An empty list stands for the
    /// built-in words.
    pub fn new(opt_out: &[String], opt_in: &[String]) -> Self {
        Self { opt_out: Words::of(opt_out, OPT_OUT_WORDS), opt_in: Words::of(opt_in, OPT_IN_WORDS) }
    }

    /// Whether a typed message says this and nothing else, and then in which language, if the word tells.
    pub fn find(&self, wish: Wish, text: &str) -> Option<Option<&str>> {
        let normal = normalize_reply(text);
        // Emoji around the word say nothing against it.
        let bare = normal.trim_matches(|c: char| !c.is_alphanumeric());
        let words = &self.of(wish).languages;
        words.get(&normal).or_else(|| words.get(bare)).map(Option::as_deref)
    }

    /// What is answered, in the first of these languages (BCP 47) that there is a text in; else in English.
    pub fn confirmation(&self, wish: Wish, languages: [Option<&str>; 2]) -> String {
        let (texts, undo) = match wish {
            Wish::OptOut => (OPTED_OUT, Wish::OptIn),
            Wish::OptIn => (OPTED_IN, Wish::OptOut),
        };
        let in_language = |language: &str| {
            let primary = language.split(['-', '_']).next().unwrap_or_default();
            texts.iter().find(|(known, _)| known.eq_ignore_ascii_case(primary))
        };
        let (_, text) = languages.into_iter().flatten().find_map(in_language).unwrap_or(&texts[0]);
        text.replace("{}", &self.of(undo).first)
    }

    fn of(&self, wish: Wish) -> &Words {
        match wish {
            Wish::OptOut => &self.opt_out,
            Wish::OptIn => &self.opt_in,
        }
    }
}

impl Words {
    fn of(own: &[String], built_in: &[(&str, &[&str])]) -> Self {
        let own: Vec<(Option<&str>, &str)> = own.iter().map(|entry| split_language(entry)).collect();
        let built_in =
            || built_in.iter().flat_map(|(language, words)| words.iter().map(|word| (Some(*language), *word)));
        let all: Vec<(Option<&str>, &str)> = if own.is_empty() { built_in().collect() } else { own };
        let mut languages = HashMap::with_capacity(all.len());
        for (language, word) in &all {
            // A word of several languages tells the first of them.
            languages.entry(normalize_reply(word)).or_insert_with(|| language.map(str::to_owned));
        }
        languages.remove("");
        let first = all.first().map(|(_, word)| word.trim().to_uppercase()).unwrap_or_default();
        Self { languages, first }
    }
}

/// The parts of `de:stopp`; a word without a language is all of it.
fn split_language(entry: &str) -> (Option<&str>, &str) {
    match entry.split_once(':') {
        Some((language, word)) if is_language(language.trim()) => (Some(language.trim()), word),
        _ => (None, entry),
    }
}

fn is_language(text: &str) -> bool {
    let primary = text.split('-').next().unwrap_or_default();
    (2..=3).contains(&primary.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
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
    fn the_built_in_words_tell_their_language() {
        let words = ConsentWords::new(&[], &[]);
        for (text, language) in [("Stop.", "en"), ("STOPP", "de"), ("退订", "zh")] {
            assert_eq!(words.find(Wish::OptOut, text), Some(Some(language)), "{text}");
        }
        assert_eq!(words.find(Wish::OptIn, "Start!"), Some(Some("en")));
        for text in ["stop it", "start", ""] {
            assert_eq!(words.find(Wish::OptOut, text), None, "{text}");
        }
        let confirmation = words.confirmation(Wish::OptOut, [Some("pt-BR"), Some("en")]);
        assert!(confirmation.starts_with("Você") && confirmation.contains("START"), "{confirmation}");
        let confirmation = words.confirmation(Wish::OptIn, [None, Some("DE")]);
        assert!(confirmation.starts_with("Sie") && confirmation.contains("STOP"), "{confirmation}");
        let confirmation = words.confirmation(Wish::OptIn, [Some("eo"), Some("x")]);
        assert!(confirmation.starts_with("You will get our messages again"), "{confirmation}");
    }

    #[test]
    fn the_operators_words_stand_instead_of_the_built_in_ones() {
        let own = ["de:Genug".to_owned(), "basta: ya".to_owned(), " fin ".to_owned(), ":".to_owned()];
        let words = ConsentWords::new(&own, &["wieder".to_owned()]);
        assert_eq!(words.find(Wish::OptOut, "genug!"), Some(Some("de")));
        assert_eq!(words.find(Wish::OptOut, "basta: ya"), Some(None));
        assert_eq!(words.find(Wish::OptOut, "FIN"), Some(None));
        assert_eq!(words.find(Wish::OptOut, "🙏 Fin 🙏🏽"), Some(None));
        assert_eq!(words.find(Wish::OptOut, "🙏"), None);
        assert_eq!(words.find(Wish::OptOut, "stop"), None);
        assert_eq!(words.find(Wish::OptOut, ""), None, "a word of nothing is not a word");
        assert!(words.confirmation(Wish::OptOut, [Some("de"), None]).contains("WIEDER"));
    }

    #[test]
    fn every_language_has_its_words_and_texts() {
        let languages = |of: &[(&'static str, &'static str)]| of.iter().map(|(code, _)| *code).collect::<Vec<_>>();
        let of_words: Vec<&str> = OPT_OUT_WORDS.iter().map(|(code, _)| *code).collect();
        assert_eq!(languages(OPTED_OUT), of_words);
        assert_eq!(languages(OPTED_IN), of_words);
        assert_eq!(OPT_IN_WORDS.iter().map(|(code, _)| *code).collect::<Vec<_>>(), of_words);
        assert!(OPTED_OUT.iter().chain(OPTED_IN).all(|(_, text)| text.matches("{}").count() == 1));
        let words = ConsentWords::new(&[], &[]);
        let both = |word: &&&str| words.find(Wish::OptOut, word).is_some() && words.find(Wish::OptIn, word).is_some();
        let all = OPT_OUT_WORDS.iter().flat_map(|(_, words)| words.iter());
        assert_eq!(all.filter(both).collect::<Vec<_>>(), Vec::<&&str>::new());
    }

    #[test]
    fn each_word_is_named_once() {
        let mut seen = HashSet::new();
        for (language, words) in OPT_OUT_WORDS.iter().chain(OPT_IN_WORDS) {
            for word in *words {
                let normal = normalize_reply(word);
                assert!(!normal.is_empty() && seen.insert((language, normal)), "{language} {word}");
            }
        }
    }
}
