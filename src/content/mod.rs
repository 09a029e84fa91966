//! All that a reporter reads, and how it looks: one file, built in, over which the operator lays his own
//! (`docs/content.md`). Whatever is wrong with it is told at start, so that no text is ever missing on a page.

mod check;
mod look;
mod text;
mod ticket;
mod wording;

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use fluent_langneg::{NegotiationStrategy, convert_vec_str_to_langids_lossy, negotiate_languages};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use self::look::Colours;
pub use self::look::{Links, Logo};
pub use self::text::{Pattern, escape};
pub use self::wording::*;

/// The content that ships.
const BUILT_IN: &str = include_str!("../../content/tracedesk.toml");
/// The language that is complete by definition: the desk's, the API's, and the measure of all others.
const ENGLISH: &str = "en";
/// Largest content file: some thirty languages.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

const NONE_OFFERED: &str = "offered: at least one language must be offered";

/// The content of the reporter's side.
#[derive(Debug, Clone)]
pub struct Content {
    /// In the order of the switch, at least one.
    languages: Vec<Words>,
    default: Words,
}

/// The texts of one language, and what is the same in all of them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Words(Arc<Language>);

#[derive(Debug)]
struct Language {
    tag: String,
    site: Arc<Site>,
    wording: Wording,
}

/// What is the same in every language.
#[derive(Debug)]
pub struct Site {
    /// The product's name.
    pub product: String,
    /// Its picture.
    pub logo: Option<Logo>,
    /// The operator's pages.
    pub links: Links,
    /// A style sheet with the operator's colours, if they are not the built-in ones.
    pub css: Option<String>,
    /// The languages: BCP 47 tag and own name.
    pub languages: Vec<(String, String)>,
    /// Changes with logo and colours: 12 hex digits.
    pub version: String,
}

/// Everything that is wrong with a content file.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// It can't be read.
    #[error("{path} can't be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// What it says does not fit.
    #[error("{}", .0.join("\n  "))]
    Faults(Vec<String>),
}

/// The file but for the languages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    offered: Vec<String>,
    product: Product,
    colours: Colours,
    links: Links,
}

/// How it looks, checked.
struct Shown {
    look: Look,
    css: Option<String>,
    logo: Option<Logo>,
}

impl Look {
    fn check(self, usual: &Self, texts: &Table, folder: &Path, faults: &mut Vec<String>) -> Shown {
        self.links.check(faults);
        let css = self.colours.css(faults);
        let css = (self.colours != usual.colours).then_some(css);
        let logo = match self.product.logo.as_str() {
            "" => None,
            name => Logo::read(&folder.join(name))
                .map_err(|fault| faults.push(fault))
                .ok(),
        };
        let unknown = self.offered.iter().filter(|tag| !texts.contains_key(*tag));
        faults.extend(unknown.map(|tag| format!("offered: there is no languages.{tag}")));
        if self.offered.is_empty() {
            faults.push(NONE_OFFERED.to_owned());
        }
        Shown {
            look: self,
            css,
            logo,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {
    name: String,
    logo: String,
}

impl Content {
    /// The content that ships.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static CONTENT: LazyLock<Content> = LazyLock::new(|| {
            Content::over(Table::new(), Path::new("")).expect("the tests load the built-in content")
        });
        &CONTENT
    }

    /// The built-in content under that of a file.
    ///
    /// # Errors
    /// [`ContentError`] with everything that is wrong, by language and key.
    pub fn load(path: &Path) -> Result<Self, ContentError> {
        let unreadable = |reason: String| ContentError::Unreadable {
            path: path.display().to_string(),
            reason,
        };
        let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
        if size.len() > MAX_FILE_BYTES {
            return Err(unreadable(format!(
                "it has over {} KiB",
                MAX_FILE_BYTES / 1024
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let over = text
            .parse()
            .map_err(|error: toml::de::Error| unreadable(error.to_string()))?;
        Self::over(over, path.parent().unwrap_or(Path::new("")))
    }

    /// Lays `over` on the built-in content; files are looked for in `folder`.
    fn over(over: Table, folder: &Path) -> Result<Self, ContentError> {
        let built_in: Table = BUILT_IN.parse().map_err(|error| broken(&error))?;
        let mut file = built_in.clone();
        check::lay_over(&mut file, over);
        let mut faults = Vec::new();
        let (wanted, _) = halves(built_in.clone());
        let (found, mut texts) = halves(file);
        compare_looks(&wanted, &found, &mut faults);
        for (tag, language) in &texts {
            compare_languages(&built_in, tag, language, &mut faults);
        }
        // What has other types was told above.
        let look = found.try_into::<Look>().ok();
        let usual: Look = wanted.try_into().map_err(|error| broken(&error))?;
        let shown = look.map(|look| look.check(&usual, &texts, folder, &mut faults));
        let (Some(shown), true) = (shown, faults.is_empty()) else {
            return Err(ContentError::Faults(faults));
        };
        for (_, language) in &mut texts {
            check::name_product(language, &shown.look.product.name);
        }
        Self::build(shown, texts)
    }

    fn build(shown: Shown, mut texts: Table) -> Result<Self, ContentError> {
        let Shown { look, css, logo } = shown;
        let mut wordings = Vec::new();
        for tag in look.offered {
            if let Some(text) = texts.remove(&tag) {
                let wording: Wording = text.try_into().map_err(|error| broken(&error))?;
                wordings.push((tag, wording));
            }
        }
        let name = |(tag, wording): &(String, Wording)| (tag.clone(), wording.name.clone());
        let site = Arc::new(Site {
            product: look.product.name,
            links: look.links,
            languages: wordings.iter().map(name).collect(),
            version: version(logo.as_ref(), css.as_deref()),
            logo,
            css,
        });
        let word = |(tag, wording)| {
            let site = Arc::clone(&site);
            Words(Arc::new(Language { tag, site, wording }))
        };
        let languages: Vec<Words> = wordings.into_iter().map(word).collect();
        match languages.first().cloned() {
            Some(default) => Ok(Self { languages, default }),
            None => Err(ContentError::Faults(vec![NONE_OFFERED.to_owned()])),
        }
    }

    /// For readers who speak none of the languages.
    #[must_use]
    pub fn default_words(&self) -> &Words {
        &self.default
    }

    /// The first of the wanted languages (BCP 47, most wanted first) that there is, by likely subtags: `de-AT` finds
    /// `de`, `zh-CN` finds `zh-Hans`, and
    /// so does `zh-TW` where there is nothing nearer.
    #[must_use]
    pub fn negotiate<T: AsRef<[u8]>>(&self, wanted: &[T]) -> Option<&Words> {
        let wanted = convert_vec_str_to_langids_lossy(wanted);
        let tags: Vec<_> = self.languages.iter().map(Words::tag).collect();
        let there = convert_vec_str_to_langids_lossy(&tags);
        let found =
            *negotiate_languages(&wanted, &there, None, NegotiationStrategy::Lookup).first()?;
        let at = there.iter().position(|tag| tag == found)?;
        self.languages.get(at)
    }

    /// A ticket's language, or the default when it is offered no more.
    #[must_use]
    pub fn words(&self, tag: &str) -> &Words {
        let known = self.languages.iter().find(|words| words.tag() == tag);
        known.unwrap_or(&self.default)
    }
}

impl Words {
    /// The built-in English.
    #[must_use]
    pub fn english() -> Self {
        Content::built_in().words(ENGLISH).clone()
    }

    /// The language's BCP 47 tag.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.0.tag
    }

    /// What is the same in every language.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.0.site
    }

    /// What scripts say, as JSON.
    #[must_use]
    pub fn script_json(&self) -> String {
        serde_json::to_string(&self.script).unwrap_or_default()
    }
}

impl Default for Words {
    fn default() -> Self {
        Self::english()
    }
}

impl Deref for Words {
    type Target = Wording;

    fn deref(&self) -> &Wording {
        &self.0.wording
    }
}

/// The file without its languages, and these.
fn halves(mut file: Table) -> (Table, Table) {
    let languages = match file.remove("languages") {
        Some(Value::Table(languages)) => languages,
        _ => Table::new(),
    };
    (file, languages)
}

/// Links, the logo and the list of languages may be anything that is checked later, so only their keys count.
fn compare_looks(wanted: &Table, found: &Table, faults: &mut Vec<String>) {
    let mut like_wanted = found.clone();
    for (key, value) in &mut like_wanted {
        match (key.as_str(), value) {
            ("offered", Value::Array(list)) => {
                if !list.iter().all(Value::is_str) {
                    faults.push("offered must be a list of languages in quotes".to_owned());
                }
                *list = wanted
                    .get("offered")
                    .and_then(Value::as_array)
                    .cloned()
                    .unwrap_or_default();
            }
            ("product" | "links", Value::Table(table)) => {
                for (_, value) in table.iter_mut().filter(|(key, value)| {
                    *key != "name" && value.as_str().is_some_and(str::is_empty)
                }) {
                    *value = Value::String("-".to_owned());
                }
            }
            _ => {}
        }
    }
    check::compare(wanted, &like_wanted, "", faults);
}

fn compare_languages(built_in: &Table, tag: &str, found: &Value, faults: &mut Vec<String>) {
    if tag.parse::<fluent_langneg::LanguageIdentifier>().is_err() {
        faults.push(format!(
            "languages.{tag}: this is not a language tag such as fr or pt-BR"
        ));
    }
    let english = built_in
        .get("languages")
        .and_then(|languages| languages.get(ENGLISH)?.as_table());
    match (english, found) {
        (Some(english), Value::Table(found)) => {
            check::compare(english, found, &format!("languages.{tag}."), faults);
        }
        _ => faults.push(format!("languages.{tag} must be a table of keys")),
    }
}

fn broken(error: &toml::de::Error) -> ContentError {
    ContentError::Faults(vec![error.to_string()])
}

/// 12 hex digits.
fn version(logo: Option<&Logo>, css: Option<&str>) -> String {
    let mut hash = Sha256::new();
    hash.update(logo.map_or(&[][..], |logo| &logo.content));
    hash.update(css.unwrap_or_default());
    hex::encode(hash.finalize()).chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(text: &str) -> Result<Content, ContentError> {
        Content::over(text.parse().unwrap(), Path::new("/nowhere"))
    }

    fn faults(text: &str) -> Vec<String> {
        match over(text) {
            Err(ContentError::Faults(faults)) => faults,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_built_in_content_is_whole() {
        let content = over("").unwrap();
        let tags: Vec<_> = content.languages.iter().map(Words::tag).collect();
        assert_eq!(tags, ["en", "de", "zh-Hans"]);
        assert_eq!(content.default_words().tag(), "en");
        assert!(content.default.site().css.is_none());
    }

    #[test]
    fn three_lines_are_enough() {
        let content = over(
            "product.name = \"Focus\"\nlinks.plans = \"https://example.com/plans\"\nlanguages.de.help.title = \"Hilfe zu {product}\"",
        )
        .unwrap();
        assert_eq!(content.words("de").help.title, "Hilfe zu Focus");
        assert_eq!(content.words("en").help.title, "When something goes wrong");
        assert_eq!(
            content.default.site().links.plans,
            "https://example.com/plans"
        );
    }

    #[test]
    fn every_fault_is_named_at_once_by_language_and_key() {
        let found = faults(
            "offerd = 1\nproduct.name = \"\"\nlanguages.en.form.errors = \"some\"\nlanguages.de.form.sned = \"x\"
             languages.de.time.months = [\"1\"]\nlanguages.en.help = \"x\"
             [languages.fr]\nname = \"Français\"\n[languages.fr.finding]\nfound = \"{failure} {nom} {clock} {time}\"",
        );
        for fault in [
            "offerd is not a key",
            "product.name is empty",
            "languages.en.form.errors must have {count} in it",
            "languages.de.form.sned is not a key",
            "languages.de.time.months must be a list of 12 texts",
            "languages.en.help must be a table",
            "languages.fr.form is missing",
            "languages.fr.finding.found has {nom}, for which there is no value",
        ] {
            assert!(
                found.iter().any(|text| text.contains(fault)),
                "{fault}: {found:#?}"
            );
        }
    }

    #[test]
    fn looks_are_checked() {
        let found = faults(
            "languages.en.form.sned = \"x\"\noffered = [\"en\", \"fr\"]\ncolours.accent_light = \"#ffee00\"\ncolours.accent_dark = \"blue\"
             links.plans = \"plans\"\nlinks.status = \"javascript:alert(1)\"\nproduct.logo = \"logo.svg\"",
        );
        for fault in [
            "languages.en.form.sned",
            "offered: there is no languages.fr",
            "colours.accent_light: #ffee00 is hard to read",
            "colours.accent_dark: \"blue\" is not a colour",
            "links.plans",
            "links.status",
            "product.logo",
        ] {
            assert!(
                found.iter().any(|text| text.contains(fault)),
                "{fault}: {found:#?}"
            );
        }
        assert!(over("offered = []").is_err());
    }

    #[test]
    fn the_readers_language_is_found_by_its_likely_script() {
        let content = Content::built_in();
        let tag = |wanted: &[&str]| content.negotiate(wanted).map(Words::tag);
        assert_eq!(tag(&["de-AT", "en"]), Some("de"));
        assert_eq!(tag(&["fr", "zh-CN"]), Some("zh-Hans"));
        assert_eq!(tag(&["zh"]), Some("zh-Hans"));
        assert_eq!(tag(&["zh-TW", "en"]), Some("zh-Hans"));
        assert_eq!(tag(&["en-GB"]), Some("en"));
        assert_eq!(tag(&["fr", "*", "äöü"]), None);
        assert_eq!(content.words("fr").tag(), "en");
    }
}
