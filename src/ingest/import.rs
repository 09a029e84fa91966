//! Traces from files. What a file holds is told by its content, never by its name: OTLP JSON (one object, one a line, or
//! several after each other), Jaeger JSON, OTLP protobuf, each plain or in gzip.

mod messages;
mod records;
mod source;

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::jaeger;
use super::json::{self, Converted, JsonError, Position};
use messages::Messages;
use records::{Record, Records};
use source::Source;

/// What is looked at to tell the format: enough to hold a tag of protobuf, which is no character of JSON.
const PREFIX_BYTES: u64 = 8 << 10;

/// A part of a file: one JSON value, or one `ResourceSpans` of protobuf.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// An encoded `ExportTraceServiceRequest`. Several of them in a row are one request as well.
    pub request: Vec<u8>,
    /// Spans that could not be read and are not in the request.
    pub rejected: u64,
    /// Why the first of them was rejected, and where in the file it stands.
    pub first_reason: Option<String>,
    /// Bytes of the file read so far, of as many as its size on disk says.
    pub bytes_read: u64,
}

/// What went wrong, and in which file. After the fault of one value the others still come.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct ImportError {
    /// The file.
    pub file: PathBuf,
    /// The fault.
    #[source]
    pub problem: Problem,
}

/// A fault in a file, with its place.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file can't be opened or read on, or its gzip is broken.
    #[error("it can't be read any further: {source}.")]
    Read {
        /// The system's words.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("it is empty.")]
    Empty,
    /// It is none of the formats.
    #[error(
        "it holds no traces that can be read; OTLP JSON, OTLP protobuf and Jaeger JSON can, also in gzip."
    )]
    UnknownFormat,
    /// Something between the values is no JSON.
    #[error("there is something at {at} that is not a JSON object; it was passed over.")]
    NotJson {
        /// Where it starts.
        at: Position,
    },
    /// A JSON value is cut off.
    #[error("the JSON value that starts at {at} does not end; it was passed over.")]
    Unfinished {
        /// Where it starts.
        at: Position,
    },
    /// A JSON value can't be used.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// One value is too large for the memory.
    #[error(
        "what starts at {at} is larger than {max} bytes and was passed over; split it into several requests."
    )]
    TooLarge {
        /// Where it starts.
        at: String,
        /// The limit.
        max: usize,
    },
    /// The bytes are no field of an export request.
    #[error("byte {offset} is not OTLP protobuf; what follows was not read.")]
    NotProtobuf {
        /// Bytes before it, counted after inflating.
        offset: u64,
    },
    /// The last message is shorter than it says.
    #[error("the message that starts at byte {offset} is cut off.")]
    CutOff {
        /// Bytes before it, counted after inflating.
        offset: u64,
    },
    /// The inside of a message is broken.
    #[error("the message that starts at byte {offset} is broken and was passed over: {reason}.")]
    Message {
        /// Bytes before it, counted after inflating.
        offset: u64,
        /// The decoder's words.
        reason: String,
    },
}

/// Opens a file and tells its format.
///
/// # Errors
/// When it can't be opened, is empty, or is none of the formats.
pub fn read_file(path: &Path) -> Result<Chunks, ImportError> {
    open(path).map_err(|problem| ImportError {
        file: path.to_owned(),
        problem,
    })
}

fn open(path: &Path) -> Result<Chunks, Problem> {
    let source = Source::open(path, PREFIX_BYTES).map_err(|source| Problem::Read { source })?;
    let content = if is_json(&source.prefix) {
        Content::Json(Records::new(source.reader))
    } else {
        match source.prefix.first() {
            None => return Err(Problem::Empty),
            Some(&messages::FIRST_BYTE) => Content::Protobuf(Messages::new(source.reader)),
            Some(_) => return Err(Problem::UnknownFormat),
        }
    };
    Ok(Chunks {
        file: path.to_owned(),
        bytes_read: source.bytes_read,
        content,
    })
}

/// Whether a file starts as JSON does. A line break is also how protobuf starts, but no JSON has the control characters
/// that protobuf's tags are.
fn is_json(prefix: &[u8]) -> bool {
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let text = prefix.strip_prefix(b"\xef\xbb\xbf").unwrap_or(prefix);
    let first = text
        .iter()
        .find(|byte| !is_space(byte) && **byte != b'\x1e');
    let is_control = |byte: &u8| *byte < b' ' && !is_space(byte) && *byte != b'\x1e';
    matches!(first, Some(b'{' | b'[')) && !text.iter().any(is_control)
}

/// The parts of a file, in order.
pub struct Chunks {
    file: PathBuf,
    bytes_read: Arc<AtomicU64>,
    content: Content,
}

type Reader = Box<dyn BufRead + Send>;

enum Content {
    Json(Records<Reader>),
    Protobuf(Messages<Reader>),
}

impl Iterator for Chunks {
    type Item = Result<Chunk, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let converted = match &mut self.content {
            Content::Json(records) => records.next()?.and_then(|record| Ok(convert(&record)?)),
            Content::Protobuf(messages) => messages.next()?.map(|request| Converted {
                request,
                ..Converted::default()
            }),
        };
        let chunk = converted.map(|converted| Chunk {
            request: converted.request,
            rejected: converted.rejected,
            first_reason: converted.first_reason,
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
        });
        Some(chunk.map_err(|problem| ImportError {
            file: self.file.clone(),
            problem,
        }))
    }
}

/// OTLP, or else Jaeger.
fn convert(record: &Record) -> Result<Converted, JsonError> {
    if record.json.starts_with(b"[") {
        return jaeger::to_protobuf_at(&record.json, record.at);
    }
    match json::to_protobuf_at(&record.json, record.at) {
        Err(JsonError::OtherFormat { .. }) => jaeger::to_protobuf_at(&record.json, record.at),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
    use prost::Message;
    use std::collections::BTreeSet;
    use std::io::Write;

    const TRACES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/traces");
    const LINE: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7"}]}]}]}"#;

    fn write(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn spans(path: &Path) -> Vec<Span> {
        let request: Vec<u8> = read_file(path)
            .unwrap()
            .flat_map(|chunk| {
                let chunk = chunk.unwrap();
                assert_eq!(chunk.first_reason, None);
                chunk.request
            })
            .collect();
        let data = TracesData::decode(request.as_slice()).unwrap();
        let resources = data.resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    #[test]
    fn every_sample_file_reads_as_its_readme_says() {
        let readme = std::fs::read_to_string(format!("{TRACES}/README.md")).unwrap();
        let rows = readme.lines().filter(|line| line.starts_with("| ")).skip(1);
        let mut count = 0;
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let path = Path::new(TRACES).join(cells[1]);
            let spans = spans(&path);
            let traces: BTreeSet<_> = spans
                .iter()
                .map(|span| hex::encode(&span.trace_id))
                .collect();
            assert_eq!(spans.len().to_string(), cells[2], "{row}");
            assert_eq!(traces.len().to_string(), cells[3], "{row}");
            if !cells[4].is_empty() {
                assert_eq!(hex::encode(&spans[0].trace_id), cells[4], "{row}");
            }
            count += 1;
        }
        assert_eq!(count, 20, "files in the README's table");
    }

    #[test]
    fn gzip_is_undone_around_every_format() {
        for name in [
            "otlp-json/jaeger-ui-otlp2jaeger-multi-in.jsonl",
            "jaeger-json/testTraceNormal.json",
            "sdk-captured/rs-0.33.1.pb",
        ] {
            let path = Path::new(TRACES).join(name);
            let content = std::fs::read(&path).unwrap();
            let packed = write(&gzip(&content));
            assert_eq!(spans(packed.path()), spans(&path), "{name}");
            let (one, two) = content.split_at(content.len() / 2);
            let members = write(&[gzip(one), gzip(two)].concat());
            assert_eq!(spans(members.path()), spans(&path), "{name} in two members");
        }
    }

    #[test]
    fn a_broken_line_is_named_and_the_rest_is_kept() {
        for (broken, words) in [
            (
                "{\"resourceSpans\":[{\"scopeSpans\"",
                "starts at line 2, column 1",
            ),
            ("{\"resourceSpans\":[,]}", "line 2, column 19"),
            ("{\"resourceLogs\":[]}", "not a trace of Jaeger"),
            ("{\"resourceSpans\": \"\\x\"}", "line 2, column 21"),
            ("hello", "line 2, column 1"),
        ] {
            let file = write(format!("{LINE}\n{broken}\n{LINE}\n").as_bytes());
            let (good, bad): (Vec<_>, Vec<_>) =
                read_file(file.path()).unwrap().partition(Result::is_ok);
            assert_eq!((good.len(), bad.len()), (2, 1), "{broken}");
            let error = bad[0].as_ref().unwrap_err().to_string();
            assert!(
                error.starts_with(&file.path().display().to_string()),
                "{error}"
            );
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_bad_span_is_named_by_its_line_in_the_file() {
        let bad = LINE.replace("4bf9", "oops");
        let file = write(format!("{LINE}\n{bad}\n{LINE}").as_bytes());
        let chunks: Vec<Chunk> = read_file(file.path())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let rejected: Vec<u64> = chunks.iter().map(|chunk| chunk.rejected).collect();
        assert_eq!(rejected, [0, 1, 0]);
        let reason = chunks[1].first_reason.as_ref().unwrap();
        assert!(reason.contains("line 2, column 44"), "{reason}");
        assert_eq!(chunks[2].bytes_read, file.path().metadata().unwrap().len());
    }

    #[test]
    fn formats_are_told_by_content() {
        for (content, is_text) in [
            (&b"\n{\"resourceSpans\":[]}"[..], true),
            (b"\xef\xbb\xbf {}", true),
            (b"[]", true),
            (b"\n{\n\x15\n\x13", false),
            (b"\n\x00", false),
            (b"", false),
        ] {
            assert_eq!(is_json(content), is_text, "{content:?}");
        }
    }

    #[test]
    fn unreadable_files_are_refused() {
        for (content, words) in [
            (&b""[..], "it is empty"),
            (b"PK\x03\x04", "holds no traces"),
            (b"<html>", "holds no traces"),
        ] {
            let file = write(content);
            let error = read_file(file.path()).err().unwrap().to_string();
            assert!(error.contains(words), "{error}");
        }
        let error = read_file(Path::new("/does/not/exist")).err().unwrap();
        assert!(
            error
                .to_string()
                .contains("/does/not/exist: it can't be read")
        );
    }

    #[test]
    fn a_cut_gzip_file_keeps_what_came_before() {
        let content = format!("{LINE}\n").repeat(1000);
        let packed = gzip(content.as_bytes());
        let file = write(&packed[..packed.len() - 20]);
        let chunks: Vec<_> = read_file(file.path()).unwrap().collect();
        let (last, good) = chunks.split_last().unwrap();
        assert!(matches!(
            last,
            Err(ImportError {
                problem: Problem::Read { .. },
                ..
            })
        ));
        assert!(!good.is_empty() && good.iter().all(Result::is_ok));
    }
}
