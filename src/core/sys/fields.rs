//! The fields that the core's own routes know. A route that is not in the table takes anything without a word.

use crate::engine::Fields;

const TOKEN: &[&str] = &[
    "display_name",
    "entity_alias",
    "explicit_max_ttl",
    "id",
    "lease",
    "meta",
    "no_default_policy",
    "no_parent",
    "num_uses",
    "period",
    "policies",
    "renewable",
    "ttl",
    "type",
];

const TOKEN_ROLE: &[&str] = &[
    "allowed_entity_aliases",
    "allowed_policies",
    "allowed_policies_glob",
    "bound_cidrs",
    "disallowed_policies",
    "disallowed_policies_glob",
    "explicit_max_ttl",
    "orphan",
    "path_suffix",
    "period",
    "renewable",
    "token_bound_cidrs",
    "token_explicit_max_ttl",
    "token_no_default_policy",
    "token_num_uses",
    "token_period",
    "token_type",
];

const FROM_PRIMARY: &[&str] = &["ca_file", "ca_path", "primary_api_addr", "token", "update_primary_addrs"];

/// The fields of the route `pattern` below `sys/`.
pub fn of_system(pattern: &str) -> Fields {
    let pattern = match pattern.strip_prefix("replication/") {
        Some(below) => return of_replication(below.strip_prefix("performance/").unwrap_or(below)),
        None => pattern,
    };
    Fields::Only(match pattern {
        "mounts"
        | "auth"
        | "audit"
        | "policies/acl"
        | "policy"
        | "version-history"
        | "leases/tidy"
        | "leases/lookup/*prefix"
        | "leases/revoke-force/*prefix"
        | "revoke-force/*prefix"
        | "config/state/sanitized"
        | "config/ui/headers"
        | "config/auditing/request-headers"
        | "step-down"
        | "ha-status"
        | "in-flight-req"
        | "rotate"
        | "rotate/keyring"
        | "key-status"
        | "remount/status/:migration_id"
        | "wrapping/pubkey"
        | "internal/ui/resultant-acl"
        | "storage/raft/configuration"
        | "storage/raft/autopilot/state" => &[],
        "leases/lookup" => &["lease_id"],
        "leases/renew/*url_lease_id" | "renew/*url_lease_id" => &["increment", "lease_id"],
        "leases/revoke/*url_lease_id" | "revoke/*url_lease_id" => &["lease_id", "sync"],
        "leases/revoke-prefix/*prefix" | "revoke-prefix/*prefix" => &["sync"],
        "leases/count" | "leases" => &["include_child_namespaces", "limit", "type"],
        "locked-users" => &["mount_accessor"],
        "locked-users/:mount_accessor/unlock/:alias_identifier" => &[],
        "capabilities" | "capabilities-self" => &["path", "paths", "token"],
        "capabilities-accessor" => &["accessor", "path", "paths"],
        "policies/acl/:name" => &["policy"],
        "policy/:name" => &["policy", "rules"],
        "audit/*path" => &["description", "local", "options", "type"],
        "audit-hash/*path" => &["input"],
        "config/cors" => &["allow_credentials", "allowed_headers", "allowed_origins", "enable"],
        "config/ui/headers/:header" => &["multivalue", "values"],
        "config/auditing/request-headers/:header" => &["hmac"],
        "rotate/config" => &["enabled", "interval", "max_operations"],
        "metrics" => &["format"],
        "remount" => &["from", "to"],
        "decode-token" => &["encoded_token", "otp"],
        "tools/random" | "tools/random/:urlbytes" | "tools/random/:source/:urlbytes" => &["bytes", "format", "source"],
        "tools/hash" | "tools/hash/:urlalgorithm" => &["algorithm", "format", "input"],
        "wrapping/unwrap" => &["token", crate::core::replication::activation::CLAIM],
        "wrapping/rewrap" | "wrapping/lookup" => &["token"],
        _ => return Fields::Any,
    })
}

fn of_replication(pattern: &str) -> Fields {
    Fields::Only(match pattern {
        "status" | "dr/status" | "primary/demote" | "primary/disable" | "secondary/disable" | "recover" | "reindex" | "merkle-check" => &[],
        "primary/enable" => &["primary_cluster_addr"],
        "primary/secondary-token" => &["id", "secondary_public_key", "ttl"],
        "primary/revoke-secondary" => &["id"],
        "secondary/enable" | "secondary/update-primary" => FROM_PRIMARY,
        "secondary/promote" => &["force", "primary_cluster_addr"],
        _ => return Fields::Any,
    })
}

/// The fields of the route `pattern` below `auth/token/`.
pub fn of_tokens(pattern: &str) -> Fields {
    Fields::Only(match pattern {
        "create" | "create-orphan" | "create/:role_name" => TOKEN,
        "lookup" | "lookup-self" | "revoke" | "revoke-orphan" => &["token"],
        "lookup-accessor" | "revoke-accessor" => &["accessor"],
        "renew" | "renew-self" => &["increment", "token"],
        "renew-accessor" => &["accessor", "increment"],
        "revoke-self" | "accessors" | "tidy" | "roles" => &[],
        "roles/:role_name" => TOKEN_ROLE,
        _ => return Fields::Any,
    })
}
