//! `#[worker]` of procbox-guest, which re-exports and documents it.

mod check;

use proc_macro2::{Literal, TokenStream};
use procbox_abi::{Line, SECTION, WORKER_PREFIX};
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, GenericArgument, ItemFn, ItemImpl, PathArguments, Result, ReturnType, Type};

/// The attribute; `procbox_guest::worker` documents it.
#[proc_macro_attribute]
pub fn worker(
    attribute: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand(attribute.into(), item.into()).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !attribute.is_empty() {
        return Err(Error::new(attribute.span(), "#[worker] takes no arguments"));
    }
    match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => expand_function(function),
        Err(_) => match syn::parse2::<ItemImpl>(item.clone()) {
            Ok(block) => expand_struct(block),
            Err(_) => Err(Error::new(
                item.span(),
                "#[worker] goes on a function, or on an `impl` with a `run`",
            )),
        },
    }
}

/// The function becomes a constant of the same name, which still can be called.
fn expand_function(function: ItemFn) -> Result<TokenStream> {
    let signature = &function.sig;
    check::signature(signature)?;
    let types = check::arguments(signature)?;
    let name = &signature.ident;
    let text = name.to_string();
    let visibility = &function.vis;
    let docs = function.attrs.iter().filter(|a| a.path().is_ident("doc"));
    let names: Vec<_> = (0..types.len()).map(|i| format_ident!("a{i}")).collect();
    let output = match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    };
    let (result, end) = result_of(&signature.output);
    let mut inner = function.clone();
    inner.vis = syn::Visibility::Inherited;
    // Under another name, so that the body can start the worker that it is.
    inner.sig.ident = format_ident!("function");
    let registration = registration(&text, &about(&text, signature.to_token_stream_string()));
    Ok(quote! {
        #(#docs)*
        #[allow(non_upper_case_globals, reason = "it stands for the function of this name")]
        #visibility const #name: ::procbox_guest::Worker<(#(#types,)*), #result, fn(#(#types),*) -> #output> = {
            #inner
            fn call(
                call: ::procbox_guest::runner::Call<'_>,
                result: &mut ::procbox_guest::raw::Message,
            ) -> ::procbox_guest::runner::Outcome {
                let (#(#names,)*): (#(#types,)*) = call.arguments()?;
                #end(function(#(#names),*), result)
            }
            #registration
            ::procbox_guest::Worker::new(#text, function)
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
fn expand_struct(block: ItemImpl) -> Result<TokenStream> {
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
    let (ty, text) = (&block.self_ty, last.ident.to_string());
    let (_, end) = result_of(&run.sig.output);
    let registration = registration(&text, &about(&text, run.sig.to_token_stream_string()));
    Ok(quote! {
        #block
        impl ::procbox_guest::Runnable for #ty {
            const NAME: &'static str = #text;
        }
        const _: () = {
            fn call(
                call: ::procbox_guest::runner::Call<'_>,
                result: &mut ::procbox_guest::raw::Message,
            ) -> ::procbox_guest::runner::Outcome {
                let (this,): (#ty,) = call.arguments()?;
                #end(this.run(), result)
            }
            #registration
        };
    })
}

/// The type that a worker gives on success, and the function that makes an outcome of what it returns.
///
/// A type that is called `Result` is taken for one.
fn result_of(output: &ReturnType) -> (TokenStream, TokenStream) {
    let plain = quote!(::procbox_guest::runner::end_of);
    let ReturnType::Type(_, ty) = output else { return (quote!(()), plain) };
    if let Type::Path(path) = &**ty
        && let Some(last) = path.path.segments.last()
        && last.ident == "Result"
    {
        let ok = match &last.arguments {
            PathArguments::AngleBracketed(args) => args.args.iter().find_map(|arg| match arg {
                GenericArgument::Type(ty) => Some(quote!(#ty)),
                _ => None,
            }),
            _ => None,
        };
        return (ok.unwrap_or(quote!(())), quote!(::procbox_guest::runner::end_of_result));
    }
    (quote!(#ty), plain)
}

/// The line that describes a worker in the program's file.
fn about(name: &str, signature: String) -> String {
    // Tokens come with spaces between them; this takes out those that nobody would write.
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
    Line { name, signature: Some(text.trim_start_matches("fn ")) }.to_string()
}

/// Makes a worker known: by an export and a custom section in WebAssembly, by a linked list of
/// entries and a section of the same name natively.
fn registration(name: &str, about: &str) -> TokenStream {
    let export = format!("{WORKER_PREFIX}{name}");
    let length = about.len();
    let about = Literal::byte_string(about.as_bytes());
    quote! {
        #[used]
        #[unsafe(link_section = #SECTION)]
        static ABOUT: [u8; #length] = *#about;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[unsafe(export_name = #export)]
            extern "C" fn export(mode: i32) -> i32 {
                ::procbox_guest::sandbox::enter(mode, call)
            }
            ::procbox_guest::sandbox::inventory::submit! {
                ::procbox_guest::sandbox::Registered { name: #name, function: call }
            }
        };

        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            #[::procbox_guest::native::linkme::distributed_slice(::procbox_guest::native::WORKERS)]
            #[linkme(crate = ::procbox_guest::native::linkme)]
            static ENTRY: ::procbox_guest::native::WorkerEntry = ::procbox_guest::native::WorkerEntry {
                name: #name,
                about: &ABOUT,
                function: call,
            };
        };
    }
}
