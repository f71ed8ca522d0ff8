//! The rpm package in the hands of rpm, on a booted systemd: its scripts are what makes it a
//! service there.

use crate::machine::Machine;
use crate::package;

const CONFIG: &str = "/etc/linkproof/linkproof.toml";

/// Debian's rpm wants to be told twice, and knows of no package that would meet a dependency.
const RPM: &str = "rpm --force-debian --nodeps --nosignature";

fn files(machine: &Machine) -> String {
    machine.say("find / -xdev -iname '*linkproof*' ! -path '/root/*' ! -path '/proc/*' | sort")
}

#[test]
fn installing_upgrading_and_erasing_keep_the_promises_of_a_service() {
    let machine = Machine::boot();
    let package = machine.bring(&package(".x86_64.rpm"));
    machine.say(&format!("{RPM} --install {package}"));
    assert_eq!(machine.property("UnitFileState"), "enabled", "as the presets of this system say");
    machine.say("systemctl start linkproof");
    let pid = machine.property("MainPID");

    machine.write(CONFIG, "interval = \"20s\"\n");
    // The same version again stands for the next one: rpm runs the scripts of an upgrade.
    machine.say(&format!("{RPM} --upgrade --force {package}"));
    assert_eq!(machine.say(&format!("cat {CONFIG}")), "interval = \"20s\"");
    assert_eq!(machine.property("ActiveState"), "active");
    assert_ne!(machine.property("MainPID"), pid, "the new binary runs");

    machine.say(&format!("{RPM} --erase linkproof"));
    assert!(!machine.run("systemctl is-active linkproof").status.success());
    assert_eq!(files(&machine), "/etc/linkproof\n/etc/linkproof/linkproof.toml.rpmsave");
}

#[test]
fn erasing_what_was_not_touched_leaves_nothing() {
    let machine = Machine::boot();
    let package = machine.bring(&package(".x86_64.rpm"));
    machine.say(&format!("{RPM} --install {package}"));
    machine.say(&format!("{RPM} --erase linkproof"));
    assert_eq!(files(&machine), "");
}
