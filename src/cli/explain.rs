//! A call told instead of made: as a `curl` line, or as the policy it needs.
//!
//! Not here: when (`client`).

use super::call::Call;

/// What is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Explain {
    /// The `curl` line.
    Curl,
    /// The policy.
    Policy,
}

/// Paths that need `sudo`; a `*` at the end matches all below.
const SUDO_PATHS: &[&str] = &[
    "auth/token/accessors",
    "auth/token/accessors/",
    "auth/token/revoke-orphan",
    "auth/token/create-orphan",
    "sys/audit",
    "sys/audit/*",
    "sys/config/*",
    "sys/leases/lookup/*",
    "sys/leases/revoke-force/*",
    "sys/leases/revoke-prefix/*",
    "sys/raw",
    "sys/raw/*",
    "sys/replication/*",
    "sys/rotate",
    "sys/seal",
    "sys/step-down",
    "sys/storage/raft/snapshot-force",
];

/// The `curl` line for a call. `program` is what prints the token.
pub fn curl(call: &Call, url: &str, headers: &[(String, String)], skips_verify: bool, program: &str) -> String {
    let mut line = "curl".to_owned();
    if skips_verify {
        line.push_str(" --insecure");
    }
    if call.method != "GET" {
        line.push_str(&format!(" -X {}", call.method));
    }
    line.push_str(" -H \"X-Vault-Request: true\"");
    line.push_str(&format!(" -H \"X-Vault-Token: $({program} print token)\""));
    for (name, value) in headers {
        line.push_str(&format!(" -H \"{name}: {}\"", value.replace('"', "\\\"")));
    }
    if let Some(body) = &call.body {
        line.push_str(&format!(" -d '{}'", body.to_string().replace('\'', "'\"'\"'")));
    }
    let url = if url.contains(['?', '&', ' ', '*']) { format!("\"{url}\"") } else { url.to_owned() };
    format!("{line} {url}")
}

/// The policy that allows a call.
pub fn policy(call: &Call) -> String {
    let is_list = call.query.iter().any(|(name, value)| name == "list" && value == "true");
    let mut capabilities = match call.method {
        "GET" if is_list => vec!["list"],
        "GET" => vec!["read"],
        "PATCH" => vec!["patch"],
        "DELETE" => vec!["delete"],
        _ => vec!["create", "update"],
    };
    if SUDO_PATHS.iter().any(|sudo| sudo.strip_suffix('*').map_or(*sudo == call.path, |start| call.path.starts_with(start))) {
        capabilities.push("sudo");
    }
    let list: Vec<String> = capabilities.iter().map(|one| format!("{one:?}")).collect();
    format!("path {:?} {{\n  capabilities = [{}]\n}}", call.path, list.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_are_told_as_curl() {
        let call = Call::put("auth/token/create", json!({"ttl": "1h'"}));
        let line = curl(&call, "https://127.0.0.1:8200/v1/auth/token/create", &[], false, "vault");
        assert_eq!(
            line,
            "curl -X PUT -H \"X-Vault-Request: true\" -H \"X-Vault-Token: $(vault print token)\" -d '{\"ttl\":\"1h'\"'\"'\"}' \
             https://127.0.0.1:8200/v1/auth/token/create"
        );
    }

    #[test]
    fn calls_are_told_as_policy() {
        assert_eq!(policy(&Call::put("secret/x", json!({}))), "path \"secret/x\" {\n  capabilities = [\"create\", \"update\"]\n}");
        assert_eq!(policy(&Call::list("secret/x")), "path \"secret/x\" {\n  capabilities = [\"list\"]\n}");
        assert_eq!(
            policy(&Call::put("sys/audit/f", json!({}))),
            "path \"sys/audit/f\" {\n  capabilities = [\"create\", \"update\", \"sudo\"]\n}"
        );
    }
}
