//! What stands in `#[worker(...)]`, and where the attribute stands.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::TokenStream;
use quote::format_ident;
use std::path::Path as FilePath;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{Error, LitStr, Path, Result, parse_quote};

/// The options of one attribute.
#[derive(Default)]
pub(crate) struct Options {
    /// The whole name, in place of module and function.
    pub(crate) name: Option<String>,
    /// Where procbox-guest is.
    guest: Option<Path>,
}

impl Options {
    pub(crate) fn parse(attribute: TokenStream) -> Result<Options> {
        let mut options = Options::default();
        let parser = syn::meta::parser(|meta| options.take(&meta));
        parser.parse2(attribute)?;
        Ok(options)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let again = || meta.error("it is said twice");
        if meta.path.is_ident("name") {
            let text: LitStr = meta.value()?.parse()?;
            let name = checked(&text)?;
            return if self.name.replace(name).is_some() { Err(again()) } else { Ok(()) };
        }
        if meta.path.is_ident("crate") {
            let value = meta.value()?;
            let path = if value.peek(LitStr) {
                value.parse::<LitStr>()?.parse_with(Path::parse_mod_style)?
            } else {
                value.call(Path::parse_mod_style)?
            };
            return if self.guest.replace(path).is_some() { Err(again()) } else { Ok(()) };
        }
        Err(meta.error("#[worker] takes `name = \"...\"` and `crate = \"...\"`"))
    }

    /// The path of procbox-guest: as the attribute says, or as the package's manifest calls it.
    pub(crate) fn guest(&self) -> Result<Path> {
        if let Some(path) = &self.guest {
            return Ok(path.clone());
        }
        Ok(match crate_name("procbox-guest") {
            Ok(FoundCrate::Name(name)) => {
                let name = format_ident!("{name}");
                parse_quote!(::#name)
            }
            // Its own tests and examples; or a manifest that cannot be read, or has no such line
            // because a library passes it on: the compiler then says what is missing.
            Ok(FoundCrate::Itself) | Err(_) => parse_quote!(::procbox_guest),
        })
    }
}

/// A name that can be told from the others': it stands in an export, in a line and in a command.
fn checked(text: &LitStr) -> Result<String> {
    let name = text.value();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || !name.chars().all(fits) {
        let why = "a worker's name is of letters, digits, `_`, `-` and `.`";
        return Err(Error::new(text.span(), why));
    }
    Ok(name)
}

/// The place of an attribute, which sets apart what has one name: the package's version, the file
/// within the package, line and column. No folder of the machine is in it.
pub(crate) fn place(span: proc_macro::Span) -> String {
    let file = span.file();
    let path = FilePath::new(&file);
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let within = match path.strip_prefix(&package) {
        Ok(within) => within,
        Err(_) if path.is_absolute() => FilePath::new(path.file_name().unwrap_or_default()),
        Err(_) => path,
    };
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    // Linkers read exports from a command line, and people read them here.
    let odd =
        |c: char| if c.is_whitespace() || matches!(c, '\\' | '@' | ',' | '"') { '/' } else { c };
    let within: String = within.to_string_lossy().chars().map(odd).collect();
    format!("{version}/{within}:{}:{}", span.line(), span.column())
}
