//! Where an export is written until it is whole, and how it is gone on with after it was broken off.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use event_schemas::Recorded;

use crate::{
    Failure, Format, export_csv,
    export_file::beside,
    export_parquet::{self, GROUP},
    export_source::{Source, encode},
};

/// A file that is not whole yet: beside the one that it will be, under a name of its own. Of a Parquet file, which nobody can
/// read before its end is written, it is a folder with a small whole file for each row group.
#[derive(Debug)]
pub(crate) enum Sink {
    Text { path: PathBuf, format: Format, out: BufWriter<File> },
    Groups { folder: PathBuf, groups: usize, pending: Vec<Recorded> },
}

/// Where the unfinished form of a file stands.
pub(crate) fn part_of(out: &Path) -> PathBuf {
    beside(out, ".part")
}

impl Sink {
    /// Opens the unfinished form of `out`, made if there is none. What is whole in it is shown to `take`, one event after
    /// another, up to the first that `take` does not want; the rest is cut off.
    pub(crate) fn open(out: &Path, format: Format, take: impl FnMut(&Recorded) -> bool) -> Result<Self, Failure> {
        let part = part_of(out);
        match format {
            Format::Jsonl | Format::Csv => Self::open_text(part, format, take),
            Format::Parquet => Self::open_groups(part, take),
        }
    }

    fn open_text(path: PathBuf, format: Format, mut take: impl FnMut(&Recorded) -> bool) -> Result<Self, Failure> {
        let named = Failure::file(&path);
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let (file, mut end) = (open.map_err(named)?, 0);
        for placed in Source::open(&path, format)?.from(0).map_err(Failure::file(&path))? {
            match placed {
                Ok((record, next)) if take(&record) => end = next,
                _ => break,
            }
        }
        file.set_len(end).map_err(Failure::file(&path))?;
        drop(file);
        let file = OpenOptions::new().append(true).open(&path).map_err(Failure::file(&path))?;
        let mut out = BufWriter::new(file);
        if end == 0 && format == Format::Csv {
            out.write_all(export_csv::HEADER.as_bytes()).map_err(Failure::file(&path))?;
        }
        Ok(Self::Text { path, format, out })
    }

    fn open_groups(folder: PathBuf, mut take: impl FnMut(&Recorded) -> bool) -> Result<Self, Failure> {
        fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
        let mut groups = 0;
        while group_path(&folder, groups).exists() {
            let path = group_path(&folder, groups);
            for placed in Source::open(&path, Format::Parquet)?.from(0).map_err(Failure::file(&path))? {
                // Each of these files was written whole, so nothing in it may be wrong.
                if !placed.is_ok_and(|(record, _)| take(&record)) {
                    let (path, folder) = (path.display(), folder.display());
                    return Err(Failure::Refused(format!("{path} is not what was exported: remove {folder} and begin again")));
                }
            }
            groups += 1;
        }
        Ok(Self::Groups { folder, groups, pending: Vec::new() })
    }

    /// Writes an event.
    pub(crate) fn put(&mut self, record: &Recorded) -> Result<(), Failure> {
        match self {
            Self::Text { path, format, out } => {
                let text = encode(record, *format).map_err(Failure::Refused)?;
                out.write_all(text.as_bytes()).map_err(Failure::file(path))
            }
            Self::Groups { pending, .. } => {
                pending.push(record.clone());
                if pending.len() == GROUP { self.write_group() } else { Ok(()) }
            }
        }
    }

    fn write_group(&mut self) -> Result<(), Failure> {
        let Self::Groups { folder, groups, pending } = self else { return Ok(()) };
        let (path, new) = (group_path(folder, *groups), folder.join("new"));
        export_parquet::write_group(&new, pending).map_err(refused(&new))?;
        fs::rename(&new, &path).map_err(Failure::file(&path))?;
        *groups += 1;
        pending.clear();
        Ok(())
    }

    /// Makes it the file that it was to be, durably.
    pub(crate) fn finish(mut self, out: &Path) -> Result<(), Failure> {
        if let Self::Groups { pending, groups, .. } = &self
            && (*groups == 0 || !pending.is_empty())
        {
            self.write_group()?;
        }
        match self {
            Self::Text { path, out: file, .. } => {
                let file = file.into_inner().map_err(|error| Failure::file(&path)(error.into_error()))?;
                file.sync_all().map_err(Failure::file(&path))?;
                fs::rename(&path, out).map_err(Failure::file(out))
            }
            Self::Groups { folder, groups, .. } => {
                let (parts, new) = ((0..groups).map(|group| group_path(&folder, group)).collect::<Vec<_>>(), folder.join("new"));
                export_parquet::join(&parts, &new).map_err(refused(&new))?;
                fs::rename(&new, out).map_err(Failure::file(out))?;
                fs::remove_dir_all(&folder).map_err(Failure::file(&folder))
            }
        }
    }
}

/// Makes a file that is whole unfinished again, to write more into it.
pub(crate) fn reopen(out: &Path, format: Format) -> Result<(), Failure> {
    let part = part_of(out);
    let target = if format == Format::Parquet {
        // The parts that it was joined from, if a crash has left them.
        if part.exists() {
            fs::remove_dir_all(&part).map_err(Failure::file(&part))?;
        }
        fs::create_dir_all(&part).map_err(Failure::file(&part))?;
        group_path(&part, 0)
    } else {
        part
    };
    fs::rename(out, &target).map_err(Failure::file(out))
}

fn group_path(folder: &Path, group: usize) -> PathBuf {
    folder.join(format!("{group:08}.parquet"))
}

fn refused(path: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> Failure + use<'_> {
    move |error| Failure::Refused(format!("{}: {error}", path.display()))
}
