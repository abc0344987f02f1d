//! The house's rules that a compiler does not check: who may import whom, and what is named where.

mod documents;
mod layers;
mod lines;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use qyvo::domain::{Place, Reason};
use regex::Regex;

use crate::routes::{Route, routes};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file below `src`, as its path from there and its text without comments.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let src = root().join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    paths.sort();
    assert!(paths.len() > 30, "the sources are not where they were");
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            (path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned(), code)
        })
        .collect()
}

/// A file's text without the tests at its foot.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

/// Whether a file is more than tests.
fn is_product(path: &str) -> bool {
    !path.contains("/tests/") && !path.ends_with("tests.rs")
}

fn module(path: &str) -> &str {
    path.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Lines of files that match a pattern, where a file is judged by `applies`.
fn found(pattern: &str, applies: impl Fn(&str) -> bool) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    sources()
        .into_iter()
        .filter(|(path, _)| applies(path))
        .flat_map(|(path, code)| {
            let lines: Vec<String> = code
                .lines()
                .filter(|line| pattern.is_match(line))
                .map(|line| format!("{path}: {}", line.trim()))
                .collect();
            lines
        })
        .collect()
}

#[test]
fn engine_and_domain_are_pure() {
    let impure = r"\b(SystemTime|Instant|rand|tokio|actix\w*|rusqlite|reqwest|tracing)\b|Uuid::(now|new)_|::now\(";
    let lines = found(impure, |path| ["engine", "domain"].contains(&module(path)));
    assert_eq!(lines, [] as [&str; 0]);
}

#[test]
fn only_the_store_knows_sqlite() {
    let sql = r#"\b(rusqlite|r2d2\w*)\b|"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA|BEGIN|VACUUM)\b[^"]"#;
    let lines = found(sql, |path| module(path) != "store");
    assert_eq!(lines, [] as [&str; 0]);
}

#[test]
fn only_the_api_and_the_server_know_actix() {
    let lines = found(r"\bactix_\w+", |path| !["api", "server"].contains(&module(path)));
    assert_eq!(lines, [] as [&str; 0]);
}

#[test]
fn only_the_module_of_metrics_knows_who_keeps_them() {
    let crates = r"(^|[^:\w])::metrics::|\bmetrics_(exporter_prometheus|util)\b|\b(counter|gauge|histogram)!";
    let lines = found(crates, |path| module(path) != "metrics");
    assert_eq!(lines, [] as [&str; 0]);
}

#[test]
fn modules_import_only_what_they_may() {
    let allowed: BTreeMap<&str, &str> = BTreeMap::from([
        ("domain", ""),
        ("error", ""),
        ("metrics", ""),
        ("engine", "domain"),
        ("views", "domain"),
        ("store", "metrics domain error"),
        ("channels", "domain error"),
        ("config", "channels domain error"),
        ("telemetry", "config error"),
        ("credentials", "store domain error"),
        ("settings", "store channels config domain error"),
        ("runtime", "engine views store channels credentials metrics domain error"),
        ("api", "runtime views store channels credentials settings metrics domain telemetry error"),
        ("server", "api runtime store channels credentials settings metrics domain config telemetry error"),
        ("server/sockets", "domain telemetry error"),
        ("cli", "server runtime views store channels credentials settings domain config telemetry error"),
    ]);
    let path_in_code = Regex::new(r"\bcrate::(\w+)").unwrap();
    let group = Regex::new(r"\bcrate::\{([^}]*)\}").unwrap();
    let mut wrong = BTreeSet::new();
    for (path, code) in sources() {
        let module = if path.starts_with("server/sockets/") { "server/sockets" } else { module(&path) };
        let Some(allowed) = allowed.get(module) else {
            assert!(["lib", "main"].contains(&module), "{path} is in no room of the house");
            continue;
        };
        let grouped = group.captures_iter(&code).flat_map(|found| {
            let names: Vec<String> =
                found[1].split(',').map(|name| name.trim().split("::").next().unwrap().to_owned()).collect();
            names
        });
        let plain = path_in_code.captures_iter(&code).map(|found| found[1].to_owned());
        for name in plain.chain(grouped).filter(|name| !name.is_empty() && name != module) {
            if !allowed.split(' ').any(|other| other == name) {
                wrong.insert(format!("{path} imports {name}"));
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

/// The functions of a module of the store that write: those that take a transaction.
fn writers(module: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(format!("src/store/{module}.rs"))).unwrap();
    let writer = Regex::new(r"pub fn (\w+)\(\s*tx: &Tx\b").unwrap();
    writer.captures_iter(product(&text)).map(|found| found[1].to_owned()).collect()
}

#[test]
fn only_the_runtime_moves_sessions() {
    let mut moves = r"engine::(step|begin)\b|Job::new".to_owned();
    for (module, known) in [("sessions", "mark_cancelled"), ("sessions", "set_prompted"), ("merge", "unite")] {
        let names = writers(module);
        assert!(names.iter().any(|name| name == known), "{module} has no {known}: {names:?}");
        let names = names.join("|");
        // By its module, out of a list of imports, or under another name of the module.
        moves += &format!(r"|\b{module}::({names})\b|\b{module}::\{{[^}}]*\b({names})\b|\b{module} as \w+");
    }
    let moves = Regex::new(&moves).unwrap();
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        if !["runtime", "store", "engine"].contains(&module(&path)) {
            wrong.extend(moves.find_iter(&code).map(|found| format!("{path}: {}", found.as_str())));
        }
    }
    assert_eq!(wrong, [] as [&str; 0]);
}

#[test]
fn every_route_is_described_and_every_description_is_a_route() {
    let routes: BTreeSet<String> = routes().iter().map(Route::name).collect();

    let description = std::fs::read_to_string(root().join("static/openapi.yaml")).unwrap();
    let paths = description.split("\npaths:\n").nth(1).unwrap();
    let mut described = BTreeSet::new();
    let mut path = "";
    for line in paths.lines().take_while(|line| line.is_empty() || line.starts_with([' ', '#'])) {
        let indent = line.len() - line.trim_start().len();
        let key = line.trim().trim_end_matches(':').trim_matches('\'');
        match indent {
            2 if key.starts_with('/') => path = key,
            4 if ["get", "post", "put", "patch", "delete"].contains(&key) => {
                described.insert(format!("{} {path}", key.to_uppercase()));
            }
            _ => {}
        }
    }
    assert_eq!(routes, described);
}

#[test]
fn the_engine_fails_and_ignores_for_reasons_of_that_kind() {
    let named = Regex::new(r"(\w+)\(\s*(?:\w+, )*Reason::(\w+)").unwrap();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (path, code) in sources().into_iter().filter(|(path, _)| path.starts_with("engine/machine/")) {
        for found in named.captures_iter(code.split("#[cfg(test)]").next().unwrap()) {
            let reason = Reason::ALL.into_iter().find(|reason| format!("{reason:?}") == found[2]).unwrap();
            let may_stand: &[Place] = match &found[1] {
                "Halt" | "Failed" | "fail" | "not_run" => &[Place::Session],
                "Err" => &[Place::Reply, Place::Trace],
                _ => &[],
            };
            seen += 1;
            if !reason.places().iter().any(|place| may_stand.contains(place)) {
                wrong.push(format!("{path}: {}", &found[0]));
            }
        }
    }
    assert!(seen > 30, "only {seen} reasons were found in the engine");
    assert_eq!(wrong, [] as [&str; 0]);
}

#[test]
fn every_module_says_what_it_is_for() {
    let src = root().join("src");
    let silent: Vec<String> = sources()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| !std::fs::read_to_string(src.join(path)).unwrap().starts_with("//! "))
        .collect();
    assert_eq!(silent, [] as [&str; 0]);
}
