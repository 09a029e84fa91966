//! Request bodies, read with a cap and a deadline. actix inflates chunks before it looks at its limit and waits for
//! a slow body for ever, so bodies are read here as they come.

use std::io::Read as _;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Payload;
use futures_util::StreamExt as _;

/// A body must be whole within this time: 64 MiB in 30 s is 18 Mbit/s; smaller bodies may come much slower.
pub const READ_DEADLINE: Duration = Duration::from_secs(30);

/// Most memory taken on a request's word: three exports of a usual size.
pub const MAX_ROOM: usize = 1024 * 1024;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Larger than the cap, before or after decompression.
    #[error("the body is over the cap")]
    TooLarge,
    /// The client stopped sending, or broke off.
    #[error("the body did not arrive")]
    Broken,
    /// `Content-Encoding` is neither `identity` nor `gzip`.
    #[error("the body's encoding is not supported; send gzip or none")]
    UnknownEncoding,
    /// Said to be gzip and is not.
    #[error("the body is not valid gzip")]
    BadGzip,
    /// Whoever accounts for memory said no.
    #[error("too much is being received at once")]
    Busy,
}

/// Memory for as much as a request says that its body is, up to [`MAX_ROOM`]: without it a body is copied each time that
/// it outgrows its place.
#[must_use]
pub fn room_for(request: &HttpRequest) -> Vec<u8> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let declared = length.and_then(|length| length.to_str().ok()?.parse().ok());
    Vec::with_capacity(declared.unwrap_or(0).min(MAX_ROOM))
}

/// Reads the body as it travels, at most `cap` bytes. `take` is told of each chunk and may refuse it.
///
/// # Errors
/// [`BodyError`].
pub async fn read(
    payload: Payload,
    cap: usize,
    take: impl FnMut(usize) -> bool,
) -> Result<Vec<u8>, BodyError> {
    read_into(Vec::new(), payload, cap, take).await
}

/// The same, into memory that is there already.
///
/// # Errors
/// [`BodyError`].
pub async fn read_into(
    mut body: Vec<u8>,
    mut payload: Payload,
    cap: usize,
    mut take: impl FnMut(usize) -> bool,
) -> Result<Vec<u8>, BodyError> {
    let reading = async {
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_broken| BodyError::Broken)?;
            if body.len() + chunk.len() > cap {
                return Err(BodyError::TooLarge);
            }
            if !take(chunk.len()) {
                return Err(BodyError::Busy);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    };
    tokio::time::timeout(READ_DEADLINE, reading)
        .await
        .unwrap_or(Err(BodyError::Broken))
}

/// How a body was packed for the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentEncoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
}

/// Reads `Content-Encoding`.
///
/// # Errors
/// [`BodyError::UnknownEncoding`].
pub fn content_encoding(request: &HttpRequest) -> Result<ContentEncoding, BodyError> {
    let value = request
        .headers()
        .get(header::CONTENT_ENCODING)
        .map(|value| value.to_str().unwrap_or("?").trim());
    match value {
        None | Some("" | "identity") => Ok(ContentEncoding::Identity),
        Some(name) if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
            Ok(ContentEncoding::Gzip)
        }
        Some(_) => Err(BodyError::UnknownEncoding),
    }
}

/// Inflates gzip, at most `cap` bytes. `take` is told of each 64 KiB before they are written.
///
/// # Errors
/// [`BodyError`].
pub fn inflate(
    packed: &[u8],
    cap: usize,
    mut take: impl FnMut(usize) -> bool,
) -> Result<Vec<u8>, BodyError> {
    const CHUNK: usize = 64 * 1024;
    let mut decoder = flate2::read::MultiGzDecoder::new(packed);
    let mut body = Vec::new();
    loop {
        if !take(CHUNK) {
            return Err(BodyError::Busy);
        }
        let read = decoder
            .by_ref()
            .take(CHUNK as u64)
            .read_to_end(&mut body)
            .map_err(|_invalid| BodyError::BadGzip)?;
        if body.len() > cap {
            return Err(BodyError::TooLarge);
        }
        if read == 0 {
            return Ok(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let bomb = gzip(&vec![0; 10_000_000]);
        let mut granted = 0;
        let result = inflate(&bomb, 100_000, |bytes| {
            granted += bytes;
            true
        });
        assert_eq!(result, Err(BodyError::TooLarge));
        assert!(granted <= 200_000, "{granted} bytes were asked for");
    }

    #[test]
    fn whole_bodies_and_broken_ones() {
        assert_eq!(inflate(&gzip(b"hello"), 100, |_| true).unwrap(), b"hello");
        assert_eq!(inflate(b"hello", 100, |_| true), Err(BodyError::BadGzip));
        assert_eq!(
            inflate(&gzip(b"hello"), 100, |_| false),
            Err(BodyError::Busy)
        );
        let half = gzip(&[7; 5_000]);
        assert_eq!(
            inflate(&half[..half.len() / 2], 10_000, |_| true),
            Err(BodyError::BadGzip)
        );
    }
}
