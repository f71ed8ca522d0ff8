//! Files as operators write them: which are taken, and what is said of those that are not.

use std::fs;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use std::net::IpAddr;

use super::*;

/// Files and what is said of them, apart by `====`, the two by `----`.
const REFUSALS: &str = include_str!("golden/refusals.txt");

/// Of the password `proof`, at the least cost that there is.
const HASH: &str = "$2y$04$X0h1gDsPszWURQaxFh.zouxKaTU3n5M0cWrTLDqZ9GbvlTcZUWzeu";

/// With `cert.pem` and its `key.pem`, and a key of another; gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = Self(std::env::temp_dir().join(format!("linkproof-access-{:x}", fastrand::u64(..))));
        fs::create_dir_all(folder.0.join("directory")).unwrap();
        folder.certify("cert.pem", "key.pem");
        folder.certify("other-cert.pem", "other-key.pem");
        folder
    }

    fn certify(&self, certificate: &str, key: &str) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["instance.example".into()]).unwrap();
        self.write(certificate, &cert.pem());
        self.write(key, &signing_key.serialize_pem());
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn open(&self, text: &str) -> Result<Arc<Access>, WebError> {
        Access::open(Some(self.write("web.yml", text)), false).map(Arc::new)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_no_secret() {
    let folder = Folder::new();
    let mut shown = Vec::new();
    for block in REFUSALS.split("====\n") {
        let (source, _) = block.split_once("----\n").unwrap();
        let refusal = folder.open(source).expect_err(source).to_string();
        assert!(!refusal.contains("secret") && !refusal.contains("SECRET"), "{refusal}");
        let refusal = refusal.replace(&format!("{}/", folder.0.display()), "");
        shown.push(format!("{source}----\n{refusal}\n"));
    }
    crate::report::fixture::golden("src/access/golden/refusals.txt", &shown.join("====\n"));
}

#[tokio::test]
async fn what_exporters_take_is_taken() {
    let folder = Folder::new();
    for (source, encrypts) in [
        ("", false),
        ("# nothing\n", false),
        ("tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:\n", false),
        ("tls_server_config: {}", false),
        ("tls_server_config: {cert_file: cert.pem, key_file: key.pem}", true),
        (
            "tls_server_config: {cert_file: cert.pem, key_file: key.pem, min_version: TLS10, max_version: TLS12, prefer_server_cipher_suites: false}",
            true,
        ),
        (
            "tls_server_config: {cert_file: cert.pem, key_file: key.pem, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], curve_preferences: [CurveP256, X25519]}",
            true,
        ),
        (
            "tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_ca_file: other-cert.pem, client_auth_type: VerifyClientCertIfGiven, client_allowed_sans: [a.example]}",
            true,
        ),
        ("http_server_config: {http2: true, headers: {X-Frame-Options: deny, X-XSS-Protection: ''}}", false),
        (
            "basic_auth_users: {alice: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG, bob: $2b$12$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}",
            false,
        ),
        ("rate_limit: {interval: 0}", false),
        ("rate_limit: {burst: 20}", false),
        ("rate_limit: {interval: 1m30s, burst: 20}", false),
    ] {
        let access = folder.open(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(access.rules().await.tls.is_some(), encrypts, "{source}");
    }
    let inline = |name: &str| fs::read_to_string(folder.0.join(name)).unwrap().replace('\n', "\n    ");
    let source = format!(
        "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}",
        inline("cert.pem"),
        inline("key.pem")
    );
    assert!(folder.open(&source).unwrap().rules().await.tls.is_some());
}

#[tokio::test]
async fn what_changes_is_read_again_and_what_is_broken_is_not_taken() {
    let folder = Folder::new();
    let encrypted = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}";
    let access = folder.open(encrypted).unwrap();
    let first = access.rules().await;
    assert!(Arc::ptr_eq(&first, &access.rules().await), "nothing has changed");

    folder.certify("cert.pem", "key.pem");
    let renewed = access.rules().await;
    assert!(!Arc::ptr_eq(&first, &renewed), "a certificate is renewed in its place");

    // One file after the other: between the two they do not go together.
    fs::copy(folder.0.join("other-cert.pem"), folder.0.join("cert.pem")).unwrap();
    assert!(Arc::ptr_eq(&renewed, &access.rules().await), "the old pair is kept");
    fs::copy(folder.0.join("other-key.pem"), folder.0.join("key.pem")).unwrap();
    let replaced = access.rules().await;
    assert!(!Arc::ptr_eq(&renewed, &replaced));

    folder.write("web.yml", "tls_server_confi: {}");
    assert!(access.load().is_err());
    assert!(Arc::ptr_eq(&replaced, &access.rules().await));
    fs::remove_file(folder.0.join("web.yml")).unwrap();
    assert!(Arc::ptr_eq(&replaced, &access.rules().await), "a file that is gone opens nothing");
    folder.write("web.yml", "");
    assert!(Arc::ptr_eq(&replaced, &access.rules().await), "nor does one that is being written");
    access.adopt(access.load().unwrap());
    assert!(access.rules().await.tls.is_none(), "a reload is meant");
}

fn shown(authorization: Option<&str>) -> Shown<'_> {
    Shown { client: client(1), is_certified: false, authorization }
}

fn client(number: u8) -> Client {
    Client::from(IpAddr::from([10, 0, 0, number]))
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn only_the_password_of_the_user_opens() {
    let folder = Folder::new();
    let hash = bcrypt::hash("proof:of", 4).unwrap();
    let access = folder.open(&format!("basic_auth_users: {{alice: {hash}}}")).unwrap();
    let rules = access.rules().await;
    let asked = async |authorization: Option<&str>| access.admit(&rules, "/", shown(authorization)).await;
    assert_eq!(asked(Some(&basic("alice", "proof:of"))).await, Ok(Admission::Authenticated));
    for wrong in [
        basic("alice", "proof:off"),
        basic("alice", ""),
        basic("alicf", "proof:of"),
        basic("", "proof:of"),
        basic("alice", &hash),
        basic("alice", "proof:of").replace("Basic", "Bearer"),
        "Basic".to_owned(),
        "Basic !".to_owned(),
        "Basic YWxpY2U=".to_owned(),
    ] {
        assert_eq!(asked(Some(&wrong)).await, Err(Refusal::Unauthorized), "{wrong}");
    }
    assert_eq!(asked(None).await, Err(Refusal::Unauthorized));
    assert_eq!(
        asked(Some(&basic("alice", "proof:of").replace("Basic", "basic"))).await,
        Ok(Admission::Authenticated),
        "by RFC 7617"
    );
}

#[tokio::test]
async fn a_password_that_was_right_is_forgotten_with_its_hash() {
    let folder = Folder::new();
    let users = |password| format!("basic_auth_users: {{alice: {}}}", bcrypt::hash(password, 4).unwrap());
    let access = folder.open(&users("first")).unwrap();
    let asked = async |password| {
        access.admit(&*access.rules().await, "/", shown(Some(&basic("alice", password)))).await
    };
    assert_eq!(asked("first").await, Ok(Admission::Authenticated));
    folder.write("web.yml", &users("second"));
    assert_eq!(asked("first").await, Err(Refusal::Unauthorized));
    assert_eq!(asked("second").await, Ok(Admission::Authenticated));
    folder.write("web.yml", &format!("basic_auth_users: {{bob: {HASH}}}"));
    assert_eq!(asked("second").await, Err(Refusal::Unauthorized));
}

/// Where each of sixty wrong passwords held up the next for 250 ms, the scraper waited 15 s.
#[tokio::test]
async fn guessers_do_not_lock_out_a_client_that_has_not_logged_in_yet() {
    let folder = Folder::new();
    let hash = bcrypt::hash("proof", 4).unwrap();
    let access = folder.open(&format!("basic_auth_users: {{alice: {hash}}}")).unwrap();
    let ask = async |access: Arc<Access>, number, password: &str| {
        let authorization = basic("alice", password);
        let shown =
            Shown { client: client(number), is_certified: false, authorization: Some(&authorization) };
        access.admit(&*access.rules().await, "/", shown).await
    };
    let guessers: Vec<_> = (1..=60)
        .map(|number| {
            let access = Arc::clone(&access);
            tokio::spawn(async move {
                for _ in 0..3 {
                    let _ = ask(Arc::clone(&access), number, "guess").await;
                }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let scraper = ask(Arc::clone(&access), 200, "proof");
    // The guessers have 120 guesses to come, each of which takes at least a pause.
    assert_eq!(timeout(Duration::from_secs(10), scraper).await, Ok(Ok(Admission::Authenticated)));
    assert!(guessers.iter().any(|guesser| !guesser.is_finished()), "all had their turn first");
    // Who has logged in does not wait at all.
    assert_eq!(ask(Arc::clone(&access), 200, "proof").await, Ok(Admission::Authenticated));
    guessers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn password_checks_are_bounded_for_each_client() {
    let folder = Folder::new();
    let hash = bcrypt::hash("proof", 4).unwrap();
    let access = folder.open(&format!("basic_auth_users: {{alice: {hash}}}")).unwrap();
    let rules = access.rules().await;
    let guess = basic("alice", "guess");
    let guesses = (0..20).map(|_| access.admit(&rules, "/", shown(Some(&guess))));
    let answers = futures_util::future::join_all(guesses).await;
    let count = |wanted| answers.iter().filter(|answer| **answer == Err(wanted)).count();
    assert_eq!((count(Refusal::Unauthorized), count(Refusal::Busy)), (5, 15), "one in turn, four waiting");
}

#[tokio::test]
async fn only_answered_requests_count_towards_the_rate_of_their_client() {
    let folder = Folder::new();
    let hash = bcrypt::hash("proof", 4).unwrap();
    let file = format!("basic_auth_users: {{alice: {hash}}}\nrate_limit: {{interval: 1h, burst: 2}}");
    let access = folder.open(&file).unwrap();
    let rules = access.rules().await;
    let right = basic("alice", "proof");
    for _ in 0..9 {
        assert_eq!(access.admit(&rules, "/", shown(None)).await, Err(Refusal::Unauthorized));
    }
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(access.admit(&rules, "/", shown(Some(&right))).await);
    }
    assert_eq!(answers, [Ok(Admission::Authenticated), Ok(Admission::Authenticated), Err(Refusal::TooMany)]);
    let other = Shown { client: client(2), ..shown(Some(&right)) };
    assert_eq!(access.admit(&rules, "/", other).await, Ok(Admission::Authenticated));
}

#[tokio::test]
async fn health_is_open_only_where_it_is_said() {
    let folder = Folder::new();
    let file = folder.write("web.yml", &format!("basic_auth_users: {{alice: {HASH}}}"));
    for (open, answer) in [(true, Ok(Admission::Open)), (false, Err(Refusal::Unauthorized))] {
        let access = Arc::new(Access::open(Some(file.clone()), open).unwrap());
        for path in ["/-/healthy", "/-/ready"] {
            assert_eq!(access.admit(&*access.rules().await, path, shown(None)).await, answer, "{path}");
        }
        for path in ["/", "/metrics", "/-/reload", "/-/healthy/", "//-/healthy"] {
            let answer = access.admit(&*access.rules().await, path, shown(None)).await;
            assert_eq!(answer, Err(Refusal::Unauthorized), "{path}");
        }
    }
}
