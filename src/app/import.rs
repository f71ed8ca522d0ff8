//! `linkproof import`: reads files, hands them to the estate, writes what comes of them.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use tokio::runtime;

use super::{StartError, file_id, output};
use crate::cli::ImportArgs;
use crate::estate::{Estate, ImportError, Imported, Options};
use crate::probe::instance;
use crate::wire::trust::Trust;
use crate::wording;

/// Several times what the largest region prints about all its services.
const LONGEST_FILE: u64 = 64 << 20;

/// As long as the instance check waits for it by default.
const METADATA: Duration = Duration::from_secs(2);

const STDIN: &str = "-";

pub fn run(args: &ImportArgs) -> Result<u8, StartError> {
    if let Some(input) = overwritten(args) {
        return Err(StartError::Overwrites(input));
    }
    let mut estate = Estate::default();
    for path in &args.files {
        let (name, bytes) = read(path).map_err(StartError::Input)?;
        // One file at a time is held in memory.
        estate.read(&name, &bytes).map_err(StartError::Import)?;
    }
    let options = Options {
        vpc: args.vpc.as_deref(),
        own_vpc: None,
        region: args.region.as_deref(),
        labels: &args.labels,
    };
    let imported = configuration(&estate, &options).map_err(StartError::Import)?;
    for warning in &imported.warnings {
        say(&format!("warning: {warning}"));
    }
    match &args.output {
        Some(path) => output::write(path, &imported.text).map(|()| say_what_is_left_out(path, &imported)),
        None => output::print(&imported.text),
    }
    .map_err(StartError::ImportOutput)?;
    Ok(0)
}

/// For a person who does not read the file.
fn say_what_is_left_out(path: &Path, Imported { written, left_out, .. }: &Imported) {
    if *left_out > 0 {
        let endpoints = if *written == 1 { "endpoint" } else { "endpoints" };
        say(&format!(
            "wrote {written} {endpoints} to {} and left out {left_out}; the file lists what was left out, with the reasons",
            path.display()
        ));
    }
}

/// Best effort: standard error may be closed.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "linkproof: {text}");
}

/// A file to read that the configuration would take the place of.
fn overwritten(args: &ImportArgs) -> Option<PathBuf> {
    let output = args.output.as_deref()?;
    // To write to the device that is read, such as a terminal, destroys nothing.
    let written = fs::metadata(output).ok().filter(Metadata::is_file)?;
    let is_written = |path: &&PathBuf| {
        let read = if *path == Path::new(STDIN) { stdin_metadata() } else { fs::metadata(path) };
        read.is_ok_and(|read| file_id(&read) == file_id(&written))
    };
    let input = args.files.iter().find(is_written)?;
    // Standard input has no path of its own.
    Some(if input == Path::new(STDIN) { output.to_owned() } else { input.clone() })
}

fn stdin_metadata() -> io::Result<Metadata> {
    File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata()
}

/// The name for messages and the content.
/// Metadata is asked only where the files leave the VPC open.
fn configuration(estate: &Estate, options: &Options<'_>) -> Result<Imported, ImportError> {
    match estate.configuration(options) {
        Err(ImportError::SeveralVpcs { found, own: None }) => match own_vpc() {
            Ok(vpc) => estate.configuration(&Options { own_vpc: Some(&vpc), ..*options }),
            Err(why) => Err(ImportError::OwnVpcUnknown { found, why }),
        },
        other => other,
    }
}

/// The VPC of this instance, or why it is not known.
fn own_vpc() -> Result<String, String> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    // Metadata speaks plain HTTP; the trust store is the client's, and stays unused.
    let trust = Trust::load(None).map_err(|error| error.to_string())?;
    let evidence = runtime.block_on(instance::instance(&trust, METADATA));
    match (evidence.instance, evidence.error) {
        (Some(instance), _) => instance.vpc_id.ok_or_else(|| "it lists no vpc-id".to_owned()),
        (None, Some(error)) => Err(wording::probe_error(&error)),
        (None, None) => Err("no answer".to_owned()),
    }
}

fn read(path: &Path) -> io::Result<(String, Vec<u8>)> {
    if path == Path::new(STDIN) {
        let name = "standard input".to_owned();
        let bytes = bounded(io::stdin().lock(), &name)?;
        return Ok((name, bytes));
    }
    let name = path.display().to_string();
    let unreadable = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let irregular = || {
        let message = format!("{name} is not a regular file; pipe its content and give - as FILE");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    };
    // To open a device may already do something.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(irregular());
    }
    // A FIFO that took the file's place must not block.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    let file = options.open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(irregular());
    }
    let bytes = bounded(file, &name)?;
    Ok((name, bytes))
}

fn bounded(from: impl Read, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(LONGEST_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    if bytes.len() as u64 > LONGEST_FILE {
        let message = format!("{name} is longer than 64 MiB; give only the endpoints of one region");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}
