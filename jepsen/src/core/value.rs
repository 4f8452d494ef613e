//! What an operation carries: the part of EDN that histories use.
//!
//! Not here: how values are written (`edn`, `json`).

use std::collections::BTreeMap;
use std::fmt;

/// A value of an operation. Sets and vectors are read as lists, and a number with a fraction as the text it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Nothing: a read that has not been answered, or an absent value.
    #[default]
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// A name, written `:name`; held without its colon.
    Keyword(String),
    /// Values in order.
    List(Vec<Value>),
    /// Values by key.
    Map(BTreeMap<Value, Value>),
}

impl Value {
    /// The keyword `:name`.
    pub fn keyword(name: impl Into<String>) -> Value {
        Value::Keyword(name.into())
    }
    /// Text.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }
    /// A list of what can become values.
    pub fn list<T: Into<Value>>(values: impl IntoIterator<Item = T>) -> Value {
        Value::List(values.into_iter().map(Into::into).collect())
    }
    /// `[first second]`: an independent key and its value, or a version and what was written.
    pub fn pair(first: impl Into<Value>, second: impl Into<Value>) -> Value {
        Value::List(vec![first.into(), second.into()])
    }
    /// A map of keywords to values.
    pub fn map<'a, T: Into<Value>>(entries: impl IntoIterator<Item = (&'a str, T)>) -> Value {
        Value::Map(entries.into_iter().map(|(name, value)| (Value::keyword(name), value.into())).collect())
    }

    /// Is this nothing?
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }
    /// The number, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        if let Value::Int(number) = self { Some(*number) } else { None }
    }
    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(truth) = self { Some(*truth) } else { None }
    }
    /// The text or the name of the keyword.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Keyword(text) => Some(text),
            _ => None,
        }
    }
    /// The members, if it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Value::List(members) = self { Some(members) } else { None }
    }
    /// Both members, if it is a list of two.
    pub fn as_pair(&self) -> Option<(&Value, &Value)> {
        if let Some([first, second]) = self.as_list() { Some((first, second)) } else { None }
    }
    /// What lies under a name, be it a keyword or text.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let Value::Map(entries) = self else { return None };
        entries.get(&Value::keyword(name)).or_else(|| entries.get(&Value::text(name)))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::edn::write_value(f, self)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Bool(truth)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}
impl From<i32> for Value {
    fn from(number: i32) -> Value {
        Value::Int(i64::from(number))
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Int(i64::from(number))
    }
}
impl From<u64> for Value {
    /// Saturates: histories hold no number near the end of its range.
    fn from(number: u64) -> Value {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}
impl From<Vec<Value>> for Value {
    fn from(members: Vec<Value>) -> Value {
        Value::List(members)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Nil, Into::into)
    }
}
