//! The operator's rules for failure classes: `[[failure_rule]]` in `tracedesk.toml` (docs/failure-rules.md). They are
//! asked where the semantic conventions say nothing for certain; the first that fits wins.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use toml::Value;

use crate::content::Words;
use crate::failure_class::FailureClass;

/// Most rules: each attribute of each span is compared with each of them.
const MAX_RULES: usize = 200;
/// The advice for readers of a language that a rule does not have.
const FALLBACK: &str = "en";

/// The rules, in their order.
#[derive(Debug, Clone, Default)]
pub struct FailureRules(Vec<Rule>);

/// Which rule: its place in the order.
pub type RuleIndex = u16;

#[derive(Debug, Clone)]
struct Rule {
    /// `app.code equals QUOTA`: what a ticket remembers of it.
    name: String,
    attribute: String,
    test: Test,
    class: FailureClass,
    /// By language; empty when the class's own advice serves.
    advice: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
enum Test {
    Equals(String),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
    Matches(Regex),
    Number(Comparison, f64),
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    AtLeast,
    MoreThan,
    AtMost,
    LessThan,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    attribute: String,
    operator: String,
    value: Value,
    class: Value,
    #[serde(default)]
    advice: Option<Advice>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Advice {
    One(String),
    ByLanguage(BTreeMap<String, String>),
}

impl FailureRules {
    /// Reads the value of `failure_rule`.
    ///
    /// # Errors
    /// Everything that is wrong, a sentence each, by the rule's number.
    pub fn parse(value: Value) -> Result<Self, Vec<String>> {
        let Value::Array(written) = value else {
            return Err(vec![
                "failure_rule must be a list: write [[failure_rule]]".to_owned(),
            ]);
        };
        if written.len() > MAX_RULES {
            return Err(vec![format!("failure_rule: more than {MAX_RULES} rules")]);
        }
        let (mut rules, mut errors) = (Vec::new(), Vec::new());
        for (number, value) in (1..).zip(written) {
            match Rule::parse(value) {
                Ok(rule) => rules.push(rule),
                Err(error) => errors.push(format!("failure_rule {number}: {error}")),
            }
        }
        if errors.is_empty() {
            Ok(Self(rules))
        } else {
            Err(errors)
        }
    }

    /// The first rule that an attribute fits. `text` is its value, numbers and booleans written out; it is asked for
    /// only when a rule is about the attribute.
    #[must_use]
    pub fn first_fit<T: AsRef<str>>(
        &self,
        attribute: &str,
        text: impl Fn() -> T,
    ) -> Option<RuleIndex> {
        let mut about = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.attribute == attribute);
        let fit = about.find(|(_, rule)| rule.test.fits(text().as_ref()));
        fit.and_then(|(index, _)| RuleIndex::try_from(index).ok())
    }

    /// The class that a rule gives.
    #[must_use]
    pub fn class(&self, rule: RuleIndex) -> Option<FailureClass> {
        self.0.get(usize::from(rule)).map(|rule| rule.class)
    }

    /// What a ticket remembers of a rule.
    #[must_use]
    pub fn name(&self, rule: RuleIndex) -> Option<&str> {
        let rule = self.0.get(usize::from(rule));
        rule.map(|rule| rule.name.as_str())
    }

    /// What helps, in English: the advice of the rule that gave the class, or the class's own.
    #[must_use]
    pub fn english_advice(&self, class: FailureClass, rule: Option<&str>) -> String {
        let own = rule.and_then(|rule| self.advice(rule, FALLBACK));
        own.unwrap_or(class.advice()).to_owned()
    }

    /// What helps, as reporters read it: the advice of the rule that gave the class, or the class's own.
    #[must_use]
    pub fn advice_in<'a>(
        &'a self,
        words: &'a Words,
        class: FailureClass,
        rule: Option<&str>,
    ) -> &'a str {
        let own = rule.and_then(|rule| self.advice(rule, words.tag()));
        own.unwrap_or(&words.failures.of(class).advice)
    }

    /// A rule's own advice in a language (BCP 47), or in English, or in any; `None` when it has none, or is no more.
    #[must_use]
    pub fn advice(&self, name: &str, language: &str) -> Option<&str> {
        let rule = self.0.iter().find(|rule| rule.name == name)?;
        let texts = &rule.advice;
        let text = texts.get(language).or_else(|| texts.get(FALLBACK));
        text.or_else(|| texts.values().next()).map(String::as_str)
    }
}

impl Rule {
    fn parse(value: Value) -> Result<Self, String> {
        let written: Written = value
            .try_into()
            .map_err(|error: toml::de::Error| error.message().trim().to_owned())?;
        let text = match &written.value {
            Value::String(text) => text.clone(),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => written.value.to_string(),
            _ => return Err("value must be a text, a number, true or false".to_owned()),
        };
        if written.attribute.is_empty() || text.is_empty() {
            return Err("attribute and value must not be empty".to_owned());
        }
        let class = written.class.as_str().unwrap_or_default();
        let class = FailureClass::named(class).ok_or_else(|| {
            let known = FailureClass::ALL.map(FailureClass::as_str).join(", ");
            format!("class: {} is none of {known}", written.class)
        })?;
        let advice = match written.advice {
            None => BTreeMap::new(),
            Some(Advice::One(text)) => BTreeMap::from([(FALLBACK.to_owned(), text)]),
            Some(Advice::ByLanguage(texts)) => texts,
        };
        if let Some((language, _)) = advice.iter().find(|(_, text)| text.trim().is_empty()) {
            return Err(format!("advice in {language} is empty"));
        }
        Ok(Self {
            name: format!("{} {} {text}", written.attribute, written.operator),
            test: Test::parse(&written.operator, text)?,
            attribute: written.attribute,
            class,
            advice,
        })
    }
}

impl Test {
    fn parse(operator: &str, value: String) -> Result<Self, String> {
        let number = |comparison| {
            let number = value.parse().map_err(|_not_one| {
                format!("value: {operator} needs a number, and {value:?} is none")
            })?;
            Ok(Self::Number(comparison, number))
        };
        match operator {
            "equals" => Ok(Self::Equals(value)),
            "contains" => Ok(Self::Contains(value)),
            "starts_with" => Ok(Self::StartsWith(value)),
            "ends_with" => Ok(Self::EndsWith(value)),
            "matches" => Regex::new(&value).map(Self::Matches).map_err(|error| {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default();
                format!("value: {value:?} is not a regular expression: {reason}")
            }),
            ">=" => number(Comparison::AtLeast),
            ">" => number(Comparison::MoreThan),
            "<=" => number(Comparison::AtMost),
            "<" => number(Comparison::LessThan),
            _ => Err(format!(
                "operator: {operator:?} is none of equals, contains, starts_with, ends_with, matches, >=, >, <=, <"
            )),
        }
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Equals(value) => text == value,
            Self::Contains(value) => text.contains(value),
            Self::StartsWith(value) => text.starts_with(value),
            Self::EndsWith(value) => text.ends_with(value),
            Self::Matches(value) => value.is_match(text),
            Self::Number(comparison, value) => {
                text.parse().is_ok_and(|number: f64| match comparison {
                    Comparison::AtLeast => number >= *value,
                    Comparison::MoreThan => number > *value,
                    Comparison::AtMost => number <= *value,
                    Comparison::LessThan => number < *value,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FailureRules, Vec<String>> {
        let mut table: toml::Table = text.parse().unwrap();
        FailureRules::parse(table.remove("failure_rule").unwrap())
    }

    fn rule(operator: &str, value: &str) -> String {
        format!(
            "[[failure_rule]]\nattribute = \"app.code\"\noperator = \"{operator}\"\nvalue = {value}\nclass = \"timeout\"\n"
        )
    }

    #[test]
    fn each_operator_fits_what_it_says() {
        for (operator, value, fits, fails) in [
            ("equals", "\"QUOTA\"", "QUOTA", "QUOTAS"),
            ("equals", "429", "429", "4290"),
            ("equals", "true", "true", "false"),
            ("contains", "\"quota\"", "no quota left", "no room"),
            ("starts_with", "\"E4\"", "E42", "XE4"),
            ("ends_with", "\"_LIMIT\"", "DAY_LIMIT", "LIMITS"),
            ("matches", "\"^E[0-9]+$\"", "E12", "E12x"),
            (">=", "500", "500", "499"),
            (">", "0.5", "0.6", "0.5"),
            ("<=", "\"10\"", "10", "11"),
            ("<", "10", "-1", "ten"),
        ] {
            let rules = parse(&rule(operator, value)).unwrap();
            assert_eq!(rules.first_fit("app.code", || fits), Some(0), "{operator}");
            assert_eq!(rules.first_fit("app.code", || fails), None, "{operator}");
            assert_eq!(rules.first_fit("other", || fits), None, "{operator}");
        }
    }

    #[test]
    fn the_first_rule_wins_and_has_its_advice_by_language() {
        let text = "[[failure_rule]]\nattribute = \"a\"\noperator = \"contains\"\nvalue = \"x\"\nclass = \"timeout\"
             [[failure_rule]]\nattribute = \"a\"\noperator = \"equals\"\nvalue = \"xy\"\nclass = \"cancelled\"
             [failure_rule.advice]\nen = \"Wait.\"\nde = \"Warten Sie.\"";
        let rules = parse(text).unwrap();
        assert_eq!(rules.first_fit("a", || "xy"), Some(0));
        assert_eq!(rules.class(0), Some(FailureClass::Timeout));
        let name = rules.name(1).unwrap();
        assert_eq!(rules.advice(name, "de"), Some("Warten Sie."));
        assert_eq!(rules.advice(name, "fr"), Some("Wait."));
        assert_eq!(rules.advice("a contains x", "de"), None);
    }

    #[test]
    fn every_bad_rule_is_named_by_its_number() {
        let text = [
            rule("equals", "\"x\""),
            rule("like", "\"x\""),
            rule("matches", "\"(\""),
            rule(">=", "\"many\""),
            rule("equals", "[1]"),
            rule("equals", "\"x\"").replace("timeout", "broken"),
            rule("equals", "\"x\"").replace("attribute", "atribute"),
            rule("equals", "\"x\"") + "advice = \" \"",
        ];
        let errors = parse(&text.join("\n")).unwrap_err();
        for (number, word) in (2..).zip([
            "operator", "regular", "number", "value", "class", "atribute", "advice",
        ]) {
            let start = format!("failure_rule {number}: ");
            assert!(
                errors
                    .iter()
                    .any(|error| error.starts_with(&start) && error.contains(word)),
                "{word}: {errors:#?}"
            );
        }
        assert_eq!(errors.len(), 7);
    }
}
