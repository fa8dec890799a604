//! Puts the style of pages together, and hashes it and their script: the content
//! security policy of a page names what may stand in it so.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};

const STYLE: [&str; 3] = ["src/html/page.css", "src/chart/style.css", "src/html/flame.css"];
const SCRIPT: &str = "src/html/page.js";

fn main() -> Result<(), Box<dyn Error>> {
    let style = STYLE.map(read).into_iter().collect::<Result<String, _>>()?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("page.css"), &style)?;
    println!("cargo::rustc-env=STYLE_HASH={}", hash(&style));
    println!("cargo::rustc-env=SCRIPT_HASH={}", hash(&read(SCRIPT)?));
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}

fn read(path: &str) -> Result<String, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={path}");
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}").into())
}

fn hash(text: &str) -> String {
    format!("sha256-{}", Base64::encode_string(&Sha256::digest(text.as_bytes())))
}
