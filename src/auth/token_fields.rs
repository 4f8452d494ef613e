//! The `token_*` fields that every auth method's users and roles have.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::engine::{Data, EngineError, Grant, TokenKind};
use crate::types::Ttl;

/// What a token gets that is earned by a user or role.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct TokenFields {
    ttl: u64,
    max_ttl: u64,
    explicit_max_ttl: u64,
    period: u64,
    num_uses: u32,
    no_default_policy: bool,
    policies: Vec<String>,
    bound_cidrs: Vec<String>,
    kind: String,
}

const KINDS: [&str; 5] = ["default", "service", "batch", "default-service", "default-batch"];

impl TokenFields {
    /// Takes the fields that `data` names; others stay as they are. `policies`, `ttl`, `max_ttl`, `bound_cidrs` are
    /// the older names of four.
    ///
    /// # Errors
    /// With Vault's texts.
    pub(super) fn update(&mut self, data: &Data) -> Result<(), EngineError> {
        let ttl = |field: &str| -> Result<Option<u64>, EngineError> {
            if is_negative(data, field) {
                return Err(EngineError::invalid(format!("'{field}' cannot be negative")));
            }
            Ok(data.ttl(field)?.map(|ttl| ttl.0))
        };
        if let Some(value) = ttl("token_ttl")?.or(ttl("ttl")?) {
            self.ttl = value;
        }
        if let Some(value) = ttl("token_max_ttl")?.or(ttl("max_ttl")?) {
            self.max_ttl = value;
        }
        if let Some(value) = ttl("token_explicit_max_ttl")? {
            self.explicit_max_ttl = value;
        }
        if let Some(value) = ttl("token_period")? {
            self.period = value;
        }
        if let Some(value) = data.integer("token_num_uses")? {
            self.num_uses = u32::try_from(value).map_err(|_| EngineError::invalid("'token_num_uses' cannot be negative"))?;
        }
        if let Some(value) = data.flag("token_no_default_policy")? {
            self.no_default_policy = value;
        }
        self.update_policies(data)?;
        if let Some(value) = data.texts("token_bound_cidrs")?.or(data.texts("bound_cidrs")?) {
            value.iter().try_for_each(|cidr| check_cidr(cidr))?;
            self.bound_cidrs = value;
        }
        if let Some(value) = data.text("token_type")? {
            let value = value.replace('_', "-");
            if !KINDS.contains(&value.as_str()) {
                return Err(EngineError::invalid(format!("invalid 'token_type' value {value:?}")));
            }
            self.kind = value;
        }
        self.check()
    }

    /// Takes the policies only.
    ///
    /// # Errors
    /// If they name `root`.
    pub(super) fn update_policies(&mut self, data: &Data) -> Result<(), EngineError> {
        let given = data.texts("token_policies")?.or(data.texts("policies")?);
        if let Some(policies) = given {
            let mut policies: Vec<String> =
                policies.iter().map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect();
            policies.sort_unstable();
            policies.dedup();
            if policies.iter().any(|name| name == "root") {
                return Err(EngineError::invalid("auth methods cannot create root tokens"));
            }
            self.policies = policies;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), EngineError> {
        if self.max_ttl > 0 && self.ttl > self.max_ttl {
            return Err(EngineError::invalid("'token_ttl' cannot be greater than 'token_max_ttl'"));
        }
        if self.kind.ends_with("batch") && self.period > 0 {
            return Err(EngineError::invalid("'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens"));
        }
        if self.kind.ends_with("batch") && self.num_uses > 0 {
            return Err(EngineError::invalid(
                "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with limited use count",
            ));
        }
        Ok(())
    }

    /// As reads show them.
    pub(super) fn show(&self) -> Map<String, Value> {
        let Value::Object(shown) = json!({
            "token_bound_cidrs": self.bound_cidrs,
            "token_explicit_max_ttl": self.explicit_max_ttl,
            "token_max_ttl": self.max_ttl,
            "token_no_default_policy": self.no_default_policy,
            "token_num_uses": self.num_uses,
            "token_period": self.period,
            "token_policies": self.policies,
            "token_ttl": self.ttl,
            "token_type": if self.kind.is_empty() { KINDS[0] } else { self.kind.as_str() },
        }) else {
            return Map::new();
        };
        shown
    }

    /// Whether a login may come from `remote`.
    pub(super) fn admits(&self, remote: Option<IpAddr>) -> bool {
        self.bound_cidrs.is_empty() || remote.is_some_and(|remote| self.bound_cidrs.iter().any(|cidr| cidr_contains(cidr, remote)))
    }

    /// What a login earns.
    pub(super) fn grant(&self) -> Grant {
        Grant {
            policies: self.policies.clone(),
            no_default_policy: self.no_default_policy,
            ttl: Ttl(self.ttl),
            max_ttl: Ttl(self.max_ttl),
            explicit_max_ttl: Ttl(self.explicit_max_ttl),
            period: Ttl(self.period),
            num_uses: self.num_uses,
            renewable: !self.kind.ends_with("batch"),
            kind: if self.kind.ends_with("batch") { TokenKind::Batch } else { TokenKind::Service },
            bound_cidrs: self.bound_cidrs.clone(),
            ..Grant::default()
        }
    }
}

fn is_negative(data: &Data, field: &str) -> bool {
    match data.get(field) {
        Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number < 0.0),
        Some(Value::String(text)) => text.trim_start().starts_with('-'),
        _ => false,
    }
}

fn split_cidr(cidr: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match cidr.split_once('/') {
        Some((address, bits)) => (address.parse().ok()?, Some(bits.parse::<u32>().ok()?)),
        None => (cidr.parse::<IpAddr>().ok()?, None),
    };
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(all);
    (bits <= all).then_some((address, bits))
}

fn check_cidr(cidr: &str) -> Result<(), EngineError> {
    split_cidr(cidr).map(|_| ()).ok_or_else(|| EngineError::invalid(format!("{cidr:?} is not an address or a CIDR block")))
}

fn cidr_contains(cidr: &str, remote: IpAddr) -> bool {
    let shifted = |value: u128, bits: u32, all: u32| if bits == 0 { 0 } else { value >> (all - bits) };
    match (split_cidr(cidr), remote.to_canonical()) {
        (Some((IpAddr::V4(network), bits)), IpAddr::V4(remote)) => {
            shifted(u32::from(network).into(), bits, 32) == shifted(u32::from(remote).into(), bits, 32)
        }
        (Some((IpAddr::V6(network), bits)), IpAddr::V6(remote)) => shifted(network.into(), bits, 128) == shifted(remote.into(), bits, 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updated(value: Value) -> Result<TokenFields, String> {
        let Value::Object(map) = value else { panic!("tests pass objects") };
        let mut fields = TokenFields::default();
        fields.update(&Data(map)).map(|()| fields).map_err(|error| error.to_string())
    }

    #[test]
    fn wrong_fields_are_named() {
        #[track_caller]
        fn check(value: Value, part: &str) {
            assert!(updated(value).unwrap_err().contains(part), "{part}");
        }
        check(json!({"token_ttl": "2h", "token_max_ttl": "1h"}), "cannot be greater");
        check(json!({"token_ttl": -1}), "'token_ttl' cannot be negative");
        check(json!({"token_num_uses": -1}), "'token_num_uses' cannot be negative");
        check(json!({"token_policies": "a,ROOT"}), "cannot create root tokens");
        check(json!({"token_type": "x"}), "invalid 'token_type'");
        check(json!({"token_type": "batch", "token_period": 5}), "periodic");
        check(json!({"token_bound_cidrs": "10.0.0.0/33"}), "CIDR");
        assert!(updated(json!({"policies": "b, A,b", "ttl": "1h"})).unwrap().show()["token_policies"] == json!(["a", "b"]));
    }

    #[test]
    fn logins_are_bound_to_networks() {
        let fields = updated(json!({"token_bound_cidrs": ["10.1.0.0/16", "::1"]})).unwrap();
        assert!(fields.admits(Some("10.1.2.3".parse().unwrap())));
        assert!(fields.admits(Some("::1".parse().unwrap())));
        assert!(!fields.admits(Some("10.2.0.1".parse().unwrap())));
        assert!(!fields.admits(None));
        let by_old_name = updated(json!({"bound_cidrs": "10.1.0.0/16"})).unwrap();
        assert!(!by_old_name.admits(Some("10.2.0.1".parse().unwrap())));
        assert!(TokenFields::default().admits(None));
    }
}
