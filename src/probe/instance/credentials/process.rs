//! `credential_process` of a profile, such as the helper of IAM Roles Anywhere: a program that
//! prints credentials. It is bounded in time and in what it may print.

use std::io;
use std::process::{ExitStatus, Stdio};

use aws_credential_types::Credentials;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout_at;

use super::document::{self, Unusable};
use super::{Failure, Search};
use crate::observation::{Provider, Reason};

const MOST_OUTPUT: u64 = 64 * 1024;

pub async fn run(search: &Search, profile: &str, command: &str) -> Result<Credentials, Failure> {
    let fail = |detail: String| {
        Failure::of(Provider::CredentialProcess, format!("credential_process of profile {profile}: {detail}"))
    };
    search.progress.set(Provider::CredentialProcess, format!("credential_process of profile {profile}"));
    // By the shell, as the SDKs run it: the value is a command line.
    let child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A shell may quote the command there, secrets included, and the report is on the port.
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut group = Group(child.map_err(|error| fail(error.to_string()))?);
    let Ok(ended) = timeout_at(search.deadline, group.end()).await else {
        let reason = Reason::CredentialsTimeout;
        return Err(Failure { reason, ..fail("it did not end in time".to_owned()) });
    };
    let (status, output) = ended.map_err(|error| fail(error.to_string()))?;
    if !status.success() {
        return Err(fail(status.to_string()));
    }
    document::read_of_process(&output).map_err(|unusable| match unusable {
        Unusable::Invalid(why) => fail(format!("its output: {why}")),
        Unusable::Refused(error) => fail(format!("its output: {}: {}", error.code, error.message)),
    })
}

/// The program with all that it started. Dropping it kills them.
struct Group(Child);

impl Group {
    async fn end(&mut self) -> io::Result<(ExitStatus, Vec<u8>)> {
        let output = whole(self.0.stdout.take()).await?;
        Ok((self.0.wait().await?, output))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Without an id it has been waited for.
        if let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

/// A program that prints more than any credentials is not waited for.
async fn whole(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MOST_OUTPUT + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > MOST_OUTPUT {
        return Err(io::Error::other(format!("it printed more than {} KiB", MOST_OUTPUT / 1024)));
    }
    Ok(bytes)
}
