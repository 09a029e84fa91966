//! Signs of spam in a report, and when they suffice.

use sqlx::{PgConnection, query};
use uuid::Uuid;

/// Something about a report that people's reports seldom have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "spam_sign", rename_all = "snake_case")]
pub enum SpamSign {
    /// A field that people don't see was filled.
    FilledTrap,
    /// Sent without the form's token, or with one that we did not sign.
    NoForm,
    /// Sent within seconds of opening the form.
    TooFast,
    /// No proof of work, as without a script.
    NoProof,
    /// A proof of work that does not hold.
    WrongProof,
    /// A proof of work that was shown before.
    UsedProof,
    /// One of many from its address that had no proof of work.
    TooMany,
}

/// Points from which a report is judged spam.
const ENOUGH: u32 = 2;

impl SpamSign {
    /// In words for staff.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::FilledTrap => "a field that people don't see was filled",
            Self::NoForm => "it was sent without opening the form",
            Self::TooFast => "it was sent within 2 seconds of opening the form",
            Self::NoProof => "its browser did no proof of work",
            Self::WrongProof => "its proof of work was wrong",
            Self::UsedProof => "its proof of work was used before",
            Self::TooMany => "many reports without a proof of work came from its address",
        }
    }

    /// One alone may be a person without a script, one whom a browser's autofill makes fast, one who opened the form
    /// while the database was away, or one who went back and sent again.
    fn points(self) -> u32 {
        match self {
            Self::FilledTrap | Self::WrongProof => ENOUGH,
            Self::NoForm | Self::TooFast | Self::NoProof | Self::UsedProof | Self::TooMany => 1,
        }
    }
}

/// Whether signs suffice to judge a report spam.
#[must_use]
pub fn is_enough(signs: &[SpamSign]) -> bool {
    signs.iter().map(|sign| sign.points()).sum::<u32>() >= ENOUGH
}

/// The signs in a line.
#[must_use]
pub fn in_words(signs: &[SpamSign]) -> String {
    let labels: Vec<_> = signs.iter().map(|sign| sign.label()).collect();
    labels.join("; ")
}

/// Forgets why a ticket was judged spam: staff said that it is none.
///
/// # Errors
/// The database's.
pub async fn forget_signs(conn: &mut PgConnection, ticket_id: Uuid) -> Result<(), sqlx::Error> {
    query!(
        "UPDATE tickets SET spam_signs = '{}' WHERE id = $1",
        ticket_id
    )
    .execute(conn)
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_weak_sign_is_a_person_and_two_are_not() {
        use SpamSign::{FilledTrap, NoForm, NoProof, TooFast, TooMany, UsedProof, WrongProof};
        for strong in [FilledTrap, WrongProof] {
            assert!(is_enough(&[strong]), "{strong:?}");
        }
        for weak in [NoForm, TooFast, NoProof, UsedProof] {
            assert!(!is_enough(&[weak]), "{weak:?}");
        }
        assert!(
            is_enough(&[NoForm, NoProof])
                && is_enough(&[NoProof, TooMany])
                && is_enough(&[NoProof, TooFast])
        );
        assert!(!is_enough(&[]));
    }
}
