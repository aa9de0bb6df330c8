//! A program that uses a library, does not know that this one starts processes, and calls no `init`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("main runs");
    println!("{}", newcomer::sum_of_doubles(&[1, 2, 3])?);
    Ok(())
}
