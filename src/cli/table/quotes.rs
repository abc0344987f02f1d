//! Quotation marks of cells, as the parser of CSV knows them: without the blanks that some write before them, and none
//! that is never closed.

use std::io::{self, Read};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// Where in a cell the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At its beginning, after so many blanks.
    Begin(usize),
    Plain,
    /// Between quotation marks; the first is on that line.
    Quoted(u64),
    /// After a mark that closes it, unless another follows.
    Closed(u64),
}

/// A text whose cells begin with their quotation marks. It ends with an error where a mark is open.
pub(super) struct Quoted<R> {
    inner: R,
    delimiter: u8,
    place: Place,
    line: u64,
    raw: Vec<u8>,
    text: Vec<u8>,
    /// Where in `text` the reader is.
    at: usize,
    /// The line, from 1, on which a mark is opened that is not closed, or closed within another cell.
    pub(super) open_on: Option<u64>,
}

impl<R: Read> Quoted<R> {
    /// Takes a text from its beginning.
    pub(super) fn new(inner: R, delimiter: u8) -> Self {
        let (raw, text) = (vec![0; CHUNK_BYTES], Vec::with_capacity(CHUNK_BYTES));
        Self { inner, delimiter, place: Place::Begin(0), line: 1, raw, text, at: 0, open_on: None }
    }

    pub(super) fn inner(&self) -> &R {
        &self.inner
    }

    /// Takes a byte and writes what becomes of it.
    fn take(&mut self, byte: u8) {
        if let Place::Begin(blanks) = self.place {
            match byte {
                b' ' => return self.place = Place::Begin(blanks + 1),
                // The parser knows a quotation mark as such at the very beginning only.
                b'"' => {}
                _ => self.text.extend(std::iter::repeat_n(b' ', blanks)),
            }
        }
        self.text.push(byte);
        let is_end = byte == self.delimiter || byte == b'\n';
        self.place = match self.place {
            Place::Begin(_) if byte == b'"' => Place::Quoted(self.line),
            Place::Quoted(line) if byte == b'"' => Place::Closed(line),
            Place::Quoted(line) => Place::Quoted(line),
            Place::Closed(line) if byte == b'"' => Place::Quoted(line),
            _ if is_end => Place::Begin(0),
            // A cell of several lines that goes on behind its mark was opened by mistake: the mark is another cell's.
            Place::Closed(line) if line < self.line && !byte.is_ascii_whitespace() => {
                self.open_on.get_or_insert(line);
                Place::Plain
            }
            _ => Place::Plain,
        };
        self.line += u64::from(byte == b'\n');
    }
}

impl<R: Read> Read for Quoted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() {
            if self.open_on.is_some() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.text.clear();
            self.at = 0;
            let read = self.inner.read(&mut self.raw)?;
            let raw = std::mem::take(&mut self.raw);
            raw[..read].iter().for_each(|byte| self.take(*byte));
            self.raw = raw;
            if read == 0 {
                match self.place {
                    Place::Quoted(line) => self.open_on = self.open_on.or(Some(line)),
                    Place::Begin(blanks) => self.text.extend(std::iter::repeat_n(b' ', blanks)),
                    Place::Plain | Place::Closed(_) => {}
                }
                self.place = Place::Plain;
            }
            if read == 0 && self.text.is_empty() && self.open_on.is_none() {
                return Ok(0);
            }
        }
        let rest = &self.text[self.at..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, Option<u64>> {
        let mut quoted = Quoted::new(text.as_bytes(), b',');
        let mut read = String::new();
        quoted.read_to_string(&mut read).map(|_| read).map_err(|_| quoted.open_on)
    }

    #[test]
    fn blanks_before_a_quotation_mark_are_left_out() {
        assert_eq!(
            read("a,  \"b, \"\"c\"\" , \"\n \"d\", e, f\" \n  ").unwrap(),
            "a,\"b, \"\"c\"\" , \"\n\"d\", e, f\" \n  "
        );
        for same in
            ["", "a, b ,c\r\n", "\"a\nb\",c", "a, 19\" screen", "\"\"", "\"a\" \r\n", "\"Tall\" Joe,x", "a,\"b\nc\" \n"]
        {
            assert_eq!(read(same).unwrap(), same);
        }
    }

    #[test]
    fn a_mark_that_is_not_closed_is_told_with_its_line() {
        assert_eq!(read("a,b\n1,\"x\n2,y\n"), Err(Some(2)));
        assert_eq!(read("\""), Err(Some(1)));
        assert_eq!(read("a\n\"b\nc\",\"d\"\"\n"), Err(Some(3)), "a doubled mark closes nothing");
        assert_eq!(read("a\n1,\"x\n2,\"y\"\n"), Err(Some(2)), "the mark of the next row closes it");
    }
}
