//! The providers of credentials: each that is configured and fails is named, with its own remedy.

use crate::agent::{file, frozen};
use crate::lab::sts;
use crate::state::{CALL, CREDENTIALS, State, state};

const ACCOUNT: &str = "arn:aws:iam::123456789012:role/app";

/// A provider that gave nothing, so that nothing is signed.
fn broken(state: State, reason: &str, cause: &'static str) -> State {
    state.fails(CREDENTIALS, reason).waits(&[CALL]).because(cause, &[CREDENTIALS, CALL])
}

fn invalid(state: State, cause: &'static str) -> State {
    broken(state, "credentials_invalid_source", cause)
}

fn profile(text: &str) -> State {
    state([]).env("AWS_CONFIG_FILE", &file("ini", text).to_string_lossy())
}

/// IRSA, with this token.
fn web_identity(token: &str) -> State {
    state([])
        .env("AWS_ROLE_ARN", ACCOUNT)
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", &file("jwt", token).to_string_lossy())
}

/// A program that prints the lab's keys, as the helper of IAM Roles Anywhere does.
fn printing() -> String {
    use crate::lab::{ACCESS_KEY, SECRET_KEY, SESSION_TOKEN};
    let document = format!(
        r#"{{"Version":1,"AccessKeyId":"{ACCESS_KEY}","SecretAccessKey":"{SECRET_KEY}","SessionToken":"{SESSION_TOKEN}","Expiration":"2099-01-01T00:00:00Z"}}"#
    );
    format!("cat {}", file("json", &document).display())
}

states! {
    half_a_key_in_the_environment:
        invalid(state([]).env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), "environment_credentials");
    a_key_with_a_control_character: invalid(
        state([]).env("AWS_ACCESS_KEY_ID", "AKIA\u{7}EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "secret"),
        "environment_credentials"
    );

    credential_process: profile(&format!("[default]\ncredential_process = {}\n", printing()));
    // The program's keys assume a role.
    credential_process_of_a_source_profile: profile(&format!(
        "[default]\nrole_arn = {ACCOUNT}\nsource_profile = base\n[profile base]\ncredential_process = {}\n",
        printing()
    ));
    credential_process_fails: invalid(
        profile("[default]\ncredential_process = echo no certificate >&2; exit 3\n"),
        "credential_process"
    );
    credential_process_prints_too_much:
        invalid(profile("[default]\ncredential_process = cat /dev/zero\n"), "credential_process");
    credential_process_hangs: broken(
        profile("[default]\ncredential_process = sleep 1000\n"),
        "credentials_timeout",
        "credential_process"
    ).takes(3.0);

    profile_missing: invalid(
        profile("[default]\nregion = us-east-1\n").env("AWS_PROFILE", "production"),
        "profile_credentials"
    );
    credential_process_without_a_version: invalid(
        profile("[default]\ncredential_process = echo '{\"AccessKeyId\":\"AKIAEXAMPLE\",\"SecretAccessKey\":\"s\"}'\n"),
        "credential_process"
    );
    profile_with_a_role_whose_source_is_missing: invalid(
        profile(&format!("[default]\nrole_arn = {ACCOUNT}\nsource_profile = nope\n")),
        "profile_credentials"
    );
    profile_without_credentials: profile("[default]\nregion = us-east-1\n");
    profile_garbled: invalid(profile("[default\nwhat is this\n"), "profile_credentials");
    profile_of_sso: invalid(
        profile("[default]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://x.awsapps.com/start\n"),
        "profile_credentials"
    );
    profile_in_an_endless_file:
        invalid(state([]).env("AWS_CONFIG_FILE", "/dev/zero"), "profile_credentials");
    profile_with_a_role_whose_token_is_missing: invalid(
        profile(&format!("[default]\nrole_arn = {ACCOUNT}\nweb_identity_token_file = /nonexistent/token\n")),
        "profile_credentials"
    );

    web_identity_valid: web_identity(sts::VALID_TOKEN);
    web_identity_expired: invalid(web_identity(sts::EXPIRED_TOKEN), "web_identity");
    web_identity_of_an_unknown_issuer: invalid(web_identity(sts::FOREIGN_TOKEN), "web_identity");
    web_identity_not_trusted: invalid(web_identity(sts::UNTRUSTED_TOKEN), "web_identity");
    web_identity_stopped_by_the_endpoint_policy: invalid(web_identity(sts::STOPPED_TOKEN), "web_identity");
    web_identity_without_its_file: invalid(
        state([]).env("AWS_ROLE_ARN", ACCOUNT).env("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token"),
        "web_identity"
    );
    web_identity_on_a_file_system_that_hangs: broken(
        state([])
            .env("AWS_ROLE_ARN", ACCOUNT)
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", &frozen().to_string_lossy()),
        "credentials_timeout",
        "web_identity"
    ).unread().takes(3.0);
    web_identity_where_sts_has_no_name: invalid(
        web_identity(sts::VALID_TOKEN).config(
            "region = 'eu-central-1'\n[[endpoint]]\nservice = 'monitoring'\nhost = 'monitoring.us-east-1.amazonaws.com'\ncall = 'list-metrics'\n"
        ),
        "web_identity"
    );

    container_agent_refuses: invalid(
        state([]).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/credentials"),
        "container_credentials"
    );
    container_uri_that_is_none: invalid(
        state([]).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "localhost"),
        "container_credentials"
    );
    container_agent_silent: broken(
        state([]).env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x"),
        "credentials_timeout|credentials_invalid_source",
        "container_credentials"
    ).takes(3.0);
    pod_identity_without_its_token: invalid(
        state([])
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials")
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nonexistent/token"),
        "pod_identity"
    );
    no_credentials_provider: broken(
        state([]).env("AWS_EC2_METADATA_DISABLED", "true"),
        "no_credentials",
        "no_credentials"
    );
}
