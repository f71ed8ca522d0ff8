//! Reports that arrive whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub fn print(page: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(page.as_bytes()).and_then(|()| stdout.flush()) {
        // `linkproof --once | head` has seen what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// As [`replace`], readable for everybody, whatever the umask of a hardened service.
pub fn publish(path: &Path, page: &str) -> io::Result<()> {
    swap(path, page, Some(0o644))
}

/// Renamed into place, so that a reader sees the old report or the new one.
pub fn replace(path: &Path, page: &str) -> io::Result<()> {
    swap(path, page, None)
}

fn swap(path: &Path, page: &str, mode: Option<u32>) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let name = path.file_name().ok_or_else(|| named(io::ErrorKind::InvalidInput.into()))?;
    let mut temporary = name.to_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let written = write(&temporary, page, mode).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What is left of it helps nobody; the error that counts is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(named)
}

fn write(path: &Path, page: &str, mode: Option<u32>) -> io::Result<()> {
    let mut file = File::create(path)?;
    if let Some(mode) = mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    file.write_all(page.as_bytes())?;
    file.sync_all()
}
