//! Writes reports to standard output and to files. A file is replaced whole or not at all, and
//! nothing that linkproof did not create is removed: a device, FIFO or socket is written through.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::Uid;

/// As many symlinks as the kernel follows (path_resolution(7)).
const SYMLINKS: usize = 40;

/// How long a FIFO, device or socket may take to accept the report.
const PATIENCE: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_millis(20);

pub fn print(page: &str) -> io::Result<()> {
    ignore_broken_pipe(write_all(&mut io::stdout().lock(), page))
}

/// Like [`write()`], and readable by everyone whatever the umask of a hardened service.
pub fn publish(path: &Path, page: &str) -> io::Result<()> {
    to_path(path, page, Some(0o644)).map_err(|error| with_path(path, &error))
}

/// Writes `page` to `path`. A regular file is replaced by rename, so that a reader sees the old
/// report or the new one.
pub fn write(path: &Path, page: &str) -> io::Result<()> {
    to_path(path, page, None).map_err(|error| with_path(path, &error))
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn to_path(path: &Path, page: &str, mode: Option<u32>) -> io::Result<()> {
    match Destination::of(path)? {
        Destination::Stdout => print(page),
        Destination::Stderr => ignore_broken_pipe(write_all(&mut io::stderr().lock(), page)),
        Destination::Regular { path, existing } => replace(&path, page, mode, existing.as_ref()),
        Destination::Socket(path) => {
            let mut socket = UnixStream::connect(path)?;
            socket.set_write_timeout(Some(PATIENCE))?;
            write_all(&mut socket, page)
        }
        Destination::Other(path) => write_through(&path, page),
    }
}

/// What a path leads to, once its symlinks are followed.
enum Destination {
    Stdout,
    Stderr,
    /// A regular file, or nothing yet.
    Regular {
        path: PathBuf,
        existing: Option<Metadata>,
    },
    Socket(PathBuf),
    /// A device, a FIFO, or a file that another process has open (`/dev/fd/3`).
    Other(PathBuf),
}

impl Destination {
    fn of(path: &Path) -> io::Result<Self> {
        let mut path = path.to_owned();
        for _ in 0..SYMLINKS {
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Self::Regular { path, existing: None });
                }
                Err(error) => return Err(error),
            };
            if !metadata.is_symlink() {
                return Self::of_kind(path, metadata);
            }
            if let Some(descriptor) = descriptor(&path) {
                return Ok(match descriptor {
                    1 => Self::Stdout,
                    2 => Self::Stderr,
                    _ => Self::Other(path),
                });
            }
            check_owner(&path, &metadata)?;
            let target = fs::read_link(&path)?;
            // An absolute target replaces the whole path.
            path = path.parent().unwrap_or(Path::new("/")).join(target);
        }
        Err(io::Error::other("too many levels of symbolic links"))
    }

    fn of_kind(path: PathBuf, metadata: Metadata) -> io::Result<Self> {
        let kind = metadata.file_type();
        if kind.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory; name a file in it"));
        }
        if kind.is_file() {
            check_file_owner(&path, &metadata)?;
            return Ok(Self::Regular { path, existing: Some(metadata) });
        }
        Ok(if kind.is_socket() { Self::Socket(path) } else { Self::Other(path) })
    }
}

/// Which open file of this process the path stands for: `/dev/stdout` leads to
/// `/proc/self/fd/1`, whose target need not exist under any name.
fn descriptor(path: &Path) -> Option<u32> {
    let own_descriptors = fs::canonicalize("/proc/self/fd").ok()?;
    let parent = fs::canonicalize(path.parent()?).ok()?;
    (parent == own_descriptors).then(|| path.file_name()?.to_str()?.parse().ok()).flatten()
}

/// In a directory that others can write to, a symlink of theirs would choose the file that root
/// replaces. The kernel has the same rule for sticky directories (fs.protected_symlinks).
fn check_owner(link: &Path, metadata: &Metadata) -> io::Result<()> {
    let owner = metadata.uid();
    if owner == 0 || owner == Uid::effective().as_raw() {
        return Ok(());
    }
    let message = format!(
        "{} is a symlink owned by uid {owner}; not followed, since that user could choose the file to replace",
        link.display()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// The new file gets the owner of the old one. In a directory that everyone can write to, another user may
/// have made the old one in order to own the report. The kernel refuses such files, too
/// (fs.protected_regular).
fn check_file_owner(file: &Path, metadata: &Metadata) -> io::Result<()> {
    const OTHERS_WRITE: u32 = 0o002;
    let owner = metadata.uid();
    let is_ours = owner == 0 || owner == Uid::effective().as_raw();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if is_ours || fs::metadata(folder)?.mode() & OTHERS_WRITE == 0 {
        return Ok(());
    }
    let message = format!(
        "{} belongs to uid {owner}, who could change the report; remove it, or choose a directory in which others cannot write",
        file.display()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

fn replace(path: &Path, page: &str, mode: Option<u32>, existing: Option<&Metadata>) -> io::Result<()> {
    let (temporary, file) = create_beside(path)?;
    let written = fill(file, page, mode, existing).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Created by us a moment ago. The error that counts is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A new file in the same directory. `O_EXCL` never opens what is there already, not even a
/// symlink that another user placed at that name.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    const TRIES: u32 = 8;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..TRIES {
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{:016x}.tmp", fastrand::u64(..)));
        let temporary = path.with_file_name(temporary);
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&temporary);
        match opened {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Mode and owner are set on the descriptor: a name could lead elsewhere by now.
fn fill(mut file: File, page: &str, mode: Option<u32>, existing: Option<&Metadata>) -> io::Result<()> {
    if let Some(existing) = existing {
        // Only root may give a file away; for everyone else it stays ours.
        let _ = fchown(&file, Some(existing.uid()), Some(existing.gid()));
    }
    if let Some(mode) = mode.or(existing.map(|existing| existing.mode() & 0o777)) {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    file.write_all(page.as_bytes())?;
    file.sync_all()
}

/// Bounded, since a FIFO without a reader would wait forever. `O_APPEND` keeps what an open file
/// already holds.
fn write_through(path: &Path, page: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    let mut waited = Duration::ZERO;
    let mut file = loop {
        match options.open(path) {
            // Of a device it says that there is none behind the name.
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENXIO as i32) && is_fifo(path) => {
                wait(&mut waited, "no process reads from it")?;
            }
            opened => break opened?,
        }
    };
    let mut rest = page.as_bytes();
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(&mut waited, "its reader is too slow")?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_fifo(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo())
}

fn wait(waited: &mut Duration, why: &str) -> io::Result<()> {
    if *waited >= PATIENCE {
        let message = format!("gave up after {} s: {why}", PATIENCE.as_secs());
        return Err(io::Error::new(io::ErrorKind::TimedOut, message));
    }
    sleep(PAUSE);
    *waited += PAUSE;
    Ok(())
}

fn write_all(to: &mut impl Write, page: &str) -> io::Result<()> {
    to.write_all(page.as_bytes()).and_then(|()| to.flush())
}

/// `linkproof --once | head` has read what it wanted.
fn ignore_broken_pipe(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}
