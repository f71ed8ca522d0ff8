//! Writes the manual page and the shell completions of linkproof into a directory, from the
//! definition of the command line, so that they cannot say anything else.

#![allow(clippy::print_stderr, reason = "a tool of the build says what is wrong")]

#[path = "../src/cli.rs"]
#[expect(dead_code, reason = "only the definition is of use here")]
mod cli;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

fn main() -> ExitCode {
    let Some(directory) = env::args_os().nth(1) else {
        eprintln!("usage: manual DIRECTORY");
        return ExitCode::from(cli::USAGE);
    };
    match write(Path::new(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual: cannot write into {}: {error}", Path::new(&directory).display());
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut command = cli::Args::command();
    fs::write(directory.join("linkproof.1"), page(&command)?)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, "linkproof", directory)?;
    }
    Ok(())
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .title("LINKPROOF")
        .section("1")
        .date("")
        .source(concat!("linkproof ", env!("CARGO_PKG_VERSION")))
        .manual("System administration");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    Man::new(command.clone().about(env!("CARGO_PKG_DESCRIPTION"))).render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    list(&mut rest, "COMMANDS", commands(command));
    list(&mut rest, "EXIT STATUS", exit_codes(command));
    list(&mut rest, "SIGNALS", owned(SIGNALS));
    list(&mut rest, "ENVIRONMENT", owned(ENVIRONMENT));
    list(&mut rest, "FILES", owned(FILES));
    list(&mut rest, "EXAMPLES", owned(EXAMPLES));
    rest.control("SH", ["SEE ALSO"]).text([roman("systemctl(1), journalctl(1), dig(1)")]);
    rest.to_writer(&mut page)?;
    Ok(page)
}

fn list(roff: &mut Roff, title: &str, entries: Vec<(String, String)>) {
    roff.control("SH", [title]);
    for (term, meaning) in entries {
        let term: Inline = if term.starts_with('/') { italic(term) } else { bold(term) };
        roff.control("TP", []).text([term]).text([roman(meaning)]);
    }
}

/// Each with its arguments, then its options.
fn commands(command: &Command) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    for command in command.get_subcommands() {
        let words =
            command.get_positionals().flat_map(|argument| argument.get_value_names().unwrap_or_default());
        let words: String = words.map(|word| format!(" [{word}]")).collect();
        let about = command.get_long_about().or(command.get_about());
        let about = about.map(|about| about.to_string().split_whitespace().collect::<Vec<_>>().join(" "));
        entries.push((format!("{}{words}", command.get_name()), about.unwrap_or_default()));
        for option in command.get_opts() {
            let value = option.get_value_names().and_then(<[_]>::first).map(|value| format!(" {value}"));
            let term = format!("--{}{}", option.get_long().unwrap_or_default(), value.unwrap_or_default());
            entries.push((term, option.get_help().map(ToString::to_string).unwrap_or_default()));
        }
    }
    entries
}

/// They stand below `--help`, one a line, indented.
fn exit_codes(command: &Command) -> Vec<(String, String)> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once("  "))
        .map(|(code, meaning)| (code.to_owned(), meaning.trim().to_owned()))
        .collect()
}

fn owned(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    entries.iter().map(|(term, meaning)| ((*term).to_owned(), (*meaning).to_owned())).collect()
}

const SIGNALS: &[(&str, &str)] = &[
    ("SIGHUP", "Reload the configuration. One with a mistake in it is refused, and the old one stays."),
    ("SIGTERM, SIGINT", "Stop."),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("AWS_*", "What the AWS SDK reads to find credentials. Nothing else of it is used."),
    (
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY",
        "Never used, since a proxy would prove the proxy. That they are set is reported.",
    ),
    ("NO_COLOR", "With any value the report on a terminal has no color."),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "Set by systemd for readiness, status line and watchdog."),
];

const FILES: &[(&str, &str)] = &[
    ("/etc/linkproof/linkproof.toml", "The configuration. Every key is in it, with its default."),
    ("/usr/share/doc/linkproof/runbook.md", "What to do about each cause that a report names."),
    ("/usr/share/linkproof/report.schema.json", "The JSON Schema of the JSON report."),
    (
        "/usr/share/linkproof/raw-sockets.conf",
        "A drop-in for the units where ping sockets are not allowed, or do not tell enough.",
    ),
];

const EXAMPLES: &[(&str, &str)] = &[
    ("linkproof --once", "Check everything once and say what was found."),
    (
        "linkproof --once --wait 5m --format json --output /run/linkproof.json",
        "At the end of provisioning: wait for the endpoints, and keep the report.",
    ),
    (
        "aws ec2 describe-vpc-endpoints | linkproof import - --output linkproof.toml",
        "Write a configuration that checks every endpoint of the VPC.",
    ),
    ("linkproof --check-config && systemctl reload linkproof", "Take over a changed configuration."),
];
