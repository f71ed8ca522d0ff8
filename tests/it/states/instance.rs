//! Metadata and the machine itself: what is missing when it does not answer, and what a
//! configuration makes up for.

use crate::agent;
use crate::lab::Fault::{
    self, DnsAaaa, MetadataDisabled, MetadataGarbage, MetadataHopLimit, MetadataIpv4Silent,
    MetadataOverLinkLocal, MetadataRefused, MetadataSilent, MetadataSlow, MetadataWithoutCidrs,
    MetadataWithoutIpv6Cidrs,
};
use crate::lab::{ACCESS_KEY, SECRET_KEY, SESSION_TOKEN};
use crate::state::{CALL, CONNECT, CREDENTIALS, DNS, INSTANCE, IPV4, IPV6, State, state};

pub const LOCATED: &str = "
region = 'us-east-1'
expected_cidrs = ['10.0.0.0/16', '100.64.0.0/16', '2001:db8:1234::/56']
";

const WITHOUT_METADATA: &str = "
region = 'us-east-1'
expected_cidrs = ['10.0.0.0/16', '100.64.0.0/16', '2001:db8:1234::/56']
[instance]
metadata = false
";

/// Without a region there is no name to look up. The report says why, and the exit code follows its
/// outcome.
fn lost(fault: Fault, reason: &str, credentials: &str) -> State {
    state([fault])
        .fails(INSTANCE, reason)
        .fails(CREDENTIALS, credentials)
        .inconclusive(DNS, "prerequisite_failed")
        .waits(&[CONNECT, CALL])
        .because("metadata_unavailable", &[INSTANCE, CREDENTIALS, DNS, CONNECT, CALL])
        .exits(1)
}

/// The configuration says where the instance is; there is still nobody to sign as.
fn located(fault: Fault, reason: &str, credentials: &str) -> State {
    state([fault])
        .config(LOCATED)
        .fails(INSTANCE, reason)
        .fails(CREDENTIALS, credentials)
        .waits(&[CALL])
        .because("metadata_unavailable", &[INSTANCE, CREDENTIALS, CALL])
}

/// Nobody asks metadata, and the keys are in the environment.
fn without(fault: Fault) -> State {
    state([fault])
        .config(WITHOUT_METADATA)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_SESSION_TOKEN", SESSION_TOKEN)
        .checks([CREDENTIALS, DNS, CONNECT, CALL, IPV4, IPV6])
        .as_configured()
}

const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";

fn profile(setting: &str) -> String {
    agent::file("config", &format!("[default]\n{setting}\n")).to_string_lossy().into_owned()
}

fn role_unreached(state: State) -> State {
    state
        .fails(CREDENTIALS, "credentials_timeout")
        .waits(&[CALL])
        .because("metadata_unavailable", &[CREDENTIALS, CALL])
}

states! {
    metadata_silent: lost(MetadataSilent, "metadata_timeout", "credentials_timeout").takes(5.0);
    metadata_silent_located: located(MetadataSilent, "metadata_timeout", "credentials_timeout").takes(5.0);
    metadata_silent_not_asked: without(MetadataSilent);
    metadata_refused: lost(MetadataRefused, "metadata_unreachable", "no_credentials");
    metadata_refused_located: located(MetadataRefused, "metadata_unreachable", "no_credentials");
    metadata_refused_not_asked: without(MetadataRefused);
    metadata_disabled: lost(MetadataDisabled, "metadata_disabled", "no_credentials");
    metadata_disabled_located: located(MetadataDisabled, "metadata_disabled", "no_credentials");
    metadata_disabled_not_asked: without(MetadataDisabled);
    metadata_slow: lost(MetadataSlow, "metadata_timeout", "credentials_timeout").takes(5.0);
    metadata_slow_located: located(MetadataSlow, "metadata_timeout", "credentials_timeout").takes(5.0);
    metadata_slow_not_asked: without(MetadataSlow);
    metadata_garbage: lost(MetadataGarbage, "metadata_invalid", "no_credentials");
    metadata_garbage_located: located(MetadataGarbage, "metadata_invalid", "no_credentials");
    metadata_garbage_not_asked: without(MetadataGarbage);
    metadata_without_cidrs: state([MetadataWithoutCidrs])
        .inconclusive(DNS, "vpc_cidrs_unknown")
        .inconclusive(CONNECT, "vpc_cidrs_unknown")
        .waits(&[CALL])
        .because("metadata_unavailable", &[DNS, CONNECT, CALL]);
    metadata_without_cidrs_located: state([MetadataWithoutCidrs]).config(LOCATED).as_configured();
    metadata_without_cidrs_not_asked: without(MetadataWithoutCidrs);
    // The roles' credentials are metadata's as well: without other keys there is nobody to sign as.
    metadata_silent_not_asked_without_keys: state([MetadataSilent])
        .config(WITHOUT_METADATA)
        .checks([CREDENTIALS, DNS, CONNECT, CALL, IPV4, IPV6])
        .fails(CREDENTIALS, "credentials_timeout")
        .waits(&[CALL])
        .because("metadata_unavailable", &[CREDENTIALS, CALL])
        .takes(3.0);
    metadata_hop_limit: lost(MetadataHopLimit, "metadata_timeout", "credentials_timeout").takes(5.0);
    // AWS clients ask for the role over one family alone.
    metadata_ipv4_silent: role_unreached(state([MetadataIpv4Silent])).takes(5.0);
    metadata_ipv4_silent_and_clients_that_ask_over_ipv6: state([MetadataIpv4Silent])
        .env(MODE, "IPv6")
        .as_configured()
        .takes(2.0);
    metadata_ipv4_silent_and_a_profile_that_asks_over_ipv6: state([MetadataIpv4Silent])
        .env("AWS_CONFIG_FILE", &profile("ec2_metadata_service_endpoint_mode = ipv6"))
        .as_configured()
        .takes(2.0);
    metadata_ipv4_silent_and_a_variable_before_the_profile: role_unreached(
        state([MetadataIpv4Silent])
            .env(MODE, "ipv4")
            .env("AWS_CONFIG_FILE", &profile("ec2_metadata_service_endpoint_mode = ipv6"))
    ).takes(5.0);
    clients_that_ask_over_no_family: state([])
        .env(MODE, "both")
        .fails(CREDENTIALS, "credentials_invalid_source")
        .waits(&[CALL])
        .because("environment_credentials", &[CREDENTIALS, CALL]);
    // An instance without an IPv4 address of its own still reaches metadata over IPv4.
    metadata_over_link_local: state([MetadataOverLinkLocal])
        .fails(CONNECT, "family_unavailable")
        .waits(&[CALL])
        .skips(IPV4, "family_unavailable")
        .because("endpoint_family_missing", &[CONNECT, CALL]);
    metadata_over_link_local_with_ipv6_names: state([MetadataOverLinkLocal, DnsAaaa])
        .skips(IPV4, "family_unavailable");
    metadata_without_ipv6_cidrs: state([MetadataWithoutIpv6Cidrs]);
    metadata_without_ipv6_cidrs_with_ipv6_names: state([MetadataWithoutIpv6Cidrs, DnsAaaa])
        .inconclusive(DNS, "vpc_cidrs_unknown")
        .inconclusive(CONNECT, "vpc_cidrs_unknown")
        .address(DNS, "10.0.1.57", "pass")
        .address(DNS, "2001:db8:1234:1::57", "inconclusive vpc_cidrs_unknown")
        .address(CALL, "10.0.1.57", "pass")
        .because("metadata_unavailable", &[DNS, CONNECT]);

    // The SDK reads profiles at once and in place: only these two checks may wait for them.
    profile_on_a_file_system_that_hangs: state([])
        .env("AWS_SHARED_CREDENTIALS_FILE", &agent::frozen().to_string_lossy())
        .fails(CREDENTIALS, "credentials_timeout")
        .waits(&[CALL])
        .because("profile_credentials", &[CREDENTIALS, CALL])
        .unread()
        .takes(3.0);

    // Ours ignores them: every check passes by the names of the configuration.
    endpoint_variables_set: state([])
        .env("AWS_ENDPOINT_URL", "http://10.0.1.54:4566")
        .env("AWS_ENDPOINT_URL_CLOUDWATCH", "http://10.0.1.54:4566")
        .env("AWS_USE_FIPS_ENDPOINT", "true")
        .env("AWS_USE_DUALSTACK_ENDPOINT", "true")
        .warns("endpoint_configured");
    endpoint_settings_of_the_profile: state([])
        .env("AWS_CONFIG_FILE", &agent::file("ini", "[default]\nservices = s\n[services s]\ncloudwatch =\n  endpoint_url = http://10.0.1.54\n").to_string_lossy())
        .warns("endpoint_configured");

    another_region_in_the_environment: state([])
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .warns("endpoint_configured");
    another_region_in_the_profile: state([])
        .env("AWS_CONFIG_FILE", &agent::file("ini", "[default]\nregion = eu-west-1\n").to_string_lossy())
        .warns("endpoint_configured");
    the_own_region_everywhere: state([])
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_CONFIG_FILE", &agent::file("ini", "[default]\nregion = us-east-1\n").to_string_lossy());

    proxy_set: state([])
        .env("HTTPS_PROXY", "http://10.0.1.54:3128")
        .env("http_proxy", "http://10.0.1.54:3128")
        .env("ALL_PROXY", "socks5://10.0.1.54:1080")
        .warns("proxy_configured");
}
