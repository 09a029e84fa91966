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

/// Points from which a report is judged spam: more than a person's odd browser, or a script of the product's own that
/// posts the form, can come to.
const ENOUGH: u32 = 3;

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

    /// Weak signs are those of people too: without a script, fast by a browser's autofill, with a form that was opened
    /// while the database was away, or gone back to and sent again.
    fn points(self) -> u32 {
        match self {
            Self::FilledTrap | Self::WrongProof => ENOUGH,
            Self::UsedProof | Self::TooMany => 2,
            Self::NoForm | Self::TooFast | Self::NoProof => 1,
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
    fn weak_signs_are_a_persons_and_many_of_them_are_not() {
        use SpamSign::{FilledTrap, NoForm, NoProof, TooFast, TooMany, UsedProof, WrongProof};
        for people in [
            &[][..],
            &[NoForm, NoProof],
            &[TooFast, NoProof],
            &[UsedProof],
            &[NoForm],
        ] {
            assert!(!is_enough(people), "{people:?}");
        }
        for spam in [
            &[FilledTrap][..],
            &[WrongProof],
            &[NoProof, TooMany],
            &[TooFast, UsedProof],
            &[NoForm, UsedProof],
        ] {
            assert!(is_enough(spam), "{spam:?}");
        }
    }
}
