//! A file of contacts as spreadsheets and other systems write it: CSV with one of three delimiters, in UTF-8 or in what
//! Windows wrote before, with columns by whatever names.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use csv::ByteRecord;
use encoding_rs::WINDOWS_1252;
use serde_json::json;

use crate::domain::profile::{NAME_CHARS, TAG_CHARS, clean_name, clean_tag, is_email, is_language};
use crate::domain::{ContactChange, Phone, Timestamp};
use crate::error::{Error, Result};
use crate::runtime::import::{Incoming, Moment};

/// Columns that an import adds to the rows that it refuses, and passes over when they come back.
pub(super) const LINE: &str = "import_line";
pub(super) const REASON: &str = "import_reason";
/// Bytes that a row may have. One that is larger has lost a quotation mark.
const ROW_BYTES: usize = 256 * 1024;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What a column has of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Phone,
    Name,
    Email,
    Language,
    Tags,
    OptedIn,
    OptedOut,
    /// A key of the metadata.
    Metadata(String),
    /// Nothing that is taken.
    LeftOut,
}

impl Field {
    /// The field of a name, if it is one of those that are not metadata by default.
    fn of(name: &str) -> Option<Self> {
        let name = name.trim();
        let plain = name.to_lowercase().replace([' ', '-'], "_");
        // What would be metadata by its name must not be consent that nobody heeds.
        Some(match plain.as_str() {
            "phone" => Self::Phone,
            "name" => Self::Name,
            "email" | "e_mail" => Self::Email,
            "language" | "locale" => Self::Language,
            "tags" => Self::Tags,
            "opted_in" | "opted_in_at" | "opt_in" | "optin" => Self::OptedIn,
            "opted_out" | "opted_out_at" | "opt_out" | "optout" | "unsubscribed" | "unsubscribed_at" => Self::OptedOut,
            LINE | REASON | "" => Self::LeftOut,
            _ if plain.starts_with("metadata.") && name.len() > "metadata.".len() => {
                Self::Metadata(name["metadata.".len()..].to_owned())
            }
            _ => return None,
        })
    }
}

/// How to read a file, where it does not say so itself.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// What stands between the cells; `None` looks at the first line.
    pub delimiter: Option<u8>,
    /// ISO 3166 code of the country whose numbers may be written without the country's code.
    pub country: Option<String>,
    /// What columns have, by their names in the file. A field's name, `metadata.…`, or `-` for nothing.
    pub columns: Vec<(String, String)>,
}

/// An open file.
pub(super) struct Table {
    reader: csv::Reader<Rationed>,
    is_utf8: bool,
    has_bom: bool,
    delimiter: u8,
    country: Option<String>,
    header: Vec<String>,
    fields: Vec<Field>,
    bytes: u64,
}

/// A file of which each row gets so much and no more: a lost quotation mark must not bring the rest of it into memory.
struct Rationed {
    file: BufReader<File>,
    /// Bytes that the row under way may still have.
    left: usize,
}

impl Read for Rationed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let read = self.file.read(buffer)?;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }
}

/// A row and where it is.
pub(super) struct Row {
    /// The line of the file on which it begins, from 1.
    pub(super) line: u64,
    /// Its cells.
    pub(super) cells: Vec<String>,
    /// What it says; else why it is refused.
    pub(super) read: Result<Incoming, String>,
}

impl Table {
    /// Opens a file and reads its first row.
    ///
    /// # Errors
    /// `Invalid` when it cannot be read, has no phone numbers, or is no text.
    pub(super) fn open(path: &Path, reading: &Reading) -> Result<Self> {
        let shown = path.display();
        let unreadable = |error| Error::invalid(format!("Cannot read {shown}")).caused_by(error);
        let mut file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let mut start = Vec::new();
        file.by_ref().take(4).read_to_end(&mut start).map_err(unreadable)?;
        if start.starts_with(b"PK\x03\x04") {
            return Err(Error::invalid(format!("{shown} is a workbook: save it as CSV UTF-8 and import that")));
        }
        if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
            return Err(Error::invalid(format!("{shown} is in UTF-16: save it as CSV UTF-8 and import that")));
        }
        let has_bom = start.starts_with(BOM);
        file.rewind().map_err(unreadable)?;
        let mut file = BufReader::new(file);
        let is_utf8 = is_utf8(&mut file).map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        let delimiter = match reading.delimiter {
            Some(delimiter) => delimiter,
            None => {
                let mut line = Vec::new();
                file.by_ref().take(ROW_BYTES as u64).read_until(b'\n', &mut line).map_err(unreadable)?;
                file.rewind().map_err(unreadable)?;
                delimiter_of(&line)
            }
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(Rationed { file, left: ROW_BYTES });
        let mut record = ByteRecord::new();
        if !read_record(&mut reader, &mut record)? {
            return Err(Error::invalid(format!("{shown} is empty: its first row must name the columns")));
        }
        let header: Vec<String> = record.iter().map(|cell| decode(cell, is_utf8).trim().to_owned()).collect();
        let fields = fields_of(&header, &reading.columns)?;
        Ok(Self { reader, is_utf8, has_bom, delimiter, country: reading.country.clone(), header, fields, bytes })
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of it that have been read.
    pub(super) fn position(&self) -> u64 {
        self.reader.position().byte()
    }

    /// Whether the file is in UTF-8; else it is read as Windows-1252.
    pub(super) fn is_utf8(&self) -> bool {
        self.is_utf8
    }

    /// Columns that become metadata because they have no other meaning: the keys.
    pub(super) fn metadata_keys(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter_map(|field| match field {
            Field::Metadata(key) => Some(key.as_str()),
            _ => None,
        })
    }

    /// The next row that has anything in it. A moment that is only said to be is `now`.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub(super) fn next(&mut self, now: Timestamp) -> Result<Option<Row>> {
        let mut record = ByteRecord::new();
        loop {
            if !read_record(&mut self.reader, &mut record)? {
                return Ok(None);
            }
            if record.iter().any(|cell| !cell.trim_ascii().is_empty()) {
                break;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        let cells: Vec<String> = record.iter().map(|cell| decode(cell, self.is_utf8)).collect();
        let read = self.read(&cells, now);
        Ok(Some(Row { line, cells, read }))
    }

    /// Whether a column stays in the file of refused rows: all but those that an earlier one added.
    fn keeps(&self, index: usize) -> bool {
        self.header.get(index).is_none_or(|name| name != LINE && name != REASON)
    }

    /// A writer of rows with the same columns, after two for where a row was and why it was refused. Those come first, so
    /// that a row with too many cells shows which.
    ///
    /// # Errors
    /// When the file is there already or cannot be made.
    pub(super) fn refused_rows(&self, path: &Path) -> Result<csv::Writer<File>> {
        use std::io::Write;
        let cannot = |error| Error::invalid(format!("Cannot write {}", path.display())).caused_by(error);
        // Nobody else may read it: it has what people are called by.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = made.map_err(cannot)?;
        // These rows are in UTF-8 whatever the file was in, and the spreadsheet that wrote the file must know.
        if self.has_bom || !self.is_utf8 {
            file.write_all(BOM).map_err(cannot)?;
        }
        let mut writer = csv::WriterBuilder::new().delimiter(self.delimiter).flexible(true).from_writer(file);
        let header = [LINE, REASON].into_iter().chain(self.kept(&self.header));
        writer.write_record(header).map_err(|error| cannot(error.into()))?;
        Ok(writer)
    }

    /// The cells of the columns that stay in the file of refused rows.
    pub(super) fn kept<'a>(&'a self, cells: &'a [String]) -> impl Iterator<Item = &'a str> {
        cells.iter().enumerate().filter(|(index, _)| self.keeps(*index)).map(|(_, cell)| cell.as_str())
    }

    fn read(&self, cells: &[String], now: Timestamp) -> Result<Incoming, String> {
        if cells.iter().map(String::len).sum::<usize>() > ROW_BYTES {
            return Err(format!("the row has more than {ROW_BYTES} bytes: is a quotation mark missing at its end?"));
        }
        let columns = self.header.len();
        if cells.len() < columns || cells.iter().skip(columns).any(|cell| !cell.trim().is_empty()) {
            return Err(format!(
                "the row has {} cells and the header {columns}: put cells with a delimiter in them in quotation marks",
                cells.len()
            ));
        }
        let mut row =
            Reader { now, country: self.country.as_deref(), phone: None, taken: Taken::default(), wrong: Vec::new() };
        for (field, cell) in self.fields.iter().zip(cells) {
            row.take(field, cell.trim());
        }
        if row.phone.is_none() && row.wrong.is_empty() {
            row.wrong.push("the phone is missing".to_owned());
        }
        match row.phone {
            Some(phone) if row.wrong.is_empty() => {
                let Taken { change, opted_in, opted_out } = row.taken;
                Ok(Incoming { phone, change, opted_in, opted_out })
            }
            _ => Err(row.wrong.join("; ")),
        }
    }
}

/// Reads the next row, if there is one.
fn read_record(reader: &mut csv::Reader<Rationed>, record: &mut ByteRecord) -> Result<bool> {
    let line = reader.position().line();
    reader.get_mut().left = ROW_BYTES;
    reader.read_byte_record(record).map_err(|error| match reader.get_ref().left {
        0 => Error::invalid(format!(
            "The row that begins at line {line} has more than {ROW_BYTES} bytes: a quotation mark is missing in it"
        )),
        _ => Error::invalid("Cannot read on in the file").caused_by(error),
    })
}

/// What has been read of a row.
struct Reader<'a> {
    now: Timestamp,
    country: Option<&'a str>,
    phone: Option<Phone>,
    taken: Taken,
    wrong: Vec<String>,
}

#[derive(Default)]
struct Taken {
    change: ContactChange,
    opted_in: Option<Moment>,
    opted_out: Option<Moment>,
}

impl Reader<'_> {
    /// Takes a cell. A blank one says nothing.
    fn take(&mut self, field: &Field, cell: &str) {
        if cell.is_empty() {
            return;
        }
        let Taken { change, opted_in, opted_out } = &mut self.taken;
        let taken = match field {
            Field::LeftOut => Ok(()),
            Field::Phone => read_phone(cell, self.country).map(|phone| self.phone = Some(phone)),
            Field::Name => match clean_name(cell) {
                name if name.is_empty() => Err("the name has no character that can be seen".to_owned()),
                name if name.chars().count() > NAME_CHARS => {
                    Err(format!("the name has more than {NAME_CHARS} characters"))
                }
                name => {
                    change.name = Some(name);
                    Ok(())
                }
            },
            Field::Email if !is_email(cell) => Err(format!("`{cell}` is not an email address")),
            Field::Email => {
                change.email = Some(cell.to_owned());
                Ok(())
            }
            Field::Language if !is_language(cell) => {
                Err(format!("`{cell}` is not a language tag (BCP 47) such as pt or pt-BR"))
            }
            Field::Language => {
                change.language = Some(cell.to_owned());
                Ok(())
            }
            Field::Tags => read_tags(cell).map(|tags| change.add_tags = tags),
            Field::OptedIn => read_moment(cell, self.now).map(|moment| keep_dated(opted_in, moment)),
            Field::OptedOut => read_moment(cell, self.now).map(|moment| keep_dated(opted_out, moment)),
            Field::Metadata(key) => {
                change.metadata.insert(key.clone(), json!(cell));
                Ok(())
            }
        };
        self.wrong.extend(taken.err());
    }
}

fn read_phone(cell: &str, country: Option<&str>) -> Result<Phone, String> {
    Phone::parse_in_country(cell, country).map_err(|error| {
        let typed = cell.trim_start_matches('\'');
        let is_national =
            country.is_none() && typed.starts_with(|c: char| c.is_ascii_digit()) && !typed.starts_with("00");
        let hint = if is_national { "; or say with --country whose numbers these are" } else { "" };
        format!("the phone {error}{hint}")
    })
}

fn read_tags(cell: &str) -> Result<Vec<String>, String> {
    let mut tags: Vec<String> = cell.split([',', '|']).map(clean_tag).filter(|tag| !tag.is_empty()).collect();
    tags.sort();
    tags.dedup();
    match tags.iter().find(|tag| tag.chars().count() > TAG_CHARS) {
        Some(tag) => Err(format!("the tag `{tag}` has more than {TAG_CHARS} characters")),
        None => Ok(tags),
    }
}

/// Of what several columns say of one thing, what has a date.
fn keep_dated(kept: &mut Option<Moment>, moment: Option<Moment>) {
    if !matches!(kept, Some(Moment::At(_))) {
        *kept = moment.or(*kept);
    }
}

/// A moment until `now`, or just whether.
fn read_moment(cell: &str, now: Timestamp) -> Result<Option<Moment>, String> {
    match cell.to_lowercase().as_str() {
        "yes" | "y" | "true" | "1" | "x" => return Ok(Some(Moment::Undated)),
        "no" | "n" | "false" | "0" => return Ok(None),
        _ => {}
    }
    // Without an offset it is UTC, and without a time the day's first moment.
    let read = [cell.to_owned(), format!("{cell}Z"), format!("{cell}T00:00Z"), format!("{cell}:00Z")];
    match read.iter().find_map(|text| text.parse::<Timestamp>().ok()) {
        Some(at) if at > now => Err(format!("`{cell}` is in the future")),
        Some(at) => Ok(Some(Moment::At(at))),
        None => {
            Err(format!("`{cell}` is not a moment: write it like 2026-05-07T08:14:23Z or 2026-05-07, or yes or no"))
        }
    }
}

/// What the columns have.
fn fields_of(header: &[String], told: &[(String, String)]) -> Result<Vec<Field>> {
    let listed = || header.iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>().join(", ");
    for (column, _) in told {
        if !header.iter().any(|name| name == column.trim()) {
            return Err(Error::invalid(format!("There is no column `{column}`: the file has {}", listed())));
        }
    }
    let mut fields: Vec<Field> = Vec::with_capacity(header.len());
    for name in header {
        let field = match told.iter().find(|(column, _)| column.trim() == name) {
            Some((_, field)) if field.trim() == "-" => Field::LeftOut,
            Some((_, field)) => Field::of(field).ok_or_else(|| {
                Error::invalid(format!(
                    "`{field}` is nothing that a column can be: phone, name, email, language, tags, opted_in_at, \
                     opted_out_at, metadata.… or - are"
                ))
            })?,
            None => Field::of(name).unwrap_or_else(|| Field::Metadata(name.clone())),
        };
        let may_repeat = matches!(field, Field::LeftOut | Field::OptedIn | Field::OptedOut);
        if !may_repeat && fields.contains(&field) {
            return Err(Error::invalid(format!(
                "Two columns are the same, the second of them `{name}`: leave one out with --map '{name}=-'"
            )));
        }
        fields.push(field);
    }
    if !fields.contains(&Field::Phone) {
        return Err(Error::invalid(format!(
            "No column is the phone: the file has {}. Say which with --map 'COLUMN=phone', or how they are separated \
             with --delimiter",
            listed()
        )));
    }
    Ok(fields)
}

/// The delimiter that a first line has most of, outside quotation marks.
fn delimiter_of(line: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut is_quoted = false;
    for byte in line {
        is_quoted ^= *byte == b'"';
        counts.iter_mut().filter(|(delimiter, _)| !is_quoted && delimiter == byte).for_each(|(_, count)| *count += 1);
    }
    // The first of several that are as frequent, and the comma where there is one column only.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}

/// Whether a file is UTF-8 to its end.
fn is_utf8(file: &mut impl Read) -> std::io::Result<bool> {
    let mut buffer = vec![0; 64 * 1024];
    // Bytes of a character that the last piece broke off.
    let mut kept = 0;
    loop {
        let read = file.read(&mut buffer[kept..])?;
        let filled = kept + read;
        match std::str::from_utf8(&buffer[..filled]) {
            Ok(_) => kept = 0,
            Err(error) if error.error_len().is_none() && read > 0 => {
                buffer.copy_within(error.valid_up_to()..filled, 0);
                kept = filled - error.valid_up_to();
            }
            Err(_) => return Ok(false),
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

fn decode(cell: &[u8], is_utf8: bool) -> String {
    if is_utf8 {
        String::from_utf8_lossy(cell).into_owned()
    } else {
        WINDOWS_1252.decode_without_bom_handling(cell).0.into_owned()
    }
}
