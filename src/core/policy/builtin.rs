//! Policies that every cluster has.

/// The name of the policy that every token has unless its maker leaves it out.
pub const DEFAULT: &str = "default";
/// The name of the policy that allows everything; it has no text.
pub const ROOT: &str = "root";
/// The name of the policy of wrapping tokens; never assigned by a client.
pub const RESPONSE_WRAPPING: &str = "response-wrapping";

/// What `default` says until somebody edits it: a token may look after itself.
pub const DEFAULT_TEXT: &str = r#"# A token may see, renew and end itself,
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }

# ask what it may do,
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }

# see the entity that it belongs to,
path "identity/entity/id/{{identity.entity.id}}" { capabilities = ["read"] }
path "identity/entity/name/{{identity.entity.name}}" { capabilities = ["read"] }

# look up and renew leases that it knows,
path "sys/renew" { capabilities = ["update"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }

# keep things of its own,
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }

# wrap answers, and look into what is wrapped,
path "sys/wrapping/wrap" { capabilities = ["update"] }
path "sys/wrapping/lookup" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }

# and use small tools.
path "sys/tools/hash" { capabilities = ["update"] }
path "sys/tools/hash/*" { capabilities = ["update"] }
path "sys/control-group/request" { capabilities = ["update"] }
path "identity/oidc/provider/+/authorize" { capabilities = ["read", "update"] }
"#;

/// What a wrapping token may do: give its answer out.
pub const RESPONSE_WRAPPING_TEXT: &str = r#"path "cubbyhole/response" { capabilities = ["create", "read"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::policy::{Acl, Policy};

    #[test]
    fn the_built_in_policies_are_policies() {
        let default = Policy::parse(DEFAULT_TEXT).unwrap();
        let acl = Acl::compile([(DEFAULT, &default)]);
        assert_eq!(acl.capabilities("auth/token/lookup-self"), ["read"]);
        assert_eq!(acl.capabilities("cubbyhole/a"), ["create", "delete", "list", "read", "update"]);
        assert_eq!(acl.capabilities("secret/data/a"), ["deny"]);
        assert!(Policy::parse(RESPONSE_WRAPPING_TEXT).is_ok());
    }
}
