//! Makes the files in `assets/` part of the function.

fn main() -> std::io::Result<()> {
    files::embed(&files::read("assets")?)
}
