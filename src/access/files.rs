//! Files that are followed: which version of each was read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Far beyond any chain of certificates, and nothing to fill the memory with.
const LONGEST_FILE: u64 = 1 << 20;

/// The files that were read, and as which of their versions.
#[derive(Debug, Default)]
pub struct WatchedFiles(Vec<(PathBuf, Option<FileVersion>)>);

/// A file that is replaced or written to becomes another version of itself.
#[derive(Debug, Eq, PartialEq)]
struct FileVersion {
    device_and_inode: (u64, u64),
    length: u64,
    changed: (i64, i64),
}

impl WatchedFiles {
    pub fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        // Looked at first: what changes while it is read is seen to have changed.
        self.0.push((path.to_owned(), FileVersion::of(path)));
        // A pipe would hold up everything else.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut bytes = Vec::new();
        let length = File::open(path)?.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
        if length as u64 > LONGEST_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 MiB"));
        }
        Ok(bytes)
    }

    pub fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, version)| FileVersion::of(path) != *version)
    }
}

impl FileVersion {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device_and_inode: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}
