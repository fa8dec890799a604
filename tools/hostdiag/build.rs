//! Compiles every `bpf/*.bpf.c` to a skeleton in `OUT_DIR`.
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use libbpf_cargo::SkeletonBuilder;

fn main() -> Result<()> {
    // At run time: env!() would keep the tree a copied target/ was built in.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("cargo sets CARGO_MANIFEST_DIR")?;
    let bpf = Path::new(&manifest).join("../../bpf");
    println!("cargo:rerun-if-changed={}", bpf.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    for entry in std::fs::read_dir(&bpf).context("failed to list bpf/")? {
        let source = entry?.path();
        let name = source.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let Some(stem) = name.strip_suffix(".bpf.c") else { continue };
        SkeletonBuilder::new()
            .source(&source)
            .clang_args(["-I", &bpf.display().to_string(), "-Wall", "-Werror", "-mcpu=v2"])
            .build_and_generate(out.join(format!("{stem}.skel.rs")))
            .with_context(|| format!("failed to compile {name} (clang 14 or newer is needed)"))?;
    }
    Ok(())
}
