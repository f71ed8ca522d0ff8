//! The proof that does not rest on us: a policy of the role that allows the call through the
//! endpoint alone, kept by the stand-in as AWS keeps it.

use crate::lab::Fault::{self, DnsOutsideVpc, NatOpen, PrivateDnsOff, ProofPolicy, ProofPolicyOfVpc};
use crate::state::{CALL, IPV4, State, state};

const OF_ENDPOINT: &str = "
    [[endpoint]]
    service = 'monitoring'
    call = 'list-metrics'
    proof = 'aws:SourceVpce'
";

const OF_VPC: &str = "
    [[endpoint]]
    service = 'monitoring'
    call = 'list-metrics'
    proof = 'aws:SourceVpc'
";

const PUBLIC: &str = "203.0.113.20";
const ELSEWHERE: &str = "10.99.0.57";

/// A configuration that vouches for the public address, so that a signature goes there: only
/// the role's policy can tell.
fn misled(faults: impl IntoIterator<Item = Fault>, endpoint: &str) -> State {
    state(faults)
        .config(&format!("expected_cidrs = ['203.0.113.0/24']\n{endpoint}"))
        .as_configured()
        .trusting(PUBLIC)
        .fails(IPV4, "icmp_reply")
}

fn another_endpoint(faults: impl IntoIterator<Item = Fault>, endpoint: &str) -> State {
    state(faults)
        .config(&format!("expected_cidrs = ['10.99.0.0/16']\n{endpoint}"))
        .as_configured()
        .trusting(ELSEWHERE)
        .fails(CALL, "denied_by_identity_policy")
        .because("identity_policy", &[CALL])
}

states! {
    proof_policy: state([ProofPolicy]);
    proof_policy_said: state([ProofPolicy]).config(OF_ENDPOINT);
    proof_policy_of_vpc: state([ProofPolicyOfVpc]);
    proof_policy_of_vpc_said: state([ProofPolicyOfVpc]).config(OF_VPC);

    over_the_internet_without_a_proof_policy: misled([PrivateDnsOff, NatOpen], "")
        .because("internet_route_open", &[IPV4]);
    over_the_internet_against_the_proof_policy: misled([ProofPolicy, PrivateDnsOff, NatOpen], OF_ENDPOINT)
        .fails(CALL, "denied_by_identity_policy")
        .because("identity_policy", &[CALL])
        .because("internet_route_open", &[IPV4]);
    over_the_internet_against_the_proof_policy_of_the_vpc:
        misled([ProofPolicyOfVpc, PrivateDnsOff, NatOpen], OF_VPC)
        .fails(CALL, "denied_by_identity_policy")
        .because("identity_policy", &[CALL])
        .because("internet_route_open", &[IPV4]);
    over_another_endpoint_against_the_proof_policy: another_endpoint([ProofPolicy, DnsOutsideVpc], OF_ENDPOINT);
    over_another_endpoint_against_the_proof_policy_of_the_vpc:
        another_endpoint([ProofPolicyOfVpc, DnsOutsideVpc], OF_VPC);
}
