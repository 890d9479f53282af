//! The rows of a CSV file, plain or compressed with zstd, read as a stream; a damaged row is told, never dropped.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use csv::{ByteRecord, StringRecord, Terminator};

use crate::import::ImportError;

/// A line longer than this is damage, not data: it keeps memory bounded whatever the file holds.
const LONGEST_LINE: u64 = 64 * 1024;
/// The first bytes of a zstd frame, RFC 8878 section 3.1.1.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Whether a field of the file may contain a line break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Every row is one line, so a quote that is never closed damages that line and no other.
    OneLinePerRow,
    /// Quoted fields may contain line breaks.
    FieldsMayWrap,
}

/// One row of the file.
#[derive(Debug)]
pub(crate) struct SourceRow {
    /// 1 for the first row after the header.
    pub number: u64,
    /// Its fields, as many as the header has; or what is wrong with it.
    pub fields: Result<StringRecord, String>,
}

/// The rows of a CSV file behind its header.
pub(crate) struct Rows {
    path: String,
    reader: csv::Reader<Lines>,
    layout: Layout,
    columns: usize,
    wrapped: u64,
    record: ByteRecord,
}

impl Rows {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// When the file cannot be read, or its header is another one.
    pub fn open(path: &Path, header: &[&str], layout: Layout) -> Result<Self, ImportError> {
        let name = path.display().to_string();
        let unreadable = |source| ImportError::Unreadable { path: name.clone(), source };
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        let compressed = file.fill_buf().map_err(unreadable)?.starts_with(&ZSTD_MAGIC);
        let input: Box<dyn Read + Send> =
            if compressed { Box::new(zstd::Decoder::with_buffer(file).map_err(unreadable)?) } else { Box::new(file) };
        Self::read(name, input, header, layout)
    }

    fn read(path: String, input: Box<dyn Read + Send>, header: &[&str], layout: Layout) -> Result<Self, ImportError> {
        let lines = Lines::new(input, layout);
        let mut builder = csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true);
        if layout == Layout::OneLinePerRow {
            builder.terminator(Terminator::Any(b'\n'));
        }
        let columns = header.len();
        let mut rows = Self { path, reader: builder.from_reader(lines), layout, columns, wrapped: 0, record: ByteRecord::new() };
        rows.read_record()?;
        let found: Vec<_> = rows.record.iter().map(|field| String::from_utf8_lossy(field).trim().to_owned()).collect();
        if found != header {
            let path = rows.path;
            return Err(ImportError::Header {
                path,
                expected: header.join(","),
                found: found.join(",").chars().take(200).collect(),
            });
        }
        rows.reader.get_mut().passed.clear();
        rows.wrapped = 0;
        Ok(rows)
    }

    fn read_record(&mut self) -> Result<bool, ImportError> {
        let read = self.reader.read_byte_record(&mut self.record);
        read.map_err(|source| ImportError::Unreadable { path: self.path.clone(), source: io::Error::other(source) })
    }

    /// The next row; `None` at the end of the file.
    ///
    /// # Errors
    /// When the file itself cannot be read on, such as a compressed file that was cut short.
    pub fn next(&mut self) -> Result<Option<SourceRow>, ImportError> {
        if let Some(damaged) = self.reader.get_mut().damaged.pop_front() {
            return Ok(Some(damaged));
        }
        if !self.read_record()? {
            return Ok(self.reader.get_mut().damaged.pop_front());
        }
        self.wrapped += 1;
        let number = match self.layout {
            Layout::FieldsMayWrap => self.wrapped,
            Layout::OneLinePerRow => self.reader.get_mut().passed.pop_front().unwrap_or(self.wrapped),
        };
        Ok(Some(SourceRow { number, fields: self.fields() }))
    }

    fn fields(&mut self) -> Result<StringRecord, String> {
        let found = self.record.len();
        if found != self.columns {
            return Err(format!("the row has {found} fields instead of {}", self.columns));
        }
        let record = std::mem::take(&mut self.record);
        if record.iter().any(|field| field.contains(&0)) {
            return Err("the row has the character NUL (U+0000)".to_owned());
        }
        StringRecord::from_byte_record(record).map_err(|error| format!("the row is not UTF-8: {}", error.utf8_error()))
    }
}

/// Hands the file to the CSV reader; where every row is one line, lines that could damage others are kept back.
struct Lines {
    input: BufReader<Box<dyn Read + Send>>,
    guarded: bool,
    line: Vec<u8>,
    handed: usize,
    number: u64,
    passed: VecDeque<u64>,
    damaged: VecDeque<SourceRow>,
}

impl Lines {
    fn new(input: Box<dyn Read + Send>, layout: Layout) -> Self {
        let (passed, damaged) = (VecDeque::new(), VecDeque::new());
        let guarded = layout == Layout::OneLinePerRow;
        Self { input: BufReader::with_capacity(1 << 16, input), guarded, line: Vec::new(), handed: 0, number: 0, passed, damaged }
    }

    /// Puts the next line that is a row by itself into `line`; false at the end of the file.
    fn advance(&mut self) -> io::Result<bool> {
        loop {
            self.line.clear();
            self.handed = 0;
            let read = (&mut self.input).take(LONGEST_LINE).read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(false);
            }
            self.number += 1;
            let too_long = read as u64 == LONGEST_LINE && !self.line.ends_with(b"\n");
            if too_long {
                self.input.skip_until(b'\n')?;
                self.reject(format!("the line is longer than {LONGEST_LINE} bytes"));
            } else if self.line.iter().filter(|byte| **byte == b'"').count() % 2 == 1 {
                self.reject("a quote is not closed".to_owned());
            } else if !self.line.trim_ascii().is_empty() {
                self.end_line();
                // The header is line 1, so the first row is 1 as well.
                self.passed.push_back(self.number - 1);
                return Ok(true);
            }
        }
    }

    fn reject(&mut self, reason: String) {
        self.damaged.push_back(SourceRow { number: self.number.saturating_sub(1), fields: Err(reason) });
    }

    fn end_line(&mut self) {
        while self.line.ends_with(b"\n") || self.line.ends_with(b"\r") {
            self.line.pop();
        }
        self.line.push(b'\n');
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.guarded {
            return self.input.read(buffer);
        }
        if self.handed == self.line.len() && !self.advance()? {
            return Ok(0);
        }
        let rest = &self.line[self.handed..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.handed += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(text: impl AsRef<[u8]>, layout: Layout) -> Vec<(u64, Result<Vec<String>, String>)> {
        let input = Box::new(io::Cursor::new(text.as_ref().to_vec()));
        let mut rows = Rows::read("test".into(), input, &["a", "b"], layout).unwrap();
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            all.push((row.number, row.fields.map(|fields| fields.iter().map(str::to_owned).collect())));
        }
        all
    }

    fn row(a: &str, b: &str) -> Result<Vec<String>, String> {
        Ok(vec![a.to_owned(), b.to_owned()])
    }

    #[test]
    fn an_unclosed_quote_damages_its_own_line_only() {
        let mut all = rows_of("a,b\n1,x\n2,\"y\n3,z\n4,\"q,\"\"q\"\"\"\n", Layout::OneLinePerRow);
        all.sort_by_key(|(number, _)| *number);
        assert_eq!(all[0], (1, row("1", "x")));
        assert_eq!(all[1], (2, Err("a quote is not closed".to_owned())));
        assert_eq!(all[2], (3, row("3", "z")));
        assert_eq!(all[3], (4, row("4", "q,\"q\"")));
    }

    #[test]
    fn rows_with_missing_fields_or_foreign_bytes_are_told_with_their_number() {
        let all = rows_of(b"a,b\n1,x\0y\n2,z", Layout::FieldsMayWrap);
        assert_eq!(all, [(1, Err("the row has the character NUL (U+0000)".to_owned())), (2, row("2", "z"))]);
        let all = rows_of(b"a,b\r\n1\r\n\r\n2,\xff\r\n3,z", Layout::OneLinePerRow);
        assert_eq!(all[0], (1, Err("the row has 1 fields instead of 2".to_owned())));
        assert!(matches!(&all[1], (3, Err(reason)) if reason.starts_with("the row is not UTF-8")));
        assert_eq!(all[2], (4, row("3", "z")));
    }

    #[test]
    fn an_endless_line_is_damage_and_the_next_row_is_read() {
        let all = rows_of(format!("a,b\n1,{}\n2,z\n", "x".repeat(200_000)), Layout::OneLinePerRow);
        assert_eq!(all.len(), 2);
        assert!(all.contains(&(2, row("2", "z"))) && all.iter().any(|(number, fields)| *number == 1 && fields.is_err()));
    }

    #[test]
    fn a_quoted_field_may_wrap_where_the_file_is_like_that() {
        let all = rows_of("\u{feff}a,b\n1,\"x\ny\"\n2,z\n", Layout::FieldsMayWrap);
        assert_eq!(all, [(1, row("1", "x\ny")), (2, row("2", "z"))]);
    }

    #[test]
    fn another_header_is_refused_with_both_headers() {
        let input = Box::new(io::Cursor::new(b"x,y\n1,2\n".to_vec()));
        let error = Rows::read("test".into(), input, &["a", "b"], Layout::OneLinePerRow).err().unwrap();
        assert_eq!(error.to_string(), "test begins with the columns `x,y` instead of `a,b`");
    }

    #[test]
    fn a_compressed_file_is_recognised_by_its_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, zstd::encode_all(&b"a,b\n1,2\n"[..], 1).unwrap()).unwrap();
        let mut rows = Rows::open(&path, &["a", "b"], Layout::OneLinePerRow).unwrap();
        assert_eq!(rows.next().unwrap().unwrap().fields.unwrap(), vec!["1", "2"]);
    }
}
