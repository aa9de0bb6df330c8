//! A program that never heard of procbox: what it does is what its arguments say.

use std::io::{Read, Result, Write};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["args", rest @ ..] => rest.iter().for_each(|arg| println!("{arg}")),
        ["env"] => std::env::vars().for_each(|(key, value)| println!("{key}={value}")),
        ["exit", code] => std::process::exit(code.parse().unwrap_or(99)),
        ["cat", path] => std::io::stdout().write_all(&std::fs::read(path)?)?,
        ["write", path, text] => std::fs::write(path, text)?,
        ["list", path] => {
            for entry in std::fs::read_dir(path)? {
                println!("{}", entry?.file_name().to_string_lossy());
            }
        }
        ["connect", address] => drop(std::net::TcpStream::connect(address)?),
        // On both streams, line by line.
        ["complain", name] => {
            for n in 0..20 {
                eprintln!("{name} complains {n}");
                println!("{name} says {n}");
                std::thread::yield_now();
            }
            std::process::exit(if *name == "b" { 3 } else { 0 });
        }
        ["says_and_spins"] => {
            println!("about to spin");
            loop {
                std::hint::spin_loop();
            }
        }
        ["spin"] => loop {
            std::hint::spin_loop();
        },
        // Without arguments it is a filter: what `map` makes of it.
        _ => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            println!("{}", text.to_uppercase());
            if let Some(code) = text.trim().strip_prefix("exit ") {
                eprintln!("so it exits");
                std::process::exit(code.parse().unwrap_or(99));
            }
        }
    }
    Ok(())
}
