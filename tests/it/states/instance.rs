//! Metadata and the machine itself: what is missing when it does not answer, and what a
//! configuration makes up for.

use crate::agent;
use crate::lab::Fault::{
    self, MetadataDisabled, MetadataGarbage, MetadataRefused, MetadataSilent, MetadataSlow,
    MetadataWithoutCidrs,
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

/// Without a region there is no name to look up, and so no verdict: configuration is missing.
fn lost(fault: Fault, reason: &str, credentials: &str) -> State {
    state([fault])
        .fails(INSTANCE, reason)
        .fails(CREDENTIALS, credentials)
        .inconclusive(DNS, "prerequisite_failed")
        .waits(&[CONNECT, CALL])
        .because("metadata_unavailable", &[INSTANCE, CREDENTIALS, DNS, CONNECT, CALL])
        .exits(78)
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
        .because("no_instance_role", &[CREDENTIALS, CALL])
        .takes(3.0);

    // The SDK reads profiles at once and in place: only these two checks may wait for them.
    profile_on_a_file_system_that_hangs: state([])
        .env("AWS_SHARED_CREDENTIALS_FILE", &agent::frozen().to_string_lossy())
        .fails(CREDENTIALS, "credentials_timeout")
        .waits(&[CALL])
        .because("no_instance_role", &[CREDENTIALS, CALL])
        .takes(3.0);

    proxy_set: state([])
        .env("HTTPS_PROXY", "http://10.0.1.54:3128")
        .env("http_proxy", "http://10.0.1.54:3128")
        .env("ALL_PROXY", "socks5://10.0.1.54:1080")
        .warns("proxy_configured");
}
