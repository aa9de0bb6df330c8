//! Names: of the imports' module, of exports, and of the section that says what a program offers.

use crate::MODULE;

/// The prefix of the exports that are workers: the worker `w` is the export `procbox_worker_w`, a
/// function from a [mode](crate::mode) to an [exit code](crate::exit_code).
///
/// ```
/// let export = "procbox_worker_resize";
/// assert_eq!(export.strip_prefix(procbox_abi::WORKER_PREFIX), Some("resize"));
/// ```
pub const WORKER_PREFIX: &str = "procbox_worker_";

/// The name of the section in which a program says what it offers, in [lines](crate::lines): a
/// custom section of a WebAssembly module, a section of an ELF file.
///
/// ```
/// assert_eq!(procbox_abi::SECTION, procbox_abi::section!());
/// ```
pub const SECTION: &str = crate::section!();

/// The export that is a guest's linear memory.
///
/// ```
/// assert_eq!(procbox_abi::MEMORY, "memory");
/// ```
pub const MEMORY: &str = "memory";

/// The export that is a guest's `main`, as in every WASI command.
///
/// ```
/// assert_eq!(procbox_abi::MAIN, "_start");
/// ```
pub const MAIN: &str = "_start";

/// The export that is the `main` of an image of a program, where there is one; else it is [`MAIN`].
///
/// ```
/// assert_eq!(procbox_abi::RESUME, "procbox_resume");
/// ```
pub const RESUME: &str = "procbox_resume";

/// The export that is called before an image of a process is made, and first in each process of it.
///
/// ```
/// assert_eq!(procbox_abi::RESEED, "procbox_reseed");
/// ```
pub const RESEED: &str = "procbox_reseed";

/// A text of the ABI, with the name that it has in C.
///
/// ```
/// let module = procbox_abi::NAMES.iter().find(|text| text.name == "PROCBOX_MODULE");
/// assert_eq!(module.map(|text| text.value), Some(procbox_abi::MODULE));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// The name of the macro in `procbox.h`.
    pub name: &'static str,
    /// The text.
    pub value: &'static str,
}

/// Every text that `procbox.h` has.
///
/// ```
/// for text in procbox_abi::NAMES {
///     println!("#define {} {:?}", text.name, text.value);
/// }
/// ```
pub const NAMES: &[Text] = &[
    Text { name: "PROCBOX_MODULE", value: MODULE },
    Text { name: "PROCBOX_WORKER_PREFIX", value: WORKER_PREFIX },
    Text { name: "PROCBOX_SECTION", value: SECTION },
    Text { name: "PROCBOX_MEMORY", value: MEMORY },
    Text { name: "PROCBOX_MAIN", value: MAIN },
    Text { name: "PROCBOX_RESUME", value: RESUME },
    Text { name: "PROCBOX_RESEED", value: RESEED },
];
