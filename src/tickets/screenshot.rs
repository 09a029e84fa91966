//! Pictures as they are taken: judged by their content, measured before they are decoded, and encoded anew, so that
//! neither metadata nor anything that is no picture gets in.

use std::io::Cursor;

use image::codecs::gif::{GifDecoder, GifEncoder, Repeat};
use image::codecs::jpeg::JpegEncoder;
use image::{
    AnimationDecoder as _, DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits,
};
use tokio::sync::Semaphore;

use crate::content::Words;
use crate::http::error::Problem;
use crate::http::form::{MAX_FILE_BYTES, MAX_FILE_MIB, MAX_FILES, too_large, too_many};

/// Screenshots a report may have.
pub const MAX_SCREENSHOTS: usize = MAX_FILES;
/// Longest side: two 4K screens side by side.
pub const MAX_SIDE: u32 = 8_000;
/// Memory for a decoded picture: 5,120 x 2,880 pixels of 4 bytes are 59 MB.
const MAX_DECODED_BYTES: u64 = 64 * 1024 * 1024;
/// Frames kept of an animation; what shows a failure takes a few seconds.
const MAX_FRAMES: usize = 100;
/// Pixels of all frames together: the memory of one decoded picture again.
const MAX_ANIMATION_PIXELS: u64 = MAX_DECODED_BYTES / 4;
/// Quality at which text in a screenshot stays sharp.
const JPEG_QUALITY: u8 = 88;
/// A picture encoded anew may grow; one that grows beyond this is refused.
const MAX_STORED_BYTES: usize = 2 * MAX_FILE_BYTES;

/// Why a picture is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say what each is")]
pub enum ShotError {
    #[error("{}", too_large())]
    Large,
    #[error("A screenshot must be a PNG, JPEG, WebP or GIF picture.")]
    Format,
    #[error("This picture is too large: at most {MAX_SIDE} pixels a side, and 16 million in all.")]
    Pixels,
    #[error("This picture can't be read; it may be damaged. Take the screenshot again.")]
    Broken,
    #[error("This picture is too large once it is unpacked.")]
    Unpacked,
    #[error("{}", too_many())]
    Many,
}

impl ShotError {
    /// In a sentence for the reporter.
    #[must_use]
    pub fn in_words(self, words: &Words) -> String {
        let errors = &words.errors;
        match self {
            Self::Large => errors.file_large.fill(&[("most", &MAX_FILE_MIB)]),
            Self::Format => errors.file_format.clone(),
            Self::Pixels => errors.file_pixels.fill(&[("most", &MAX_SIDE)]),
            Self::Broken => errors.file_broken.clone(),
            Self::Unpacked => errors.file_unpacked.clone(),
            Self::Many => errors.files_many.fill(&[("most", &MAX_SCREENSHOTS)]),
        }
    }
}

/// A picture that may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screenshot {
    /// `image/png`, `image/jpeg` or `image/gif`.
    pub media_type: &'static str,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// The picture, encoded anew.
    pub content: Vec<u8>,
}

/// Pictures that are taken at a time: each may need 130 MiB.
static AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// Takes the pictures of a form, one after the other: each, or what is wrong with it.
///
/// # Errors
/// 503 when the service stops.
pub async fn take_all(files: Vec<Vec<u8>>) -> Result<Vec<Result<Screenshot, ShotError>>, Problem> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let _turn = AT_A_TIME
        .acquire()
        .await
        .map_err(|_closed| Problem::unavailable())?;
    let taken = tokio::task::spawn_blocking(move || files.iter().map(|file| take(file)).collect());
    taken.await.map_err(|error| Problem::internal(&error))
}

/// Takes a picture. Takes up to 130 MiB of memory and a second of time: not for the thread that serves requests.
///
/// # Errors
/// What is wrong with it.
pub fn take(file: &[u8]) -> Result<Screenshot, ShotError> {
    if file.len() > MAX_FILE_BYTES {
        return Err(ShotError::Large);
    }
    let format = image::guess_format(file).ok();
    let shot = match format {
        Some(ImageFormat::Png | ImageFormat::WebP) => still(file, ImageFormat::Png),
        Some(ImageFormat::Jpeg) => still(file, ImageFormat::Jpeg),
        Some(ImageFormat::Gif) => animation(file),
        _ => return Err(ShotError::Format),
    }?;
    if shot.content.len() > MAX_STORED_BYTES {
        return Err(ShotError::Unpacked);
    }
    Ok(shot)
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    limits
}

fn unreadable(error: &image::ImageError) -> ShotError {
    match error {
        image::ImageError::Limits(_) => ShotError::Pixels,
        _ => ShotError::Broken,
    }
}

fn still(file: &[u8], target: ImageFormat) -> Result<Screenshot, ShotError> {
    let mut reader = ImageReader::new(Cursor::new(file));
    reader.set_format(image::guess_format(file).map_err(|error| unreadable(&error))?);
    reader.limits(limits());
    let mut decoder = reader.into_decoder().map_err(|error| unreadable(&error))?;
    // A phone's photo says which way is up in the metadata that is about to go.
    let orientation = decoder.orientation().map_err(|error| unreadable(&error))?;
    let (width, height) = decoder.dimensions();
    let as_shown = u64::from(width) * u64::from(height) * 4;
    if as_shown.max(decoder.total_bytes()) > MAX_DECODED_BYTES {
        return Err(ShotError::Pixels);
    }
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| unreadable(&error))?;
    picture.apply_orientation(orientation);
    let mut content = Vec::new();
    let encoded = match target {
        ImageFormat::Jpeg => {
            // JPEG has no transparency and no 16 bits.
            let picture = DynamicImage::from(picture.to_rgb8());
            picture.write_with_encoder(JpegEncoder::new_with_quality(&mut content, JPEG_QUALITY))
        }
        _ => DynamicImage::from(picture.to_rgba8())
            .write_to(&mut Cursor::new(&mut content), ImageFormat::Png),
    };
    encoded.map_err(|error| unreadable(&error))?;
    Ok(Screenshot {
        media_type: target.to_mime_type(),
        width: picture.width(),
        height: picture.height(),
        content,
    })
}

fn animation(file: &[u8]) -> Result<Screenshot, ShotError> {
    let mut decoder = GifDecoder::new(Cursor::new(file)).map_err(|error| unreadable(&error))?;
    decoder
        .set_limits(limits())
        .map_err(|error| unreadable(&error))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let frames = usize::try_from(MAX_ANIMATION_PIXELS / pixels.max(1))
        .unwrap_or(MAX_FRAMES)
        .clamp(1, MAX_FRAMES);
    let mut content = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut content, 30);
    encoder
        .set_repeat(Repeat::Infinite)
        .map_err(|error| unreadable(&error))?;
    for frame in decoder.into_frames().take(frames) {
        encoder
            .encode_frame(frame.map_err(|error| unreadable(&error))?)
            .map_err(|error| unreadable(&error))?;
    }
    drop(encoder);
    Ok(Screenshot {
        media_type: "image/gif",
        width,
        height,
        content,
    })
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;

    fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let picture = RgbaImage::from_fn(width, height, |x, y| {
            Rgba([x.to_le_bytes()[0], y.to_le_bytes()[0], 7, 255])
        });
        let mut bytes = Vec::new();
        let picture = DynamicImage::from(picture);
        let picture = if format == ImageFormat::Jpeg {
            picture.to_rgb8().into()
        } else {
            picture
        };
        picture
            .write_to(&mut Cursor::new(&mut bytes), format)
            .unwrap();
        bytes
    }

    #[test]
    fn each_format_is_taken_by_its_content() {
        for (format, media_type) in [
            (ImageFormat::Png, "image/png"),
            (ImageFormat::Jpeg, "image/jpeg"),
            (ImageFormat::WebP, "image/png"),
            (ImageFormat::Gif, "image/gif"),
        ] {
            let shot = take(&encoded(30, 20, format)).unwrap();
            assert_eq!(
                (shot.media_type, shot.width, shot.height),
                (media_type, 30, 20),
                "{format:?}"
            );
            assert_eq!(
                image::guess_format(&shot.content).unwrap().to_mime_type(),
                media_type
            );
        }
    }

    #[test]
    fn metadata_does_not_get_through() {
        let png = encoded(4, 4, ImageFormat::Png);
        // A text chunk after the header: length, type, data, CRC.
        let mut chunk = b"tEXtComment\0where I live".to_vec();
        let crc = crc32fast::hash(&chunk);
        let mut with_text = png[..33].to_vec();
        with_text.extend_from_slice(&u32::try_from(chunk.len() - 4).unwrap().to_be_bytes());
        with_text.append(&mut chunk);
        with_text.extend_from_slice(&crc.to_be_bytes());
        with_text.extend_from_slice(&png[33..]);
        let shot = take(&with_text).unwrap();
        assert!(
            !shot
                .content
                .windows(12)
                .any(|window| window == b"where I live")
        );
    }

    #[test]
    fn bombs_are_refused_by_their_header() {
        let mut png = encoded(4, 4, ImageFormat::Png);
        // Width and height of the header, and its CRC.
        png[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        png[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        let crc = crc32fast::hash(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(take(&png).unwrap_err(), ShotError::Pixels);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for file in [
            &b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..],
            b"%PDF-1.7",
            b"",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
        ] {
            assert!(take(file).is_err());
        }
        let png = encoded(40, 40, ImageFormat::Png);
        assert!(take(&png[..png.len() / 2]).is_err());
    }
}
