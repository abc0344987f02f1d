//! How long a line and a file of source may be, and how a path may begin.

use std::path::{Path, PathBuf};

use super::{found, product, root};

const COLUMNS: usize = 120;
/// Lines of a file that are not blank, without the tests at its foot.
const LINES: usize = 600;
/// The same of a file of the admin page.
const LINES_OF_THE_PAGE: usize = 400;
/// How files of the admin page end.
const OF_THE_PAGE: [&str; 5] = ["ts", "svelte", "css", "html", "js"];

/// Lines that may be longer, as their file and how they begin: literals and rows of tables that a line break would
/// change.
const LONG: [(&str, &str); 4] = [
    ("src/channels/whatsapp/signature.rs", r##"const SIGNED: &[u8] = br#"{"##),
    ("src/domain/typed.rs", r#"let source = r"^["#),
    ("src/engine/extract.rs", r#"r"[\p{L}"#),
    ("tests/app/whatsapp/complaints/mod.rs", "//! | "),
];

/// The files below a folder that end like this. What is built or generated is left out.
fn collect(folder: &Path, endings: &[&str], files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
            collect(&path, endings, files);
        } else if path.extension().is_some_and(|extension| endings.iter().any(|ending| extension == *ending))
            && !path.to_string_lossy().contains(".gen.")
        {
            files.push(path);
        }
    }
}

/// The sources of the admin page, and what builds it.
fn files_of_the_page() -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&root().join("ui"), &OF_THE_PAGE, &mut files);
    assert!(files.len() > 80, "the sources of the page are not where they were");
    files
}

/// How many lines of a text are not blank.
fn written(text: &str) -> usize {
    text.lines().filter(|line| !line.trim().is_empty()).count()
}

#[test]
fn no_line_is_longer_than_120_columns() {
    let mut files = files_of_the_page();
    for folder in ["src", "tests", "benches", "crates", "fuzz"] {
        collect(&root().join(folder), &["rs"], &mut files);
    }
    assert!(files.len() > 400, "the sources are not where they were");
    let mut long = Vec::new();
    for path in files {
        let name = path.strip_prefix(root()).unwrap();
        let may_be_long = |line: &str| {
            LONG.iter().any(|(file, start)| name == Path::new(file) && line.trim_start().starts_with(start))
        };
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().enumerate().filter(|(_, line)| line.chars().count() > COLUMNS && !may_be_long(line));
        long.extend(lines.map(|(index, _)| format!("{}:{}", name.display(), index + 1)));
    }
    long.sort();
    assert_eq!(long, [] as [&str; 0]);
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let mut files = Vec::new();
    collect(&root().join("src"), &["rs"], &mut files);
    let of_the_program = files.into_iter().map(|path| (path, LINES));
    let of_the_page = files_of_the_page().into_iter().map(|path| (path, LINES_OF_THE_PAGE));
    let mut long = Vec::new();
    for (path, most) in of_the_program.chain(of_the_page) {
        let lines = written(product(&std::fs::read_to_string(&path).unwrap()));
        if lines > most {
            long.push(format!("{}: {lines}", path.strip_prefix(root()).unwrap().display()));
        }
    }
    long.sort();
    assert_eq!(long, [] as [&str; 0], "take a part out into a file of its own");
}

#[test]
fn no_path_goes_up_two_levels() {
    assert_eq!(found(r"\bsuper::super::", |_| true), [] as [&str; 0], "write the path from `crate`");
}
