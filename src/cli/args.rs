//! Flags as Go programs take them: `-name=value`, `-name value`, `--name`, switches with `=false`, all before the first positional argument.
//!
//! A value is checked here, so that a command asks for a number and gets one.
//! Not here: which flags a command has (its own file), the environment (`config`).

use std::collections::BTreeMap;

use crate::types::Ttl;

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `-force`, `-force=false`.
    Switch,
    /// One text; the last one counts.
    Text,
    /// A whole number.
    Number,
    /// A length of time: `90`, `90s`, `1h30m`.
    Time,
    /// Repeatable.
    List,
    /// Repeatable `key=value`.
    Pairs,
}

/// One flag of a command.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// The name without dashes.
    pub name: &'static str,
    /// A second, shorter name.
    pub alias: Option<&'static str>,
    /// What it takes.
    pub kind: Kind,
    /// The help text.
    pub text: &'static str,
}

impl Flag {
    /// A switch.
    pub const fn switch(name: &'static str, text: &'static str) -> Self {
        Self { name, alias: None, kind: Kind::Switch, text }
    }
    /// A flag with one text.
    pub const fn text(name: &'static str, text: &'static str) -> Self {
        Self { name, alias: None, kind: Kind::Text, text }
    }
    /// A flag with a whole number.
    pub const fn number(name: &'static str, text: &'static str) -> Self {
        Self { name, alias: None, kind: Kind::Number, text }
    }
    /// A flag with a length of time.
    pub const fn time(name: &'static str, text: &'static str) -> Self {
        Self { name, alias: None, kind: Kind::Time, text }
    }
    /// A repeatable flag.
    pub const fn list(name: &'static str, text: &'static str) -> Self {
        Self { name, alias: None, kind: Kind::List, text }
    }
    /// A repeatable flag of `key=value`.
    pub const fn pairs(name: &'static str, text: &'static str) -> Self {
        Self { name, alias: None, kind: Kind::Pairs, text }
    }
    /// The same flag, reachable by a second name too.
    #[must_use]
    pub const fn or(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    fn check(&self, value: &str) -> Result<(), String> {
        let fine = match self.kind {
            Kind::Switch => switch(value).is_some(),
            Kind::Text | Kind::List => true,
            Kind::Number => value.parse::<i64>().is_ok(),
            Kind::Time => Ttl::parse(value).is_ok(),
            Kind::Pairs => value.contains('='),
        };
        let what = match self.kind {
            Kind::Switch => "parse error",
            Kind::Number => "not a whole number",
            Kind::Time => "not a length of time",
            _ => "missing = in KV pair",
        };
        if fine { Ok(()) } else { Err(format!("invalid value {value:?} for flag -{}: {what}", self.name)) }
    }
}

/// What a switch may be given.
pub fn switch(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The flags that were given and what followed them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Parsed {
    flags: BTreeMap<&'static str, Vec<String>>,
    /// The positional arguments.
    pub args: Vec<String>,
    /// Whether help was asked for.
    pub help: bool,
}

impl Parsed {
    /// Reads what follows the name of a command.
    ///
    /// # Errors
    /// A flag nobody knows, a flag without its value, a value of the wrong kind; in Go's words, for those who match them.
    pub fn read(known: &[&[Flag]], args: &[String]) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            if arg == "--" {
                break;
            }
            if !arg.starts_with('-') || arg.len() < 2 {
                parsed.args.push(arg.clone());
                break;
            }
            let body = arg.strip_prefix("--").unwrap_or(&arg[1..]);
            let (name, inline) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            if name.is_empty() || name.starts_with('-') {
                return Err(format!("bad flag syntax: {arg}"));
            }
            if inline.is_none() && (name == "h" || name == "help") {
                parsed.help = true;
                continue;
            }
            let flag = known
                .iter()
                .flat_map(|group| group.iter())
                .find(|flag| flag.name == name || flag.alias == Some(name))
                .ok_or_else(|| format!("flag provided but not defined: -{name}"))?;
            let value = match (inline, flag.kind) {
                (Some(value), _) => value,
                (None, Kind::Switch) => "true".to_owned(),
                (None, _) => rest.next().cloned().ok_or_else(|| format!("flag needs an argument: -{name}"))?,
            };
            flag.check(&value)?;
            parsed.flags.entry(flag.name).or_default().push(value);
        }
        parsed.args.extend(rest.cloned());
        Ok(parsed)
    }

    /// Whether the flag was given at all.
    pub fn has(&self, name: &str) -> bool {
        self.flags.contains_key(name)
    }
    /// Whether a switch was given and not switched off.
    pub fn is(&self, name: &str) -> bool {
        self.text(name).and_then(switch).unwrap_or(false)
    }
    /// What a flag was given last.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.flags.get(name).and_then(|values| values.last()).map(String::as_str)
    }
    /// All that a flag was given.
    pub fn list(&self, name: &str) -> &[String] {
        self.flags.get(name).map_or(&[], Vec::as_slice)
    }
    /// The number a flag was given.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(|text| text.parse().ok())
    }
    /// The length of time a flag was given.
    pub fn time(&self, name: &str) -> Option<Ttl> {
        self.text(name).and_then(|text| Ttl::parse(text).ok())
    }
    /// The pairs a flag was given.
    pub fn pairs(&self, name: &str) -> Vec<(&str, &str)> {
        self.list(name).iter().filter_map(|pair| pair.split_once('=')).collect()
    }
    /// The positional arguments that look like flags: they will be taken as they are, which is seldom meant.
    pub fn late_flags(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).filter(|arg| arg.len() > 1 && arg.starts_with('-')).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Flag] = &[
        Flag::switch("force", "").or("f"),
        Flag::text("field", ""),
        Flag::time("ttl", ""),
        Flag::number("n", ""),
        Flag::list("policy", ""),
        Flag::pairs("metadata", ""),
    ];

    fn read(line: &str) -> Result<Parsed, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Parsed::read(&[KNOWN], &args)
    }

    #[test]
    fn one_dash_and_two_mean_the_same() {
        for line in ["-field=x path", "--field=x path", "-field x path", "--field x path"] {
            let parsed = read(line).unwrap();
            assert_eq!((parsed.text("field"), parsed.args.as_slice()), (Some("x"), &["path".to_owned()][..]), "{line}");
        }
    }

    #[test]
    fn flags_end_at_the_first_argument() {
        let parsed = read("-f path -field=x").unwrap();
        assert!(parsed.is("force"));
        assert_eq!(parsed.args, ["path", "-field=x"]);
        assert_eq!(parsed.late_flags(), ["-field=x"]);
        assert_eq!(read("-- -f").unwrap().args, ["-f"]);
        assert_eq!(read("- x").unwrap().args, ["-", "x"]);
    }

    #[test]
    fn a_switch_takes_its_value_only_after_an_equals_sign() {
        assert!(!read("-force=false x").unwrap().is("force"));
        assert_eq!(read("-force false").unwrap().args, ["false"]);
    }

    #[test]
    fn repeated_flags_are_kept_in_order() {
        let parsed = read("-policy=a -policy b -metadata=k=v=w").unwrap();
        assert_eq!(parsed.list("policy"), ["a", "b"]);
        assert_eq!(parsed.pairs("metadata"), [("k", "v=w")]);
    }

    #[track_caller]
    fn check_refusal(line: &str, expected: &str) {
        assert_eq!(read(line).unwrap_err(), expected);
    }

    #[test]
    fn wrong_flags_are_named() {
        check_refusal("-nope", "flag provided but not defined: -nope");
        check_refusal("-field", "flag needs an argument: -field");
        check_refusal("-ttl=soon", "invalid value \"soon\" for flag -ttl: not a length of time");
        check_refusal("-n=x", "invalid value \"x\" for flag -n: not a whole number");
        check_refusal("-force=maybe", "invalid value \"maybe\" for flag -force: parse error");
        check_refusal("---x", "bad flag syntax: ---x");
    }
}
