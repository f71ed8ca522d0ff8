//! The rate of DNS packets, counted by the kernel where they leave the instance.

use std::fmt::Write;

use crate::agent::Agent;
use crate::harness::own_lab;
use crate::lab::{Lab, Run};

const ENDPOINTS: u32 = 150;

/// The budget of 400 packets/s and the tolerance of the kernel's count, far below the 1,024 that
/// the VPC resolver takes.
const COUNTERS: &str = "table inet budget {
    counter sent {}
    counter above {}
    chain sent { type filter hook output priority 0;
        udp dport 53 counter name sent
        udp dport 53 limit rate over 440/second burst 60 packets counter name above
    }
}";

fn packets(lab: &Lab, counter: &str) -> u64 {
    let listed = lab.run(&Run::new("nft").args(["list", "counter", "inet", "budget", counter]));
    let mut words = listed.stdout.split_whitespace().skip_while(|word| *word != "packets").skip(1);
    words.next().and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{listed:?}"))
}

#[test]
fn endpoints_in_any_number_leave_the_resolver_room_for_applications() {
    let lab = own_lab();
    let made = lab.run(&Run::new("nft").arg(COUNTERS));
    assert!(made.status.success(), "{made:?}");
    let mut config = "egress.enabled = false\n".to_owned();
    for endpoint in 0..ENDPOINTS {
        write!(config, "[[endpoint]]\nhost = 'e{endpoint}.internal'\n").unwrap();
    }
    let output = lab.run(&Agent::default().config(&config).once("json"));
    assert!(output.stdout.contains("name_not_found"), "{output:?}");
    let (sent, above) = (packets(&lab, "sent"), packets(&lab, "above"));
    assert!(sent >= u64::from(ENDPOINTS) * 6, "{sent} packets: not every name was looked up");
    assert_eq!(above, 0, "of {sent} packets");
}
