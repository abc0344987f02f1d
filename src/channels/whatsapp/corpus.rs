//! Replays the deliveries that the fuzz target starts from, and compares what is read of each with its description.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{BSUID, WA_ID, read_delivery};
use crate::channels::incoming::{IncomingKind, Item, Sender};
use crate::domain::AddressKind;

const NUMBER: &str = "106540352242922";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/webhook")
}

/// Deliveries as other people's clients describe them (pywa, whatsapp-api-js, whatsapp-business,
/// @whatsapp-cloudapi/types, @kapso/whatsapp-cloud-api, hiws): a line each, with what it says.
fn described() -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/app/whatsapp/deliveries.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How what is read of a delivery differs from its description; `None` if it does not.
fn difference(described: &Value) -> Option<String> {
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [
        {"field": described["field"], "value": described["value"]},
    ]}]});
    let items = read_delivery(body.to_string().as_bytes(), NUMBER).unwrap();
    let read: Vec<String> = items.iter().map(|item| shortened(&shown(item))).collect();
    let says: Vec<&str> = described["says"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let is_said = |(read, said): (&String, &&str)| match said.strip_suffix('…') {
        Some(start) => read.starts_with(start),
        None => read == said,
    };
    if read.len() != says.len() || !read.iter().zip(&says).all(is_said) {
        return Some(format!("{read:?}"));
    }
    let found = match items.first() {
        Some(Item::Message(message)) => json!({"payload": message.payload}),
        Some(Item::Progress(progress)) => {
            json!({"pricing": progress.pricing, "class": progress.class.map(|class| format!("{class:?}"))})
        }
        _ => json!({}),
    };
    let mut more = ["payload", "pricing", "class"].into_iter().filter(|key| described.get(*key).is_some());
    more.find(|key| found[key] != described[key]).map(|key| format!("{key}: {}", found[key]))
}

#[test]
fn each_delivery_that_others_describe_is_read_for_what_it_says() {
    let described = described();
    assert!(described.len() > 280, "only {}", described.len());
    let wrong: Vec<String> =
        described.iter().filter_map(|one| difference(one).map(|read| format!("{}: {read}", one["name"]))).collect();
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), described.len(), wrong.join("\n"));
}

fn read(file: &str) -> Vec<String> {
    let raw = std::fs::read(folder().join(file)).unwrap();
    match read_delivery(&raw, NUMBER) {
        Ok(items) => items.iter().map(shown).collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// An item in one line.
pub(super) fn shown(item: &Item) -> String {
    match item {
        Item::Message(message) => {
            let mut line = format!("{} from {}", message.kind.as_str(), person(&message.from));
            for (name, part) in [("text", &message.text), ("option", &message.option), ("to", &message.reply_to)] {
                line.extend(part.iter().flat_map(|part| [" ", name, "=", part.as_str()].map(str::to_owned)));
            }
            if message.kind == IncomingKind::NumberChanged {
                let payload = message.payload.as_ref().unwrap();
                line.push_str(&format!(" new={}/{}", payload["wa_id"], payload["bsuid"]));
            }
            line
        }
        Item::Overheard(message) => format!("overheard {}", shown(&Item::Message(message.clone()))),
        Item::Echo(echo) => {
            let mut line = format!("{} {} to {}", echo.by.as_str(), echo.kind.as_str(), person(&echo.to));
            for (name, part) in [("text", &echo.text), ("of", &echo.reply_to)] {
                line.extend(part.iter().flat_map(|part| [" ", name, "=", part.as_str()].map(str::to_owned)));
            }
            line
        }
        Item::Handover(handover) => {
            format!("{} with {}", if handover.to_us { "we are" } else { "standby is" }, person(&handover.person))
        }
        Item::Progress(progress) => {
            let ids = (progress.provider_id.as_deref(), progress.message_id.map(|_| "ours"));
            let mut line = format!("{:?} of {}/{}", progress.stage, ids.0.unwrap_or("-"), ids.1.unwrap_or("-"));
            line.push_str(&format!(" to {}", person(&progress.recipient)));
            line.extend(progress.code.iter().map(|code| format!(" {code}")));
            line.extend(progress.text.iter().map(|text| format!(" {text}")));
            line
        }
        Item::Preference(preference) => {
            let wish = if preference.wants_marketing { "wanted" } else { "not wanted" };
            format!("marketing {wish} by {}", person(&preference.from))
        }
        Item::Template(news) => format!("template {}/{} {} {:?}", news.name, news.language, news.status, news.reason),
        Item::Templates => "templates are fetched".to_owned(),
        Item::Notice { code, text, .. } => format!("notice {code}: {text}"),
        Item::Unknown { why, .. } => format!("unknown: {why}"),
    }
}

fn person(sender: &Sender) -> String {
    let known =
        |kind| sender.addresses.iter().find(|address| address.kind == kind).map(|address| address.value.as_str());
    assert_eq!(known(AddressKind::PHONE), None, "WhatsApp tells no number but its own");
    let ids = [WA_ID, BSUID].map(|kind| known(kind).unwrap_or("-"));
    let name = sender.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{}{name}", ids.join("/").trim_end_matches("/-"))
}

/// What each file says. `Ana` is 5541988887777, known by her id and her name as well.
const DELIVERIES: &[(&str, &[&str])] = &[
    (
        "account_update.json",
        &["notice DISABLED_UPDATE: account update: DISABLED_UPDATE. The account was disabled or let go on: see \
            Account quality in WhatsApp Manager. While it is disabled the channel pauses at the first refusal, and the \
            queue is kept."],
    ),
    ("batch.json", &["text from Ana text=one", "text from 16505551234/US.9 (Bo) text=two", "text from Ana text=three"]),
    ("button_reply.json", &["tap from Ana text=Check out option=SESSION:buy to=OURS"]),
    ("contacts.json", &["contacts from Ana"]),
    ("document.json", &["document from Ana text=CV"]),
    ("echo_edit.json", &["colleague edit to 5541988887777/BR.OLD text=I found it of=wamid.EARLIER"]),
    ("echo_revoke.json", &["colleague revoke to 5541988887777 of=wamid.EARLIER"]),
    ("echo_text.json", &["colleague text to Ana text=I will look for it"]),
    ("edit.json", &["edit from Ana text=I meant 3 to=wamid.EARLIER"]),
    ("edit_caption.json", &["edit from Ana text=new to=wamid.EARLIER"]),
    ("errors.json", &["notice 130429: error: Rate limit hit: Message failed to send because there were too many"]),
    ("form_reply.json", &["unsupported from Ana to=OURS"]),
    ("group.json", &["unknown: it was written to a group"]),
    ("handover.json", &["we are with 5541988887777"]),
    ("handover_odd.json", &["unknown: a conversation changed hands in a way that is not known"]),
    (
        "id_changed.json",
        &["system from -/BR.OLD text=User Ana changed from US.1 to BR.2 changed from BR.OLD to BR.NEW \
            new=null/\"BR.NEW\""],
    ),
    ("id_changed_previous.json", &["system from -/BR.OLD new=null/\"BR.NEW\""]),
    ("id_update.json", &["system from -/BR.OLD text=User id has been updated. new=\"5541977776666\"/\"BR.NEW\""]),
    ("identity_notice.json", &["system from Ana text=User identity changed"]),
    ("image.json", &["image from Ana text=My receipt"]),
    ("list_reply.json", &["tap from Ana text=I need help option=SESSION:help to=OURS"]),
    ("location.json", &["location from Ana"]),
    ("many_entries.json", &["text from Ana text=1", "Sent of OURS/ours to Ana", "image from Ana"]),
    ("messages_and_statuses.json", &["text from Ana text=both", "Read of OURS/ours to Ana"]),
    ("no_contacts.json", &["text from -/BR.OLD text=Hi"]),
    ("no_id.json", &["unknown: a message has no id"]),
    ("no_sender.json", &["unknown: a message has no sender"]),
    ("no_sender_among_two.json", &["unknown: a message has no sender", "unknown: a message has no sender"]),
    ("no_timestamp.json", &["text from Ana text=Hi"]),
    ("no_type.json", &["unsupported from Ana"]),
    (
        "number_changed.json",
        &["system from 5541988887777 text=User Ana changed from 5541988887777 to 5541977776666 \
            new=\"5541977776666\"/\"BR.NEW\""],
    ),
    (
        "number_quality.json",
        &["notice DOWNGRADE: phone number quality update: DOWNGRADE: display_phone_number: 15550783881, \
            current_limit: TIER_1K. The number's quality, or how many people it may write to first, has changed: see \
            WhatsApp Manager."],
    ),
    ("odd_contact_of_somebody_else.json", &["text from 5541988887777/BR.OLD text=x"]),
    ("odd_cut_off.json", &["not JSON: EOF while parsing a string at line 1 column 150"]),
    ("odd_deep_in_payload.json", &["location from Ana"]),
    ("odd_duplicate_keys.json", &["text from Ana text=last"]),
    ("odd_empty", &["not JSON: EOF while parsing a value at line 1 column 0"]),
    ("odd_empty_entries.json", &[]),
    ("odd_far_future.json", &["text from Ana text=x"]),
    ("odd_html", &["not JSON: expected value at line 1 column 1"]),
    ("odd_id_in_from.json", &["text from -/US.13491208655302741918 text=x"]),
    ("odd_invalid_utf8.json", &["text from Ana text=cut �"]),
    ("odd_list.json", &["unknown: it is not about a WhatsApp Business account"]),
    ("odd_lone_surrogate.json", &["text from Ana text=cut �"]),
    (
        "odd_no_value.json",
        &["unknown: a change has no value", "unknown: there are no messages, statuses or errors in it"],
    ),
    ("odd_nul.json", &["text from Ana text=a\0b"]),
    (
        "odd_null_everywhere.json",
        &[
            "unknown: a message has no id",
            "unknown: a message has no id",
            "unknown: a message of ours has a status that is not known",
            "unknown: an error is none",
        ],
    ),
    ("odd_numbers_for_strings.json", &["text from 5541988887777 (7) text=12"]),
    ("odd_other_object.json", &["unknown: it is not about a WhatsApp Business account"]),
    ("odd_raw_utf8.json", &["text from Ana text=größe 👍"]),
    ("odd_string.json", &["unknown: it is not about a WhatsApp Business account"]),
    ("odd_text_is_list.json", &["unsupported from Ana"]),
    ("odd_too_deep.json", &["not JSON: recursion limit exceeded at line 1 column 128"]),
    (
        "odd_wrong_shapes.json",
        &[
            "unknown: an entry has no changes",
            "unknown: an entry has no changes",
            "unknown: a change has no value",
            "unknown: a change has no value",
            "unknown: what should be a list is none",
        ],
    ),
    ("order.json", &["order from Ana text=please"]),
    ("other_number.json", &["unknown: it is for another number of the account"]),
    ("preferences.json", &["marketing not wanted by 16505551234"]),
    ("reaction.json", &["reaction from Ana text=👍 to=OURS"]),
    ("reaction_removed.json", &["reaction from Ana to=OURS"]),
    ("revoke.json", &["revoke from Ana to=wamid.EARLIER"]),
    ("sender_in_contacts_only.json", &["text from Ana text=Hi"]),
    (
        "standby.json",
        &[
            "overheard text from Ana text=Where is it?",
            "standby text to Ana text=On its way",
            "Delivered of wamid.HBgMSTANDBY0002/- to Ana",
        ],
    ),
    ("status_bare.json", &["Read of -/ours to -"]),
    ("status_delivered.json", &["Delivered of OURS/ours to Ana"]),
    (
        "status_failed.json",
        &["Failed of OURS/ours to 5541988887777 131047 Re-engagement message: More than 24 hours have passed"],
    ),
    ("status_foreign_data.json", &["Sent of OURS/- to Ana"]),
    ("status_of_nothing.json", &["unknown: a status does not say of which message"]),
    ("status_of_tomorrow.json", &["unknown: a message of ours has a status that is not known"]),
    ("status_played.json", &["Played of OURS/ours to Ana"]),
    ("status_read.json", &["Read of OURS/ours to Ana"]),
    ("status_sent.json", &["Sent of OURS/ours to Ana"]),
    ("sticker.json", &["sticker from Ana"]),
    ("template_button.json", &["tap from Ana text=Yes option=SESSION:yes"]),
    ("template_button_context.json", &["tap from Ana text=Yes option=SESSION:yes to=OURS"]),
    ("template_paused.json", &["template abandoned_cart/en PAUSED Some(\"Your message template has been paused\")"]),
    ("template_rejected.json", &["template abandoned_cart/pt_BR REJECTED Some(\"ABUSIVE_CONTENT\")"]),
    ("template_unnamed.json", &["unknown: a template's status has changed, and it does not say which"]),
    ("text.json", &["text from Ana text=Olá, quero 2 👍"]),
    ("text_ad_referral.json", &["text from Ana text=Hi"]),
    ("text_product.json", &["text from Ana text=Is it there? to=wamid.X"]),
    ("text_reply.json", &["text from Ana text=this one to=OURS"]),
    ("type_of_tomorrow.json", &["unsupported from Ana"]),
    ("unsupported.json", &["unsupported from Ana"]),
    ("username_user.json", &["text from -/BR.OLD (Bo) text=Hi from a username"]),
    ("video.json", &["video from Ana"]),
    ("voice.json", &["audio from Ana"]),
];

#[test]
fn each_delivery_is_read_for_what_it_says() {
    for (file, expected) in DELIVERIES {
        let read: Vec<String> = read(file).iter().map(|line| shortened(line)).collect();
        assert_eq!(read, *expected, "{file}");
    }
}

#[test]
fn no_file_of_the_corpus_is_left_out() {
    let names = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // What a run of the fuzzer leaves is named by its SHA-1, and says nothing for certain.
    let is_hash = |name: &String| name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (found, named): (BTreeSet<String>, BTreeSet<String>) = names.partition(is_hash);
    assert_eq!(named, DELIVERIES.iter().map(|(file, _)| (*file).to_owned()).collect());
    for file in found {
        read(&file);
    }
}

#[test]
fn a_delivery_that_is_cut_off_anywhere_is_no_json() {
    let raw = std::fs::read(folder().join("batch.json")).unwrap();
    for end in 0..raw.len() {
        assert!(read_delivery(&raw[..end], NUMBER).is_err(), "the first {end} bytes");
    }
    assert_eq!(read_delivery(&raw, NUMBER).map(|items| items.len()), Ok(3));
}

fn shortened(line: &str) -> String {
    [
        ("5541988887777/BR.13491208655302741918 (Ana Souza)", "Ana"),
        ("BR.13491208655302741918", "BR.OLD"),
        ("BR.24817305912873645029", "BR.NEW"),
        ("01936b1e-7c6a-7000-8000-0000000000aa", "SESSION"),
        ("wamid.HBgMOURS0001", "OURS"),
    ]
    .iter()
    .fold(line.to_owned(), |line, (long, short)| line.replace(long, short))
}
