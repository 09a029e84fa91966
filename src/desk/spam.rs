//! What tracedesk took for spam, and is none.

use actix_web::{HttpResponse, web};

use super::ticket::{NoFields, back_to, id_of};
use crate::access::extract::{StaffError, StaffForm};
use crate::links::conversation;
use crate::state::AppState;

/// Puts the ticket, which was taken for spam, into the queue.
///
/// # Errors
/// [`StaffError`].
pub async fn reject(
    path: web::Path<String>,
    form: StaffForm<NoFields>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, StaffError> {
    let id = id_of(&path)?;
    let mut conn = state.pool.acquire().await?;
    let (staff_id, now) = (form.staff.id(), state.clock.now());
    conversation::reject_spam(&mut conn, &state.config, id, staff_id, now).await?;
    state.outbox_wake.notify_one();
    Ok(back_to(id))
}
