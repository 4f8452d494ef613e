//! EDN, as Jepsen, Knossos and Elle write and read it: values and operations.
//!
//! Reads more than it writes: sets, tagged values (the tag is dropped, so `#jepsen.history.Op{…}` is an operation), commas and comments.

use std::fmt;

use super::op::{Kind, Op, Process};
use super::value::Value;

/// Why a text is not EDN, or not an operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at column {column}")]
pub struct EdnError {
    what: String,
    /// Where in the text, in bytes from 0.
    pub(super) at: usize,
    column: usize,
}

/// Deepest nesting that is read: histories have four levels, and a file is not to be trusted with the stack.
const DEPTH_MAX: usize = 64;

/// Writes a value as EDN.
pub(super) fn write_value(out: &mut impl fmt::Write, value: &Value) -> fmt::Result {
    match value {
        Value::Nil => out.write_str("nil"),
        Value::Bool(truth) => write!(out, "{truth}"),
        Value::Int(number) => write!(out, "{number}"),
        Value::Keyword(name) => write!(out, ":{name}"),
        Value::Text(text) => write_text(out, text),
        Value::List(members) => {
            out.write_char('[')?;
            for (number, member) in members.iter().enumerate() {
                if number > 0 {
                    out.write_char(' ')?;
                }
                write_value(out, member)?;
            }
            out.write_char(']')
        }
        Value::Map(entries) => {
            out.write_char('{')?;
            for (number, (key, value)) in entries.iter().enumerate() {
                if number > 0 {
                    out.write_str(", ")?;
                }
                write_value(out, key)?;
                out.write_char(' ')?;
                write_value(out, value)?;
            }
            out.write_char('}')
        }
    }
}

fn write_text(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            control if control.is_control() && (control as u32) <= 0xffff => write!(out, "\\u{:04x}", control as u32)?,
            other => out.write_char(other)?,
        }
    }
    out.write_char('"')
}

/// Writes an operation as one map on one line, without the line's end.
pub(super) fn write_op(out: &mut impl fmt::Write, op: &Op) -> fmt::Result {
    write!(out, "{{:index {}, :time {}, :type :{}, :process ", op.index, op.time, op.kind.name())?;
    match op.process {
        Process::Client(number) => write!(out, "{number}")?,
        Process::Nemesis => out.write_str(":nemesis")?,
    }
    write!(out, ", :f :{}, :value ", op.f)?;
    write_value(out, &op.value)?;
    for (name, text) in [("node", &op.node), ("cluster", &op.cluster), ("error", &op.error)] {
        if let Some(text) = text {
            write!(out, ", :{name} ")?;
            write_text(out, text)?;
        }
    }
    for (name, value) in &op.extra {
        write!(out, ", :{name} ")?;
        write_value(out, value)?;
    }
    out.write_char('}')
}

/// An operation from its map. `Err` says which part is missing or wrong.
pub(super) fn op_from(value: Value) -> Result<Op, String> {
    let Value::Map(entries) = value else { return Err(format!("an operation is a map, not {value}")) };
    let mut op = Op::new(Kind::Invoke, Process::Nemesis, "", Value::Nil);
    let (mut has_kind, mut has_process, mut has_f) = (false, false, false);
    for (key, value) in entries {
        let Some(name) = key.as_str() else { return Err(format!("a part of an operation is named by a keyword, not {key}")) };
        let number = |value: &Value| {
            value.as_int().and_then(|number| u64::try_from(number).ok()).ok_or_else(|| format!(":{name} is a number from 0, not {value}"))
        };
        // Jepsen's errors are vectors at times; the text says what they say.
        let text = |value: Value| match value {
            Value::Nil => None,
            Value::Text(text) | Value::Keyword(text) => Some(text),
            other => Some(other.to_string()),
        };
        match name {
            "index" => op.index = number(&value)?,
            "time" => op.time = number(&value)?,
            "type" => {
                op.kind =
                    value.as_str().and_then(Kind::parse).ok_or_else(|| format!(":type is :invoke, :ok, :fail or :info, not {value}"))?;
                has_kind = true;
            }
            "process" => {
                op.process = if value.as_str() == Some("nemesis") { Process::Nemesis } else { Process::Client(number(&value)?) };
                has_process = true;
            }
            "f" => {
                op.f = value.as_str().ok_or_else(|| format!(":f is a keyword, not {value}"))?.to_owned();
                has_f = true;
            }
            "value" => op.value = value,
            "node" => op.node = text(value),
            "cluster" => op.cluster = text(value),
            "error" => op.error = text(value),
            other => {
                op.extra.insert(other.to_owned(), value);
            }
        }
    }
    let missing = [(has_kind, "type"), (has_process, "process"), (has_f, "f")].into_iter().find(|(has, _)| !has);
    missing.map_or(Ok(op), |(_, name)| Err(format!("an operation has no :{name}")))
}

/// Reads EDN values one after the other.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Reader<'a> {
        Reader { text, at: 0 }
    }

    /// The next value, or none at the end of the text.
    pub(super) fn next(&mut self) -> Result<Option<Value>, EdnError> {
        self.skip_blank()?;
        if self.at >= self.text.len() { Ok(None) } else { self.value(0).map(Some) }
    }
    /// Where the next value begins: blanks are passed over.
    pub(super) fn position(&mut self) -> Result<usize, EdnError> {
        self.skip_blank()?;
        Ok(self.at)
    }
    /// Passes an opening bracket if one is next: a history in one vector.
    pub(super) fn open_vector(&mut self) -> Result<bool, EdnError> {
        self.skip_blank()?;
        let opens = matches!(self.peek(), Some(b'[' | b'('));
        self.at += usize::from(opens);
        Ok(opens)
    }
    /// Passes the closing bracket if it is next.
    pub(super) fn close_vector(&mut self) -> Result<bool, EdnError> {
        self.skip_blank()?;
        let closes = matches!(self.peek(), Some(b']' | b')'));
        self.at += usize::from(closes);
        Ok(closes)
    }

    fn refuse<T>(&self, what: impl Into<String>) -> Result<T, EdnError> {
        let at = self.at.min(self.text.len());
        let line_start = self.text.as_bytes()[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        Err(EdnError { what: what.into(), at, column: at - line_start + 1 })
    }
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blank(&mut self) -> Result<(), EdnError> {
        loop {
            match self.peek() {
                Some(byte) if byte.is_ascii_whitespace() || byte == b',' => self.at += 1,
                Some(b';') => self.at += self.text[self.at..].find('\n').unwrap_or(self.text.len() - self.at),
                Some(b'#') if self.text[self.at..].starts_with("#_") => {
                    self.at += 2;
                    self.value(0)?; // what follows is commented out
                }
                _ => return Ok(()),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, EdnError> {
        self.skip_blank()?;
        if depth > DEPTH_MAX {
            return self.refuse("nested too deeply");
        }
        match self.peek() {
            None => self.refuse("the text ends inside a value"),
            Some(b'[') => self.members(b']', depth),
            Some(b'(') => self.members(b')', depth),
            Some(b'{') => self.map(depth),
            Some(b'"') => self.string(),
            Some(b'#') if self.text[self.at..].starts_with("#{") => {
                self.at += 1;
                self.members(b'}', depth)
            }
            Some(b'#') => {
                self.at += 1;
                self.token();
                self.value(depth + 1)
            }
            Some(b']' | b')' | b'}') => self.refuse("a closing bracket that nothing opened"),
            Some(b'\\') => {
                self.at += 1;
                let mut letters = self.text[self.at..].chars();
                let letter = letters.next().map(String::from).unwrap_or_default();
                self.at += letter.len();
                Ok(Value::Text(letter + self.token()))
            }
            Some(_) => self.atom(),
        }
    }

    fn members(&mut self, close: u8, depth: usize) -> Result<Value, EdnError> {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            self.skip_blank()?;
            if self.peek() == Some(close) {
                self.at += 1;
                return Ok(Value::List(members));
            }
            members.push(self.value(depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, EdnError> {
        let Value::List(flat) = self.members(b'}', depth)? else { return self.refuse("a map is not closed") };
        if flat.len() % 2 == 1 {
            return self.refuse("a map has a key without a value");
        }
        let mut entries = std::collections::BTreeMap::new();
        let mut flat = flat.into_iter();
        while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
            if entries.insert(key.clone(), value).is_some() {
                return self.refuse(format!("a map has {key} twice"));
            }
        }
        Ok(Value::Map(entries))
    }

    fn string(&mut self) -> Result<Value, EdnError> {
        self.at += 1;
        let mut text = String::new();
        let mut letters = self.text[self.at..].char_indices();
        while let Some((offset, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.at += offset + 1;
                    return Ok(Value::Text(text));
                }
                '\\' => match letters.next().map(|(_, escaped)| escaped) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(plain @ ('"' | '\\')) => text.push(plain),
                    Some('u') => {
                        let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                        match u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32) {
                            Some(letter) => text.push(letter),
                            None => return self.refuse("a text has an escape that is no letter"),
                        }
                    }
                    _ => return self.refuse("a text has an unknown escape"),
                },
                other => text.push(other),
            }
        }
        self.refuse("a text is not closed")
    }

    fn token(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.find(|letter: char| letter.is_whitespace() || ",;\"[](){}".contains(letter)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn atom(&mut self) -> Result<Value, EdnError> {
        let token = self.token();
        if let Some(name) = token.strip_prefix(':') {
            return if name.is_empty() { self.refuse("a keyword has no name") } else { Ok(Value::keyword(name)) };
        }
        let is_number = token.trim_start_matches(['+', '-']).starts_with(|letter: char| letter.is_ascii_digit());
        match token {
            "nil" => Ok(Value::Nil),
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ if is_number => Ok(token.trim_end_matches('N').parse().map_or_else(|_| Value::text(token), Value::Int)),
            symbol => Ok(Value::text(symbol)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Value>, EdnError> {
        Reader::new(text).next()
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["nil", "true", "-7", ":read", r#""a \"b\" \\ \n""#, "[1 [nil :x] []]", "{:a 1, :b {\"c\" [2]}}"] {
            assert_eq!(read(text).unwrap().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_others_write_is_read_too() {
        assert_eq!(read("#{1, 2} ; a set").unwrap(), Some(Value::list([1, 2])));
        assert_eq!(read("#jepsen.history.Op{:f :read}").unwrap().unwrap().get("f"), Some(&Value::keyword("read")));
        assert_eq!(read("#_ignored (1 2N)").unwrap(), Some(Value::list([1, 2])));
        assert_eq!(read("1.5").unwrap(), Some(Value::text("1.5")));
        assert_eq!(read("  ; nothing\n").unwrap(), None);
    }

    #[test]
    fn a_broken_text_is_refused_and_says_where() {
        for (text, what) in [
            ("[1 2", "the text ends inside a value at column 5"),
            ("{:a}", "a map has a key without a value at column 5"),
            ("\"x", "a text is not closed at column 2"),
            ("]", "a closing bracket that nothing opened at column 1"),
            ("{:a 1 :a 2}", "a map has :a twice at column 12"),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), what);
        }
        assert_eq!(read(&"[".repeat(10_000)).unwrap_err().what, "nested too deeply");
    }

    #[test]
    fn an_operation_without_its_parts_says_which() {
        let refused = |text| op_from(read(text).unwrap().unwrap()).unwrap_err();
        assert_eq!(refused("{:type :ok, :f :read}"), "an operation has no :process");
        assert_eq!(refused("{:type :done}"), ":type is :invoke, :ok, :fail or :info, not :done");
        assert_eq!(refused("[1]"), "an operation is a map, not [1]");
    }
}
