//! `/livez`: the process answers. `/readyz`: it can do its work.

use actix_web::{HttpResponse, web};
use sqlx::PgPool;

use super::error::{ApiResult, Problem};

/// The process is up.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

/// The database answers.
///
/// # Errors
/// 503 while it does not.
pub async fn ready(pool: web::Data<PgPool>) -> ApiResult {
    let asked = sqlx::query_scalar!(r#"SELECT 1 AS "one!""#)
        .fetch_one(pool.get_ref())
        .await;
    asked.map_err(|error| {
        tracing::warn!(error = %error, "Not ready: the database does not answer");
        Problem::unavailable()
    })?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ready\n"))
}
