//! Writes the manual pages and the shell completions into a directory. They are made from the
//! definition of the command line and from the sample configuration, so that they stay correct.

#![allow(clippy::print_stderr, reason = "a build tool prints its errors")]

#[path = "../src/cli.rs"]
#[expect(dead_code, reason = "only the definition is used here")]
mod cli;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

const SAMPLE: &str = include_str!("linkproof.toml");
const SOURCE: &str = concat!("linkproof ", env!("CARGO_PKG_VERSION"));

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
    command.build();
    fs::write(directory.join("linkproof.1"), command_page(&command)?)?;
    fs::write(directory.join("linkproof.toml.5"), configuration_page(SAMPLE)?)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, "linkproof", directory)?;
    }
    Ok(())
}

fn command_page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .title("LINKPROOF")
        .section("1")
        .date("")
        .source(SOURCE)
        .manual("System administration");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    Man::new(command.clone().about(env!("CARGO_PKG_DESCRIPTION"))).render_name_section(&mut page)?;
    synopsis(command).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    list(&mut rest, "COMMANDS", commands(command));
    list(&mut rest, "EXIT STATUS", exit_codes(command));
    list(&mut rest, "SIGNALS", owned(SIGNALS));
    list(&mut rest, "ENVIRONMENT", owned(ENVIRONMENT));
    list(&mut rest, "FILES", owned(FILES));
    list(&mut rest, "EXAMPLES", owned(EXAMPLES));
    rest.control("SH", ["SEE ALSO"])
        .text([roman("linkproof.toml(5), systemctl(1), journalctl(1), dig(1)")])
        .to_writer(&mut page)?;
    Ok(page)
}

/// One line for the options, with their values, and one for each command.
fn synopsis(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    let options = command.get_arguments().filter(|argument| !argument.is_hide_set());
    roff.text(usage("linkproof", options));
    for subcommand in command.get_subcommands() {
        let name = format!("linkproof {}", subcommand.get_name());
        let arguments = subcommand.get_arguments().filter(|argument| argument.get_id() != "help");
        roff.control("br", []).text(usage(&name, arguments));
    }
    roff
}

fn usage<'a>(name: &str, arguments: impl Iterator<Item = &'a Arg>) -> Vec<Inline> {
    let mut line = vec![bold(name)];
    for argument in arguments {
        line.push(roman(" ["));
        if let Some(long) = argument.get_long() {
            line.push(bold(format!("--{long}")));
        }
        if let Some(value) = value(argument) {
            line.extend(argument.get_long().map(|_| roman(" ")));
            line.push(italic(value));
        }
        line.push(roman("]"));
    }
    line
}

fn value(argument: &Arg) -> Option<String> {
    let takes_values = argument.get_action().takes_values();
    let names = argument.get_value_names().filter(|_| takes_values)?;
    Some(names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

fn commands(command: &Command) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    for subcommand in command.get_subcommands() {
        let about = subcommand.get_long_about().or_else(|| subcommand.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let words: Vec<&str> = about.trim_end_matches('.').split_whitespace().collect();
        entries.push((subcommand.get_name().to_owned(), format!("{}.", words.join(" "))));
        for option in subcommand.get_opts().filter(|option| option.get_id() != "help") {
            let value = value(option).map(|value| format!(" {value}")).unwrap_or_default();
            let help = option.get_help().map(ToString::to_string).unwrap_or_default();
            let term = format!("--{}{value}", option.get_long().unwrap_or_default());
            entries.push((term, format!("{}.", help.trim_end_matches('.'))));
        }
        let codes: Vec<String> =
            exit_codes(subcommand).into_iter().map(|(code, meaning)| format!("{code}: {meaning}")).collect();
        if !codes.is_empty() {
            let term = format!("exit status of {}", subcommand.get_name());
            entries.push((term, format!("{}.", codes.join("; "))));
        }
    }
    entries
}

fn list(roff: &mut Roff, title: &str, entries: Vec<(String, String)>) {
    roff.control("SH", [title]);
    for (term, meaning) in entries {
        let term: Inline = if term.starts_with('/') { italic(term) } else { bold(term) };
        roff.control("TP", []).text([term]).text([roman(meaning)]);
    }
}

/// `--help` lists them at its end, one on each line, indented.
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

/// In the sample, `# ` starts a comment, and `#` without a space hides a key or a table. A comment
/// belongs to the line below it.
fn configuration_page(sample: &str) -> io::Result<Vec<u8>> {
    let (introduction, rest) = sample.split_once("\n\n").unwrap_or((sample, ""));
    let mut roff = Roff::new();
    roff.control("TH", ["LINKPROOF.TOML", "5", "", SOURCE, "System administration"]);
    roff.control("SH", ["NAME"]).text([roman("linkproof.toml - configuration of linkproof")]);
    roff.control("SH", ["DESCRIPTION"]).text([roman(comment(introduction))]);
    roff.control("SH", ["KEYS OUTSIDE TABLES"]);
    let (keys, examples) = split_examples(rest);
    entries(&mut roff, keys)?;
    roff.control("SH", ["EXAMPLES"]);
    for example in examples.split("\n\n").filter(|example| !example.is_empty()) {
        let code: Vec<&str> = example.lines().filter_map(hidden).collect();
        roff.text([roman(comment(example))]);
        roff.control("PP", []).control("EX", []);
        for line in code {
            roff.text([roman(line)]);
        }
        roff.control("EE", []).control("PP", []);
    }
    roff.control("SH", ["SEE ALSO"]).text([roman("linkproof(1)")]);
    let mut page = Vec::new();
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// The first `[[endpoint]]` shows the keys; those after it are examples.
fn split_examples(text: &str) -> (&str, &str) {
    let first_end = text.find("#[[endpoint]]").and_then(|start| Some(start + text[start..].find("\n\n")?));
    first_end.map_or((text, ""), |end| text.split_at(end))
}

fn entries(roff: &mut Roff, text: &str) -> io::Result<()> {
    let mut above = String::new();
    for line in text.lines() {
        match hidden(line) {
            None => above = format!("{above}\n{line}"),
            Some(code) => {
                let comment = comment(&std::mem::take(&mut above));
                if comment.is_empty() {
                    return Err(io::Error::other(format!("linkproof.toml does not explain {code}")));
                }
                if code.starts_with('[') {
                    roff.control("SH", [code]).text([roman(comment)]);
                } else {
                    roff.control("TP", []).text([bold(code)]).text([roman(comment)]);
                }
            }
        }
    }
    Ok(())
}

/// A line that is only commented out.
fn hidden(line: &str) -> Option<&str> {
    line.strip_prefix('#').filter(|code| !code.is_empty() && !code.starts_with(' '))
}

fn comment(text: &str) -> String {
    let lines = text.lines().filter(|line| hidden(line).is_none());
    lines
        .map(|line| line.trim_start_matches(['#', ' ']))
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

const SIGNALS: &[(&str, &str)] = &[
    ("SIGHUP", "Reload the configuration. If it has a mistake, linkproof keeps the previous one."),
    ("SIGTERM, SIGINT", "Stop."),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "AWS_*",
        "What the AWS SDK reads to find credentials and metadata. Variables that send AWS clients to another region or endpoint give a warning.",
    ),
    (
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY",
        "Never used, because linkproof would then verify the proxy. The report says if they are set.",
    ),
    ("NO_COLOR", "With any value that is not empty, reports have no color."),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "Set by systemd for readiness, status line and watchdog."),
];

const FILES: &[(&str, &str)] = &[
    ("/etc/linkproof/linkproof.toml", "The configuration. It shows every key with its default."),
    (
        "/etc/default/linkproof",
        "Options for the units: LINKPROOF_OPTS for linkproof.service, LINKPROOF_ONCE_OPTS for linkproof-once.service.",
    ),
    ("/usr/share/linkproof/report.schema.json", "The JSON Schema of the JSON report."),
    ("/usr/share/linkproof/discover.schema.json", "The JSON Schema of the JSON form of linkproof discover."),
    (
        "/usr/share/doc/linkproof/runbook.md",
        "What to do about each cause. linkproof explain prints its sections.",
    ),
    ("/usr/share/linkproof/raw-sockets.conf", "A systemd drop-in for hosts that do not allow ping sockets."),
];

const EXAMPLES: &[(&str, &str)] = &[
    ("linkproof status", "Print the report of the running daemon."),
    ("linkproof --once", "Run every check once and print the report."),
    ("linkproof discover", "Show which services have an endpoint in this subnet, by its own DNS."),
    (
        "linkproof discover --format toml --output linkproof.toml",
        "Write a configuration that checks every endpoint that was found.",
    ),
    (
        "linkproof --once --wait 5m --format json --output /run/linkproof.json",
        "At the end of provisioning: wait for the endpoints, and keep the report.",
    ),
    (
        "aws ec2 describe-vpc-endpoints | linkproof import - --output linkproof.toml",
        "Write a configuration that checks every endpoint of the VPC.",
    ),
    ("linkproof explain private_dns_off", "Show what to do about a cause from a report."),
    ("linkproof --check-config && systemctl reload linkproof", "Use a changed configuration."),
];
