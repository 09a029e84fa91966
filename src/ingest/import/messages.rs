//! A stream of OTLP protobuf, one `ResourceSpans` at a time. Requests written after each other are one message too.

use std::io::{BufRead, Read};

use prost::DecodeError;
use prost::bytes::Buf;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_varint, skip_field,
};

use super::super::json::frame::SCOPE_SPANS;
use super::Problem;

/// The first byte of a file of OTLP protobuf: field 1, length-delimited.
pub(super) const FIRST_BYTE: u8 = 0x0a;

/// One `ResourceSpans`: what a whole export request may be.
pub(super) const MAX_MESSAGE_BYTES: u64 = 64 << 20;

/// Levels of messages whose frame is checked: `ResourceSpans`, `ScopeSpans`, `Span`.
const CHECKED_DEPTH: usize = 3;

/// Encoded requests of one `ResourceSpans` each.
pub(super) struct Messages<R> {
    reader: R,
    /// Bytes of the content before the next field.
    offset: u64,
    is_done: bool,
}

impl<R: BufRead> Iterator for Messages<R> {
    type Item = Result<Vec<u8>, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let item = self.read().transpose();
        self.is_done = match &item {
            None => true,
            Some(Ok(_)) => false,
            // The length in front says where the next one starts; other faults leave no place to go on from.
            Some(Err(problem)) => {
                !matches!(problem, Problem::Message { .. } | Problem::TooLarge { .. })
            }
        };
        item
    }
}

impl<R: BufRead> Messages<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            offset: 0,
            is_done: false,
        }
    }

    fn read(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let at = self.offset;
        let read_error = |source| Problem::Read { source };
        match self.reader.fill_buf().map_err(read_error)?.first() {
            None => return Ok(None),
            Some(&FIRST_BYTE) => self.reader.consume(1),
            Some(_) => return Err(Problem::NotProtobuf { offset: at }),
        }
        let (length, length_bytes) = self.read_length(at)?;
        self.offset += 1 + length_bytes + length;
        let mut content = self.reader.by_ref().take(length);
        if length > MAX_MESSAGE_BYTES {
            std::io::copy(&mut content, &mut std::io::sink()).map_err(read_error)?;
            return Err(Problem::TooLarge {
                at: format!("byte {at}"),
                max: usize::try_from(MAX_MESSAGE_BYTES).unwrap_or(usize::MAX),
            });
        }
        let mut request = vec![FIRST_BYTE];
        encode_varint(length, &mut request);
        let start = request.len();
        let count = content.read_to_end(&mut request).map_err(read_error)?;
        if (count as u64) < length {
            return Err(Problem::CutOff { offset: at });
        }
        check(request.get(start..).unwrap_or_default(), CHECKED_DEPTH).map_err(|error| {
            Problem::Message {
                offset: at,
                reason: error.to_string(),
            }
        })?;
        Ok(Some(request))
    }

    /// A varint and how many bytes it took.
    fn read_length(&mut self, at: u64) -> Result<(u64, u64), Problem> {
        let mut bytes = Vec::new();
        loop {
            let mut byte = [0];
            self.reader
                .read_exact(&mut byte)
                .map_err(|source| match source.kind() {
                    std::io::ErrorKind::UnexpectedEof => Problem::CutOff { offset: at },
                    _ => Problem::Read { source },
                })?;
            bytes.extend(byte);
            if byte < [0x80] || bytes.len() == 10 {
                let length = decode_varint(&mut bytes.as_slice());
                let length = length.map_err(|_error| Problem::NotProtobuf { offset: at })?;
                return Ok((length, bytes.len() as u64));
            }
        }
    }
}

/// Whether the fields of a message, and of the scopes and spans in it, fit into each other. Builds nothing in memory,
/// unlike a decoder; what is inside spans is left to the ingest.
fn check(mut message: &[u8], depth: usize) -> Result<(), DecodeError> {
    while message.has_remaining() {
        let (tag, wire_type) = decode_key(&mut message)?;
        let mut rest = message;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
        // Spans have the same field in their scope as scopes in their resource.
        if depth > 1 && tag == SCOPE_SPANS && wire_type == WireType::LengthDelimited {
            decode_varint(&mut message)?;
            let length = message.len() - rest.len();
            check(message.get(..length).unwrap_or_default(), depth - 1)?;
        }
        message = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
    use prost::Message;

    fn request(name: &str) -> Vec<u8> {
        let span = Span {
            name: name.to_owned(),
            ..Span::default()
        };
        let scope_spans = ScopeSpans {
            spans: vec![span],
            ..ScopeSpans::default()
        };
        let resource_spans = ResourceSpans {
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        };
        TracesData {
            resource_spans: vec![resource_spans],
        }
        .encode_to_vec()
    }

    fn read(bytes: &[u8]) -> Vec<Result<Vec<u8>, String>> {
        let messages = Messages::new(bytes);
        messages
            .map(|item| item.map_err(|problem| problem.to_string()))
            .collect()
    }

    #[test]
    fn messages_come_one_by_one_and_a_bad_one_is_passed_over() {
        let (one, two) = (
            request("one"),
            request(
                "a name longer than one hundred and twenty-eight bytes "
                    .repeat(4)
                    .as_str(),
            ),
        );
        let mut bad = one.clone();
        *bad.last_mut().unwrap() = 0xff;
        bad[5] = 0x7f;
        let items = read(&[one.clone(), bad, two.clone()].concat());
        assert_eq!((&items[0], &items[2]), (&Ok(one.clone()), &Ok(two)));
        let reason = items[1].as_ref().unwrap_err();
        assert!(reason.contains(&format!("byte {}", one.len())), "{reason}");
    }

    #[test]
    fn what_does_not_go_on_is_said() {
        let one = request("one");
        for (bytes, words) in [
            (&one[..one.len() - 1], "cut off"),
            (&[FIRST_BYTE], "cut off"),
            (&[FIRST_BYTE, 0x80], "cut off"),
            (&[0x12, 0x00], "not OTLP"),
            (
                &[FIRST_BYTE, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255],
                "not OTLP",
            ),
            (&[FIRST_BYTE, 255, 255, 255, 255, 15], "larger than"),
        ] {
            let items = read(bytes);
            assert_eq!(items.len(), 1);
            let reason = items[0].as_ref().unwrap_err();
            assert!(reason.contains(words), "{reason}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            let _ = check(&bytes, CHECKED_DEPTH);
            read(&[&[FIRST_BYTE, 20][..], &bytes].concat());
        }
    }
}
