//! The short public name of a ticket: `TD-` and six characters of Crockford's base32, never enough to open it.

use std::fmt;

use crate::clock::random_bytes;

/// Crockford's alphabet: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 6;

/// A ticket's reference, such as `TD-7F3K2Q`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(String);

impl Reference {
    /// A random one of 32^6, about a thousand million. Whether it is taken, the database says.
    #[must_use]
    pub fn generate() -> Self {
        let letters =
            random_bytes::<LENGTH>().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        Self(format!("TD-{}", letters.iter().collect::<String>()))
    }

    /// Reads a reference as people write it: any case, `O` for zero, `I` and `L` for one, the prefix left out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let upper = text.trim().to_ascii_uppercase();
        let letters = upper
            .strip_prefix("TD-")
            .or_else(|| upper.strip_prefix("TD"))
            .unwrap_or(&upper);
        let letters: Option<String> = letters
            .chars()
            .map(|letter| match letter {
                'O' => Some('0'),
                'I' | 'L' => Some('1'),
                _ => Some(letter).filter(|&letter| {
                    u8::try_from(letter).is_ok_and(|byte| ALPHABET.contains(&byte))
                }),
            })
            .collect();
        letters
            .filter(|letters| letters.len() == LENGTH)
            .map(|letters| Self(format!("TD-{letters}")))
    }

    /// The text, prefix included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_back_as_people_write_them() {
        for _ in 0..1_000 {
            let reference = Reference::generate();
            assert_eq!(Reference::parse(reference.as_str()), Some(reference));
        }
        assert_eq!(
            Reference::parse(" td-7f3k2q ").unwrap().as_str(),
            "TD-7F3K2Q"
        );
        assert_eq!(Reference::parse("7F3KLO").unwrap().as_str(), "TD-7F3K10");
        assert!(Reference::parse("TD-7F3K2").is_none());
        assert!(Reference::parse("TD-7F3K2U").is_none());
        assert!(Reference::parse("").is_none());
    }
}
