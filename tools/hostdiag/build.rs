//! Compiles every `bpf/*.bpf.c` to a skeleton in `OUT_DIR`, and lists the explain
//! pages, `pages/*.md`, there.
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use libbpf_cargo::SkeletonBuilder;

fn main() -> Result<()> {
    // At run time: env!() would keep the tree a copied target/ was built in.
    let manifest =
        PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").context("cargo sets CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    programs(&manifest.join("../../bpf"), &out)?;
    pages(&manifest.join("pages"), &out.join("pages.rs"))
}

fn programs(bpf: &Path, out: &Path) -> Result<()> {
    println!("cargo:rerun-if-changed={}", bpf.display());
    for entry in std::fs::read_dir(bpf).context("failed to list bpf/")? {
        let source = entry?.path();
        let name = source.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let Some(stem) = name.strip_suffix(".bpf.c") else { continue };
        // v3: instructions of 32 bits, Linux 5.1, or each use of one takes two shifts.
        SkeletonBuilder::new()
            .source(&source)
            .clang_args(["-I", &bpf.display().to_string(), "-Wall", "-Werror", "-mcpu=v3"])
            .build_and_generate(out.join(format!("{stem}.skel.rs")))
            .with_context(|| format!("failed to compile {name} (clang 14 or newer is needed)"))?;
    }
    Ok(())
}

/// An array of (name, text), sorted by name.
fn pages(folder: &Path, list: &Path) -> Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    let entries = std::fs::read_dir(folder).context("failed to list pages/")?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "md"));
    files.sort_unstable_by_key(|file| file.file_stem().map(OsString::from));
    let mut text = String::from("[");
    for file in files {
        let name = file.file_stem().and_then(|stem| stem.to_str()).context("a page's name is not UTF-8")?;
        writeln!(text, "({name:?}, include_str!({:?})),", file.display().to_string())?;
    }
    text.push(']');
    std::fs::write(list, text).context("failed to write the list of pages")
}
