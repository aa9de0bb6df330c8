//! Functions of the embedding program's as imports: which closures can be one, and how one is called.

use super::{Failed, Guest};
use crate::check::Letters;
use crate::state::State;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use wasmtime::{Caller, Linker, WasmRet, WasmTy};

/// A closure that a program can import: of a [`Guest`] and up to eight numbers, to nothing, to a number,
/// or to a `Result` of either. What it is called with is checked by its types.
///
/// It is called on the thread that runs the process, and all that are behind it wait: it has to be brief.
/// An `Err` ends the process by SIGABRT, and is said with the function's name. So does a panic, which
/// neither the thread nor any other process notices.
///
/// It is `()` or a tuple of the parameters' types that `P` stands for, and the result's type that `R` does.
pub trait HostFunction<P, R>: Send + Sync + 'static {
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn letters(&self) -> Letters;

    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn into_linking(self) -> Arc<dyn Linking>;
}

/// A number that an import takes or gives: `i32`, `u32`, `i64`, `u64`, `f32` or `f64`.
pub trait Value: WasmTy + sealed::Letter {}

impl<T: WasmTy + sealed::Letter> Value for T {}

/// What an import gives: nothing, a [`Value`], or a `Result` of either.
pub trait Outcome: sealed::Gives {}

impl<T: sealed::Gives> Outcome for T {}

mod sealed {
    use super::{Display, WasmRet};

    /// A letter for a type: `i` and `I` are integers of 32 and 64 bits, `f` and `F` floats.
    pub trait Letter {
        const LETTER: char;
    }

    macro_rules! letters {
        ($($ty:ty = $letter:literal),*) => { $(
            impl Letter for $ty {
                const LETTER: char = $letter;
            }
            impl Gives for $ty {
                const LETTERS: &'static [char] = &[$letter];
                type Given = $ty;
                fn given(self) -> Result<$ty, String> {
                    Ok(self)
                }
            }
        )* };
    }

    letters!(i32 = 'i', u32 = 'i', i64 = 'I', u64 = 'I', f32 = 'f', f64 = 'F');

    pub trait Gives {
        const LETTERS: &'static [char];
        type Given: WasmRet;
        fn given(self) -> Result<Self::Given, String>;
    }

    impl Gives for () {
        const LETTERS: &'static [char] = &[];
        type Given = ();
        fn given(self) -> Result<(), String> {
            Ok(())
        }
    }

    impl<T: Gives, E: Display> Gives for Result<T, E> {
        const LETTERS: &'static [char] = T::LETTERS;
        type Given = T::Given;
        fn given(self) -> Result<T::Given, String> {
            self.map_err(|e| e.to_string()).and_then(T::given)
        }
    }
}

/// A function that can be added to what a guest may import.
pub(crate) trait Linking: Send + Sync {
    fn link(
        self: Arc<Self>,
        linker: &mut Linker<State>,
        module: &str,
        name: &str,
    ) -> wasmtime::Result<()>;
}

/// A closure of so many parameters.
struct Typed<F, P, R> {
    function: F,
    types: std::marker::PhantomData<fn(P) -> R>,
}

/// Calls it for a guest, whatever it does.
fn guarded<R: Outcome>(
    caller: &mut Caller<'_, State>,
    (module, name): (&str, &str),
    function: impl FnOnce(&mut Guest<'_>) -> R,
) -> wasmtime::Result<R::Given> {
    let mut guest = Guest::of(caller);
    let why = match catch_unwind(AssertUnwindSafe(|| function(&mut guest).given())) {
        Ok(Ok(given)) => return Ok(given),
        Ok(Err(why)) => format!("which says: {}", procbox_core::printable(&why)),
        Err(_) => "which has panicked".to_string(),
    };
    Err(Failed::new(module, name, &why).into())
}

macro_rules! functions {
    ($(($($ty:ident $value:ident),*))*) => { $(
        impl<F, R, $($ty),*> HostFunction<($($ty,)*), R> for F
        where
            F: Fn(&mut Guest<'_>, $($ty),*) -> R + Send + Sync + 'static,
            R: Outcome + 'static,
            $($ty: Value + 'static,)*
        {
            #[allow(private_interfaces)]
            fn letters(&self) -> Letters {
                Letters::new(&[$($ty::LETTER),*], R::LETTERS)
            }

            #[allow(private_interfaces)]
            fn into_linking(self) -> Arc<dyn Linking> {
                Arc::new(Typed::<F, ($($ty,)*), R> {
                    function: self,
                    types: std::marker::PhantomData,
                })
            }
        }

        impl<F, R, $($ty),*> Linking for Typed<F, ($($ty,)*), R>
        where
            F: Fn(&mut Guest<'_>, $($ty),*) -> R + Send + Sync + 'static,
            R: Outcome + 'static,
            $($ty: Value + 'static,)*
        {
            fn link(
                self: Arc<Self>,
                linker: &mut Linker<State>,
                module: &str,
                name: &str,
            ) -> wasmtime::Result<()> {
                let called = (module.to_string(), name.to_string());
                linker.func_wrap(
                    module,
                    name,
                    move |mut caller: Caller<'_, State>, $($value: $ty),*| {
                        let (module, name) = &called;
                        guarded(&mut caller, (module, name), |guest| {
                            (self.function)(guest, $($value),*)
                        })
                    },
                )?;
                Ok(())
            }
        }
    )* };
}

functions! {
    ()
    (A a)
    (A a, B b)
    (A a, B b, C c)
    (A a, B b, C c, D d)
    (A a, B b, C c, D d, E e)
    (A a, B b, C c, D d, E e, G g)
    (A a, B b, C c, D d, E e, G g, H h)
    (A a, B b, C c, D d, E e, G g, H h, I i)
}
