//! The entry of a worker, called by the host, and its end.

use super::{identity, sys};
use procbox_abi::mode;
use procbox_core::Result;
use procbox_core::raw::Message;
use procbox_core::runner::{Call, Function, TaskEnd, find_worker, panicked, serve};
use std::io::Write;
use std::sync::Once;

/// A worker of this program, for those that look one up by name.
#[derive(Debug)]
pub struct Registered {
    /// The worker's identity.
    pub name: &'static str,
    /// The worker.
    pub function: Function,
}

inventory::collect!(Registered);

fn find(name: &str) -> Result<Function> {
    let workers: Vec<&Registered> = inventory::iter::<Registered>.into_iter().collect();
    find_worker(name, workers.iter().map(|worker| worker.name)).map(|index| workers[index].function)
}

/// Makes a panic end the process with exit code 101, as natively: the target cannot unwind.
pub fn init() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Others print there too: whose panic it is is said.
            if let Ok(me) = identity::identity() {
                let line = format!("process `{}` ({}) panics:\n", me.name, me.pid);
                let _ = std::io::stderr().write_all(line.as_bytes());
            }
            print(info);
            panicked(info.payload_as_str().unwrap_or("of an unprintable kind"));
            std::process::exit(101);
        }));
    });
}

/// Runs a worker to its end; what `#[worker]` exports calls this. The answer is the exit code.
pub fn enter(mode: i32, function: Function) -> i32 {
    sys::run_constructors();
    init();
    // Held, so that the worker's children are joined when it is dropped here and not before.
    let context = super::context();
    let code = match identity::arguments() {
        Ok(message) => run(mode, function, message),
        Err(e) => failed(&e.to_string()),
    };
    drop(context);
    // Nothing is left to do about a stdout that is gone.
    let _ = std::io::stdout().flush();
    code
}

fn run(mode: i32, function: Function, message: Message) -> i32 {
    if mode == mode::SERVE {
        return match serve(message, function, &find, guarded) {
            Ok(()) => 0,
            Err(e) => failed(&e.to_string()),
        };
    }
    let Message { bytes, handles } = message;
    match function(Call::new(&bytes, handles), &mut Message::default()) {
        Ok(()) => 0,
        Err(why) => failed(&why),
    }
}

/// A panic does not come back here: the hook reports it and the process ends.
fn guarded(function: Function, arguments: Call<'_>, result: &mut Message) -> TaskEnd {
    match function(arguments, result) {
        Ok(()) => TaskEnd::Done,
        Err(why) => TaskEnd::Failed(why),
    }
}

fn failed(why: &str) -> i32 {
    // In one write: others print there too. If stderr is gone there is nobody to tell.
    let _ = std::io::stderr().write_all(format!("error: {why}\n").as_bytes());
    1
}
