//! The `procbox` command.

mod cli;

fn main() -> std::process::ExitCode {
    procbox_benches::init();
    cli::main()
}
