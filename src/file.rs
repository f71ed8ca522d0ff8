//! Files that others write: regular, bounded, and read without ever waiting for a peer.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use zeroize::Zeroizing;

/// Far above any configuration, certificate chain or CA bundle, and too small to fill the memory.
pub const MAX_BYTES: u64 = 1 << 20;

/// The contents of a regular file of at most [`MAX_BYTES`]. They may hold a key, so the buffer is
/// wiped when it is dropped.
pub fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let (file, length) = open_regular(path)?;
    // Reserved at once: a buffer that grows leaves unwiped copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1));
    let count = file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if count as u64 > MAX_BYTES {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Opening a FIFO waits for a writer and reading a device may never end. `O_NONBLOCK` makes the
/// open return at once; the descriptor, not the path, is then asked what it is.
fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(too_large());
    }
    Ok((file, metadata.len()))
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let folder = std::env::temp_dir().join(format!("linkproof-file-{:x}", fastrand::u64(..)));
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        fs::write(path("small"), "a = 1").unwrap();
        fs::write(path("full"), vec![b'#'; 1 << 20]).unwrap();
        fs::write(path("large"), vec![b'#'; (1 << 20) + 1]).unwrap();
        mkfifo(&path("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("link")).unwrap();
        let message = |path: &Path| read(path).unwrap_err().to_string();

        assert_eq!(read(&path("small")).unwrap().as_slice(), b"a = 1");
        assert_eq!(read(&path("full")).unwrap().len(), 1 << 20);
        assert_eq!(message(&path("large")), "larger than 1 MiB");
        for special in [path("fifo"), path("link"), "/dev/zero".into(), folder.clone()] {
            assert_eq!(message(&special), "not a regular file", "{}", special.display());
        }
        // The kernel reports a length of 0 for these, and there is no end in sight.
        assert!(!read(Path::new("/proc/self/status")).unwrap().is_empty());
        fs::remove_dir_all(&folder).unwrap();
    }
}
