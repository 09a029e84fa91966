//! The rules of the house that no tool checks: which way imports run, that the map names what is there, that pages
//! name no outside host, that files stay short enough to read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the ground up: each may import what stands on a lower floor, and nothing beside it.
const FLOORS: &[&[&str]] = &[
    &["failure_class"],
    &["content"],
    &["failure_rule"],
    &["clock", "config", "db"],
    &["token", "trace_context"],
    &["http"],
    &["limits", "tickets", "traces", "outbox"],
    &["links", "access", "help"],
    &["api", "desk", "ingest", "intake"],
    &["telemetry"],
    &["server", "workers"],
    &["cli"],
];
/// IDs are words of the whole house.
const LEAF: &str = "traces::ids";
/// What all handlers share: it knows everything below the server, and every door, and who stands at it, knows it.
const SHARED: &str = "state";
const KNOW_SHARED: &[&str] = &[
    "access",
    "api",
    "desk",
    "ingest",
    "intake",
    "telemetry",
    "server",
    "workers",
    "cli",
];
/// Imports against the rule, each with its reason. Take away, don't add.
const TOLERATED: &[(&str, &str)] = &[];

/// Longest file, its tests not counted.
const MAX_FILE_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder of the repository, by their paths in it.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(in_repository(&path));
            }
        }
    }
    found.sort();
    found
}

fn in_repository(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn rust_files() -> Vec<String> {
    let is_rust = |file: &String| {
        Path::new(file)
            .extension()
            .is_some_and(|ending| ending == "rs")
    };
    files("src").into_iter().filter(is_rust).collect()
}

/// The text before the tests at the end.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

/// The module at the top of `src` that a file belongs to.
fn module_of(file: &str) -> &str {
    let path = file.strip_prefix("src/").unwrap();
    path.split(['/', '.']).next().unwrap()
}

/// What a file takes from other modules: the words behind each `crate::`, as far as they are modules.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        // `use crate::{server, telemetry};` names several at once.
        if let Some(list) = rest.strip_prefix('{') {
            let list = list.split('}').next().unwrap();
            let names = list
                .split(',')
                .map(|item| item.trim().split("::").next().unwrap());
            found.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
            continue;
        }
        let path: String = rest
            .chars()
            .take_while(|&c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
            .collect();
        let path = if path.starts_with(LEAF) {
            LEAF
        } else {
            path.split("::").next().unwrap()
        };
        found.insert(path.to_owned());
    }
    found
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn may_import(from: &str, to: &str) -> bool {
    if from == to || to == LEAF || TOLERATED.contains(&(from, to)) {
        return true;
    }
    if to == SHARED {
        return KNOW_SHARED.contains(&from);
    }
    if from == SHARED {
        return floor(to) < floor("telemetry");
    }
    match (floor(from), floor(to)) {
        (Some(from), Some(to)) => to < from,
        _ => false,
    }
}

#[test]
fn imports_run_one_way() {
    let mut against = Vec::new();
    for file in rust_files() {
        let module = module_of(&file);
        if matches!(module, "main" | "lib") {
            continue;
        }
        assert!(
            module == SHARED || floor(module).is_some(),
            "{module} has no floor: say in tidy.rs where it stands"
        );
        let text = read(&file);
        for import in imports(without_tests(&text)) {
            if !may_import(module, &import) {
                against.push(format!("{file} takes from {import}"));
            }
        }
    }
    assert!(against.is_empty(), "{}", against.join("\n"));
}

#[test]
fn the_rule_of_imports_finds_what_is_against_it() {
    assert!(may_import("desk", "traces") && may_import("tickets", "traces::ids"));
    for (from, to) in [
        ("traces", "links"),
        ("tickets", "traces"),
        ("desk", "intake"),
        ("clock", "state"),
        ("state", "server"),
        ("traces", "nowhere"),
    ] {
        assert!(!may_import(from, to), "{from} -> {to}");
    }
    let text = "use crate::traces::ids::TraceId;\nuse crate::{api, desk::queue};\n// crate::cli\nlet x = crate::db::x();";
    let expected = ["api", "db", "desk", "traces::ids"].map(str::to_owned);
    assert_eq!(imports(text), expected.into());
}

#[test]
fn the_map_names_every_folder_of_the_code_and_nothing_else() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md"))
        .expect("ARCHITECTURE.md is the map of the code");
    let named: BTreeSet<&str> = map.split('`').skip(1).step_by(2).collect();
    let folders: BTreeSet<String> = rust_files()
        .iter()
        .filter_map(|file| Some(in_repository(root().join(file).parent()?) + "/"))
        .filter(|folder| folder != "src/")
        .collect();
    for folder in &folders {
        assert!(
            named.contains(folder.as_str()),
            "`{folder}` is not on the map"
        );
    }
    let there: Vec<PathBuf> = named
        .into_iter()
        .filter(|name| name.starts_with("src/"))
        .map(PathBuf::from)
        .collect();
    for path in there {
        assert!(
            root().join(&path).exists(),
            "{} is on the map only",
            path.display()
        );
    }
}

#[test]
fn pages_and_mails_name_no_outside_host() {
    // The namespace of SVG is a name, and nobody asks it for anything; example.com is nobody's.
    let known = ["http://www.w3.org/2000/svg", "https://app.example.com"];
    for file in files("templates").into_iter().chain(files("static")) {
        let Ok(mut text) = fs::read_to_string(root().join(&file)) else {
            continue;
        };
        for name in known {
            text = text.replace(name, "");
        }
        for (at, _) in text.match_indices("//") {
            let rest = &text[at + 2..];
            let is_host = rest.starts_with(|c: char| c.is_ascii_alphanumeric());
            let before = text[..at].chars().next_back();
            let is_address = matches!(before, Some(':' | '"' | '\'' | '(' | '='));
            let shown: String = rest.chars().take(40).collect();
            assert!(!(is_host && is_address), "{file} names {shown}");
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    let too_long: Vec<_> = rust_files()
        .into_iter()
        .map(|file| (without_tests(&read(&file)).lines().count(), file))
        .filter(|(lines, _)| *lines > MAX_FILE_LINES)
        .collect();
    assert!(
        too_long.is_empty(),
        "over {MAX_FILE_LINES} lines: {too_long:?}"
    );
}

#[test]
fn every_file_begins_by_saying_what_it_is_for() {
    for file in rust_files() {
        assert!(read(&file).starts_with("//! "), "{file}");
    }
}
