//! Which files and folders of the source import which: those beside one another never in a circle, and the modules of
//! `runtime/` and `api/` in the order that ARCHITECTURE.md lists. The `mod.rs` of a folder is the parent, which all of
//! them may use.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::{root, sources};

/// Modules of `runtime/` that run beside each other and import none of each other.
const WORKERS: [&str; 5] = ["inbound", "outbox", "calls", "webhooks", "indexer"];
/// How the `mod.rs` of a folder is called in a graph of its modules.
const PARENT: &str = "mod.rs";

/// A module, as its names from `src/` on.
type Module = Vec<String>;

/// The modules of the program, each with those that it names.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let tests = Regex::new(r"#\[cfg\(test\)\]\n(#\[.*\]\n)*mod tests").unwrap();
    let is_test = |path: &str| path.split(['/', '.']).any(|name| ["tests", "testing"].contains(&name));
    let files: BTreeMap<Module, String> = sources()
        .into_iter()
        .filter(|(path, _)| !is_test(path) && !["lib.rs", "main.rs"].contains(&path.as_str()))
        .map(|(path, code)| {
            let module = path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(str::to_owned).collect();
            (module, tests.split(&code).next().unwrap().to_owned())
        })
        .collect();
    // Comments, and visibility, which names a module and uses nothing of it.
    let no_import = Regex::new(r"//[^\n]*|pub\(in [\w:]+\)").unwrap();
    let import = Regex::new(r"(?m)^\s*(?:pub(?:\([^)]*\))?\s+)?use\s+([\w:{}, \n*]+);").unwrap();
    let path = Regex::new(r"\b(?:crate|super|self)(?:::\w+)+").unwrap();
    // What a parent takes from its children and passes on, by its name there.
    let public = Regex::new(r"(?m)^pub(?:\([^)]*\))?\s+use\s+([\w:{}, \n*]+);").unwrap();
    let mut passed_on: BTreeMap<Module, Module> = BTreeMap::new();
    for (module, code) in &files {
        for path in public.captures_iter(code).flat_map(|found| leaves(&found[1])) {
            let Some(target) = absolute(module, &path, &files) else { continue };
            if let Some((name, of)) = target.split_last().filter(|(_, of)| files.contains_key(*of)) {
                passed_on.insert([module.as_slice(), std::slice::from_ref(name)].concat(), of.to_vec());
            }
        }
    }
    let imports_of = |module: &Module, code: &str| -> BTreeSet<Module> {
        let code = &no_import.replace_all(
            code,
            |found: &regex::Captures<'_>| {
                if found[0].starts_with('p') { "pub" } else { "" }
            },
        );
        let used = import.captures_iter(code).flat_map(|found| leaves(&found[1]));
        let rest = import.replace_all(code, "");
        let named: Vec<String> = path.find_iter(&rest).map(|found| found.as_str().to_owned()).collect();
        let absolute = used.chain(named).filter_map(|path| absolute(module, &path, &files));
        let of_a_file = absolute.filter_map(|mut path| {
            if let Some(origin) = (1..=path.len()).find_map(|length| passed_on.get(&path[..length])) {
                path.clone_from(origin);
            }
            while !path.is_empty() && !files.contains_key(&path) {
                path.pop();
            }
            Some(path).filter(|path| !path.is_empty() && path != module)
        });
        of_a_file.collect()
    };
    files.iter().map(|(module, code)| (module.clone(), imports_of(module, code))).collect()
}

/// The paths of a tree such as `a::{b, c::{d, e}}`.
fn leaves(tree: &str) -> Vec<String> {
    let Some((before, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap().trim().to_owned()];
    };
    let (inside, _) = rest.rsplit_once('}').unwrap();
    let mut depth = 0;
    let parts = inside.split(|letter: char| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    });
    let parts = parts.filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| leaves(&format!("{}{}", before.trim(), part.trim()))).collect()
}

/// A path from `src/` on that is written in a module; `None` for one that leads to another crate.
fn absolute(module: &Module, path: &str, files: &BTreeMap<Module, String>) -> Option<Module> {
    let mut names: Vec<String> = path.split("::").map(|name| name.trim().to_owned()).collect();
    let mut base = module.clone();
    match names[0].as_str() {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            while names.first().is_some_and(|name| name == "super") {
                names.remove(0);
                base.pop();
            }
            names.insert(0, String::new());
        }
        child => {
            let inner = [module.as_slice(), &[child.to_owned()]].concat();
            return files.contains_key(&inner).then(|| [module.as_slice(), &names].concat());
        }
    }
    Some([base.as_slice(), &names[1..]].concat())
}

/// What of a graph is left when all is taken away that leads nowhere, or to which nothing leads: its circles.
fn circles(mut graph: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    loop {
        let wanted: BTreeSet<String> = graph.values().flatten().cloned().collect();
        let before = graph.len();
        graph.retain(|name, others| !others.is_empty() && wanted.contains(name));
        let kept: BTreeSet<String> = graph.keys().cloned().collect();
        graph.values_mut().for_each(|others| others.retain(|other| kept.contains(other)));
        if graph.len() == before {
            return graph;
        }
    }
}

#[test]
fn no_files_beside_one_another_import_each_other_in_a_circle() {
    let imports = imports();
    assert!(imports.len() > 250, "only {} modules were found", imports.len());
    let folders: BTreeSet<Module> = imports.keys().map(|module| module[..module.len() - 1].to_vec()).collect();
    let mut found = Vec::new();
    for folder in folders {
        let depth = folder.len();
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let inside =
            |module: &Module| (module.len() > depth && module.starts_with(&folder)).then(|| module[depth].clone());
        for (module, others) in &imports {
            let Some(name) = inside(module) else { continue };
            let others = others.iter().filter_map(inside).filter(|other| *other != name);
            graph.entry(name.clone()).or_default().extend(others);
        }
        found.extend(
            circles(graph).into_iter().map(|(name, others)| format!("{}/{name}: {others:?}", folder.join("/"))),
        );
    }
    assert_eq!(found, [] as [&str; 0]);
}

/// The modules of the program, each with those of `runtime/` whose methods of `Job`, `Runtime` and `SessionEnder` it
/// calls: such a call needs no import. Methods that share their name with another function are left out.
fn calls() -> BTreeMap<Module, BTreeSet<Module>> {
    let block = Regex::new(r"(?ms)^impl(?:<[^>]*>)? (?:Job|Runtime|SessionEnder)\b[^\n]*\{$(.*?)^\}$").unwrap();
    let function = Regex::new(r"\bfn (\w+)").unwrap();
    let call = Regex::new(r"\.(\w+)\(").unwrap();
    let code_of = |code: &str| {
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
        Regex::new(r"//[^\n]*").unwrap().replace_all(code, "").into_owned()
    };
    let files: Vec<(Module, String)> = sources()
        .into_iter()
        .filter(|(path, _)| !path.split(['/', '.']).any(|name| ["tests", "testing"].contains(&name)))
        .map(|(path, code)| {
            let module = path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(str::to_owned).collect();
            (module, code_of(&code))
        })
        .collect();
    let mut defined: BTreeMap<&str, usize> = BTreeMap::new();
    for found in files.iter().flat_map(|(_, code)| function.captures_iter(code)) {
        *defined.entry(found.get(1).unwrap().as_str()).or_default() += 1;
    }
    let mut owners: BTreeMap<&str, &Module> = BTreeMap::new();
    for (module, code) in files.iter().filter(|(module, _)| module[0] == "runtime") {
        let methods =
            block.captures_iter(code).flat_map(|found| function.captures_iter(found.get(1).unwrap().as_str()));
        let methods = methods.map(|found| found.get(1).unwrap().as_str()).filter(|name| defined[name] == 1);
        owners.extend(methods.map(|name| (name, module)));
    }
    assert!(owners.len() > 100, "only {} methods were found", owners.len());
    let called = |module: &Module, code: &str| {
        let names = call.captures_iter(code).filter_map(|found| owners.get(&found[1]).copied());
        names.filter(|owner| *owner != module).cloned().collect()
    };
    files.iter().map(|(module, code)| (module.clone(), called(module, code))).collect()
}

/// The modules of a folder, as the table of ARCHITECTURE.md lists them.
fn listed(folder: &str) -> Vec<String> {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, table) = page.split_once("| folder | its modules in order |\n").unwrap();
    let row = table.lines().take_while(|line| line.starts_with('|')).find_map(|line| {
        let (name, listed_modules) = line.strip_prefix("| `")?.split_once("/` | ")?;
        (name == folder).then_some(listed_modules)
    });
    row.unwrap().split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn modules_use_only_those_listed_before_them_and_their_parent() {
    let mut imports = imports();
    for (module, others) in calls() {
        imports.entry(module).or_default().extend(others);
    }
    let mut found = Vec::new();
    for folder in ["runtime", "api"] {
        let listed_modules = listed(folder);
        let module_of = |module: &Module| {
            let is_inside = module.first().is_some_and(|name| name == folder);
            is_inside.then(|| module.get(1).map_or(PARENT, String::as_str).to_owned())
        };
        let there: BTreeSet<String> = imports.keys().filter_map(module_of).filter(|name| name != PARENT).collect();
        assert_eq!(
            there,
            listed_modules.iter().cloned().collect(),
            "the modules of src/{folder}/ and those of ARCHITECTURE.md"
        );
        let place = |name: &str| listed_modules.iter().position(|module| module == name);
        for (module, others) in &imports {
            let Some(from) = module_of(module).filter(|name| name != PARENT) else { continue };
            for to in others.iter().filter_map(module_of).filter(|to| *to != from) {
                let are_workers = folder == "runtime" && [&from, &to].iter().all(|it| WORKERS.contains(&it.as_str()));
                let is_allowed = match place(&to) {
                    Some(to) => Some(to) < place(&from) && !are_workers,
                    // What happens inside a job knows nothing of what runs it.
                    None => from != "job",
                };
                if !is_allowed {
                    found.push(format!("{}: {to}", module.join("/")));
                }
            }
        }
    }
    assert_eq!(found, [] as [&str; 0]);
}
