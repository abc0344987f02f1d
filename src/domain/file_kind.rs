//! What kind of file it is that somebody hands in by mistake, by its first bytes.

/// A kind of file, as a sentence names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileKind {
    /// "a PDF", with its article.
    pub name: &'static str,
    /// What to do to have a file in its place that can be read.
    pub advice: Advice,
}

/// What to do with a [`FileKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Open it with the program that it is of, and save it in another format.
    SaveAs,
    /// Take the file out that is in it.
    Unpack,
    /// Get the file from where it was got, but the right one.
    GetAgain,
}

/// Bytes from which [`FileKind::of`] knows a file.
pub const KIND_BYTES: usize = 4_096;

impl FileKind {
    const fn new(name: &'static str, advice: Advice) -> Self {
        Self { name, advice }
    }

    /// The kind of a file that is no plain text, or a text of its own kind. CSV and JSON are none.
    pub fn of(start: &[u8]) -> Option<Self> {
        const EXACT: [(&[u8], FileKind); 13] = [
            // The container of the old Office, also of new workbooks that have a password.
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind::new("an Excel workbook", Advice::SaveAs)),
            (b"%PDF", FileKind::new("a PDF", Advice::GetAgain)),
            (b"{\\rtf", FileKind::new("a document of rich text (RTF)", Advice::SaveAs)),
            (b"\x1f\x8b", FileKind::new("compressed (gzip)", Advice::Unpack)),
            (b"7z\xbc\xaf\x27\x1c", FileKind::new("an archive (7z)", Advice::Unpack)),
            (b"Rar!", FileKind::new("an archive (RAR)", Advice::Unpack)),
            (b"BZh", FileKind::new("compressed (bzip2)", Advice::Unpack)),
            (b"\xfd7zXZ", FileKind::new("compressed (xz)", Advice::Unpack)),
            (b"\x28\xb5\x2f\xfd", FileKind::new("compressed (zstd)", Advice::Unpack)),
            (b"\x89PNG", FileKind::new("a picture", Advice::GetAgain)),
            (b"\xff\xd8\xff", FileKind::new("a picture", Advice::GetAgain)),
            (b"SQLite format 3", FileKind::new("a SQLite database", Advice::GetAgain)),
            (b"PAR1", FileKind::new("a Parquet file", Advice::SaveAs)),
        ];
        if start.starts_with(b"PK\x03\x04") {
            return Some(zipped(start));
        }
        if let Some((_, kind)) = EXACT.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Some(*kind);
        }
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        let word = String::from_utf8_lossy(&text[..text.len().min(256)]).to_ascii_lowercase();
        let begins = |tags: &[&str]| tags.iter().any(|tag| word.starts_with(tag));
        if begins(&["<!doctype html", "<html", "<head", "<body", "<table", "<meta", "<style", "<div"]) {
            return Some(Self::new("an HTML page", Advice::GetAgain));
        }
        if begins(&["<?xml", "<?mso", "<!--", "<!doctype", "<svg", "<workbook"]) {
            let is_page = word.contains("<html") || word.contains("<!doctype html");
            let name = if is_page { "an HTML page" } else { "an XML document" };
            return Some(Self::new(name, if is_page { Advice::GetAgain } else { Advice::SaveAs }));
        }
        begins(&["begin:vcard"]).then_some(Self::new("a file of address cards (vCard)", Advice::SaveAs))
    }
}

/// What a zip archive is by the names of the files in it, of which those at its beginning are legible.
fn zipped(start: &[u8]) -> FileKind {
    let has = |name: &str| memchr::memmem::find(start, name.as_bytes()).is_some();
    if has("opendocument.spreadsheet") {
        FileKind::new("an OpenDocument spreadsheet", Advice::SaveAs)
    } else if has("opendocument.") {
        FileKind::new("an OpenDocument file", Advice::SaveAs)
    } else if has("Index/") && has(".iwa") {
        FileKind::new("a document of Numbers or Pages", Advice::SaveAs)
    } else if has("word/") {
        FileKind::new("a Word document", Advice::SaveAs)
    } else if has("[Content_Types].xml") || has("xl/") || has("docProps/") {
        FileKind::new("an Excel workbook", Advice::SaveAs)
    } else if start.len() < 31 {
        // The name of the first file begins there.
        FileKind::new("a workbook or another zip archive", Advice::SaveAs)
    } else {
        FileKind::new("a zip archive", Advice::Unpack)
    }
}
