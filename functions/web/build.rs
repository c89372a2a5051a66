//! Makes the page part of the function.

fn main() -> std::io::Result<()> {
    files::embed(&files::read("page", "")?)
}
