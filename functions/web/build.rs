//! Embeds the files in `assets/`.

fn main() -> std::io::Result<()> {
    files::embed(files::read("assets")?)
}
