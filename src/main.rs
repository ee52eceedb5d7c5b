//! The executable: exit code and nothing else.

fn main() -> std::process::ExitCode {
    cairn::cli::main()
}
