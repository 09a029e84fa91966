//! Cutting a stream of JSON into its top-level values: one object, one a line, or several after each other.
//!
//! A broken value must not swallow those behind it. A value ends early, as broken, at a line break inside a string
//! (JSON has none) and at a line that starts as an export request does. After a fault, reading goes on at the next line
//! that starts with a bracket.

use std::io::{self, BufRead, Read};

use super::super::json::Position;
use super::Problem;

/// One value of JSON in memory: an export request is at most 64 MiB, a file of one object is a download of a trace.
pub(super) const MAX_RECORD_BYTES: usize = 512 << 20;

/// How a line starts that can only be the start of a new value.
const REQUEST_STARTS: [&[u8]; 3] = [b"{\"resourceSpans\"", b"{\"resource_spans\"", b"{\"data\""];

/// What may stand between values: spaces, commas, RFC 7464's record separator and the bytes of a byte order mark.
const BETWEEN: &[u8] = b" \t\r\n,\x1e\xef\xbb\xbf";

/// One value, and where it starts.
pub(super) struct Record {
    pub(super) json: Vec<u8>,
    pub(super) at: Position,
}

/// The values of a stream, at most one of them in memory.
pub(super) struct Records<R> {
    reader: R,
    /// Lines that were read; what is before `start` is done with, what is before `scanned` was looked at.
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    /// The place of `start` in the file.
    at: Position,
    scanner: Scanner,
    is_skipping: bool,
    is_done: bool,
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = Result<Record, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_done {
            if let Some(item) = self.step() {
                return Some(item);
            }
            if let Err(problem) = self.read_line() {
                return Some(Err(problem));
            }
        }
        None
    }
}

impl<R: BufRead> Records<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            at: Position::START,
            scanner: Scanner::default(),
            is_skipping: false,
            is_done: false,
        }
    }

    /// The next value or fault in what was read. `None` once more is needed.
    fn step(&mut self) -> Option<Result<Record, Problem>> {
        if self.scanner.depth == 0 && !self.find_start() {
            let is_junk = self.start < self.buffer.len();
            let at = self.at;
            self.skip_to(self.buffer.len());
            return (is_junk && !std::mem::replace(&mut self.is_skipping, is_junk))
                .then_some(Err(Problem::NotJson { at }));
        }
        match self.scanner.scan(self.buffer.get(self.scanned..)?) {
            Scan::Open => {
                self.scanned = self.buffer.len();
                None
            }
            Scan::End(length) => Some(Ok(self.take(self.scanned + length))),
            Scan::Broken => Some(Err(self.give_up(self.buffer.len()))),
        }
    }

    /// Moves to the next bracket. `false` if something else comes first, or nothing.
    fn find_start(&mut self) -> bool {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let blank = rest
            .iter()
            .take_while(|byte| BETWEEN.contains(byte))
            .count();
        self.skip_to(self.start + blank);
        let is_bracket = matches!(self.buffer.get(self.start), Some(b'{' | b'['));
        // While skipping the rest of a broken value, indented lines belong to it.
        let is_start = is_bracket && (!self.is_skipping || self.at.column == 1);
        self.is_skipping &= !is_start;
        is_start
    }

    fn take(&mut self, end: usize) -> Record {
        let at = self.at;
        let rest = self.buffer.get(end..).unwrap_or_default();
        let json = if self.start == 0 && rest.iter().all(|byte| BETWEEN.contains(byte)) {
            self.at = at.after(&self.buffer);
            self.scanned = 0;
            std::mem::take(&mut self.buffer)
        } else {
            let json = self
                .buffer
                .get(self.start..end)
                .unwrap_or_default()
                .to_vec();
            self.skip_to(end);
            json
        };
        Record { json, at }
    }

    /// Leaves a value that does not end, and all up to `end` with it.
    fn give_up(&mut self, end: usize) -> Problem {
        let at = self.at;
        self.scanner = Scanner::default();
        self.skip_to(end);
        self.is_skipping = true;
        Problem::Unfinished { at }
    }

    fn skip_to(&mut self, end: usize) {
        let skipped = self.buffer.get(self.start..end).unwrap_or_default();
        self.at = self.at.after(skipped);
        self.start = end;
        self.scanned = end;
    }

    /// Adds a line to the buffer, after dropping what is done with.
    fn read_line(&mut self) -> Result<(), Problem> {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        let line = self.buffer.len();
        let left = MAX_RECORD_BYTES + 1 - line;
        let mut limited = self.reader.by_ref().take(left as u64);
        let count = limited.read_until(b'\n', &mut self.buffer);
        let count = count.map_err(|source| {
            self.is_done = true;
            Problem::Read { source }
        })?;
        if self.buffer.len() > MAX_RECORD_BYTES {
            return Err(self.drop_oversized());
        }
        let is_inside = self.scanner.depth > 0;
        self.is_done = count == 0;
        let added = self.buffer.get(line..).unwrap_or_default();
        if is_inside && (self.is_done || REQUEST_STARTS.iter().any(|key| added.starts_with(key))) {
            return Err(self.give_up(line));
        }
        Ok(())
    }

    fn drop_oversized(&mut self) -> Problem {
        let at = self.at;
        let is_cut = self.buffer.last() != Some(&b'\n');
        self.give_up(self.buffer.len());
        if is_cut && let Err(source) = skip_line(&mut self.reader) {
            self.is_done = true;
            return Problem::Read { source };
        }
        if is_cut {
            self.at = self.at.after(b"\n");
        }
        let max = MAX_RECORD_BYTES;
        Problem::TooLarge {
            at: at.to_string(),
            max,
        }
    }
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let chunk = reader.fill_buf()?;
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let used = end.map_or(chunk.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() || used == 0 {
            return Ok(());
        }
    }
}

/// Follows brackets and strings, nothing else: the parser finds all other faults.
#[derive(Default)]
struct Scanner {
    depth: usize,
    is_string: bool,
    is_escaped: bool,
}

enum Scan {
    /// The value goes on behind these bytes.
    Open,
    /// It ends after this many of them.
    End(usize),
    /// It has a line break in a string.
    Broken,
}

impl Scanner {
    fn scan(&mut self, bytes: &[u8]) -> Scan {
        for (index, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if self.is_string => return Scan::Broken,
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_string => self.is_escaped = true,
                b'"' => self.is_string = !self.is_string,
                _ if self.is_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Scan::End(index + 1);
                    }
                }
                _ => {}
            }
        }
        Scan::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each value as text, each fault as the line it names.
    fn cut(text: &str) -> Vec<Result<String, usize>> {
        Records::new(text.as_bytes())
            .map(|record| match record {
                Ok(record) => {
                    let start = Position::START;
                    let before = text.split('\n').take(record.at.line - 1);
                    let offset: usize = before.map(|line| line.len() + 1).sum();
                    let offset = offset + record.at.column - start.column;
                    let json = String::from_utf8(record.json).unwrap().trim().to_owned();
                    assert!(text[offset..].starts_with(&json), "{json} at {}", record.at);
                    Ok(json)
                }
                Err(Problem::Unfinished { at } | Problem::NotJson { at }) => Err(at.line),
                Err(problem) => panic!("{problem}"),
            })
            .collect()
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it stands for an item of the iterator"
    )]
    fn ok(json: &str) -> Result<String, usize> {
        Ok(json.to_owned())
    }

    #[test]
    fn values_are_found_however_they_are_laid_out() {
        for (text, values) in [
            ("", vec![]),
            (" \n\n", vec![]),
            ("{}", vec![ok("{}")]),
            ("{}\n{}\n", vec![ok("{}"), ok("{}")]),
            ("{}{} [1]", vec![ok("{}"), ok("{}"), ok("[1]")]),
            (
                "{\n \"a\": 1\n}\n{\n}",
                vec![ok("{\n \"a\": 1\n}"), ok("{\n}")],
            ),
            ("{}{\n},{}\n\n", vec![ok("{}"), ok("{\n}"), ok("{}")]),
            ("{\"}\\\"{\": 1}\n[]", vec![ok("{\"}\\\"{\": 1}"), ok("[]")]),
            ("\u{feff}{}\r\n\x1e{}", vec![ok("{}"), ok("{}")]),
        ] {
            assert_eq!(cut(text), values, "{text:?}");
        }
    }

    #[test]
    fn a_broken_value_does_not_swallow_the_next() {
        let line = "{\"resourceSpans\":[]}";
        for broken in [
            "{\"resourceSpans\":[",
            "{\"resourceSpans\":[\"abc",
            "oops",
            "oops\n  {\n  }\nmore oops",
            "\"text\"",
            "{\"a\": {\n  \"b\": \"\n  {}",
        ] {
            let text = format!("{line}\n{broken}\n{line}\n{line}");
            assert_eq!(cut(&text), [ok(line), Err(2), ok(line), ok(line)], "{text}");
        }
        assert_eq!(cut("{}\n{\"a\":"), [ok("{}"), Err(2)]);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_ends(text in "([{}\\[\\]\"\\\\\n ,a]|\\{\"data\"){0,40}") {
            proptest::prop_assert!(cut(&text).len() <= text.len());
        }
    }
}
