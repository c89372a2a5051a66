//! Embeds the files in `assets/`, and those of Swagger UI that the page loads.

use std::io::{self, Cursor, Read};

use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

fn main() -> io::Result<()> {
    let mut files = files::read("assets")?;
    let mut archive = zip::ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.rsplit_once("/dist/").map(|(_, name)| name.to_owned());
        if let Some(name) = name.filter(|name| ["swagger-ui-bundle.js", "swagger-ui.css"].contains(&&**name)) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.push((name, content));
        }
    }
    files::embed(files)
}
