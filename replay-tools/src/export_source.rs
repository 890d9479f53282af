//! The events of an export, in order, from any place in its file.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use event_schemas::Recorded;
use parquet::file::reader::SerializedFileReader;

use crate::{
    Failure, Format, export_csv, export_file,
    export_parquet::{self, Group},
};

/// An event of a file, and the place of the next: a byte of a text file, a row of a table.
pub(crate) type Placed = (Recorded, u64);

/// A file of events. In text files, what is not written exactly as an export writes it is refused: every byte counts.
#[derive(Debug)]
pub(crate) enum Source {
    Text { path: PathBuf, format: Format },
    Table(Table),
}

/// A Parquet file, with the last row group that was read.
pub(crate) struct Table {
    file: SerializedFileReader<File>,
    sizes: Vec<u64>,
    last: Mutex<Option<(usize, Arc<Group>)>>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

impl Source {
    pub(crate) fn open(path: &Path, format: Format) -> Result<Self, Failure> {
        File::open(path).map_err(Failure::file(path))?;
        if format != Format::Parquet {
            return Ok(Self::Text { path: path.to_owned(), format });
        }
        let refused = |error| Failure::Refused(format!("{}: {error}", path.display()));
        let file = export_parquet::open(path).map_err(refused)?;
        Ok(Self::Table(Table { sizes: export_parquet::sizes(&file), file, last: Mutex::default() }))
    }

    /// The events from a place on, 0 for all, up to the end or the first that cannot be read.
    pub(crate) fn from(&self, place: u64) -> std::io::Result<Box<dyn Iterator<Item = Result<Placed, String>> + '_>> {
        match self {
            Self::Text { path, format } => {
                let mut lines = Lines { input: BufReader::new(File::open(path)?), format: *format, place, is_over: false };
                lines.input.seek(SeekFrom::Start(place))?;
                Ok(Box::new(lines))
            }
            Self::Table(table) => Ok(Box::new(Rows { table, row: place, is_over: false })),
        }
    }
}

/// A record of a text, with its line's end.
pub(crate) fn encode(record: &Recorded, format: Format) -> Result<String, String> {
    match format {
        Format::Csv => Ok(export_csv::to_row(record)),
        Format::Jsonl | Format::Parquet => {
            export_file::to_line(record).map(|line| line + "\n").map_err(|error| error.to_string())
        }
    }
}

fn decode(text: &str, format: Format) -> Result<Recorded, String> {
    let record = match format {
        Format::Csv => export_csv::from_row(text)?,
        Format::Jsonl | Format::Parquet => export_file::from_line(text)?,
    };
    if encode(&record, format)? == text { Ok(record) } else { Err("it is not written as an export writes it".to_owned()) }
}

struct Lines {
    input: BufReader<File>,
    format: Format,
    place: u64,
    is_over: bool,
}

impl Lines {
    /// The text of the next record, empty at the end of the file. One of a CSV file goes on while a quote is open.
    fn text(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            let bytes = self.input.read_line(&mut text).map_err(|error| error.to_string())?;
            if bytes == 0 || self.format != Format::Csv || text.matches('"').count().is_multiple_of(2) {
                return Ok(text);
            }
        }
    }

    fn read(&mut self) -> Result<Option<Placed>, String> {
        if self.place == 0 && self.format == Format::Csv {
            if self.text()? != export_csv::HEADER {
                return Err("the first line does not name the fields of an export".to_owned());
            }
            self.place = export_csv::HEADER.len() as u64;
        }
        let text = self.text()?;
        if text.is_empty() {
            return Ok(None);
        }
        let record = decode(&text, self.format)?;
        self.place += text.len() as u64;
        Ok(Some((record, self.place)))
    }
}

impl Iterator for Lines {
    type Item = Result<Placed, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let read = self.read().transpose();
        self.is_over = !matches!(read, Some(Ok(_)));
        read
    }
}

impl Table {
    /// The row group that has a row, and where in it the row stands; none past the end.
    fn find(&self, row: u64) -> Option<(usize, usize)> {
        let mut first = 0;
        for (group, size) in self.sizes.iter().enumerate() {
            if row < first + size {
                return Some((group, usize::try_from(row - first).ok()?));
            }
            first += size;
        }
        None
    }

    fn group(&self, group: usize) -> Arc<Group> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, read)) = &*last
            && *known == group
        {
            return Arc::clone(read);
        }
        let read = Arc::new(export_parquet::read_group(&self.file, group));
        *last = Some((group, Arc::clone(&read)));
        read
    }
}

struct Rows<'a> {
    table: &'a Table,
    row: u64,
    is_over: bool,
}

impl Iterator for Rows<'_> {
    type Item = Result<Placed, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let (group, at) = self.table.find(self.row).filter(|_| !self.is_over)?;
        let read = self.table.group(group);
        let unreadable = || {
            let why = read.wrong.as_deref().unwrap_or("there are no more rows");
            format!("it and the rows behind it in its row group cannot be read: {why}")
        };
        let record = read.records.get(at).cloned().ok_or_else(unreadable);
        self.is_over = record.is_err();
        self.row += 1;
        Some(record.map(|record| (record, self.row)))
    }
}
