//! Weighs what is known of a form that is sent.

use super::proof::{self, Proof};
use super::seal::{self, Age};
use crate::http::error::Problem;
use crate::http::form::Fields;
use crate::state::AppState;
use crate::tickets::spam::{SpamSign, is_enough};

/// Name of the field that people don't see. Browsers know no value for it to fill in.
pub const TRAP: &str = "homepage";
/// Name of the field with the form's seal.
pub const SEAL: &str = "seal";
/// Name of the field with the proof of work, as ALTCHA's widget has it.
pub const PROOF: &str = "altcha";

/// What is to be done with a form.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Take it; with signs, as spam.
    Take(Vec<SpamSign>),
    /// It is too old: ask to send it again.
    Stale,
}

/// Judges a form whose report is valid. Uses its proof of work up.
///
/// # Errors
/// [`Problem`] when the database is away.
pub async fn judge(state: &AppState, fields: &Fields, peer: &str) -> Result<Verdict, Problem> {
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let secret = state.secret.get(&state.pool, &state.clock).await?;
    let now = state.clock.now();
    let mut signs = Vec::new();
    if !field(TRAP).is_empty() {
        signs.push(SpamSign::FilledTrap);
    }
    match seal::age(secret, field(SEAL), now) {
        Age::Stale => return Ok(Verdict::Stale),
        Age::Unsigned => signs.push(SpamSign::NoForm),
        Age::Fresh => signs.push(SpamSign::TooFast),
        Age::Good => {}
    }
    let doubt = match proof::check(secret, field(PROOF), now) {
        Proof::Absent => Some(SpamSign::NoProof),
        Proof::Wrong => Some(SpamSign::WrongProof),
        Proof::Good {
            challenge,
            expires_at,
        } => {
            let mut conn = state.pool.acquire().await?;
            let is_first = proof::use_up(&mut conn, challenge, expires_at).await?;
            (!is_first).then_some(SpamSign::UsedProof)
        }
    };
    if let Some(sign) = doubt {
        signs.push(sign);
        if state.limits.unproven.check(peer).is_err() {
            signs.push(SpamSign::TooMany);
        }
    }
    if !is_enough(&signs) {
        signs.clear();
    }
    Ok(Verdict::Take(signs))
}
