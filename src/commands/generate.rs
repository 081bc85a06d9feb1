//! `mesh plan -generate-config-out`: blocks for imports that have none, written from what is there.
//!
//! The one decision: the file is a new file of the root folder, written before the plan is made; then the
//! configuration is read again with it. So the plan that is shown is that of the next `mesh plan`, too.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use mesh_core::{Options, Silent};
use mesh_lang::Disk;
use mesh_model::{Diagnostic, Diagnostics, Mode};

use super::options::StateArgs;
use super::project::Project;
use super::running::wait;
use crate::cli::VarSource;
use crate::ui::{Failure, Ui};
use crate::view::hcl;
use crate::view::style::{plain, talk};

const TOP: &str = "# Written by mesh from what is there. Review it: what a secret is stands nowhere, and each null in its place is yours\n\
                   # to fill in. Rename the file as you like, then remove the import blocks once they are applied.\n";

/// The project with the blocks that were missing, which are in the file from now on.
///
/// # Errors
/// A file that is there already or that is no configuration, everything that is wrong with the configuration,
/// objects that cannot be looked at.
pub(super) fn project(ui: &mut Ui, file: &Path, state: &StateArgs, vars: &[VarSource]) -> Result<Project, Failure> {
    place(file)?;
    let project = Project::load_from(ui, &Disk, true, state, vars)?;
    let engine = project.engine(ui, Arc::new(Silent));
    let options = Options { generate: true, refresh: false, ..Options::default() };
    let made = wait(
        &engine,
        project.run(&engine, &options).plan(|planning| {
            let errors: Vec<Diagnostic> = planning.diagnostics.iter().filter(|d| d.is_error()).cloned().collect();
            if errors.is_empty() { Ok(planning.generated.clone()) } else { Err(Diagnostics(errors)) }
        }),
    );
    let generated = made??;
    if !generated.is_empty() {
        let mut text = TOP.to_owned();
        for one in &generated {
            if let Some(schema) = engine.schema(Mode::Managed, &one.address.ty) {
                text.push_str(&hcl::resource(one, &schema.schema));
            }
        }
        // What cannot be formatted cannot be read either, and reading it says where.
        let text = mesh_lang::fmt::format(&text).unwrap_or(text);
        let written = OpenOptions::new().write(true).create_new(true).open(file);
        written.and_then(|mut f| f.write_all(text.as_bytes())).map_err(|e| refused(file, &format!("{e}.")))?;
        if ui.stream.is_none() {
            let name = plain(&file.display().to_string());
            let blocks = if generated.len() == 1 { "a block" } else { "blocks" };
            talk(&format!("Wrote {blocks} for {} to {name}.\n\n", hcl::names(&generated)));
        }
    }
    project.again(ui)
}

fn refused(file: &Path, detail: &str) -> Diagnostic {
    let detail = format!("-generate-config-out={}: {detail}", file.display());
    Diagnostic::error("cli::generate", "The configuration cannot be written there", detail)
}

/// Whether a file can take what is generated.
fn place(file: &Path) -> Result<(), Diagnostic> {
    let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let here = file.parent().is_none_or(|p| p == Path::new("") || p == Path::new("."));
    if !here || !name.ends_with(".mesh.hcl") || name.starts_with('.') {
        return Err(refused(
            file,
            "it must be a file of this folder whose name ends with .mesh.hcl, so that it is read.",
        ));
    }
    if name.ends_with("_override.mesh.hcl") || name == "override.mesh.hcl" {
        return Err(refused(file, "files with this name change blocks of others, and the new ones are in none."));
    }
    if file.symlink_metadata().is_ok() {
        return Err(refused(
            file,
            "it is there already, and nothing is overwritten. Name a new file, or remove that one.",
        ));
    }
    Ok(())
}
