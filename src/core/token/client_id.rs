//! Whom a request counts for as a client, in audit lines. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::crypto::mac::sha256;
use crate::engine::Caller;

/// Between policies.
const BETWEEN: u8 = 0x7f;
/// After the policies.
const AFTER: u8 = 0;
/// The only namespace.
const NAMESPACE: &[u8] = b"root";

/// The entity; without one, a name that all tokens with the same policies share, made as clients of Vault know it. Empty for nobody.
pub fn client_id(caller: &Caller) -> String {
    if !caller.entity_id.is_empty() || caller.policies.is_empty() {
        return caller.entity_id.clone();
    }
    let mut policies = caller.policies.clone();
    policies.sort_unstable();
    let mut named: Vec<u8> = policies.join(&char::from(BETWEEN).to_string()).into_bytes();
    named.push(AFTER);
    named.extend_from_slice(NAMESPACE);
    STANDARD.encode(sha256(&named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(policies: &[&str], entity_id: &str, expected: &str) {
        let policies = policies.iter().map(|policy| (*policy).to_owned()).collect();
        assert_eq!(client_id(&Caller { policies, entity_id: entity_id.to_owned(), ..Caller::default() }), expected);
    }

    #[test]
    fn a_client_is_an_entity_or_a_set_of_policies() {
        check(&["root"], "", "0DHqvq2D77kL2/JTPSZkTMJbkFVmUu0TzMi0jiXcFy8=");
        check(&["root"], "e-1", "e-1");
        check(&[], "", "");
        let (one, other) = ([["a", "b"], ["b", "a"]].map(|policies| policies.map(str::to_owned)), ["ab".to_owned()]);
        let id = |policies: &[String]| client_id(&Caller { policies: policies.to_vec(), ..Caller::default() });
        assert_eq!(id(&one[0]), id(&one[1]));
        assert_ne!(id(&one[0]), id(&other));
    }
}
