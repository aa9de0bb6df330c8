//! Values of the types that a worker's signature names: from words of the command line, and to print.

use procbox::{Bytes, Error, Result};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::fmt;
use std::io::Write;
use std::sync::OnceLock;

/// A type that can be written on a command line.
#[derive(Clone, Debug, PartialEq)]
enum Type {
    Unit,
    Bool,
    Unsigned(u8),
    Signed(u8),
    Float(u8),
    Char,
    Text,
    Bytes,
    List(Box<Type>),
    Maybe(Box<Type>),
    Tuple(Vec<Type>),
    Map(Box<Type>, Box<Type>),
}

/// How deep types may be in each other.
const DEEPEST: usize = 16;

impl Type {
    /// The type of this name; `None` for one that has no text, such as a queue.
    fn of(text: &str, depth: usize) -> Option<Type> {
        if depth > DEEPEST {
            return None;
        }
        let text = text.trim();
        if let Some(parts) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
            let parts = split(parts).into_iter().map(|part| Type::of(part, depth + 1));
            let parts: Vec<Type> = parts.collect::<Option<_>>()?;
            return Some(if parts.is_empty() { Type::Unit } else { Type::Tuple(parts) });
        }
        let (name, of) = match text.split_once('<') {
            Some((name, of)) => (name, split(of.strip_suffix('>')?)),
            None => (text, Vec::new()),
        };
        let inner = |at: usize| Type::of(of.get(at)?, depth + 1).map(Box::new);
        Some(match name.rsplit("::").next()?.trim() {
            "bool" => Type::Bool,
            "u8" => Type::Unsigned(8),
            "u16" => Type::Unsigned(16),
            "u32" => Type::Unsigned(32),
            "u64" | "usize" => Type::Unsigned(64),
            "i8" => Type::Signed(8),
            "i16" => Type::Signed(16),
            "i32" => Type::Signed(32),
            "i64" | "isize" => Type::Signed(64),
            "f32" => Type::Float(32),
            "f64" => Type::Float(64),
            "char" => Type::Char,
            "String" => Type::Text,
            "Bytes" => Type::Bytes,
            "Vec" | "VecDeque" | "HashSet" | "BTreeSet" => Type::List(inner(0)?),
            "Option" => Type::Maybe(inner(0)?),
            "Box" => return inner(0).map(|inner| *inner),
            "HashMap" | "BTreeMap" => Type::Map(inner(0)?, inner(1)?),
            _ => return None,
        })
    }
}

/// The parts of a list of types or parameters.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// What a worker takes and gives, as far as a command line can say it.
pub(crate) struct Signature {
    text: String,
    parameters: Vec<(String, Type)>,
    result: Type,
}

impl Signature {
    /// # Errors
    /// [`Error::Invalid`], which names what cannot be written.
    pub(crate) fn parse(text: &str) -> Result<Signature> {
        let refuse = |what: &str| {
            Error::Invalid(format!("--invoke: {text}: {what} cannot be written on a command line"))
        };
        let (head, result) = match text.rsplit_once("->") {
            Some((head, result)) if head.trim_end().ends_with(')') => (head.trim(), result.trim()),
            _ => (text.trim(), "()"),
        };
        let parameters = head.split_once('(').and_then(|(_, list)| list.strip_suffix(')'));
        let parameter = |part: &str| {
            let (name, of) = part.split_once(':').ok_or_else(|| refuse(part.trim()))?;
            let parsed = Type::of(of, 0).ok_or_else(|| refuse(&format!("`{}`", of.trim())))?;
            Ok((name.trim().to_string(), parsed))
        };
        let parameters = split(parameters.ok_or_else(|| refuse("it"))?);
        let parameters = parameters.into_iter().map(parameter).collect::<Result<_>>()?;
        // An error is no result: it is said and fails the run.
        let is_result = result.split('<').next().is_some_and(|name| {
            name.rsplit("::").next().is_some_and(|last| last.trim() == "Result")
        });
        let value = match result.split_once('<').and_then(|(_, of)| of.strip_suffix('>')) {
            Some(of) if is_result => split(of).first().copied().unwrap_or("()"),
            _ => result,
        };
        let result = Type::of(value, 0).ok_or_else(|| refuse(&format!("the result `{value}`")))?;
        Ok(Signature { text: text.to_string(), parameters, result })
    }

    /// The words as arguments.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of them, and for one that is no value of its type.
    pub(crate) fn arguments(&self, words: &[String]) -> Result<Arguments> {
        if words.len() != self.parameters.len() {
            let (due, given) = (self.parameters.len(), words.len());
            let text = &self.text;
            return Err(Error::Invalid(format!(
                "--invoke: {text} takes {due} arguments, not {given}"
            )));
        }
        let typed = |((name, of), word): (&(String, Type), &String)| {
            let value = value(of, word).and_then(|value| {
                let typed = Typed(of.clone(), value);
                // Whether it is in range.
                procbox::backend::Message::of(&typed).ok().map(|_| typed)
            });
            let text = &self.text;
            value.ok_or_else(|| Error::Invalid(format!("--invoke: {text}: {name}: not {word:?}")))
        };
        self.parameters.iter().zip(words).map(typed).collect::<Result<_>>().map(Arguments)
    }

    /// Has [`Answer`] be of this result's type. One run of the command invokes one worker.
    pub(crate) fn expect(&self) {
        let _ = RESULT.set(self.result.clone());
    }
}

/// A word as a value: a text as it is, all else as JSON.
fn value(of: &Type, word: &str) -> Option<Value> {
    match of {
        Type::Text | Type::Bytes | Type::Char => Some(Value::from(word)),
        Type::Maybe(of) if word != "null" => value(of, word),
        _ => serde_json::from_str(word).ok(),
    }
}

/// The arguments of a worker, as a tuple.
pub(crate) struct Arguments(Vec<Typed>);

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        let mut tuple = s.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|typed| tuple.serialize_element(typed))?;
        tuple.end()
    }
}

struct Typed(Type, Value);

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        let Typed(of, value) = self;
        let wrong = || S::Error::custom("not of this type");
        let unsigned = || value.as_u64().ok_or_else(wrong);
        let signed = || value.as_i64().ok_or_else(wrong);
        let text = || value.as_str().ok_or_else(wrong);
        let items = || value.as_array().ok_or_else(wrong);
        match of {
            Type::Unit if value.is_null() => s.serialize_unit(),
            Type::Unit => Err(wrong()),
            Type::Bool => s.serialize_bool(value.as_bool().ok_or_else(wrong)?),
            Type::Unsigned(8) => s.serialize_u8(unsigned()?.try_into().map_err(|_| wrong())?),
            Type::Unsigned(16) => s.serialize_u16(unsigned()?.try_into().map_err(|_| wrong())?),
            Type::Unsigned(32) => s.serialize_u32(unsigned()?.try_into().map_err(|_| wrong())?),
            Type::Unsigned(_) => s.serialize_u64(unsigned()?),
            Type::Signed(8) => s.serialize_i8(signed()?.try_into().map_err(|_| wrong())?),
            Type::Signed(16) => s.serialize_i16(signed()?.try_into().map_err(|_| wrong())?),
            Type::Signed(32) => s.serialize_i32(signed()?.try_into().map_err(|_| wrong())?),
            Type::Signed(_) => s.serialize_i64(signed()?),
            Type::Float(32) => s.serialize_f32(value.as_f64().ok_or_else(wrong)? as f32),
            Type::Float(_) => s.serialize_f64(value.as_f64().ok_or_else(wrong)?),
            Type::Char => {
                let mut chars = text()?.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => s.serialize_char(c),
                    _ => Err(wrong()),
                }
            }
            Type::Text => s.serialize_str(text()?),
            Type::Bytes => s.serialize_bytes(text()?.as_bytes()),
            Type::List(of) => {
                s.collect_seq(items()?.iter().map(|v| Typed((**of).clone(), v.clone())))
            }
            Type::Maybe(_) if value.is_null() => s.serialize_none(),
            Type::Maybe(of) => s.serialize_some(&Typed((**of).clone(), value.clone())),
            Type::Tuple(parts) => {
                let items = items()?;
                if items.len() != parts.len() {
                    return Err(wrong());
                }
                let typed = parts.iter().zip(items).map(|(of, v)| Typed(of.clone(), v.clone()));
                Arguments(typed.collect()).serialize(s)
            }
            Type::Map(key, of) => {
                let pairs = value.as_object().ok_or_else(wrong)?.iter().map(|(k, v)| {
                    let at = self::value(key, k).ok_or_else(wrong)?;
                    Ok((Typed((**key).clone(), at), Typed((**of).clone(), v.clone())))
                });
                s.collect_map(pairs.collect::<std::result::Result<Vec<_>, _>>()?)
            }
        }
    }
}

static RESULT: OnceLock<Type> = OnceLock::new();

/// What a worker came to, of the type that its signature names.
pub(crate) struct Answer(Value);

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Answer, D::Error> {
        RESULT.get().unwrap_or(&Type::Unit).deserialize(d).map(Answer)
    }
}

impl Answer {
    /// Prints it: a text as it is, nothing for nothing, all else as JSON.
    ///
    /// # Errors
    /// Those of writing.
    pub(crate) fn print(&self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        let Answer(value) = self;
        match (RESULT.get().unwrap_or(&Type::Unit), value) {
            (Type::Unit, _) => Ok(()),
            (Type::Text | Type::Char, Value::String(text)) => {
                out.write_all(text.as_bytes())?;
                out.write_all(if text.ends_with('\n') { b"" } else { b"\n" })
            }
            (_, value) => writeln!(out, "{value}"),
        }
    }
}

impl<'de> DeserializeSeed<'de> for &Type {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> std::result::Result<Value, D::Error> {
        Ok(match self {
            Type::Unit => <()>::deserialize(d)?.into(),
            Type::Bool => bool::deserialize(d)?.into(),
            Type::Unsigned(8) => u8::deserialize(d)?.into(),
            Type::Unsigned(16) => u16::deserialize(d)?.into(),
            Type::Unsigned(32) => u32::deserialize(d)?.into(),
            Type::Unsigned(_) => u64::deserialize(d)?.into(),
            Type::Signed(8) => i8::deserialize(d)?.into(),
            Type::Signed(16) => i16::deserialize(d)?.into(),
            Type::Signed(32) => i32::deserialize(d)?.into(),
            Type::Signed(_) => i64::deserialize(d)?.into(),
            Type::Float(32) => f32::deserialize(d)?.into(),
            Type::Float(_) => f64::deserialize(d)?.into(),
            Type::Char => char::deserialize(d)?.to_string().into(),
            Type::Text => String::deserialize(d)?.into(),
            Type::Bytes => String::from_utf8_lossy(&Bytes::deserialize(d)?).into_owned().into(),
            Type::List(_) => return d.deserialize_seq(self),
            Type::Maybe(_) => return d.deserialize_option(self),
            Type::Tuple(parts) => return d.deserialize_tuple(parts.len(), self),
            Type::Map(..) => return d.deserialize_map(self),
        })
    }
}

impl<'de> Visitor<'de> for &Type {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {self:?}")
    }

    fn visit_none<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> std::result::Result<Value, D::Error> {
        match self {
            Type::Maybe(of) => of.deserialize(d),
            of => of.deserialize(d),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            let of = match self {
                Type::List(of) => of,
                Type::Tuple(parts) => match parts.get(values.len()) {
                    Some(of) => of,
                    None => break,
                },
                _ => break,
            };
            match items.next_element_seed(of)? {
                Some(value) => values.push(value),
                None => break,
            }
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> std::result::Result<Value, A::Error> {
        let mut map = Map::new();
        if let Type::Map(key, of) = self {
            while let Some((key, value)) = pairs.next_entry_seed(&**key, &**of)? {
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_string);
                map.insert(key, value);
            }
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use procbox::backend::Message;

    fn bytes(signature: &str, words: &[&str]) -> Result<Vec<u8>> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        Message::of(&Signature::parse(signature)?.arguments(&words)?).map(|m| m.bytes)
    }

    #[test]
    fn words_become_what_the_signature_says() {
        let all =
            "f(a: u32, b: String, c: Vec<i64>, d: Option<bool>, e: (f64, char), g: Bytes,) -> u8";
        let words = ["7", "7", "[1,-2]", "true", "[1.5,\"x\"]", "raw"];
        let due = (7u32, "7", vec![1i64, -2], Some(true), (1.5f64, 'x'), Bytes(b"raw".to_vec()));
        assert_eq!(bytes(all, &words), Message::of(&due).map(|m| m.bytes));
        let map = "f(m: std::collections::BTreeMap<String, u8>) -> Result<()>";
        let due = std::collections::BTreeMap::from([("a".to_string(), 1u8)]);
        assert_eq!(bytes(map, &[r#"{"a":1}"#]), Message::of(&(due,)).map(|m| m.bytes));
    }

    #[test]
    fn what_is_no_such_value_is_refused() {
        for (signature, words) in [
            ("f(a: u8)", &["256"][..]),
            ("f(a: u8)", &["-1"]),
            ("f(a: u8)", &["x"]),
            ("f(a: u8)", &[]),
            ("f(a: u8)", &["1", "2"]),
            ("f(c: char)", &["ab"]),
            ("f(a: (u8, u8))", &["[1]"]),
            ("f(q: Queue<u32>)", &["1"]),
            ("f() -> Queue<u32>", &[]),
            ("f(a: Mine)", &["1"]),
            ("no signature", &[]),
        ] {
            assert!(
                matches!(bytes(signature, words), Err(Error::Invalid(_))),
                "{signature} {words:?}"
            );
        }
        let deep = format!("f(a: {}u8{})", "Vec<".repeat(1000), ">".repeat(1000));
        assert!(bytes(&deep, &["1"]).is_err());
    }

    #[test]
    fn results_are_read_by_their_types() {
        let read = |text: &str, message: Message| -> Value {
            struct As(Value);
            static OF: OnceLock<Type> = OnceLock::new();
            impl<'de> Deserialize<'de> for As {
                fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<As, D::Error> {
                    OF.get().unwrap().deserialize(d).map(As)
                }
            }
            OF.set(Signature::parse(text).unwrap().result).unwrap();
            message.value::<As>().unwrap().0
        };
        let value = (1u64, vec![Some("a".to_string()), None], -3i32);
        let text = "f() -> anyhow::Result<(u64, Vec<Option<String>>, i32)>";
        assert_eq!(
            read(text, Message::of(&value).unwrap()),
            serde_json::json!([1, ["a", null], -3])
        );
    }
}
