//! Functions and blocks that can be no worker, and what the compiler says about each: another
//! process calls a worker, by name, with arguments that it decodes.

use quote::ToTokens;
use syn::{
    Error, FnArg, GenericArgument, ImplItem, ImplItemFn, ItemImpl, PathArguments, Result,
    Signature, Type,
};

/// The most arguments that a worker takes: as many as `Args` of the core is written for.
const MOST: usize = 8;

fn refuse<T>(at: impl ToTokens, why: &str) -> Result<T> {
    Err(Error::new_spanned(at, why))
}

/// Refuses what cannot be called from another process.
pub(crate) fn signature(signature: &Signature) -> Result<()> {
    if let Some(parameter) = signature.generics.params.first() {
        return refuse(
            parameter,
            "a worker has no type parameters or lifetimes: another process calls it",
        );
    }
    if let Some(asyncness) = &signature.asyncness {
        return refuse(asyncness, "a worker is not async: it has a process of its own");
    }
    if let Some(unsafety) = &signature.unsafety {
        return refuse(unsafety, "a worker is not unsafe: whoever knows its name may start it");
    }
    if let Some(abi) = &signature.abi {
        return refuse(abi, "a worker is a plain Rust function");
    }
    Ok(())
}

/// The types of a function's arguments; refuses those that cannot come from another process.
pub(crate) fn arguments(signature: &Signature) -> Result<Vec<Type>> {
    if let Some(more) = signature.inputs.iter().nth(MOST) {
        return refuse(more, "a worker takes at most 8 arguments: put some of them into a struct");
    }
    let argument = |input: &FnArg| match input {
        FnArg::Typed(typed) => {
            owned(&typed.ty)?;
            Ok((*typed.ty).clone())
        }
        FnArg::Receiver(receiver) => {
            refuse(receiver, "for a struct, put #[worker] on its `impl` with a `run`")
        }
    };
    signature.inputs.iter().map(argument).collect()
}

/// Refuses references, alone or within another type, and types that stand for many.
fn owned(ty: &Type) -> Result<()> {
    match ty {
        Type::Reference(_) => refuse(
            ty,
            "a worker owns its arguments, they come from another process: \
             take a `String` for a `&str`, a `Vec<T>` for a `&[T]`, a `T` for a `&T`",
        ),
        Type::ImplTrait(_) => {
            refuse(ty, "a worker has no type parameters: name the type that it takes")
        }
        Type::Path(path) => {
            for segment in &path.path.segments {
                let PathArguments::AngleBracketed(generic) = &segment.arguments else { continue };
                for argument in &generic.args {
                    if let GenericArgument::Type(inner) = argument {
                        owned(inner)?;
                    }
                }
            }
            Ok(())
        }
        Type::Tuple(tuple) => tuple.elems.iter().try_for_each(owned),
        Type::Array(array) => owned(&array.elem),
        Type::Paren(paren) => owned(&paren.elem),
        _ => Ok(()),
    }
}

/// The `run` of a block that makes its struct a worker.
pub(crate) fn block(block: &ItemImpl) -> Result<&ImplItemFn> {
    if let Some((_, path, _)) = &block.trait_ {
        return refuse(path, "#[worker] goes on the struct's own `impl`, not on one of a trait");
    }
    if let Some(parameter) = block.generics.params.first() {
        return refuse(
            parameter,
            "a worker has no type parameters or lifetimes: another process calls it",
        );
    }
    let run = block.items.iter().find_map(|item| match item {
        ImplItem::Fn(function) if function.sig.ident == "run" => Some(function),
        _ => None,
    });
    let Some(run) = run else {
        return refuse(&block.self_ty, "an `impl` with #[worker] has a `fn run(self)`");
    };
    signature(&run.sig)?;
    let mut inputs = run.sig.inputs.iter();
    if !matches!(inputs.next(), Some(FnArg::Receiver(_))) {
        return refuse(&run.sig, "`run` takes the struct: `fn run(self)`");
    }
    match inputs.next() {
        None => Ok(run),
        Some(more) => {
            refuse(more, "`run` takes `self` alone: the struct's fields are its arguments")
        }
    }
}
