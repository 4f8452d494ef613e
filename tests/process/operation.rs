//! One node as operators run it: TLS with an authority of their own, and certificates, log level and audit files that change under
//! load.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use super::node::{Node, free_ports, wait_until};

const LONG: Duration = Duration::from_secs(60);

/// An authority: its certificate, and whom it signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::from_ca_cert_pem(&pem, key).unwrap(), pem }
    }

    /// A certificate and its key for these names.
    fn sign(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Connects anew for each call, trusts `roots`, and shows `client`.
fn agent(roots: &[&Authority], client: &(String, String)) -> ureq::Agent {
    let certificate = |pem: &str| Certificate::from_pem(pem.as_bytes()).unwrap();
    let roots: Vec<Certificate<'static>> = roots.iter().map(|root| certificate(&root.pem)).collect();
    let key = PrivateKey::from_pem(client.1.as_bytes()).unwrap();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .client_cert(Some(ClientCert::new_with_certs(&[certificate(&client.0)], key)))
        .build();
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).max_idle_connections(0).timeout_global(Some(LONG)).tls_config(tls);
    config.build().into()
}

fn put(agent: &ureq::Agent, port: u16, path: &str, token: &str, body: &Value) -> Result<Value, String> {
    let request = agent.put(format!("https://127.0.0.1:{port}/v1/{path}")).header("X-Vault-Token", token);
    let mut answer = request.send(body.to_string().as_bytes()).map_err(|error| error.to_string())?;
    let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
    if answer.status().is_success() { Ok(serde_json::from_str(&text).unwrap_or(Value::Null)) } else { Err(text) }
}

/// Ends the load, also where the test fails.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn audited(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("audit"));
    let text: String = files.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is whole"));
    let is_ours =
        |line: &Value| line["type"] == "response" && line["request"]["path"].as_str().is_some_and(|path| path.starts_with("cubbyhole/"));
    lines.filter(is_ours).count()
}

#[test]
fn certificates_and_files_are_read_anew_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).display().to_string();
    let (first, second) = (Authority::new(), Authority::new());
    let client = first.sign(&["client.test"]);
    let show = |(cert, key): (String, String)| {
        std::fs::write(path("tls.key"), key).unwrap();
        std::fs::write(path("tls.crt"), cert).unwrap();
    };
    show(first.sign(&["127.0.0.1", "node.test"]));
    for (name, pem) in [("first.pem", &first.pem), ("second.pem", &second.pem), ("client.crt", &client.0), ("client.key", &client.1)] {
        std::fs::write(path(name), pem).unwrap();
    }
    let mut node = Node::new(folder.path(), "operated", "operated", free_ports(), &[]);
    let tls = format!(
        "tls_cert_file = \"{}\"\n  tls_key_file = \"{}\"\n  tls_client_ca_file = \"{}\"\n  \
         tls_require_and_verify_client_cert = true\n  tls_min_version = \"tls13\"",
        text("tls.crt"),
        text("tls.key"),
        text("first.pem")
    );
    node.configure("tls_disable = true", &tls);
    node.configure(&format!("http://127.0.0.1:{}", node.port), &format!("https://127.0.0.1:{}", node.port));
    node.start();

    // Both sides must be known to each other; what is wrong is said.
    let url = format!("https://127.0.0.1:{}", node.port);
    let (first_pem, second_pem, cert, key) = (text("first.pem"), text("second.pem"), text("client.crt"), text("client.key"));
    let known = [("VAULT_ADDR", url.as_str()), ("VAULT_CLIENT_CERT", cert.as_str()), ("VAULT_CLIENT_KEY", key.as_str())];
    let status = |node: &Node, more: &[(&str, &str)]| node.coffer(&["status"], &[&known[..], more].concat());
    let check = |(got, said): (i32, String), code: i32, words: &str| assert!(got == code && said.contains(words), "{got} {said}");
    check(node.coffer(&["status"], &[]), 1, "Client sent an HTTP request to an HTTPS server");
    check(status(&node, &[("VAULT_CACERT", &second_pem)]), 1, "failed to verify certificate");
    check(node.coffer(&["status"], &[("VAULT_ADDR", &url), ("VAULT_CACERT", &first_pem)]), 1, "tls: certificate required");
    check(status(&node, &[("VAULT_CACERT", &first_pem), ("VAULT_TLS_SERVER_NAME", "other.test")]), 1, "not valid for name");
    check(status(&node, &[("VAULT_CACERT", &first_pem), ("VAULT_TLS_SERVER_NAME", "node.test")]), 2, "Initialized");
    check(status(&node, &[("VAULT_SKIP_VERIFY", "true")]), 2, "Initialized");

    let agent = agent(&[&first, &second], &client);
    let init = put(&agent, node.port, "sys/init", "", &json!({"secret_shares": 1, "secret_threshold": 1})).unwrap();
    let root = init["root_token"].as_str().unwrap();
    put(&agent, node.port, "sys/unseal", "", &json!({"key": init["keys_base64"][0]})).unwrap();
    wait_until("it serves", LONG, || status(&node, &[("VAULT_CACERT", &first_pem)]).1.contains("active"));
    put(&agent, node.port, "sys/audit/file", root, &json!({"type": "file", "options": {"file_path": text("audit.log")}})).unwrap();

    let (is_over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let refused = std::thread::scope(|scope| {
        let over = Over(&is_over);
        let load = |name: &'static str| {
            let (agent, port, is_over, done) = (&agent, node.port, &is_over, &done);
            move || -> Vec<String> {
                let mut refused = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let n = done.fetch_add(1, Ordering::Relaxed);
                    refused.extend(put(agent, port, &format!("cubbyhole/{name}{n}"), root, &json!({"n": n})).err());
                }
                refused
            }
        };
        let load = [scope.spawn(load("a")), scope.spawn(load("b"))];
        let says = |words: &str| std::fs::read_to_string(node.log_path()).unwrap().contains(words);

        show(second.sign(&["127.0.0.1"]));
        node.signal(Signal::SIGHUP);
        wait_until("the new certificate is shown", LONG, || status(&node, &[("VAULT_CACERT", &second_pem)]).0 == 0);
        std::fs::write(path("tls.crt"), "no certificate").unwrap();
        node.signal(Signal::SIGHUP);
        wait_until("the broken one is named", LONG, || says("the certificate stays as it was") && says("tls.crt"));
        check(status(&node, &[("VAULT_CACERT", &second_pem)]), 0, "active");
        for n in 0..3 {
            let before = done.load(Ordering::Relaxed);
            wait_until("requests go on", LONG, || done.load(Ordering::Relaxed) > before + 5);
            std::fs::rename(path("audit.log"), path(&format!("audit.{n}"))).unwrap();
            node.signal(Signal::SIGHUP);
            wait_until("the audit file is there again", LONG, || path("audit.log").exists());
        }
        node.configure("log_level = \"info\"", "log_level = \"debug\"");
        node.signal(Signal::SIGHUP);
        wait_until("the log level has changed", LONG, || says("level=debug"));
        drop(over);
        load.into_iter().flat_map(|load| load.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(refused, Vec::<String>::new(), "nobody may notice");
    assert_eq!(audited(folder.path()), done.load(Ordering::Relaxed), "each request is audited, whichever file was open");

    node.signal(Signal::SIGINT);
    node.ended_well();
}
