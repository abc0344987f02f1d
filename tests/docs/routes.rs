//! The routes of the program: those of the table in `src/api/mod.rs`, and those by which channels' deliveries come in.

use std::fs;

use qyvo::channels::ChannelKind;
use regex::Regex;

/// One of them.
pub(crate) struct Route {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The scope that it wants, or `open`.
    pub(crate) scope: String,
}

impl Route {
    /// Such as `GET /flows/{id}`.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// All of them.
pub(crate) fn routes() -> Vec<Route> {
    let table = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/mod.rs")).unwrap();
    let row = Regex::new(r#"(?m)^    (?:entry|document)\(Method::([A-Z]+), "([^"]+)", ([A-Z]+)"#).unwrap();
    let of_table = row.captures_iter(&table).map(|found| Route {
        method: found[1].to_owned(),
        path: found[2].to_owned(),
        scope: found[3].to_lowercase(),
    });
    let deliveries = ChannelKind::ALL.into_iter().filter_map(ChannelKind::deliveries).map(|deliveries| Route {
        method: "POST".to_owned(),
        path: deliveries.path.to_owned(),
        scope: "open".to_owned(),
    });
    let routes: Vec<Route> = of_table.chain(deliveries).collect();
    assert!(routes.len() > 100, "the table of routes is not where it was");
    routes
}
