//! A call of any function that a program exports: numbers from words, and results as text.

use procbox_core::Error;
use procbox_core::{Result, printable};
use wasmtime::{ExternType, Module, Val, ValType};

/// The most parameters, and results, that a function may have that is called so.
const MOST: usize = 1000;
/// The most names that an error lists.
const LISTED: usize = 20;

/// A function of a program that is to be called, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Exported {
    pub(crate) name: String,
    pub(crate) arguments: Vec<Val>,
    pub(crate) results: usize,
}

impl Exported {
    /// The function of this name, with these words as its arguments.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none, or it takes something else.
    pub(crate) fn of(module: &Module, name: &str, words: &[String]) -> Result<Exported> {
        let refuse =
            |why: String| Error::Invalid(format!("the export `{}`: {why}", printable(name)));
        let Some(ExternType::Func(ty)) = module.get_export(name) else {
            return Err(refuse(format!("there is no such function; {}", those_of(module))));
        };
        if ty.params().len().max(ty.results().len()) > MOST {
            return Err(refuse(format!("it takes or gives more than {MOST} values")));
        }
        let is_number =
            |ty: &ValType| matches!(ty, ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64);
        if let Some(other) = ty.params().chain(ty.results()).find(|ty| !is_number(ty)) {
            return Err(refuse(format!("it takes or gives a {other}, and not numbers alone")));
        }
        if words.len() != ty.params().len() {
            let (due, given) = (ty.params().len(), words.len());
            return Err(refuse(format!("it takes {due} arguments, not {given}")));
        }
        let argument = |(ty, word): (ValType, &String)| {
            number(&ty, word).ok_or_else(|| refuse(format!("{word:?} is no {ty}")))
        };
        let arguments = ty.params().zip(words).map(argument).collect::<Result<_>>()?;
        Ok(Exported { name: name.to_string(), arguments, results: ty.results().len() })
    }
}

/// The functions that there are, in words.
fn those_of(module: &Module) -> String {
    let functions = module.exports().filter(|export| matches!(export.ty(), ExternType::Func(_)));
    let mut names: Vec<String> =
        functions.map(|export| printable(export.name()).to_string()).take(LISTED + 1).collect();
    if names.is_empty() {
        return "it exports none".into();
    }
    if names.len() > LISTED {
        names[LISTED] = "others".into();
    }
    format!("there are {}", names.join(", "))
}

/// A word as a number: decimal, or hexadecimal behind `0x`. An integer may be one without a sign.
fn number(ty: &ValType, word: &str) -> Option<Val> {
    let integer = || {
        let (sign, digits) = word.strip_prefix('-').map_or((1, word), |digits| (-1, digits));
        let value = match digits.strip_prefix("0x") {
            Some(digits) => i128::from(u64::from_str_radix(digits, 16).ok()?),
            None => i128::from(digits.parse::<u64>().ok()?),
        };
        Some(sign * value)
    };
    let within = |value: i128, bits: u32| {
        (-(1i128 << (bits - 1))..1i128 << bits).contains(&value).then_some(value)
    };
    match ty {
        ValType::I32 => within(integer()?, 32).map(|value| Val::I32(value as i32)),
        ValType::I64 => within(integer()?, 64).map(|value| Val::I64(value as i64)),
        ValType::F32 => word.parse::<f32>().ok().map(|value| Val::F32(value.to_bits())),
        ValType::F64 => word.parse::<f64>().ok().map(|value| Val::F64(value.to_bits())),
        _ => None,
    }
}

/// Results as they are printed: a line for each.
pub(crate) fn lines(results: &[Val]) -> String {
    let line = |value: &Val| match value {
        Val::I32(value) => format!("{value}\n"),
        Val::I64(value) => format!("{value}\n"),
        Val::F32(bits) => format!("{}\n", f32::from_bits(*bits)),
        Val::F64(bits) => format!("{}\n", f64::from_bits(*bits)),
        // There are none: the function was looked at.
        _ => String::from("?\n"),
    };
    results.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_numbers_of_their_type_or_none() {
        let i32_of = |word: &str| number(&ValType::I32, word).map(|value| value.unwrap_i32());
        for (word, value) in [("7", 7), ("-7", -7), ("0x10", 16), ("4294967295", -1)] {
            assert_eq!(i32_of(word), Some(value), "{word}");
        }
        for word in ["", "-", "7.5", "4294967296", "-2147483649", "0x", "x", "--1", "+-1", "1 "] {
            assert_eq!(i32_of(word), None, "{word}");
        }
        let i64_of = |word: &str| number(&ValType::I64, word).map(|value| value.unwrap_i64());
        assert_eq!(i64_of("18446744073709551615"), Some(-1));
        assert_eq!(i64_of("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(i64_of("-9223372036854775809"), None);
        let f64_of = |word: &str| number(&ValType::F64, word).map(|value| value.unwrap_f64());
        assert_eq!((f64_of("-0.5e3"), f64_of("inf")), (Some(-500.0), Some(f64::INFINITY)));
        assert_eq!(f64_of("one"), None);
        assert!(number(&ValType::V128, "1").is_none());
    }

    #[test]
    fn results_are_lines() {
        let results =
            [Val::I32(-1), Val::I64(5), Val::F32(0.5f32.to_bits()), Val::F64(2f64.to_bits())];
        assert_eq!(lines(&results), "-1\n5\n0.5\n2\n");
    }
}
