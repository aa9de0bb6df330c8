//! `#[worker]` of procbox-guest, which re-exports and documents it.

mod attribute;
mod check;

use attribute::Options;
use proc_macro2::{Span, TokenStream};
use procbox_abi::{Line, SECTION, WORKER_PREFIX};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, ItemFn, ItemImpl, Path, Result, ReturnType, Type};

/// The attribute; `procbox_guest::worker` documents it.
#[proc_macro_attribute]
pub fn worker(
    attribute: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let place = attribute::place(proc_macro::Span::call_site());
    expand(attribute.into(), item.into(), place).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(attribute: TokenStream, item: TokenStream, place: String) -> Result<TokenStream> {
    let options = Options::parse(attribute)?;
    match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => expand_function(function, options, &place),
        Err(_) => match syn::parse2::<ItemImpl>(item.clone()) {
            Ok(block) => expand_struct(block, options, &place),
            Err(_) => Err(Error::new(
                item.span(),
                "#[worker] goes on a function, or on an `impl` with a `run`",
            )),
        },
    }
}

/// The function becomes a constant of the same name, which still can be called.
///
/// What is written around the user's code has names that the user's code has not: it sees them.
fn expand_function(function: ItemFn, options: Options, place: &str) -> Result<TokenStream> {
    let signature = &function.sig;
    check::signature(signature)?;
    let types = check::arguments(signature)?;
    let (name, guest) = (&signature.ident, options.guest()?);
    let visibility = &function.vis;
    let docs = function.attrs.iter().filter(|a| a.path().is_ident("doc"));
    let names: Vec<_> = (0..types.len()).map(|i| format_ident!("__procbox_{i}")).collect();
    let output = match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    };
    let result = result_of(&signature.output, &guest);
    let end = end(&signature.output, &guest, quote!(__procbox_function(#(#names),*)));
    let mut inner = function.clone();
    inner.vis = syn::Visibility::Inherited;
    // Under another name, so that the body can start the worker that it is.
    inner.sig.ident = format_ident!("__procbox_function");
    let known = Known::new(&options, &name.unraw().to_string(), place);
    let about = known.about(&signature.to_token_stream_string());
    let (identity, registration) = (known.identity(), known.registration(&guest, &about));
    Ok(quote! {
        #(#docs)*
        #[allow(non_upper_case_globals, reason = "it stands for the function of this name")]
        #visibility const #name: #guest::Worker<(#(#types,)*), #result, fn(#(#types),*) -> #output> = {
            #inner
            const _: () = {
                fn __procbox_call(
                    __procbox_call: #guest::runner::Call<'_>,
                    __procbox_result: &mut #guest::raw::Message,
                ) -> #guest::runner::Outcome {
                    let (#(#names,)*): (#(#types,)*) = __procbox_call.arguments()?;
                    #end
                }
                #registration
            };
            #guest::Worker::new(#identity, __procbox_function)
        };
    })
}

trait TokenText {
    fn to_token_stream_string(&self) -> String;
}

impl TokenText for syn::Signature {
    fn to_token_stream_string(&self) -> String {
        quote!(#self).to_string()
    }
}

/// The block stays; its type becomes `Runnable`.
fn expand_struct(block: ItemImpl, options: Options, place: &str) -> Result<TokenStream> {
    let run = check::block(&block)?;
    let Type::Path(path) = &*block.self_ty else {
        return Err(Error::new(
            block.self_ty.span(),
            "#[worker] goes on the `impl` of a named struct",
        ));
    };
    let Some(last) = path.path.segments.last() else {
        return Err(Error::new(path.span(), "#[worker] goes on the `impl` of a named struct"));
    };
    let (ty, guest) = (&block.self_ty, options.guest()?);
    let end = end(&run.sig.output, &guest, quote!(__procbox_this.run()));
    let known = Known::new(&options, &last.ident.unraw().to_string(), place);
    let about = known.about(&format!("::{}", run.sig.to_token_stream_string()));
    let (identity, registration) = (known.identity(), known.registration(&guest, &about));
    Ok(quote! {
        #block
        impl #guest::Runnable for #ty {
            const NAME: &'static str = #identity;
        }
        const _: () = {
            fn __procbox_call(
                __procbox_call: #guest::runner::Call<'_>,
                __procbox_result: &mut #guest::raw::Message,
            ) -> #guest::runner::Outcome {
                let (__procbox_this,): (#ty,) = __procbox_call.arguments()?;
                #end
            }
            #registration
        };
    })
}

/// Where the compiler is to complain about a type: where it stands, with names as they are here.
fn at(ty: &Type) -> Span {
    ty.span().resolved_at(Span::call_site())
}

/// Whether the type is spelled as a `Result`. What it then is, the compiler finds out.
fn is_spelled_result(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result"))
}

/// The type that whoever starts a worker is given on its success: what is in the `Ok` of a `Result`,
/// else what the worker returns.
fn result_of(output: &ReturnType, guest: &Path) -> TokenStream {
    match output {
        ReturnType::Type(_, ty) if is_spelled_result(ty) => {
            quote_spanned!(at(ty)=> <#ty as #guest::runner::Fallible>::Value)
        }
        ReturnType::Type(_, ty) if !matches!(**ty, Type::Never(_)) => quote!(#ty),
        _ => quote!(()),
    }
}

/// Calls the worker and makes an outcome of what it returns. An `Err` fails, however it is spelled.
fn end(output: &ReturnType, guest: &Path, call: TokenStream) -> TokenStream {
    match output {
        ReturnType::Type(_, ty) if is_spelled_result(ty) => {
            quote_spanned!(at(ty)=> #guest::runner::end_of_result(#call, __procbox_result))
        }
        ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)) => call,
        ReturnType::Default => quote!(#guest::runner::end_of(#call, __procbox_result)),
        ReturnType::Type(_, ty) => quote_spanned! {at(ty)=> {
            #[allow(unused_imports, reason = "one of the two applies")]
            use #guest::runner::{EndsAsResult as _, EndsAsValue as _};
            let __procbox_value = #call;
            (&#guest::runner::Ended::of(&__procbox_value)).how().end(__procbox_value, __procbox_result)
        }},
    }
}

/// A worker as the program's file says it.
struct Known {
    name: String,
    /// Whether the name is the full one.
    is_full: bool,
    place: String,
}

impl Known {
    fn new(options: &Options, written: &str, place: &str) -> Known {
        let given = options.name.clone();
        let (is_full, place) = (given.is_some(), place.to_string());
        Known { name: given.unwrap_or_else(|| written.to_string()), is_full, place }
    }

    /// What it is started by: the full name and the place. The module is known to the compiler alone.
    fn identity(&self) -> TokenStream {
        let Known { name, is_full, place } = self;
        if *is_full {
            let identity = format!("{name}@{place}");
            quote!(#identity)
        } else {
            let rest = format!("::{name}@{place}");
            quote!(::core::concat!(::core::module_path!(), #rest))
        }
    }

    /// The signature as a person reads it: under the worker's name.
    fn about(&self, signature: &str) -> String {
        let text = readable(signature);
        match text.split_once("fn ") {
            // Behind a struct's name comes that of its function.
            Some(("::", after)) => format!("{}::{after}", self.name),
            _ => match text.find('(') {
                Some(at) => format!("{}{}", self.name, &text[at..]),
                None => self.name.clone(),
            },
        }
    }

    /// Makes a worker known: by an export and a custom section in WebAssembly, by a linked list of
    /// entries and a section of the same name natively.
    fn registration(&self, guest: &Path, signature: &str) -> TokenStream {
        let identity = self.identity();
        // The line without the name, which only the compiler knows whole.
        let rest = Line { name: "", signature: Some(signature) }.to_string();
        quote! {
            const __PROCBOX_IDENTITY: &str = #identity;
            const __PROCBOX_LINE: &str = ::core::concat!(#identity, #rest);

            #[used]
            #[unsafe(link_section = #SECTION)]
            static __PROCBOX_ABOUT: [u8; __PROCBOX_LINE.len()] =
                *__PROCBOX_LINE.as_bytes().first_chunk().unwrap();

            #[cfg(target_arch = "wasm32")]
            const _: () = {
                #[unsafe(export_name = ::core::concat!(#WORKER_PREFIX, #identity))]
                extern "C" fn __procbox_export(mode: i32) -> i32 {
                    #guest::sandbox::enter(mode, __procbox_call)
                }
                #guest::sandbox::inventory::submit! {
                    #guest::sandbox::Registered { name: __PROCBOX_IDENTITY, function: __procbox_call }
                }
            };

            #[cfg(target_os = "linux")]
            const _: () = {
                #[#guest::native::linkme::distributed_slice(#guest::native::WORKERS)]
                #[linkme(crate = #guest::native::linkme)]
                static __PROCBOX_ENTRY: #guest::native::WorkerEntry = #guest::native::WorkerEntry {
                    name: __PROCBOX_IDENTITY,
                    about: &__PROCBOX_ABOUT,
                    function: __procbox_call,
                };
            };
        }
    }
}

/// Tokens come with spaces between them; this takes out those that nobody would write.
fn readable(signature: &str) -> String {
    let mut text = signature.replace('\n', " ");
    for (from, to) in [
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        (" ,", ","),
        (" :", ":"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        ("->", " ->"),
        ("  ", " "),
        (" ::", "::"),
        (":: ", "::"),
        ("& ", "&"),
    ] {
        text = text.replace(from, to);
    }
    text
}
