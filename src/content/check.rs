//! Lays an operator's file over the built-in one and compares the whole with it: the built-in English says which keys
//! there are and which places each text has.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::text::places;

/// Stands for the product's name in any text.
const PRODUCT: &str = "product";

/// Lays `over` on `base`, key by key.
pub(super) fn lay_over(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => lay_over(base, over),
            (_, value) => drop(base.insert(key, value)),
        }
    }
}

/// Every fault of `found` beside `wanted`, each with the path of its key.
pub(super) fn compare(wanted: &Table, found: &Table, path: &str, faults: &mut Vec<String>) {
    for key in found.keys().filter(|key| !wanted.contains_key(*key)) {
        faults.push(format!("{path}{key} is not a key that tracedesk knows"));
    }
    for (key, wanted) in wanted {
        let path = format!("{path}{key}");
        match (wanted, found.get(key)) {
            (_, None) => faults.push(format!("{path} is missing")),
            (Value::Table(wanted), Some(Value::Table(found))) => {
                compare(wanted, found, &format!("{path}."), faults);
            }
            (Value::Array(wanted), Some(Value::Array(found))) => {
                if wanted.len() != found.len() || !found.iter().all(is_text) {
                    faults.push(format!("{path} must be a list of {} texts", wanted.len()));
                }
            }
            (Value::String(wanted), Some(Value::String(found))) => {
                faults.extend(fault_of_text(wanted, found).map(|fault| format!("{path} {fault}")));
            }
            (wanted, Some(_)) => faults.push(format!("{path} must be {}", kind(wanted))),
        }
    }
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

fn fault_of_text(wanted: &str, found: &str) -> Option<String> {
    if found.trim().is_empty() {
        return Some("is empty".to_owned());
    }
    let known = places(wanted);
    let mut there = places(found);
    there.remove(PRODUCT);
    let list = |names: BTreeSet<&str>| {
        let names: Vec<_> = names.iter().map(|name| format!("{{{name}}}")).collect();
        names.join(", ")
    };
    let (lacks, odd) = (&known - &there, &there - &known);
    match (lacks.is_empty(), odd.is_empty()) {
        (true, true) => None,
        (false, _) => Some(format!("must have {} in it", list(lacks))),
        (true, false) => Some(format!("has {}, for which there is no value", list(odd))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Table(_) => "a table of keys",
        Value::Array(_) => "a list",
        _ => "a text in quotes",
    }
}

/// Puts the product's name into every text.
pub(super) fn name_product(value: &mut Value, name: &str) {
    match value {
        Value::String(text) => *text = text.replace("{product}", name),
        Value::Table(table) => table
            .iter_mut()
            .for_each(|(_, value)| name_product(value, name)),
        Value::Array(list) => list.iter_mut().for_each(|value| name_product(value, name)),
        _ => {}
    }
}
