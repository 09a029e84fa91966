//! `tracedesk.toml`: the settings by their names in any case, and the rules for failure classes.

use std::collections::HashMap;
use std::path::Path;

use super::SETTINGS;
use crate::failure_rule::FailureRules;

/// The key of the file's list of rules for failure classes.
const RULES: &str = "failure_rule";

/// A configuration file.
#[derive(Default)]
pub(super) struct File {
    pub(super) values: HashMap<String, String>,
    pub(super) failure_rules: FailureRules,
    /// What is wrong with it.
    pub(super) errors: Vec<String>,
}

impl File {
    pub(super) fn parse(path: &Path, text: &str) -> Self {
        let mut file = Self::default();
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                file.errors.push(format!("{}: {error}", path.display()));
                return file;
            }
        };
        let at = |error: String| format!("{}: {error}", path.display());
        for (key, value) in table {
            let name = key.to_ascii_uppercase();
            if key == RULES {
                match FailureRules::parse(value) {
                    Ok(rules) => file.failure_rules = rules,
                    Err(errors) => file.errors.extend(errors.into_iter().map(at)),
                }
                continue;
            }
            if !SETTINGS.iter().any(|setting| setting.name == name) {
                file.errors
                    .push(at(format!("{key} is not a setting of tracedesk")));
            }
            let value = match value {
                toml::Value::String(text) => text,
                other => other.to_string(),
            };
            file.values.insert(name, value);
        }
        file
    }
}
