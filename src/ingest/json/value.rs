//! Reading single JSON values leniently: what OTLP's JSON mapping asks for, and what real senders write instead.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::text::{count_values, replace_lone_surrogates};

/// One span, resource or scope as JSON: 4 MiB, a sixteenth of the largest body; SDKs write about 1 KiB.
pub(in crate::ingest) const MAX_PART_JSON_BYTES: usize = 4 << 20;

/// Values in one span, resource or scope. SDKs allow 128 attributes, 128 events and 128 links of 128 attributes each,
/// which is 33,024 attributes of 3 values. The costliest value takes about 600 bytes of memory: 75 MiB at most.
const MAX_PART_VALUES: usize = 131_072;

/// Depth of arrays and maps in an attribute. A level is at most 3 nested messages, and prost reads no more than 100:
/// `24 * 3` and 7 for what surrounds an attribute. Deeper values are kept as JSON text.
const MAX_VALUE_DEPTH: usize = 24;

/// Characters of a bad value that an error shows.
const MAX_SHOWN_CHARS: usize = 40;

/// Why one span, resource or scope is refused; reads on from a subject such as "it".
#[derive(Debug, thiserror::Error)]
pub(in crate::ingest) enum Fault {
    #[error("is {size} bytes of JSON, more than the {MAX_PART_JSON_BYTES} allowed")]
    TooBig { size: usize },
    #[error("holds more than {MAX_PART_VALUES} values")]
    TooManyValues,
    #[error("is not a JSON object")]
    NotObject,
    #[error("can't be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("has a {name} of {value} where {wanted} is needed")]
    Field {
        name: &'static str,
        value: String,
        wanted: &'static str,
    },
}

impl Fault {
    pub(in crate::ingest) fn field(
        name: &'static str,
        value: &Value,
        wanted: &'static str,
    ) -> Self {
        let text = value.to_string();
        let value = match text.char_indices().nth(MAX_SHOWN_CHARS) {
            Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text,
        };
        Self::Field {
            name,
            value,
            wanted,
        }
    }
}

/// The fields of an object, taken out one by one; a `null` counts as absent, unknown fields stay behind.
pub(in crate::ingest) struct Fields(pub(in crate::ingest) Map<String, Value>);

impl Fields {
    /// Builds a bounded part of the text in memory.
    pub(in crate::ingest) fn parse(raw: &RawValue) -> Result<Self, Fault> {
        let text = raw.get();
        if text.len() > MAX_PART_JSON_BYTES {
            return Err(Fault::TooBig { size: text.len() });
        }
        if count_values(text) > MAX_PART_VALUES {
            return Err(Fault::TooManyValues);
        }
        let value = serde_json::from_str(text)
            .or_else(|_| serde_json::from_str(&replace_lone_surrogates(text)))?;
        Self::from_value(value).ok_or(Fault::NotObject)
    }

    /// `None` unless the value is an object.
    pub(in crate::ingest) fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self(map)),
            _ => None,
        }
    }

    /// The field of the first of these names that is there.
    pub(in crate::ingest) fn take(&mut self, names: &[&str]) -> Option<Value> {
        names
            .iter()
            .filter_map(|name| self.0.remove(*name))
            .find(|value| !value.is_null())
    }

    /// A text; empty if absent.
    pub(in crate::ingest) fn text(&mut self, names: &[&'static str]) -> Result<String, Fault> {
        match self.take(names) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(Fault::field(first(names), &other, "a text")),
        }
    }

    /// A whole number; zero if absent.
    pub(in crate::ingest) fn integer<T: FromStr + Default>(
        &mut self,
        names: &[&'static str],
    ) -> Result<T, Fault> {
        let Some(value) = self.take(names) else {
            return Ok(T::default());
        };
        integer(&value)
            .ok_or_else(|| Fault::field(first(names), &value, "a whole number that fits the field"))
    }

    /// A list; empty if absent.
    pub(in crate::ingest) fn list(&mut self, names: &[&'static str]) -> Result<Vec<Value>, Fault> {
        match self.take(names) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(Fault::field(first(names), &other, "a list")),
        }
    }

    /// A list of objects, anything else in it left out.
    pub(in crate::ingest) fn objects(
        &mut self,
        names: &[&'static str],
    ) -> Result<impl Iterator<Item = Self> + use<>, Fault> {
        Ok(self.list(names)?.into_iter().filter_map(Self::from_value))
    }

    /// An ID of `LEN` bytes, see [`id_bytes`]; empty if absent.
    pub(in crate::ingest) fn id<const LEN: usize>(
        &mut self,
        names: &[&'static str],
    ) -> Result<Vec<u8>, Fault> {
        let Some(value) = self.take(names) else {
            return Ok(Vec::new());
        };
        let bytes = value.as_str().and_then(|text| id_bytes(text, LEN));
        bytes.ok_or_else(|| Fault::field(first(names), &value, "hex digits, two a byte"))
    }

    /// Attributes. A value that can't be read is kept as its JSON text, so that no span is lost for it.
    pub(in crate::ingest) fn attributes(&mut self) -> Result<Vec<KeyValue>, Fault> {
        Ok(self
            .objects(&["attributes"])?
            .map(|entry| key_value(entry, MAX_VALUE_DEPTH))
            .collect())
    }
}

/// A whole number as a number, a float without a fraction, or a text of either.
pub(in crate::ingest) fn integer<T: FromStr>(value: &Value) -> Option<T> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        (float.fract() == 0.0).then(|| format!("{float:.0}").parse().ok())?
    })
}

/// A float as a number or a text, `"NaN"` and `"Infinity"` among them.
pub(in crate::ingest) fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A truth value, also as a text.
pub(in crate::ingest) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

/// Base64 of either alphabet, padded or not.
pub(in crate::ingest) fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    let standard: String = text
        .trim()
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    STANDARD_NO_PAD.decode(standard).ok()
}

/// An ID of `length` bytes in hex of any case, or in base64 as stock protobuf-to-JSON tools write it. Hex of another
/// length comes back as the bytes it stands for, for the ingest to reject with the rest.
pub(in crate::ingest) fn id_bytes(text: &str, length: usize) -> Option<Vec<u8>> {
    let text = text.trim();
    let hex = hex::decode(text).ok();
    let is_right = |bytes: &Vec<u8>| bytes.len() == length;
    hex.clone()
        .filter(is_right)
        .or_else(|| base64_bytes(text).filter(is_right))
        .or(hex)
}

/// The value as a text: strings bare, all else as JSON.
pub(in crate::ingest) fn into_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// An OTLP attribute that holds one simple value.
pub(in crate::ingest) fn attribute(key: impl Into<String>, value: OtlpValue) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn key_value(mut entry: Fields, depth: usize) -> KeyValue {
    KeyValue {
        key: entry.take(&["key"]).map(into_text).unwrap_or_default(),
        value: entry.take(&["value"]).map(|value| AnyValue {
            value: any_value(value, depth),
        }),
        ..KeyValue::default()
    }
}

/// The kinds of an `AnyValue`, in both spellings.
const KINDS: [&str; 14] = [
    "stringValue",
    "string_value",
    "boolValue",
    "bool_value",
    "intValue",
    "int_value",
    "doubleValue",
    "double_value",
    "bytesValue",
    "bytes_value",
    "arrayValue",
    "array_value",
    "kvlistValue",
    "kvlist_value",
];

/// One `AnyValue`. `None` is OTLP's empty value; what fits no kind becomes its JSON text.
fn any_value(value: Value, depth: usize) -> Option<OtlpValue> {
    let mut map = match value {
        Value::Object(map) => map,
        Value::Null => return None,
        bare => return Some(OtlpValue::StringValue(into_text(bare))),
    };
    map.retain(|_, content| !content.is_null());
    let kind = KINDS.into_iter().find(|kind| map.contains_key(*kind));
    let Some(content) = kind.and_then(|kind| map.remove(kind)) else {
        return (!map.is_empty()).then(|| OtlpValue::StringValue(Value::Object(map).to_string()));
    };
    let read = match kind.unwrap_or_default() {
        "boolValue" | "bool_value" => boolean(&content).map(OtlpValue::BoolValue),
        "intValue" | "int_value" => integer(&content).map(OtlpValue::IntValue),
        "doubleValue" | "double_value" => double(&content).map(OtlpValue::DoubleValue),
        "bytesValue" | "bytes_value" => {
            let bytes = content.as_str().and_then(base64_bytes);
            bytes.map(OtlpValue::BytesValue)
        }
        "arrayValue" | "array_value" if depth > 0 => return Some(array(content, depth - 1)),
        "kvlistValue" | "kvlist_value" if depth > 0 => return Some(map_value(content, depth - 1)),
        _ => None,
    };
    Some(read.unwrap_or_else(|| OtlpValue::StringValue(into_text(content))))
}

fn array(content: Value, depth: usize) -> OtlpValue {
    let values = values(content).into_iter().map(|value| AnyValue {
        value: any_value(value, depth),
    });
    OtlpValue::ArrayValue(ArrayValue {
        values: values.collect(),
    })
}

fn map_value(content: Value, depth: usize) -> OtlpValue {
    let entries = values(content).into_iter().filter_map(Fields::from_value);
    OtlpValue::KvlistValue(KeyValueList {
        values: entries.map(|entry| key_value(entry, depth)).collect(),
    })
}

/// The list in `{"values": [...]}`, which may be missing; also a bare list.
fn values(content: Value) -> Vec<Value> {
    match content {
        Value::Object(mut object) => match object.remove("values") {
            Some(Value::Array(values)) => values,
            _ => Vec::new(),
        },
        Value::Array(values) => values,
        _ => Vec::new(),
    }
}

fn first(names: &[&'static str]) -> &'static str {
    names.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whole_numbers_come_as_numbers_floats_and_texts() {
        assert_eq!(integer::<u64>(&json!(5)), Some(5));
        assert_eq!(
            integer::<u64>(&json!("18446744073709551615")),
            Some(u64::MAX)
        );
        assert_eq!(
            integer::<u64>(&json!(1.5e18)),
            Some(1_500_000_000_000_000_000)
        );
        assert_eq!(integer::<i64>(&json!("-3.0")), Some(-3));
        for bad in [
            json!(-1),
            json!(1.5),
            json!("x"),
            json!(1e300),
            json!("NaN"),
            json!({}),
        ] {
            assert_eq!(integer::<u64>(&bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_come_in_hex_and_base64() {
        let id: Vec<u8> = (1..=16).collect();
        for text in [
            "0102030405060708090a0b0c0d0e0f10",
            "0102030405060708090A0B0C0D0E0F10",
            "AQIDBAUGBwgJCgsMDQ4PEA==",
            "AQIDBAUGBwgJCgsMDQ4PEA",
        ] {
            assert_eq!(id_bytes(text, 16).as_ref(), Some(&id), "{text}");
        }
        assert_eq!(id_bytes("0a0b", 16), Some(vec![10, 11]));
        assert_eq!(id_bytes("abc", 16), None);
        assert_eq!(id_bytes("zz", 8), None);
    }

    #[test]
    fn any_value_reads_every_kind_and_loses_nothing() {
        let string = |text: &str| Some(OtlpValue::StringValue(text.to_owned()));
        let list = |values| Some(OtlpValue::ArrayValue(ArrayValue { values }));
        for (json, value) in [
            (json!({"stringValue": "a"}), string("a")),
            (json!({"string_value": "a"}), string("a")),
            (json!({"stringValue": 7}), string("7")),
            (
                json!({"boolValue": "true"}),
                Some(OtlpValue::BoolValue(true)),
            ),
            (json!({"intValue": "-7"}), Some(OtlpValue::IntValue(-7))),
            (json!({"intValue": 7.0}), Some(OtlpValue::IntValue(7))),
            (
                json!({"intValue": "18446744073709551615"}),
                string("18446744073709551615"),
            ),
            (
                json!({"doubleValue": "-Infinity"}),
                Some(OtlpValue::DoubleValue(f64::NEG_INFINITY)),
            ),
            (json!({"doubleValue": 2}), Some(OtlpValue::DoubleValue(2.0))),
            (
                json!({"bytesValue": "AAE"}),
                Some(OtlpValue::BytesValue(vec![0, 1])),
            ),
            (json!({"bytesValue": "?"}), string("?")),
            (json!({"arrayValue": {}}), list(vec![])),
            (json!({"arrayValue": {"values": null}}), list(vec![])),
            (
                json!({"arrayValue": {"values": [{}]}}),
                list(vec![AnyValue { value: None }]),
            ),
            (
                json!({"kvlistValue": {}}),
                Some(OtlpValue::KvlistValue(KeyValueList { values: vec![] })),
            ),
            (json!({"intValue": null, "stringValue": "a"}), string("a")),
            (json!({"stringValue": null}), None),
            (json!({}), None),
            (json!(null), None),
            (json!("bare"), string("bare")),
            (json!({"newKind": [1]}), string("{\"newKind\":[1]}")),
        ] {
            assert_eq!(any_value(json.clone(), MAX_VALUE_DEPTH), value, "{json}");
        }
        let nan = any_value(json!({"doubleValue": "NaN"}), MAX_VALUE_DEPTH);
        assert!(matches!(nan, Some(OtlpValue::DoubleValue(v)) if v.is_nan()));
    }

    #[test]
    fn deep_values_end_as_text() {
        let mut value = json!({"stringValue": "x"});
        for _ in 0..30 {
            value = json!({"arrayValue": {"values": [value]}});
        }
        let mut depth = 0;
        let mut at = any_value(value, MAX_VALUE_DEPTH);
        while let Some(OtlpValue::ArrayValue(mut array)) = at {
            depth += 1;
            at = array.values.remove(0).value;
        }
        assert_eq!(depth, MAX_VALUE_DEPTH);
        assert!(matches!(at, Some(OtlpValue::StringValue(text)) if text.starts_with('{')));
    }

    #[test]
    fn half_an_emoji_does_not_lose_the_text() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        let mut fields = Fields::parse(&raw(
            r#"{"a":"\\ud83d \ud83d\ude00 \ud83d","b":"\ude00\u0041"}"#,
        ))
        .unwrap();
        assert_eq!(fields.text(&["a"]).unwrap(), "\\ud83d 😀 \u{fffd}");
        assert_eq!(fields.text(&["b"]).unwrap(), "\u{fffd}A");
    }

    #[test]
    fn parts_of_too_many_values_are_refused() {
        let wide = RawValue::from_string(format!("[{}0]", "0,".repeat(MAX_PART_VALUES))).unwrap();
        assert!(matches!(Fields::parse(&wide), Err(Fault::TooManyValues)));
    }
}
