//! A file as text: what kind of file it is, which encoding it is in, and its characters in UTF-8.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use encoding_rs::{Decoder, DecoderResult, Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE};

use super::coding::{Coding, SAVE};
use super::encoding::{self, Guess, Samples, label};
use super::labels::coding_of;
use crate::domain::file_kind::{Advice, FileKind, KIND_BYTES};
use crate::domain::unicode_form::UnicodeForm;
use crate::error::{Error, Result};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// A file whose encoding is known, and which is text in it to its end.
pub(super) struct Source {
    file: File,
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// Bytes of its byte order mark.
    mark: usize,
    coding: Coding,
    /// A note on how it is read.
    pub(super) note: Option<String>,
}

impl Source {
    /// Opens a file and finds out how to read it; `told` is the label of an encoding that the user gave, `country`
    /// whose national numbers it has.
    ///
    /// # Errors
    /// `Invalid` when it cannot be read, when it is no text, and when its encoding cannot be recognized.
    pub(super) fn open(path: &Path, told: Option<&str>, country: Option<&str>) -> Result<Self> {
        let shown = path.display();
        let unreadable = |error| Error::invalid(format!("Cannot read {shown}")).caused_by(error);
        let told = told.map(coding_of).transpose()?;
        let mut file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let mut start = Vec::new();
        file.by_ref().take(KIND_BYTES as u64).read_to_end(&mut start).map_err(unreadable)?;
        if let Some(sentence) = no_table(&start) {
            return Err(Error::invalid(format!("{shown} is {sentence}")));
        }
        let marked = UnicodeForm::marked(&start);
        file.rewind().map_err(unreadable)?;
        let survey = Survey::of(&mut file).map_err(unreadable)?;
        let mark = marked.map_or(0, |(_, mark)| mark);
        let mut source = Self { file, bytes, mark, coding: Coding::Encoding(UTF_8), note: None };
        let form = marked.map(|(form, _)| form).or_else(|| survey.unmarked());
        if let Some(told) = told.filter(|_| mark == 0)
            && let Some(sentence) = survey.against(told, form)
        {
            return Err(Error::invalid(format!("{shown} {sentence}")));
        }
        // A mark overrides a label, which is often given for all files of a folder.
        source.coding = match (form, told) {
            // `utf-16` says nothing of the order of bytes, and the zeros do.
            (Some(form), _) => Coding::of_form(form),
            (None, Some(told)) => told,
            (None, None) if survey.has_nul => {
                return Err(Error::invalid(format!("{shown} is no text, for it has bytes that are zero: {SAVE}")));
            }
            (None, None) if survey.is_japanese_mail() => Coding::Encoding(ISO_2022_JP),
            (None, None) if survey.is_utf8() => Coding::Encoding(UTF_8),
            (None, None) => {
                if let Some(line) = survey.first_bad_line.filter(|_| survey.is_mostly_utf8()) {
                    return Err(Error::invalid(format!(
                        "{shown} is in UTF-8 but for its line {line}, which is in another encoding or cut off: mend \
                         that line, or say how to read all of it with --encoding"
                    )));
                }
                match encoding::guess(&survey.samples, country) {
                    Guess::Sure(encoding) => Coding::Encoding(encoding),
                    Guess::Unsure(readings) => return Err(Error::invalid(unsure(path, &readings))),
                }
            }
        };
        if source.is_plain_utf8()
            && told.is_none()
            && let Some((shown_as, meant)) = survey.samples.garbled()
        {
            return Err(Error::invalid(format!(
                "{shown} was read in the wrong encoding before it came here: `{shown_as}` in it was `{meant}`. Export \
                it again, or take it as it is with --encoding utf-8"
            )));
        }
        source.check_to_the_end(path)?;
        source.note = source.what_to_say(path, told.is_some());
        Ok(source)
    }

    /// Whether it is in UTF-8 already, and whether it begins with a mark of that.
    pub(super) fn is_plain_utf8(&self) -> bool {
        self.coding == Coding::Encoding(UTF_8) && self.mark == 0
    }

    /// The text from its beginning.
    pub(super) fn read(&self) -> io::Result<Decoded> {
        let mut file = self.file.try_clone()?;
        file.seek(io::SeekFrom::Start(self.mark as u64))?;
        Ok(Decoded::new(file, self.coding, self.mark as u64))
    }

    /// The first so many bytes of the text in UTF-8.
    pub(super) fn head(&self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.read()?.take(bytes as u64).read_to_end(&mut head)?;
        Ok(head)
    }

    fn check_to_the_end(&self, path: &Path) -> Result<()> {
        let mut text = self.read().map_err(|error| Error::invalid("Cannot read on in the file").caused_by(error))?;
        match io::copy(&mut text, &mut io::sink()) {
            Ok(_) => Ok(()),
            Err(error) => Err(match text.malformed_at {
                Some(line) => Error::invalid(format!(
                    "{} is not in {}: what is on line {line} cannot be read. Name the encoding that it is in with \
                     --encoding, or {SAVE}",
                    path.display(),
                    self.coding.name()
                )),
                None => Error::invalid(format!("Cannot read {}", path.display())).caused_by(error),
            }),
        }
    }

    /// Says how the file is read, with a name that shows whether that is right.
    fn what_to_say(&self, path: &Path, is_told: bool) -> Option<String> {
        if self.coding == Coding::Encoding(UTF_8) && !is_told {
            return None;
        }
        let head = self.head(CHUNK_BYTES).unwrap_or_default();
        let name = encoding::first_name(&String::from_utf8_lossy(&head));
        let sample = name.map(|name| format!(": `{name}`")).unwrap_or_default();
        let is_guess = matches!(self.coding, Coding::Encoding(encoding)
            if ![UTF_8, UTF_16LE, UTF_16BE, ISO_2022_JP].contains(&encoding));
        let (not, hint) = match is_guess && !is_told {
            true => ("is not UTF-8 and ", ". If that is wrong, name the encoding with --encoding"),
            false => ("", ""),
        };
        Some(format!("{} {not}is read as {}{sample}{hint}", path.display(), self.coding.name()))
    }
}

/// What a file is that is no table, and what to do about it.
fn no_table(start: &[u8]) -> Option<String> {
    if let Some(kind) = FileKind::of(start) {
        let advice = match kind.advice {
            Advice::SaveAs => SAVE,
            Advice::Unpack => "unpack it and import the CSV file that is in it",
            Advice::Detach => "save the CSV file that is attached to it, and import that",
            Advice::GetAgain => "get the contacts as a CSV file from the program that has them",
        };
        return Some(format!("{}: {advice}", kind.name));
    }
    let (form, mark) = UnicodeForm::marked(start).unwrap_or((UnicodeForm::Utf8, 0));
    let text = start[mark..].trim_ascii_start();
    let is_json = match text {
        [b'{', rest @ ..] => rest.trim_ascii_start().first().is_some_and(|next| matches!(next, b'"' | b'}')),
        [b'[', rest @ ..] => rest.trim_ascii_start().first().is_some_and(|next| matches!(next, b'{' | b'[' | b']')),
        _ => false,
    };
    (is_json && form == UnicodeForm::Utf8).then(|| {
        "JSON: export the contacts as CSV UTF-8, or send them to POST /api/v1/actions/create-contact one by one"
            .to_owned()
    })
}

/// The sentence that asks for an encoding.
fn unsure(path: &Path, readings: &[(&'static Encoding, String)]) -> String {
    let shown = path.display();
    if readings.is_empty() {
        return format!(
            "{shown} is not UTF-8, and in none of the encodings that are known here does it read like names; nothing \
            was imported. Name its encoding with --encoding, or {SAVE}"
        );
    }
    let listed: Vec<String> =
        readings.iter().map(|(encoding, reading)| format!("`{reading}` with --encoding {}", label(encoding))).collect();
    format!(
        "{shown} is not UTF-8, and its encoding cannot be told for sure; nothing was imported. It reads {}. Import it \
         again with what reads right, or {SAVE}",
        listed.join(", ")
    )
}

/// The findings of one pass over all bytes.
#[derive(Default)]
struct Survey {
    /// Whether a byte is 0, which no text has but in UTF-16 and UTF-32.
    has_nul: bool,
    /// Zeros of the first piece, by the place within four bytes.
    zeros: [usize; 4],
    first_piece: usize,
    has_escape: bool,
    is_ascii: bool,
    /// Whether there is anything that UTF-8 has not.
    has_other: bool,
    /// Whether the last character is cut off.
    is_cut: bool,
    first_bad_line: Option<u64>,
    samples: Samples,
}

impl Survey {
    fn of(file: &mut File) -> io::Result<Self> {
        let mut survey = Self { is_ascii: true, ..Self::default() };
        let mut buffer = vec![0; CHUNK_BYTES];
        // Bytes of a character that the last piece broke off.
        let mut kept = 0;
        loop {
            let read = file.read(&mut buffer[kept..])?;
            let filled = kept + read;
            if survey.first_piece == 0 {
                survey.first_piece = filled;
                for (place, byte) in buffer[..filled].iter().enumerate() {
                    survey.zeros[place % 4] += usize::from(*byte == 0);
                }
            }
            kept = survey.take(&buffer[..filled], read == 0);
            buffer.copy_within(filled - kept..filled, 0);
            if read == 0 {
                survey.samples.end();
                return Ok(survey);
            }
        }
    }

    /// Takes a piece but for the bytes at its end that may be the beginning of a character, and returns how many those
    /// are.
    fn take(&mut self, piece: &[u8], is_last: bool) -> usize {
        let mut left = 0;
        for chunk in piece.utf8_chunks() {
            let invalid = chunk.invalid();
            let is_cut = std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            let is_at_end = invalid.as_ptr_range().end == piece.as_ptr_range().end;
            self.samples.take(chunk.valid().as_bytes());
            if invalid.is_empty() {
                continue;
            }
            if is_cut && is_at_end && !is_last {
                left = invalid.len();
                continue;
            }
            self.has_other = true;
            self.is_cut = is_cut && is_at_end;
            self.first_bad_line.get_or_insert(self.samples.line());
            self.samples.take(invalid);
        }
        let taken = &piece[..piece.len() - left];
        self.has_nul |= memchr::memchr(0, taken).is_some();
        self.has_escape |= memchr::memchr(0x1b, taken).is_some();
        self.is_ascii &= taken.is_ascii();
        left
    }

    /// The form of Unicode that a file without a mark is in, by where it has zeros: the delimiters, the line ends and
    /// the numbers are ASCII in every language.
    fn unmarked(&self) -> Option<UnicodeForm> {
        let [first, second, third, fourth] = self.zeros;
        let (characters, units) = (self.first_piece / 4, self.first_piece / 2);
        let many = (units / 20).max(1);
        // Hardly a character is beyond the first 65,536.
        let is_most = |zeros: usize| zeros * 10 >= characters * 9;
        match (first + third, second + fourth) {
            _ if self.first_piece < 4 => None,
            _ if fourth >= characters && is_most(third) && !is_most(first) => Some(UnicodeForm::Utf32Le),
            _ if first >= characters && is_most(second) && !is_most(fourth) => Some(UnicodeForm::Utf32Be),
            // A character of other scripts may have a zero in the other half.
            (even, odd) if odd >= many && odd > even * 4 => Some(UnicodeForm::Utf16Le),
            (even, odd) if even >= many && even > odd * 4 => Some(UnicodeForm::Utf16Be),
            _ => None,
        }
    }

    /// What speaks against the encoding that the user gave for a file without a mark.
    fn against(&self, told: Coding, form: Option<UnicodeForm>) -> Option<String> {
        let name = told.name();
        let is_wide = match told {
            Coding::Encoding(encoding) => [UTF_16LE, UTF_16BE].contains(&encoding),
            Coding::Utf32(_) => true,
        };
        match form {
            Some(form) if !is_wide || form.name() != name => {
                Some(format!("is in {}, and not in {name}: leave out --encoding", form.name()))
            }
            None if is_wide && !self.has_nul => Some(format!(
                "is not in {name}, in which every line end has a byte that is zero: leave out --encoding, or name the \
                 encoding that it is in, such as windows-1252"
            )),
            None if !is_wide && self.has_nul => {
                Some(format!("is no text in {name}, for it has bytes that are zero: {SAVE}"))
            }
            // What looks like UTF-8 to its end is nothing else, but for a word or two by chance.
            None if !is_wide && told != Coding::Encoding(UTF_8) && self.is_utf8() && !self.is_ascii => Some(format!(
                "is in UTF-8, and not in {name}: leave out --encoding. If it is in {name} all the same, {SAVE}"
            )),
            _ => None,
        }
    }

    fn is_utf8(&self) -> bool {
        !self.has_other
    }

    /// Whether some of it only is not in UTF-8. In other encodings hardly a line looks like it by chance.
    fn is_mostly_utf8(&self) -> bool {
        let (good, bad) = (self.samples.utf8_lines, self.samples.other_lines);
        good > bad || (self.is_cut && bad == 1 && good == 1)
    }

    /// Whether it is in ISO-2022-JP, which is ASCII with escapes.
    fn is_japanese_mail(&self) -> bool {
        self.has_escape && self.is_ascii && self.samples.has_japanese_escape
    }
}

enum Coder {
    Encoding(Decoder),
    Utf32(UnicodeForm),
}

impl Coder {
    fn of(coding: Coding) -> Self {
        match coding {
            Coding::Encoding(encoding) => Self::Encoding(encoding.new_decoder_without_bom_handling()),
            Coding::Utf32(form) => Self::Utf32(form),
        }
    }
}

/// A file's text in UTF-8. Its lines end with `\n`, with or without `\r` before it.
pub(super) struct Decoded {
    file: BufReader<File>,
    coder: Coder,
    raw: Vec<u8>,
    text: String,
    /// Where in `text` the reader is.
    at: usize,
    is_done: bool,
    /// Whether the last character of the piece before was `\r`.
    has_return: bool,
    /// Bytes of the file that have been read.
    pub(super) consumed: u64,
    lines: u64,
    /// The line, from 1, on which something is that the encoding has not.
    malformed_at: Option<u64>,
}

impl Decoded {
    fn new(file: File, coding: Coding, consumed: u64) -> Self {
        Self {
            file: BufReader::new(file),
            coder: Coder::of(coding),
            raw: Vec::with_capacity(CHUNK_BYTES),
            text: String::new(),
            at: 0,
            is_done: false,
            has_return: false,
            consumed,
            lines: 0,
            malformed_at: None,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.text.clear();
        self.at = 0;
        let room = (CHUNK_BYTES - self.raw.len()) as u64;
        let read = self.file.by_ref().take(room).read_to_end(&mut self.raw)?;
        self.consumed += read as u64;
        self.is_done = read == 0;
        let is_whole = self.decode();
        self.end_lines();
        if is_whole {
            self.lines += memchr::memchr_iter(b'\n', self.text.as_bytes()).count() as u64;
            return Ok(());
        }
        self.malformed_at = Some(self.lines + memchr::memchr_iter(b'\n', self.text.as_bytes()).count() as u64 + 1);
        Err(io::ErrorKind::InvalidData.into())
    }

    /// Decodes what was read; `false` where the encoding has no such bytes.
    fn decode(&mut self) -> bool {
        match &mut self.coder {
            Coder::Encoding(decoder) => {
                let mut from = 0;
                loop {
                    let rest = &self.raw[from..];
                    // The library returns how much room it may need, unless that overflows.
                    let room =
                        decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(CHUNK_BYTES * 3);
                    self.text.reserve(room);
                    let (result, read) =
                        decoder.decode_to_string_without_replacement(rest, &mut self.text, self.is_done);
                    from += read;
                    match result {
                        DecoderResult::InputEmpty => break,
                        DecoderResult::OutputFull => {}
                        DecoderResult::Malformed(..) => return false,
                    }
                }
                self.raw.clear();
                // The library makes control characters of what older encodings have no character for. A table has none
                // of those, so the file is in another encoding.
                let is_older = ![UTF_8, UTF_16LE, UTF_16BE].contains(&decoder.encoding());
                let is_control = |c: char| matches!(c, '\u{80}'..='\u{9f}');
                match self.text.find(is_control).filter(|_| is_older) {
                    Some(at) => {
                        self.text.truncate(at);
                        false
                    }
                    None => true,
                }
            }
            Coder::Utf32(form) => {
                let (units, rest) = self.raw.as_chunks::<4>();
                for unit in units {
                    match form.character(*unit) {
                        Some(c) => self.text.push(c),
                        None => return false,
                    }
                }
                let is_whole = rest.is_empty() || !self.is_done;
                let left = rest.len();
                self.raw.drain(..self.raw.len() - left);
                is_whole
            }
        }
    }

    /// Makes line ends of `\r` alone, as old Macs write them: what counts lines knows no others than `\n`.
    fn end_lines(&mut self) {
        let ends_with_return = self.text.ends_with('\r') && !self.is_done;
        if !self.has_return && memchr::memchr(b'\r', self.text.as_bytes()).is_none() {
            return;
        }
        let mut text = String::with_capacity(self.text.len() + 1);
        let mut characters = if self.has_return { "\r" } else { "" }.chars().chain(self.text.chars()).peekable();
        while let Some(c) = characters.next() {
            match (c, characters.peek()) {
                ('\r', Some('\n')) => text.push('\r'),
                ('\r', None) if ends_with_return => {}
                ('\r', _) => text.push('\n'),
                _ => text.push(c),
            }
        }
        self.has_return = ends_with_return;
        self.text = text;
    }
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() {
            if self.is_done || self.malformed_at.is_some() {
                return Ok(0);
            }
            self.refill()?;
        }
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}
