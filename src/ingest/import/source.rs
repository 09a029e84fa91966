//! A file as a bounded stream: how much of it was read, and gzip undone.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// What one gzip file may hold: gzip reaches 1:1032, so this is a file of 62 MiB at its worst, and days of real traces.
const MAX_INFLATED_BYTES: u64 = 64 << 30;
/// RFC 1952, section 2.3.1.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// One read from the disk.
const BUFFER_BYTES: usize = 64 << 10;

/// The content of a file.
pub(super) struct Source {
    /// The content, inflated.
    pub(super) reader: Box<dyn BufRead + Send>,
    /// The first bytes of the content, which `reader` still yields.
    pub(super) prefix: Vec<u8>,
    /// Bytes of the file itself that were read so far.
    pub(super) bytes_read: Arc<AtomicU64>,
}

impl Source {
    /// Opens a file and reads its first `prefix_bytes`.
    pub(super) fn open(path: &Path, prefix_bytes: u64) -> io::Result<Self> {
        let bytes_read = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            inner: File::open(path)?,
            bytes_read: bytes_read.clone(),
        };
        let mut file = BufReader::with_capacity(BUFFER_BYTES, counted);
        let magic = peek(&mut file, GZIP_MAGIC.len() as u64)?;
        let file = Cursor::new(magic.clone()).chain(file);
        let mut reader: Box<dyn BufRead + Send> = if magic == GZIP_MAGIC {
            let inflated = Capped {
                inner: MultiGzDecoder::new(file),
                left: MAX_INFLATED_BYTES,
            };
            Box::new(BufReader::with_capacity(BUFFER_BYTES, inflated))
        } else {
            Box::new(file)
        };
        let prefix = peek(&mut reader, prefix_bytes)?;
        Ok(Self {
            reader: Box::new(Cursor::new(prefix.clone()).chain(reader)),
            prefix,
            bytes_read,
        })
    }
}

fn peek(reader: &mut impl Read, bytes: u64) -> io::Result<Vec<u8>> {
    let mut prefix = Vec::new();
    reader.take(bytes).read_to_end(&mut prefix)?;
    Ok(prefix)
}

/// Counts what passes.
struct Counted<R> {
    inner: R,
    bytes_read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Fails once more than allowed has passed.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::other(format!(
                "it inflates to more than {MAX_INFLATED_BYTES} bytes"
            ))
        })?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflating_stops_at_the_cap() {
        let mut capped = Capped {
            inner: io::repeat(1),
            left: 10,
        };
        assert!(io::copy(&mut capped, &mut io::sink()).is_err());
        let mut capped = Capped {
            inner: io::repeat(1).take(10),
            left: 10,
        };
        assert_eq!(io::copy(&mut capped, &mut io::sink()).unwrap(), 10);
    }
}
