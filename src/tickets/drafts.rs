//! Screenshots between the form and the ticket: kept at once under a token, so that a form that is refused for
//! something else does not lose them; moved to the ticket in the transaction that opens it, or adds a message to it.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::attachment::{self, AttachmentInfo, NewAttachment};
use super::screenshot::{self, MAX_SCREENSHOTS, Screenshot, ShotError};
use crate::clock::new_id;
use crate::http::error::Problem;
use crate::http::form::Fields;
use crate::token::{self, Token};

/// Files of a form that was never sent are forgotten after this many hours.
pub const UNSENT_HOURS: i64 = 24;

/// Files of unsent forms that are kept at a time: at a usual half megabyte each, 1 GB.
const MAX_UNSENT: i64 = 2_000;

/// The screenshots that go with a form.
#[derive(Debug, Clone, Default)]
pub struct Drafts {
    /// The token by which the form finds them again; empty while there are none.
    pub token: String,
    /// The screenshots, in order.
    pub files: Vec<AttachmentInfo>,
}

impl Drafts {
    /// Those under a token while they can't be looked at: the form finds them again when it is sent again.
    #[must_use]
    pub fn unseen(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            files: Vec::new(),
        }
    }

    /// What the ticket's transaction finds them by.
    #[must_use]
    pub fn hash(&self) -> Option<[u8; 32]> {
        (!self.files.is_empty()).then(|| token::hash(&self.token))
    }
}

/// What a button of a form with screenshots asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilesIntent {
    /// Add the chosen files.
    Attach,
    /// Take this one away.
    Remove(Uuid),
}

impl FilesIntent {
    /// What the pressed button, `intent`, asks for; `None` when it is about more than the files.
    #[must_use]
    pub fn of(fields: &Fields) -> Option<Self> {
        match fields.get("intent")?.as_str() {
            "attach" => Some(Self::Attach),
            other => {
                let id = Uuid::parse_str(other.strip_prefix("remove-")?);
                Some(id.map_or(Self::Attach, Self::Remove))
            }
        }
    }

    /// The screenshot to take away.
    #[must_use]
    pub fn removed(self) -> Option<Uuid> {
        match self {
            Self::Attach => None,
            Self::Remove(id) => Some(id),
        }
    }
}

/// Keeps the files of a form beside those it sent before: of the new ones those that can be taken. Returns all of them,
/// and what is wrong with the others.
///
/// # Errors
/// [`Problem`] when they can't be kept now.
pub async fn keep(
    pool: &PgPool,
    now: DateTime<Utc>,
    token: &str,
    removed: Option<Uuid>,
    files: Vec<Vec<u8>>,
) -> Result<(Drafts, Option<ShotError>), Problem> {
    if token.is_empty() && files.is_empty() {
        return Ok((Drafts::default(), None));
    }
    let token = if token.is_empty() {
        Token::generate().text
    } else {
        token.to_owned()
    };
    let hash = token::hash(&token);
    let pictures = screenshot::take_all(files).await?;
    let (shots, errors): (Vec<_>, Vec<_>) = pictures.into_iter().partition(Result::is_ok);
    let shots: Vec<_> = shots.into_iter().flatten().collect();
    let mut conn = pool.acquire().await?;
    if let Some(id) = removed {
        attachment::delete_draft(&mut conn, hash, id).await?;
    }
    let refused = store(&mut conn, now, hash, &shots).await?;
    let files = attachment::drafts(&mut conn, hash).await?;
    let error = errors.into_iter().find_map(Result::err).or(refused);
    Ok((Drafts { token, files }, error))
}

/// Keeps the files of a report that is otherwise valid, under a token of its own: all of them or none.
///
/// # Errors
/// [`Problem`] when they can't be kept now.
pub async fn keep_all(
    pool: &PgPool,
    now: DateTime<Utc>,
    shots: &[Screenshot],
) -> Result<(Drafts, Option<ShotError>), Problem> {
    if shots.is_empty() {
        return Ok((Drafts::default(), None));
    }
    if shots.len() > MAX_SCREENSHOTS {
        return Ok((Drafts::default(), Some(ShotError::Many)));
    }
    let token = Token::generate();
    let mut conn = pool.acquire().await?;
    let error = store(&mut conn, now, token.hash, shots).await?;
    let files = attachment::drafts(&mut conn, token.hash).await?;
    Ok((
        Drafts {
            token: token.text,
            files,
        },
        error,
    ))
}

/// Returns why some are not kept, if so.
async fn store(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    hash: [u8; 32],
    shots: &[Screenshot],
) -> Result<Option<ShotError>, Problem> {
    if shots.is_empty() {
        return Ok(None);
    }
    let there = attachment::drafts(&mut *conn, hash).await?.len();
    let fitting = shots.len().min(MAX_SCREENSHOTS.saturating_sub(there));
    if attachment::count_unsent(&mut *conn, MAX_UNSENT).await? >= MAX_UNSENT {
        tracing::warn!("Screenshots are refused: too many wait for their forms to be sent");
        return Err(Problem::unavailable());
    }
    for shot in shots.iter().take(fitting) {
        insert(&mut *conn, now, hash, shot).await?;
    }
    Ok((fitting < shots.len()).then_some(ShotError::Many))
}

async fn insert(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    hash: [u8; 32],
    shot: &Screenshot,
) -> Result<(), Problem> {
    let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
    let new = NewAttachment {
        id: new_id(),
        media_type: shot.media_type,
        width: side(shot.width),
        height: side(shot.height),
        content: &shot.content,
    };
    Ok(attachment::insert_draft(conn, hash, &new, now).await?)
}
