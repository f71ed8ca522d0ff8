//! The lab from the command line: a demonstration of a program in one state of the
//! subnet, and a shell on the instance.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::struct_excessive_bools,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::similar_names,
    clippy::too_many_lines,
    clippy::unused_self,
    clippy::unwrap_used,
    reason = "tests read clocks, print and lay bytes by hand"
)]

#[path = "mod.rs"]
mod lab;

use std::process::{ExitCode, ExitStatus};

use lab::{Fault, Lab, Run};

const USAGE: &str = "usage:
  lab demo PROGRAM [FAULT | help]       run `PROGRAM --once` on the instance
  lab shell [--fault FAULT]...          a shell on the instance
  lab run [--fault FAULT]... -- CMD...  run a command on the instance";

/// As sysexits has it.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["demo", _, "help"] | ["demo", "help"] => {
            println!("{}", catalogue());
            return ExitCode::SUCCESS;
        }
        ["demo", program] => demo(program, &[]),
        ["demo", program, fault] => named(fault).and_then(|fault| demo(program, &[fault])),
        ["shell", options @ ..] => faults(options).and_then(|(faults, rest)| match rest {
            [] => run(&Run::new("bash").arg("--norc").env("PS1", "instance# "), &faults),
            [stray, ..] => Err(Trouble::Usage(format!("`{stray}` is not expected here"))),
        }),
        ["run", options @ ..] => faults(options).and_then(|(faults, rest)| match rest {
            ["--", program, arguments @ ..] => run(&Run::new(program).args(arguments), &faults),
            _ => Err(Trouble::Usage("`lab run` needs a command after `--`".to_owned())),
        }),
        _ => Err(Trouble::Usage("this is not how the lab is called".to_owned())),
    };
    match done {
        Ok(status) => ExitCode::from(code(status)),
        Err(Trouble::Usage(message)) => {
            eprintln!("{message}\n{USAGE}");
            ExitCode::from(EXIT_USAGE)
        }
        Err(Trouble::UnknownFault(name)) => {
            eprintln!("there is no fault `{name}`; these there are:\n{}", catalogue());
            ExitCode::from(EXIT_USAGE)
        }
        Err(Trouble::Lab(message)) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

enum Trouble {
    Usage(String),
    UnknownFault(String),
    Lab(String),
}

fn demo(program: &str, faults: &[Fault]) -> Result<ExitStatus, Trouble> {
    // The program is found by its path here, not on the instance.
    let status = run(&Run::new(program).arg("--once"), faults)?;
    println!("exit {}", code(status));
    Ok(status)
}

fn run(run: &Run, faults: &[Fault]) -> Result<ExitStatus, Trouble> {
    let lab = Lab::start().map_err(Trouble::Lab)?;
    lab.set(faults.iter().copied());
    Ok(lab.run(&run.clone().on_terminal()).status)
}

/// Takes the `--fault NAME` pairs off the front.
fn faults<'a>(mut options: &'a [&'a str]) -> Result<(Vec<Fault>, &'a [&'a str]), Trouble> {
    let mut faults = Vec::new();
    while let ["--fault", name, rest @ ..] = options {
        faults.push(named(name)?);
        options = rest;
    }
    Ok((faults, options))
}

fn named(name: &str) -> Result<Fault, Trouble> {
    Fault::from_name(name).ok_or_else(|| Trouble::UnknownFault(name.to_owned()))
}

fn catalogue() -> String {
    let width = Fault::ALL.iter().map(|fault| fault.name().len()).max().unwrap_or_default();
    let lines = Fault::ALL.iter().map(|fault| format!("  {:width$}  {}", fault.name(), fault.title()));
    lines.collect::<Vec<_>>().join("\n")
}

/// As a shell has it: a signal counts from 128.
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
}
