//! What the columns of a file have, by the names that spreadsheets and other programs give them in many languages.

use std::collections::HashMap;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::{LINE, REASON};
use crate::domain::unseen::is_unseen;
use crate::error::{Error, Result};

/// What a column has of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Phone,
    Name,
    /// A part of the name, which is a key of the metadata, too: people are greeted by it.
    GivenName(String),
    FamilyName(String),
    Email,
    Language,
    Tags,
    OptedIn,
    OptedOut,
    /// A key of the metadata.
    Metadata(String),
    /// Nothing that is taken.
    LeftOut,
    /// A column without a name, whose content is unknown.
    Unnamed,
}

impl Field {
    /// The field of a name, if it is one of those that are not metadata by default.
    fn of(name: &str) -> Option<Self> {
        let name = name.trim();
        let plain = name.to_lowercase().replace([' ', '-'], "_");
        // A column with a name of consent must not become metadata, where consent would have no effect.
        Some(match plain.as_str() {
            "phone" => Self::Phone,
            "name" => Self::Name,
            "email" | "e_mail" => Self::Email,
            "language" | "locale" => Self::Language,
            "tags" => Self::Tags,
            "opted_in" | "opted_in_at" | "opt_in" | "optin" => Self::OptedIn,
            "opted_out" | "opted_out_at" | "opt_out" | "optout" | "unsubscribed" | "unsubscribed_at" => Self::OptedOut,
            LINE | REASON => Self::LeftOut,
            "" => Self::Unnamed,
            _ if plain.starts_with("metadata.") && name.len() > "metadata.".len() => {
                Self::Metadata(name["metadata.".len()..].to_owned())
            }
            _ => return None,
        })
    }

    /// Its key in the metadata, if it has one.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Metadata(key) | Self::GivenName(key) | Self::FamilyName(key) => Some(key),
            _ => None,
        }
    }

    /// The field that `--column` names for a column.
    fn told(field: &str, column: &str) -> Result<Self> {
        match field.trim() {
            "-" => Ok(Self::LeftOut),
            "first_name" => Ok(Self::GivenName(column.to_owned())),
            "last_name" => Ok(Self::FamilyName(column.to_owned())),
            field => Self::of(field).filter(|field| *field != Self::Unnamed).ok_or_else(|| {
                Error::invalid(format!(
                    "`{field}` is nothing that a column can be: phone, name, first_name, last_name, email, language, \
                    tags, opted_in_at, opted_out_at, metadata.… or - are"
                ))
            }),
        }
    }
}

/// What a column of another program is likely to have. Of several that have one thing the first kind goes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Numbers for this very purpose.
    WhatsApp,
    Mobile,
    Telephone,
    WholeName,
    GivenName,
    FamilyName,
    /// The name as a whole, unless a column has the family's.
    WholeOrGiven,
    /// The name as a whole, unless a column has the given one.
    WholeOrFamily,
    Email,
    Language,
    Tags,
    OptedIn,
    OptedOut,
}

/// Names of columns; they are compared as [`plain`] gives them.
const KNOWN: [(Kind, &str); 13] = [
    (
        Kind::WhatsApp,
        "whatsapp phone_whatsapp whatsapp_number whatsapp_no whatsapp_phone whatsapp_phone_number whatsapp_nummer \
         whatsappnummer numero_de_whatsapp numero_whatsapp wa_number wa_id no_wa nomor_wa \
         nomor_whatsapp номер_whatsapp",
    ),
    (
        Kind::Mobile,
        "mobile mobile_phone mobile_number mobile_no mobile_phone_number mobile_tel cell cell_phone \
         cellphone cell_number cell_phone_number gsm person_phone_mobile phone_mobile mobil \
         mobiltelefon mobilnummer mobilfunk mobilfunknummer handy handynummer natel telefon_mobil \
         telefon_(mobil) mobiel mobiel_nummer mobielnummer mobiele_telefoon movil telefono_movil \
         numero_movil numero_de_movil celular telefono_celular numero_celular numero_de_celular \
         telemovel telefone_celular portable telephone_portable tel_portable telephone_mobile \
         numero_de_portable cellulare telefono_cellulare numero_di_cellulare mobilnr matkapuhelin \
         komorka telefon_komorkowy mobilni_telefon mobilny_telefon mobiltelefonszam numar_de_mobil \
         cep cep_telefonu cep_telefon cep_no мобильный мобильный_телефон мобильный_номер \
         мобільний_телефон мобилен_телефон κινητο κινητο_τηλεφωνο 携帯 携帯電話 携帯番号 携帯電話番号 手机 手机号 手机号码 \
         手机号碼 移动电话 手機 手機號碼 行動電話 휴대폰 휴대폰번호 휴대폰_번호 휴대전화 핸드폰 핸드폰번호 جوال الجوال رقم_الجوال رقم_الموبايل \
         الموبايل نייד נייד טלפון_נייד מספר_נייד มือถือ เบอร์มือถือ no_hp nomor_hp nohp hp di_dong \
         so_di_dong",
    ),
    (
        Kind::Telephone,
        "phone_number phonenumber phone_no phone_1_value telephone telephone_number tel tel_no \
         contact_number contact_no customer_phone billing_phone default_address_phone msisdn \
         person_phone phone_work person_phone_work sms telefon telefonnummer telefonnr rufnummer \
         telefoon telefoonnummer telefono numero_de_telefono numero_telefono numero_di_telefono \
         telefone numero_de_telefone numero_de_telephone numero_telephone puhelin puhelinnumero \
         telefonszam telefon_szam numar_de_telefon numar_telefon telefonni_cislo telefonne_cislo \
         numer_telefonu nr_telefonu broj_telefona telefonska_stevilka telefona_numurs \
         telefono_numeris telefoninumber telefon_numarasi telefon_no номер_телефона телефон номер \
         телефоны номер_телефону телефонен_номер број_телефона τηλεφωνο αριθμος_τηλεφωνου 電話 電話番号 电话 \
         电话号码 聯絡電話 联系电话 電話號碼 전화 전화번호 연락처 هاتف الهاتف رقم_الهاتف טלפון מספר_טלפון โทรศัพท์ เบอร์โทร \
         เบอร์โทรศัพท์ หมายเลขโทรศัพท์ telepon nomor_telepon no_telepon dien_thoai so_dien_thoai sdt \
         फ़ोन फ़ोन_नंबर",
    ),
    (
        Kind::WholeName,
        "full_name fullname display_name contact_name customer_name client_name person_name \
         vollstandiger_name kundenname volledige_naam nombre_completo nombre_y_apellidos \
         nombre_y_apellido nome_completo nom_complet nom_et_prenom nome_e_cognome navn fulde_navn \
         fullt_navn namn fullstandigt_namn nimi nev teljes_nev imie_i_nazwisko cele_jmeno \
         nume_complet ad_soyad adi_soyadi фио полное_имя имя_и_фамилия имя_фамилия піб ονοματεπωνυμο \
         氏名 名前 お名前 姓名 이름 성명 성함 الاسم اسم الاسم_الكامل שם שם_מלא ชื่อ ชื่อนามสกุล ชื่อ_นามสกุล nama \
         nama_lengkap ho_ten ho_va_ten नाम",
    ),
    (
        Kind::GivenName,
        "first_name firstname given_name givenname forename fname billing_first_name vorname rufname \
         voornaam prenom nombre_de_pila primer_nombre nombres primeiro_nome fornavn fornamn etunimi \
         eesnimi keresztnev utonev prenume krestni_jmeno имя_контакта name_(first) שם_פרטי \
         الاسم_الأول الاسم_الاول 名 first ad adi isim",
    ),
    (
        Kind::FamilyName,
        "last_name lastname surname family_name familyname lname billing_last_name nachname \
         familienname zuname achternaam nom_de_famille apellido apellidos cognome sobrenome apelido \
         efternavn etternavn efternamn sukunimi perekonnanimi vezeteknev csaladnev nume_de_familie \
         nazwisko prijmeni priezvisko prezime priimek uzvards pavarde soyad soyadi soyisim фамилия \
         прізвище презиме επωνυμο 姓 שם_משפחה اسم_العائلة last",
    ),
    (Kind::WholeOrGiven, "nombre nome имя імя ім_я име imie jmeno meno ime vards vardas ονομα"),
    (Kind::WholeOrFamily, "nom naam nume"),
    (
        Kind::Email,
        "email_address emailaddress e_mail_address mail mail_address email_1 e_mail_1_value \
         billing_email customer_email person_email person_email_work email_work emailadresse \
         email_adresse e_mail_adresse mailadresse e_mailadres emailadres correo correo_electronico \
         courriel adresse_e_mail adresse_email adresse_mail indirizzo_e_mail indirizzo_email \
         posta_elettronica endereco_de_e_mail endereco_de_email e_post epost e_postadress e_posta \
         eposta sahkoposti adres_e_mail adres_email e_mail_cim email_cim emailova_adresa \
         adresa_de_e_mail почта эл_почта электронная_почта электронная_почта_(email) \
         адрес_электронной_почты имейл емейл e_mail_адрес електронна_пошта пошта \
         ηλεκτρονικο_ταχυδρομειο メール メールアドレス 邮箱 电子邮箱 电子邮件 電子郵件 電郵 이메일 이메일_주소 البريد_الالكتروني \
         البريد_الإلكتروني אימייל דואל דוא״ל อีเมล",
    ),
    (Kind::Language, "language_code preferred_locale lang"),
    (
        Kind::Tags,
        "tag labels group_membership schlagworte schlagworter etiquetas etiquette etiquettes \
         etichette etykiety stitky cimkek etichete etiketter etiketler тег теги тэги метки мітки タグ \
         标签 標籤 태그 الوسوم תגיות",
    ),
    (Kind::OptedIn, "whatsapp_opt_in whatsapp_optin opt_in_whatsapp whatsapp_consent wa_opt_in opted_in_on"),
    (
        Kind::OptedOut,
        "unsubscribe unsubscribed_on opted_out_on whatsapp_opt_out whatsapp_optout wa_opt_out \
         do_not_contact abgemeldet abgemeldet_am",
    ),
];

impl Kind {
    fn of(name: &str) -> Option<Self> {
        static KINDS: LazyLock<HashMap<String, Kind>> = LazyLock::new(|| {
            KNOWN.iter().flat_map(|(kind, names)| names.split_whitespace().map(|name| (plain(name), *kind))).collect()
        });
        KINDS.get(&plain(name)).copied()
    }
}

/// A column's name without what varies in it: capitals, accents, invisible marks, what stands between words.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for c in name.trim().nfd().filter(|c| !is_combining_mark(*c) && !is_unseen(*c) && !matches!(c, '’' | '\'' | 'ʼ'))
    {
        let c = match c {
            'ł' | 'Ł' => 'l',
            'ø' | 'Ø' => 'o',
            'đ' | 'Đ' => 'd',
            'ı' => 'i',
            _ => c,
        };
        if c.is_alphanumeric() {
            plain.extend(c.to_lowercase().filter(|c| !is_combining_mark(*c)));
        } else if !plain.is_empty() && !plain.ends_with('_') {
            plain.push('_');
        }
    }
    plain.trim_end_matches('_').nfc().collect()
}

/// The columns of a file.
#[derive(Debug)]
pub(super) struct Columns {
    /// What they have, in their order.
    pub(super) fields: Vec<Field>,
    /// Notes on the columns that were not named plainly.
    pub(super) notes: Vec<String>,
}

/// How many columns of a row are known by their names, if one of them is the phone: else it names no columns.
pub(super) fn known(row: &[String], told: &[(String, String)]) -> Option<usize> {
    let is_phone = |name: &String| match told.iter().find(|(column, _)| column.trim() == name) {
        Some((_, field)) => Field::told(field, name).ok().map(|field| field == Field::Phone),
        None => match Field::of(name) {
            Some(Field::Unnamed) => None,
            Some(field) => Some(field == Field::Phone),
            None => Kind::of(name).map(|kind| kind <= Kind::Telephone),
        },
    };
    let found: Vec<bool> = row.iter().filter_map(is_phone).collect();
    found.contains(&true).then_some(found.len())
}

/// What the columns of a header have.
pub(super) fn read(header: &[String], told: &[(String, String)]) -> Result<Columns> {
    let listed = || header.iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>().join(", ");
    for (column, _) in told {
        if !header.iter().any(|name| name == column.trim()) {
            return Err(Error::invalid(format!("There is no column `{column}`: the file has {}", listed())));
        }
    }
    let mut fields: Vec<Option<Field>> = Vec::with_capacity(header.len());
    for name in header {
        let field = match told.iter().find(|(column, _)| column.trim() == name) {
            Some((_, field)) => Some(Field::told(field, name)?),
            None => Field::of(name),
        };
        let may_repeat =
            matches!(field, None | Some(Field::LeftOut | Field::Unnamed | Field::OptedIn | Field::OptedOut));
        if !may_repeat && fields.contains(&field) {
            return Err(twice(name));
        }
        fields.push(field);
    }
    let notes = guess(header, &mut fields)?;
    let mut read = Vec::with_capacity(fields.len());
    for (name, field) in header.iter().zip(fields) {
        let field = field.unwrap_or_else(|| Field::Metadata(name.clone()));
        if field.key().is_some_and(|key| read.iter().any(|other: &Field| other.key() == Some(key))) {
            return Err(twice(name));
        }
        read.push(field);
    }
    if !read.contains(&Field::Phone) {
        let hint = if header.iter().any(|name| looks_like_a_number(name)) {
            "Its first row looks like a person: put a row with the names of the columns above it"
        } else {
            "Say which with --map 'COLUMN=phone', or how they are separated with --delimiter"
        };
        return Err(Error::invalid(format!("No column is the phone: the file has {}. {hint}", listed())));
    }
    Ok(Columns { fields: read, notes })
}

fn twice(name: &str) -> Error {
    Error::invalid(format!(
        "Two columns are the same, the second of them `{name}`: leave one out with --map '{name}=-'"
    ))
}

fn looks_like_a_number(name: &str) -> bool {
    name.chars().filter(char::is_ascii_digit).count() >= 7 && !name.contains(char::is_alphabetic)
}

/// Finds fields that no column names plainly, and returns notes on the columns that were taken for them.
fn guess(header: &[String], fields: &mut [Option<Field>]) -> Result<Vec<String>> {
    let kinds: Vec<Option<Kind>> = header
        .iter()
        .zip(fields.iter())
        .map(|(name, field)| field.is_none().then(|| Kind::of(name)).flatten())
        .collect();
    let with = |kind: Kind| kinds.iter().enumerate().filter(move |(_, one)| **one == Some(kind)).map(|(at, _)| at);
    let mut taken: Vec<(usize, &str)> = Vec::new();
    let has = |fields: &[Option<Field>], field: &Field| fields.iter().flatten().any(|one| one == field);

    if !has(fields, &Field::Phone)
        && let Some(kind) =
            [Kind::WhatsApp, Kind::Mobile, Kind::Telephone].into_iter().find(|kind| with(*kind).next().is_some())
    {
        let found: Vec<usize> = with(kind).collect();
        if let [first, second, ..] = found[..] {
            return Err(Error::invalid(format!(
                "Two columns could be the phone, `{}` and `{}`: say which with --map '{}=phone'",
                header[first], header[second], header[first]
            )));
        }
        fields[found[0]] = Some(Field::Phone);
        taken.push((found[0], "the phone"));
    }
    let is_given = |fields: &[Option<Field>]| fields.iter().flatten().any(|field| matches!(field, Field::GivenName(_)));
    let is_family =
        |fields: &[Option<Field>]| fields.iter().flatten().any(|field| matches!(field, Field::FamilyName(_)));
    let mut set = |fields: &mut [Option<Field>], at: usize, field: Field, what: &'static str| {
        fields[at] = Some(field);
        taken.push((at, what));
    };
    let named = header.iter().position(|name| plain(name) == "name").filter(|at| fields[*at] == Some(Field::Name));
    let german = header.iter().position(|name| matches!(plain(name).as_str(), "vorname" | "voornaam" | "prenom"));
    if let (Some(name), Some(given)) = (named, german)
        && fields[given].is_none()
        && with(Kind::FamilyName).next().is_none()
    {
        // Beside a column of given names it is the family's.
        set(fields, name, Field::FamilyName(header[name].clone()), "the last name");
    }
    if !has(fields, &Field::Name) {
        if let Some(whole) = with(Kind::WholeName).next() {
            set(fields, whole, Field::Name, "the name");
        } else {
            let (given, family) = (with(Kind::GivenName).next(), with(Kind::FamilyName).next());
            let (either, or) = (with(Kind::WholeOrGiven).next(), with(Kind::WholeOrFamily).next());
            let has_given = given.is_some() || is_given(fields);
            let has_family = family.is_some() || is_family(fields);
            let given = given.or(either.filter(|_| has_family || or.is_some()));
            let family = family.or(or.filter(|_| has_given || either.is_some()));
            match (given, family) {
                (None, None) if !has_given && !has_family => {
                    if let Some(whole) = either.or(or) {
                        set(fields, whole, Field::Name, "the name");
                    }
                }
                _ => {
                    if let Some(at) = given.filter(|_| !is_given(fields)) {
                        set(fields, at, Field::GivenName(header[at].clone()), "the first name");
                    }
                    if let Some(at) = family.filter(|_| !is_family(fields)) {
                        set(fields, at, Field::FamilyName(header[at].clone()), "the last name");
                    }
                }
            }
        }
    }
    for (kind, field, what) in [
        (Kind::Email, Field::Email, "the email address"),
        (Kind::Language, Field::Language, "the language"),
        (Kind::Tags, Field::Tags, "the tags"),
    ] {
        if !has(fields, &field)
            && let Some(at) = with(kind).next()
        {
            set(fields, at, field, what);
        }
    }
    for (kind, field, what) in
        [(Kind::OptedIn, Field::OptedIn, "the consent"), (Kind::OptedOut, Field::OptedOut, "the opt-out")]
    {
        for at in with(kind) {
            set(fields, at, field.clone(), what);
        }
    }
    Ok(notes(header, fields, &taken))
}

fn notes(header: &[String], fields: &[Option<Field>], taken: &[(usize, &str)]) -> Vec<String> {
    let mut notes = Vec::new();
    if !taken.is_empty() {
        let listed: Vec<String> = taken.iter().map(|(at, what)| format!("`{}` is {what}", header[*at])).collect();
        notes.push(format!("Columns: {} (--map says otherwise)", listed.join(", ")));
    }
    let is_consent = |name: &str| {
        let plain = plain(name);
        ["consent", "opt_in", "optin", "opt_out", "optout", "subscri", "marketing", "newsletter", "einwilligung"]
            .iter()
            .any(|word| plain.contains(word))
    };
    let unheeded: Vec<String> = header
        .iter()
        .zip(fields)
        .filter(|(name, field)| field.is_none() && is_consent(name))
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    if let [first, ..] = &unheeded[..] {
        notes.push(format!(
            "{} {} kept as metadata and opts nobody in or out; where that is meant, use --map {first}=opted_in_at or \
             opted_out_at",
            unheeded.join(", "),
            if unheeded.len() == 1 { "is" } else { "are" },
        ));
    }
    notes
}
