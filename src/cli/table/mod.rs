//! A file of contacts as spreadsheets and other systems write it: CSV with one of four delimiters, in any encoding,
//! with columns by whatever names, perhaps below a title.

mod cells;
mod coding;
mod columns;
mod encoding;
mod labels;
mod quotes;
mod source;
mod words;

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use csv::ByteRecord;

use self::cells::Reader;
use self::columns::{Columns, Field};
use self::quotes::Quoted;
use self::source::{Decoded, Source};
use crate::domain::Timestamp;
use crate::domain::unseen::{is_blank, is_unseen};
use crate::error::{Error, Result};
use crate::runtime::import::Incoming;

/// Columns that an import adds to the rows that it refuses, and passes over when they come back.
pub(super) const LINE: &str = "import_line";
pub(super) const REASON: &str = "import_reason";
/// Bytes that a row may have. One that is larger has lost a quotation mark.
const ROW_BYTES: usize = 256 * 1024;
/// Rows among which the one is that names the columns.
const HEAD_ROWS: usize = 30;
/// Bytes in which those rows are looked for.
const HEAD_BYTES: usize = ROW_BYTES;
/// What may stand between the cells; of two that fit alike the first is taken.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
const BOM: &[u8] = b"\xef\xbb\xbf";
/// What the last row begins with where it has the sums of the others.
const TOTALS: [&str; 30] = [
    "total",
    "totals",
    "grand total",
    "sum",
    "subtotal",
    "count",
    "summe",
    "gesamt",
    "gesamtsumme",
    "insgesamt",
    "anzahl",
    "totaal",
    "totale",
    "totales",
    "total general",
    "suma",
    "somme",
    "total général",
    "soma",
    "razem",
    "celkem",
    "spolu",
    "összesen",
    "toplam",
    "итого",
    "всего",
    "разом",
    "合計",
    "合计",
    "총계",
];

/// How to read a file, where it does not say so itself.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// What stands between the cells; `None` looks at the first rows.
    pub delimiter: Option<u8>,
    /// The encoding, by a label of the Encoding Standard; `None` finds it out.
    pub encoding: Option<String>,
    /// ISO 3166 code of the country whose numbers may be written without the country's code.
    pub country: Option<String>,
    /// What columns have, by their names in the file. A field's name, `metadata.…`, or `-` for nothing.
    pub columns: Vec<(String, String)>,
}

/// An open file.
pub(super) struct Table {
    reader: csv::Reader<Rationed>,
    /// Whether the rows that are refused need a mark in front that they are in UTF-8.
    needs_mark: bool,
    delimiter: u8,
    country: Option<String>,
    header: Vec<String>,
    fields: Vec<Field>,
    bytes: u64,
    /// Notes to print before the first row.
    notes: Vec<String>,
    /// A row that was read to see whether the one before it was the last.
    ahead: Option<ByteRecord>,
    /// The row of totals that was passed over: its line and how it begins.
    totals: Option<(u64, String)>,
    /// Cells under columns without a name.
    unnamed: u64,
}

/// A file of which each row gets so much and no more: a lost quotation mark must not bring the rest of it into memory.
struct Rationed {
    text: Quoted<Decoded>,
    /// Bytes that the row under way may still have.
    left: usize,
}

impl Read for Rationed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let read = self.text.read(buffer)?;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }
}

/// A row and where it is.
pub(super) struct Row {
    /// The line of the file on which it begins, from 1.
    pub(super) line: u64,
    /// The row's cells, in the order of the columns.
    pub(super) cells: Vec<String>,
    /// The row's data; else why it is refused.
    pub(super) read: Result<Incoming, String>,
}

impl Table {
    /// Opens a file and reads the row that names its columns.
    ///
    /// # Errors
    /// `Invalid` when it cannot be read, has no phone numbers, is no text, or its encoding cannot be recognized.
    pub(super) fn open(path: &Path, reading: &Reading) -> Result<Self> {
        let shown = path.display();
        let unreadable = |error| Error::invalid(format!("Cannot read {shown}")).caused_by(error);
        let source = Source::open(path, reading.encoding.as_deref(), reading.country.as_deref())?;
        let head = source.head(HEAD_BYTES).map_err(unreadable)?;
        let Some(head) = Head::find(&head, reading) else {
            let text = source.read().map_err(unreadable)?;
            check_quotes(Quoted::new(text, reading.delimiter.unwrap_or_else(|| delimiter_of(&head))), path)?;
            return Err(Error::invalid(format!("{shown} is empty: its first row must name the columns")));
        };
        let text = || source.read().map(|text| Quoted::new(text, head.delimiter)).map_err(unreadable);
        check_quotes(text()?, path)?;
        let mut reader = builder(head.delimiter).from_reader(Rationed { text: text()?, left: ROW_BYTES });
        let mut record = ByteRecord::new();
        for _ in 0..=head.index {
            read_record(&mut reader, &mut record)?;
        }
        let header = names_of(&record);
        let Columns { fields, notes: said } = columns::read(&header, &reading.columns)?;
        let mut notes: Vec<String> = source.note.iter().cloned().collect();
        let line = record.position().map_or(1, csv::Position::line);
        if head.titles > 0 {
            notes.push(format!("The columns are named on line {line}; what is above is left out"));
        }
        notes.extend(said);
        Ok(Self {
            reader,
            needs_mark: !source.is_plain_utf8(),
            delimiter: head.delimiter,
            country: reading.country.clone(),
            header,
            fields,
            bytes: source.bytes,
            notes,
            ahead: None,
            totals: None,
            unnamed: 0,
        })
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of it that have been read.
    pub(super) fn position(&self) -> u64 {
        self.reader.get_ref().text.inner().consumed
    }

    /// Notes on how the file is read, to print before its rows are.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Notes on what was left out, once all rows were read.
    pub(super) fn last_notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some((line, word)) = &self.totals {
            notes.push(format!("The last row, line {line}, has the totals (`{word}`) and is left out"));
        }
        if self.unnamed > 0 {
            notes.push(format!(
                "{} {} in a column without a name and left out: name the column to keep them",
                self.unnamed,
                if self.unnamed == 1 { "cell is" } else { "cells are" }
            ));
        }
        notes
    }

    /// Columns that become metadata because they have no other meaning: the keys.
    pub(super) fn metadata_keys(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter_map(Field::key)
    }

    /// The next row that has anything in it. A yes without a time counts as `now`.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub(super) fn next(&mut self, now: Timestamp) -> Result<Option<Row>> {
        let record = match self.ahead.take() {
            Some(record) => record,
            None => match self.next_record()? {
                Some(record) => record,
                None => return Ok(None),
            },
        };
        let line = record.position().map_or(0, csv::Position::line);
        let cells: Vec<String> = record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
        let read = self.read(&cells, now);
        if read.is_err()
            && let Some(word) = total_of(&cells)
        {
            self.ahead = self.next_record()?;
            if self.ahead.is_none() {
                self.totals = Some((line, word));
                return Ok(None);
            }
        }
        if read.is_ok() {
            let unnamed = |(field, cell): (&Field, &String)| *field == Field::Unnamed && !is_blank(cell);
            self.unnamed += self.fields.iter().zip(&cells).filter(|pair| unnamed(*pair)).count() as u64;
        }
        Ok(Some(Row { line, cells, read }))
    }

    fn next_record(&mut self) -> Result<Option<ByteRecord>> {
        let mut record = ByteRecord::new();
        while read_record(&mut self.reader, &mut record)? {
            if record.iter().any(|cell| !is_blank(&String::from_utf8_lossy(cell))) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Whether a column stays in the file of refused rows: all but those that an earlier one added.
    fn keeps(&self, index: usize) -> bool {
        self.header.get(index).is_none_or(|name| name != LINE && name != REASON)
    }

    /// A writer of rows with the same columns, after two for where a row was and why it was refused. Those come first,
    /// so that a row with too many cells shows which.
    ///
    /// # Errors
    /// When the file is there already or cannot be made.
    pub(super) fn refused_rows(&self, path: &Path) -> Result<csv::Writer<File>> {
        use std::io::Write;
        let cannot = |error| Error::invalid(format!("Cannot write {}", path.display())).caused_by(error);
        // Other users may not read it: it has people's names.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = made.map_err(cannot)?;
        // These rows are in UTF-8 whatever the file was in, and the spreadsheet that wrote the file must know.
        if self.needs_mark {
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
        // Spreadsheets leave off cells at the end that are blank in a whole block of rows.
        if cells.iter().skip(columns).any(|cell| !is_blank(cell)) {
            return Err(format!(
                "the row has {} cells and the header {columns}: put cells with a delimiter in them in quotation marks",
                cells.len()
            ));
        }
        let mut row = Reader::new(now, self.country.as_deref());
        for (field, cell) in self.fields.iter().zip(cells) {
            row.take(field, cell);
        }
        row.finish()
    }
}

/// Looks for a quotation mark that takes the rest of the file into one cell, before anything of it is imported.
fn check_quotes(mut text: Quoted<Decoded>, path: &Path) -> Result<()> {
    let shown = path.display();
    std::io::copy(&mut text, &mut std::io::sink()).map(|_| ()).map_err(|error| match text.open_on {
        Some(line) => Error::invalid(format!(
            "{shown} has a quotation mark that is opened on line {line} and not closed, so that the lines behind it \
             are one cell; nothing was imported. Close it, or take it out"
        )),
        None => Error::invalid(format!("Cannot read {shown}")).caused_by(error),
    })
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

/// Where the columns are named.
struct Head {
    delimiter: u8,
    /// Rows before it, as the CSV library counts them.
    index: usize,
    /// Those of them that have anything in them and are no word to a spreadsheet.
    titles: usize,
}

impl Head {
    /// Finds the row that names the columns in the beginning of a file; else takes the first that has anything in it.
    fn find(head: &[u8], reading: &Reading) -> Option<Self> {
        let told = reading.delimiter.or_else(|| separator_line(head));
        let delimiters = told.map_or(DELIMITERS.to_vec(), |delimiter| vec![delimiter]);
        let mut best: Option<((usize, usize), Self)> = None;
        for delimiter in delimiters {
            let mut rows = Vec::new();
            let mut reader = builder(delimiter).from_reader(Quoted::new(head, delimiter));
            let mut record = ByteRecord::new();
            while rows.len() < HEAD_ROWS && reader.read_byte_record(&mut record).is_ok_and(|is_there| is_there) {
                rows.push(names_of(&record));
            }
            for (index, row) in rows.iter().enumerate() {
                let Some(known) = columns::known(row, &reading.columns) else { continue };
                let rank = (known, row.len());
                if best.as_ref().is_none_or(|(other, _)| *other < rank) {
                    let is_title = |row: &&Vec<String>| !is_separator(row) && row.iter().any(|cell| !cell.is_empty());
                    let titles = rows[..index].iter().filter(is_title).count();
                    best = Some((rank, Self { delimiter, index, titles }));
                }
            }
        }
        if let Some((_, found)) = best {
            return Some(found);
        }
        let delimiter = told.unwrap_or_else(|| delimiter_of(head));
        let mut reader = builder(delimiter).from_reader(Quoted::new(head, delimiter));
        let mut record = ByteRecord::new();
        let mut index = 0;
        while reader.read_byte_record(&mut record).is_ok_and(|is_there| is_there) {
            let row = names_of(&record);
            if !is_separator(&row) && row.iter().any(|cell| !cell.is_empty()) {
                return Some(Self { delimiter, index, titles: 0 });
            }
            index += 1;
        }
        None
    }
}

fn builder(delimiter: u8) -> csv::ReaderBuilder {
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(delimiter).has_headers(false).flexible(true);
    builder
}

/// The names of columns, without what is around them or cannot be seen.
fn names_of(record: &ByteRecord) -> Vec<String> {
    let name = |cell: &[u8]| {
        let seen: String = String::from_utf8_lossy(cell).chars().filter(|c| !is_unseen(*c)).collect();
        seen.trim().to_owned()
    };
    record.iter().map(name).collect()
}

/// The delimiter in a first line `sep=;`, which is meant for Excel.
fn separator_line(head: &[u8]) -> Option<u8> {
    let line = head.trim_ascii_start().split(|byte| *byte == b'\n').next()?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let bare = line.strip_prefix(b"\"").unwrap_or(line);
    let (word, rest) = bare.split_at_checked(4)?;
    match rest {
        [delimiter] | [delimiter, b'"'] if word.eq_ignore_ascii_case(b"sep=") => Some(*delimiter),
        _ => None,
    }
}

fn is_separator(row: &[String]) -> bool {
    row.first().is_some_and(|cell| cell.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("sep=")))
}

/// The word that marks a row that cannot be read as the one with the totals.
fn total_of(cells: &[String]) -> Option<String> {
    let first = cells.iter().map(|cell| cell.trim()).find(|cell| !cell.is_empty())?;
    let word = first.trim_end_matches(|c: char| !c.is_alphabetic()).to_lowercase();
    TOTALS.contains(&word.as_str()).then(|| first.chars().take(40).collect())
}

/// The delimiter that the first line with anything in it has most of, outside quotation marks.
fn delimiter_of(head: &[u8]) -> u8 {
    let line = head.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let mut counts = DELIMITERS.map(|delimiter| (delimiter, 0));
    let mut is_quoted = false;
    for byte in line {
        is_quoted ^= *byte == b'"';
        counts.iter_mut().filter(|(delimiter, _)| !is_quoted && delimiter == byte).for_each(|(_, count)| *count += 1);
    }
    // The first of several that are as frequent, and the comma where there is one column only.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}
