//! `--check-config`: the configuration, and every file that it names.

use std::env;
use std::io::{self, Write};
use std::path::Path;

use super::{DEFAULT_CONFIG, StartError, load_config, output, with_access};
use crate::cli::Args;
use crate::wire::trust::Trust;

pub fn run(args: &Args) -> Result<u8, StartError> {
    let config = load_config(args)?;
    let trust = Trust::load(config.ca_file.as_deref()).map_err(StartError::Trust);
    if let Err(error) = with_access(&config, trust) {
        let Some(credential) = credential_of_the_unit(&error) else { return Err(error) };
        let path = credential.display();
        let warning =
            format!("linkproof: warning: {path} exists only while the unit runs; TLS was not checked");
        // Without standard error there is nowhere to warn.
        let _ = writeln!(io::stderr(), "{warning}");
    }
    output::print(&format!("{}\n", confirmation(args.config.as_deref()))).map_err(StartError::Output)?;
    Ok(0)
}

/// Under the unit itself, a credential that is missing is a mistake.
fn credential_of_the_unit(error: &StartError) -> Option<&Path> {
    match error {
        StartError::Web(error) if env::var_os("CREDENTIALS_DIRECTORY").is_none() => {
            error.missing_credential()
        }
        _ => None,
    }
}

fn confirmation(file: Option<&Path>) -> String {
    let path = file.unwrap_or(Path::new(DEFAULT_CONFIG));
    if file.is_none() && !path.exists() {
        return format!("{} does not exist; the defaults are valid", path.display());
    }
    format!("{}: valid", path.display())
}
