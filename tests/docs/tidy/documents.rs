//! What README.md, `docs/`, ARCHITECTURE.md and CONTRIBUTING.md name has to be there: links, paths of the tree, keys of
//! the configuration and routes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;

use super::root;
use crate::routes::routes;

/// Where paths of the tree begin.
const TOP: [&str; 12] =
    [".cargo", ".ci", "benches", "crates", "docs", "fuzz", "openapi", "ops", "src", "static", "tests", "ui"];
/// How files of the tree end that are named without a folder.
const ENDINGS: [&str; 4] = [".rs", ".sql", ".md", ".example"];
/// Variables of the examples, which configure nothing.
const OF_EXAMPLES: [&str; 6] = ["QYVO_", "QYVO_URL", "QYVO_TOKEN", "QYVO_FLOW_ID", "QYVO_PHONE", "QYVO_SESSION_ID"];

/// A document for people.
struct Document {
    /// From the root.
    path: String,
    /// Without its fenced blocks.
    text: String,
    /// With them.
    whole: String,
}

fn documents() -> Vec<Document> {
    let mut paths: Vec<String> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().into_string().unwrap()))
        .collect();
    paths.extend(["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"].map(str::to_owned));
    paths.sort();
    let outside_of_fences = |text: &str| {
        let mut is_inside = false;
        let lines = text.lines().filter(|line| {
            let is_fence = line.starts_with("```");
            is_inside ^= is_fence;
            !is_inside && !is_fence
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    let read = |path: String| {
        let whole = fs::read_to_string(root().join(&path)).unwrap();
        Document { text: outside_of_fences(&whole), whole, path }
    };
    paths.into_iter().map(read).collect()
}

/// What stands between backticks, once each. A span may go over the end of a line, but not of a paragraph.
fn code_spans(text: &str) -> BTreeSet<String> {
    let span = Regex::new("`([^`]+)`").unwrap();
    let paragraphs = text.split("\n\n");
    paragraphs
        .flat_map(|it| span.captures_iter(it).map(|found| found[1].replace('\n', " ")).collect::<Vec<_>>())
        .collect()
}

/// Every file and every folder of the tree, a folder with a `/` at its end.
fn tree() -> Vec<String> {
    fn walk(folder: &Path, before: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if ["target", ".git", "node_modules"].contains(&name.as_str()) {
                continue;
            }
            let path = format!("{before}{name}");
            if entry.file_type().unwrap().is_dir() {
                let path = format!("{path}/");
                walk(&entry.path(), &path, found);
                found.push(path);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), "", &mut found);
    found
}

/// The anchor that a heading gets: in small letters, with `-` for blanks and without other punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_between_documents_resolve() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut broken = Vec::new();
    for Document { path, text, .. } in documents() {
        let targets = link.captures_iter(&text).map(|found| found[1].to_owned());
        for target in targets.filter(|target| !target.starts_with("https://")) {
            let (file, wanted) = target.split_once('#').unwrap_or((&target, ""));
            let file = match file {
                "" => root().join(&path),
                file => root().join(&path).parent().unwrap().join(file),
            };
            let has_anchor = |text: String| {
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                wanted.is_empty() || headings.any(|line| anchor(line.trim_start_matches('#')) == wanted)
            };
            if !fs::read_to_string(file).is_ok_and(has_anchor) {
                broken.push(format!("{path}: {target}"));
            }
        }
    }
    assert_eq!(broken, [] as [&str; 0]);
}

#[test]
fn the_readme_leads_to_every_page() {
    let documents = documents();
    let readme = &documents.iter().find(|document| document.path == "README.md").unwrap().text;
    let lines = fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= 250, "README.md has {lines} lines: a page of docs/ is the place for more");
    let lost = documents.iter().map(|document| &document.path).filter(|path| !readme.contains(&format!("({path})")));
    assert_eq!(lost.collect::<Vec<_>>(), ["README.md"]);
}

/// In ARCHITECTURE.md a path may begin below `src/` or `tests/`, or in the folder that a sentence is about. `<name>`
/// and `*` stand for any name.
#[test]
fn paths_in_documents_are_paths_of_the_tree() {
    let like_a_path = Regex::new(r"^[A-Za-z0-9_.<>*-]+(/[A-Za-z0-9_.<>*-]+)*/?$").unwrap();
    let any_name = Regex::new(r"<[^>]*>|\*").unwrap();
    let tree = tree();
    let mut seen = 0;
    let mut missing = Vec::new();
    for Document { path: document, text, .. } in documents() {
        let is_loose = document == "ARCHITECTURE.md";
        for span in code_spans(&text).into_iter().filter(|span| like_a_path.is_match(span)) {
            let is_below_top = span.split_once('/').is_some_and(|(top, _)| TOP.contains(&top));
            let is_file = ENDINGS.iter().any(|ending| span.ends_with(ending));
            if !(is_below_top || is_file || is_loose && span.contains('/')) {
                continue;
            }
            seen += 1;
            let name: Vec<String> = any_name.split(&span).map(regex::escape).collect();
            let before = if is_loose { "(^|/)" } else { "^" };
            let pattern = Regex::new(&format!("{before}{}$", name.join("[^/]*"))).unwrap();
            if !tree.iter().any(|path| pattern.is_match(path)) {
                missing.push(format!("{document}: {span}"));
            }
        }
    }
    assert!(seen > 100, "only {seen} paths were found in the documents");
    assert_eq!(missing, [] as [&str; 0]);
}

#[test]
fn tests_and_benchmarks_in_documents_are_there() {
    let named = Regex::new(r"--(test|bench) (\w+)").unwrap();
    let mut seen = 0;
    for Document { path, whole, .. } in documents() {
        for found in named.captures_iter(&whole) {
            let folder = root().join(if &found[1] == "test" { "tests" } else { "benches" });
            let name = &found[2];
            let is_there = folder.join(format!("{name}.rs")).exists() || folder.join(name).join("main.rs").exists();
            assert!(is_there, "{path} says {}, and there is none", &found[0]);
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} tests and benchmarks were found in the documents");
}

/// Every key of the example file, as `section.key`.
fn keys() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("qyvo.toml.example")).unwrap();
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.insert(format!("{section}.{key}"));
        }
    }
    assert!(keys.len() > 30, "the example file is not what it was");
    keys
}

#[test]
fn keys_and_variables_in_documents_are_those_of_the_configuration() {
    let keys = keys();
    let sections: BTreeSet<&str> = keys.iter().filter_map(|key| key.split('.').next()).collect();
    let description = fs::read_to_string(root().join("static/openapi.yaml")).unwrap();
    let is_event = |name: &str| description.contains(&format!("\n  {name}:\n"));
    let like_a_key = Regex::new(r"^([a-z_]+)\.[a-z_]+$").unwrap();
    let variable = Regex::new(r"\bQYVO_[A-Z_]*").unwrap();
    let variables: BTreeSet<String> =
        keys.iter().map(|key| format!("QYVO_{}", key.replace('.', "_").to_uppercase())).collect();
    let mut unknown = Vec::new();
    for Document { path, text, .. } in documents() {
        for span in code_spans(&text) {
            let is_of_section = like_a_key.captures(&span).is_some_and(|found| sections.contains(&found[1]));
            if is_of_section && !keys.contains(&span) && !is_event(&span) {
                unknown.push(format!("{path}: {span}"));
            }
            for name in variable.find_iter(&span).map(|found| found.as_str()) {
                let key = name.strip_suffix("_FILE").unwrap_or(name);
                if !variables.contains(key) && !OF_EXAMPLES.contains(&name) {
                    unknown.push(format!("{path}: {name}"));
                }
            }
        }
    }
    assert_eq!(unknown, [] as [&str; 0]);
}

#[test]
fn routes_in_documents_are_routes() {
    let placeholder = Regex::new(r"\\\{[^}]*\\\}").unwrap();
    let routes: Vec<Regex> = routes()
        .into_iter()
        .map(|route| {
            let path = placeholder.replace_all(&regex::escape(&route.path), "[^/]+").into_owned();
            Regex::new(&format!("^{} /api/v1{path}$", route.method)).unwrap()
        })
        .collect();
    let like_a_route = Regex::new(r"^(GET|POST|PUT|PATCH|DELETE) /").unwrap();
    let mut seen = 0;
    let mut unknown = Vec::new();
    for Document { path, text, .. } in documents() {
        for span in code_spans(&text).into_iter().filter(|span| like_a_route.is_match(span)) {
            seen += 1;
            if !routes.iter().any(|route| route.is_match(&span)) {
                unknown.push(format!("{path}: {span}"));
            }
        }
    }
    assert!(seen > 10, "only {seen} routes were found in the documents");
    assert_eq!(unknown, [] as [&str; 0]);
}
