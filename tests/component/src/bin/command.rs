//! A command of WASI 0.2, as a component: it does what its first word says.

use std::io::{Error, Read, Result, Write};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match &words[..] {
        ["exit", code] => std::process::exit(code.parse().unwrap_or(99)),
        ["fail"] => Err(Error::other("on purpose")),
        ["echo", words @ ..] => {
            println!("{}", words.join(" "));
            Ok(())
        }
        ["cat"] => {
            let mut text = Vec::new();
            std::io::stdin().read_to_end(&mut text)?;
            std::io::stdout().write_all(&text)
        }
        ["env", name] => {
            println!("{}", std::env::var(name).unwrap_or_default());
            Ok(())
        }
        ["write", path, bytes] => {
            let mut file = std::fs::File::create(path)?;
            let left = bytes.parse().unwrap_or(1usize);
            (0..left.div_ceil(1 << 16)).try_for_each(|_| file.write_all(&[b'x'; 1 << 16]))
        }
        ["open", path] => {
            let mut files = Vec::new();
            loop {
                match std::fs::File::open(path) {
                    Ok(file) => files.push(file),
                    Err(e) => {
                        println!("{} {:?}", files.len(), e.kind());
                        return Ok(());
                    }
                }
            }
        }
        ["make", path] => {
            for n in 0.. {
                if let Err(e) = std::fs::write(format!("{path}/{n}"), "") {
                    println!("{n} {:?}", e.kind());
                    break;
                }
            }
            Ok(())
        }
        ["loop"] => loop {
            std::hint::black_box(());
        },
        ["flood"] => loop {
            println!("{}", "y".repeat(1000));
        },
        ["bomb"] => loop {
            Vec::leak(vec![1u8; 1 << 20]);
        },
        ["sleep"] => {
            std::thread::sleep(std::time::Duration::from_secs(3600));
            Ok(())
        }
        _ => {
            println!("no such word: {words:?}");
            Ok(())
        }
    }
}
