//! The program that the suite's sessions run.

fn main() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    chaperone_escape::agent::main(&std::env::args().skip(1).collect::<Vec<_>>())?;
    Ok(())
}
