//! Events as columns of Apache Parquet, a row group at a time. Tools for analysis read such files as tables.

use std::{
    borrow::Cow,
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use event_schemas::{Proposed, Recorded, StreamId, Timestamp};
use parquet::{
    basic::Compression,
    column::{reader::ColumnReader, writer::ColumnCloseResult},
    data_type::{ByteArray, ByteArrayType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        reader::{FileReader as _, RowGroupReader, SerializedFileReader},
        writer::SerializedFileWriter,
    },
    schema::{parser::parse_message_type, types::Type},
};

use crate::from_hex;

/// How many events a row group has: what is held in memory at once.
pub(crate) const GROUP: usize = 16_384;

/// How many rows are read at once. Pages are written as multiples of as many, so that each is read by itself.
const STEP: usize = 1_024;

/// The columns. Their names are those of the log's own; numbers are 64-bit and positive.
const SCHEMA: &str = "message event {
    REQUIRED INT64 position;
    REQUIRED BYTE_ARRAY event_id (STRING);
    REQUIRED BYTE_ARRAY aggregate_type (STRING);
    REQUIRED BYTE_ARRAY aggregate_id (STRING);
    REQUIRED INT64 sequence;
    REQUIRED BYTE_ARRAY event_type (STRING);
    REQUIRED INT64 event_version;
    REQUIRED BYTE_ARRAY payload (STRING);
    REQUIRED BYTE_ARRAY metadata (STRING);
    REQUIRED INT64 recorded_at (TIMESTAMP(MICROS,true));
    REQUIRED INT64 occurred_at (TIMESTAMP(MICROS,true));
    OPTIONAL BYTE_ARRAY idempotency_scope (STRING);
    REQUIRED BYTE_ARRAY digest (STRING);
}";

/// What a column holds of an event, in the order of [`SCHEMA`].
enum Column {
    Number(fn(&Recorded) -> i64),
    Text(fn(&Recorded) -> Cow<'_, str>),
    Perhaps(fn(&Recorded) -> Option<&str>),
}

const COLUMNS: [Column; 13] = [
    Column::Number(|record| record.position.cast_signed()),
    Column::Text(|record| record.event.event_id.to_string().into()),
    Column::Text(|record| (&*record.event.stream.aggregate_type).into()),
    Column::Text(|record| (&record.event.stream.aggregate_id).into()),
    Column::Number(|record| record.event.sequence.cast_signed()),
    Column::Text(|record| (&*record.event.event_type).into()),
    Column::Number(|record| record.event.event_version.into()),
    Column::Text(|record| (&record.event.payload).into()),
    Column::Text(|record| (&record.event.metadata).into()),
    Column::Number(|record| record.event.recorded_at.timestamp_micros()),
    Column::Number(|record| record.event.occurred_at.timestamp_micros()),
    Column::Perhaps(|record| record.event.idempotency_scope.as_deref()),
    Column::Text(|record| crate::hex(&record.digest).into()),
];

fn schema() -> Result<Arc<Type>, ParquetError> {
    parse_message_type(SCHEMA).map(Arc::new)
}

fn create(path: &Path) -> Result<SerializedFileWriter<File>, ParquetError> {
    let by = format!("daybook-replay {}", env!("CARGO_PKG_VERSION"));
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).set_created_by(by).build();
    SerializedFileWriter::new(File::create(path)?, schema()?, Arc::new(properties))
}

/// Writes a whole file of one row group, durably.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write_group(path: &Path, records: &[Recorded]) -> Result<(), ParquetError> {
    let mut writer = create(path)?;
    let mut group = writer.next_row_group()?;
    let bytes = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    for column in &COLUMNS {
        let Some(mut out) = group.next_column()? else { break };
        match column {
            Column::Number(of) => {
                let values: Vec<_> = records.iter().map(of).collect();
                out.typed::<Int64Type>().write_batch(&values, None, None)?;
            }
            Column::Text(of) => {
                let values: Vec<_> = records.iter().map(|record| bytes(&of(record))).collect();
                out.typed::<ByteArrayType>().write_batch(&values, None, None)?;
            }
            Column::Perhaps(of) => {
                let levels: Vec<_> = records.iter().map(|record| i16::from(of(record).is_some())).collect();
                let values: Vec<_> = records.iter().filter_map(of).map(bytes).collect();
                out.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
            }
        }
        out.close()?;
    }
    group.close()?;
    writer.finish()?;
    Ok(writer.inner().sync_all()?)
}

/// Writes a file that has the row groups of others, in order, durably. The columns are copied as they are.
///
/// # Errors
/// If one cannot be read or the file cannot be written.
pub(crate) fn join(parts: &[PathBuf], path: &Path) -> Result<(), ParquetError> {
    let mut writer = create(path)?;
    for part in parts {
        let file = File::open(part)?;
        let reader = open(part)?;
        for group in reader.metadata().row_groups() {
            let mut out = writer.next_row_group()?;
            for column in group.columns() {
                let copied = ColumnCloseResult {
                    bytes_written: column.compressed_size().cast_unsigned(),
                    rows_written: group.num_rows().cast_unsigned(),
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: None,
                    offset_index: None,
                };
                out.append_column(&file, copied)?;
            }
            out.close()?;
        }
    }
    writer.finish()?;
    Ok(writer.inner().sync_all()?)
}

/// Opens a file and checks that its columns are those of an export.
///
/// # Errors
/// If it is not a Parquet file, or one with other columns.
pub(crate) fn open(path: &Path) -> Result<SerializedFileReader<File>, ParquetError> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    if reader.metadata().file_metadata().schema() != &*schema()? {
        return Err(ParquetError::General("its columns are not those of an export".to_owned()));
    }
    Ok(reader)
}

/// How many events each row group has.
pub(crate) fn sizes(reader: &SerializedFileReader<File>) -> Vec<u64> {
    reader.metadata().row_groups().iter().map(|group| group.num_rows().cast_unsigned()).collect()
}

/// The events of one row group, up to the first that cannot be read.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// The events.
    pub(crate) records: Vec<Recorded>,
    /// Why there are no more, if there should be.
    pub(crate) wrong: Option<String>,
}

/// Reads the events of one row group.
pub(crate) fn read_group(reader: &SerializedFileReader<File>, group: usize) -> Group {
    // A damaged page may bring the decoder to a halt in ways of its own.
    let read = catch_unwind(AssertUnwindSafe(|| Columns::read(&*reader.get_row_group(group)?).map(Columns::records)));
    let wrong = match read {
        Ok(Ok(group)) => return group,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it cannot be decoded".to_owned(),
    };
    Group { wrong: Some(wrong), ..Group::default() }
}

/// The values of a row group, column by column, as far as every column can be read.
#[derive(Default)]
struct Columns {
    rows: usize,
    wrong: Option<String>,
    numbers: Vec<Vec<i64>>,
    texts: Vec<Vec<ByteArray>>,
    scopes: Vec<Option<ByteArray>>,
}

impl Columns {
    fn read(group: &dyn RowGroupReader) -> Result<Self, ParquetError> {
        let rows = usize::try_from(group.metadata().num_rows());
        let rows = rows.map_err(|error| ParquetError::General(error.to_string()))?;
        let mut read = Self { rows, ..Self::default() };
        for (index, column) in COLUMNS.iter().enumerate() {
            let name = group.metadata().column(index).column_descr().name();
            match (column, group.get_column_reader(index)?) {
                (Column::Number(_), ColumnReader::Int64ColumnReader(mut column)) => {
                    let values = read.in_steps(name, |limit, values| column.read_records(limit, None, None, values).map(drop));
                    read.numbers.push(values);
                }
                (Column::Text(_), ColumnReader::ByteArrayColumnReader(mut column)) => {
                    let values = read.in_steps(name, |limit, values| column.read_records(limit, None, None, values).map(drop));
                    read.texts.push(values);
                }
                (Column::Perhaps(_), ColumnReader::ByteArrayColumnReader(mut column)) => {
                    read.scopes = read.in_steps(name, |limit, scopes| {
                        let (mut values, mut levels) = (Vec::new(), Vec::new());
                        column.read_records(limit, Some(&mut levels), None, &mut values)?;
                        let mut values = values.into_iter();
                        scopes.extend(levels.iter().map(|level| if *level == 1 { values.next() } else { None }));
                        Ok(())
                    });
                }
                _ => return Err(ParquetError::General(format!("column `{name}` is of another type"))),
            }
        }
        Ok(read)
    }

    /// Reads a column in steps, so that what is whole before a damaged page is kept.
    fn in_steps<T>(&mut self, name: &str, mut read: impl FnMut(usize, &mut Vec<T>) -> Result<(), ParquetError>) -> Vec<T> {
        let mut values = Vec::new();
        while values.len() < self.rows {
            let limit = STEP.min(self.rows - values.len());
            // A step that failed may have left anything.
            let mut step = Vec::with_capacity(limit);
            let why = match read(limit, &mut step) {
                Ok(()) if step.len() == limit => None,
                Ok(()) => Some("it is shorter than the row group".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = why {
                (self.rows, self.wrong) = (values.len(), Some(format!("column `{name}`: {why}")));
                break;
            }
            values.append(&mut step);
        }
        values
    }

    fn records(self) -> Group {
        let mut group = Group { records: Vec::with_capacity(self.rows), wrong: None };
        for row in 0..self.rows {
            match self.record(row) {
                Ok(record) => group.records.push(record),
                Err(wrong) => return Group { wrong: Some(wrong), ..group },
            }
        }
        Group { wrong: self.wrong, ..group }
    }

    fn record(&self, row: usize) -> Result<Recorded, String> {
        let missing = || format!("row {row} is not whole");
        let number = |column: usize| self.numbers.get(column).and_then(|values| values.get(row)).copied().ok_or_else(missing);
        let utf8 = |value: &ByteArray| value.as_utf8().map(str::to_owned).map_err(|error| error.to_string());
        let text = |column: usize| utf8(self.texts.get(column).and_then(|values| values.get(row)).ok_or_else(missing)?);
        let moment = |column: usize| {
            let micros = number(column)?;
            Timestamp::from_timestamp_micros(micros).ok_or_else(|| format!("{micros} microseconds are no moment"))
        };
        let scope = self.scopes.get(row).ok_or_else(missing)?;
        let event_id = text(0)?;
        let event = Proposed {
            event_id: event_id.parse().map_err(|error| format!("`{event_id}`: {error}"))?,
            stream: StreamId { aggregate_type: text(1)?.into(), aggregate_id: text(2)? },
            sequence: number(1)?.cast_unsigned(),
            event_type: text(3)?.into(),
            event_version: u32::try_from(number(2)?).map_err(|error| error.to_string())?,
            payload: text(4)?,
            metadata: text(5)?,
            recorded_at: moment(3)?,
            occurred_at: moment(4)?,
            idempotency_scope: scope.as_ref().map(utf8).transpose()?,
        };
        let digest = from_hex(&text(6)?).ok_or("its digest is not 64 hexadecimal digits")?;
        Ok(Recorded { position: number(0)?.cast_unsigned(), event, digest })
    }
}
