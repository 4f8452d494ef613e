//! Independent keys: a value `[k v]` is `v` of the key `k`, and each key is checked for itself. Linearizability allows that: it is local.

use std::collections::BTreeMap;

use crate::core::{Call, Malformed, Value};

/// A call to one key, with what it says of it.
#[derive(Debug, Clone, Copy)]
pub struct Keyed<'a> {
    /// Its lines and moments.
    pub call: Call<'a>,
    /// The value of the invocation, without the key.
    pub argument: &'a Value,
    /// The value of the `ok`, without the key.
    pub result: Option<&'a Value>,
}

impl Keyed<'_> {
    /// Refuses the line that said something of a wrong shape: the last one if there is a result.
    pub fn malformed(&self, what: impl Into<String>) -> Malformed {
        Malformed::new(if self.result.is_some() { self.call.ended } else { self.call.began }, what)
    }
}

/// The calls of these functions, by key.
pub(super) fn by_key<'a>(calls: &[Call<'a>], functions: &[&str]) -> Result<BTreeMap<&'a Value, Vec<Keyed<'a>>>, Malformed> {
    let mut keys: BTreeMap<&Value, Vec<Keyed<'a>>> = BTreeMap::new();
    for call in calls.iter().filter(|call| functions.contains(&call.f())) {
        let refuse = |place, value: &Value| Malformed::new(place, format!("the value of `{}` is [key value], not {value}", call.f()));
        let (key, argument) = call.argument().as_pair().ok_or_else(|| refuse(call.began, call.argument()))?;
        let result = match call.result() {
            None => None,
            Some(value) => {
                let (answered, result) = value.as_pair().ok_or_else(|| refuse(call.ended, value))?;
                if answered != key {
                    return Err(Malformed::new(call.ended, format!("`{}` of key {key} ends with key {answered}", call.f())));
                }
                Some(result)
            }
        };
        keys.entry(key).or_default().push(Keyed { call: *call, argument, result });
    }
    Ok(keys)
}

/// All calls as one object: values are what they are.
pub(super) fn unkeyed<'a>(calls: &[Call<'a>], functions: &[&str]) -> Vec<Keyed<'a>> {
    let mine = calls.iter().filter(|call| functions.contains(&call.f()));
    mine.map(|call| Keyed { call: *call, argument: call.argument(), result: call.result() }).collect()
}
