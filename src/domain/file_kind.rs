//! The kind of a file that was handed in by mistake, by its first bytes.

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
    /// Save the file that is attached to it.
    Detach,
    /// Get the file from where it was got, but the right one.
    GetAgain,
}

/// Bytes from which [`FileKind::of`] knows a file.
pub const KIND_BYTES: usize = 4_096;

/// Zeros from which on a file has been nothing else.
const ZEROS: usize = 16;

impl FileKind {
    const fn new(name: &'static str, advice: Advice) -> Self {
        Self { name, advice }
    }

    /// The kind of a file that is no plain text, or a text of its own kind. CSV and JSON are none.
    pub fn of(start: &[u8]) -> Option<Self> {
        const EXACT: [(&[u8], FileKind); 14] = [
            // The container of the old Office, also of new workbooks that have a password.
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind::new("an Excel workbook", Advice::SaveAs)),
            (b"%PDF", FileKind::new("a PDF", Advice::GetAgain)),
            (b"{\\rtf", FileKind::new("a document of rich text (RTF)", Advice::SaveAs)),
            (b"\x1f\x8b", FileKind::new("compressed (gzip)", Advice::Unpack)),
            (b"7z\xbc\xaf\x27\x1c", FileKind::new("an archive (7z)", Advice::Unpack)),
            // What an archive ends with, where nothing is in it.
            (b"PK\x05\x06", FileKind::new("a zip archive with nothing in it", Advice::GetAgain)),
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
        if start.len() >= ZEROS && start.iter().all(|byte| *byte == 0) {
            return Some(Self::new("nothing but zeros, as a broken disk or download leaves it", Advice::GetAgain));
        }
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        let word = String::from_utf8_lossy(&text[..text.len().min(256)]).to_ascii_lowercase();
        let begins = |tags: &[&str]| tags.iter().any(|tag| word.starts_with(tag));
        if begins(&["<!doctype html", "<html", "<head", "<body", "<table", "<meta", "<style", "<div"]) {
            return Some(Self::new("an HTML page", Advice::GetAgain));
        }
        if begins(&["<mxfile", "<mxgraphmodel"]) || (word.starts_with("<?xml") && word.contains("<mxfile")) {
            return Some(Self::new("a diagram of draw.io (diagrams.net)", Advice::GetAgain));
        }
        if word.starts_with('<') && (word.contains("omg.org/spec/bpmn") || word.contains("<bpmn")) {
            return Some(Self::new("a diagram of processes (BPMN, as of Camunda)", Advice::GetAgain));
        }
        if begins(&["<?xml", "<?mso", "<!--", "<!doctype", "<svg", "<workbook"]) {
            let is_page = word.contains("<html") || word.contains("<!doctype html");
            let name = if is_page { "an HTML page" } else { "an XML document" };
            return Some(Self::new(name, if is_page { Advice::GetAgain } else { Advice::SaveAs }));
        }
        if is_mail(text) {
            return Some(Self::new("a mail", Advice::Detach));
        }
        begins(&["begin:vcard"]).then_some(Self::new("a file of address cards (vCard)", Advice::SaveAs))
    }
}

/// Whether a text begins with the header of a mail (RFC 5322, section 2.2), perhaps behind the line of a mailbox.
fn is_mail(text: &[u8]) -> bool {
    const FIELDS: [&str; 9] =
        ["from", "to", "subject", "date", "message-id", "mime-version", "received", "return-path", "delivered-to"];
    let text = String::from_utf8_lossy(text);
    let mut found = 0;
    for line in text.lines().skip_while(|line| line.starts_with("From ")) {
        // A field that goes on begins with a blank, and the header ends with a line that has nothing.
        if line.starts_with([' ', '\t']) && found > 0 {
            continue;
        }
        let Some((name, _)) = line.split_once(':') else { break };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            break;
        }
        found += usize::from(FIELDS.contains(&name.to_ascii_lowercase().as_str()));
    }
    found >= 3
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

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(start: &[u8]) -> &'static str {
        FileKind::of(start).map_or("", |kind| kind.name)
    }

    #[test]
    fn mails_are_known_by_their_header() {
        let mail =
            "From: a@example.com\r\nTo: b@example.com\r\nSubject: contacts,\r\n as promised\r\n\r\nphone,name\r\n";
        assert_eq!(name_of(mail.as_bytes()), "a mail");
        let mailbox = format!("From a@example.com Mon May  4 08:00:00 2026\nX-Spam: no\n{mail}");
        assert_eq!(name_of(mailbox.as_bytes()), "a mail");
        for other in ["From: a\nTo: b\n", "from,to,subject,date\n", "to: a\nphone,name\nfrom: b\ndate: c\n", "", "\n\n"]
        {
            assert_eq!(name_of(other.as_bytes()), "", "{other}");
        }
    }

    #[test]
    fn what_has_nothing_in_it_is_named() {
        assert!(name_of(&[0; 5000][..KIND_BYTES]).contains("zeros"));
        assert_eq!(name_of(&[0; 4]), "", "it may be a character of UTF-32");
        assert!(name_of(b"PK\x05\x06\0\0\0\0").contains("zip"));
    }

    #[test]
    fn diagrams_are_named_by_their_program() {
        assert!(name_of(b"<mxfile host=\"x\">").contains("draw.io"));
        let process = "<?xml version=\"1.0\"?>\n<definitions xmlns=\"http://www.omg.org/spec/BPMN/20100524/MODEL\">";
        assert!(name_of(process.as_bytes()).contains("BPMN"));
        assert_eq!(name_of(b"<?xml version=\"1.0\"?>\n<people/>"), "an XML document");
    }
}
