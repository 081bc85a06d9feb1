//! A plan as text, in Terraform's look.
//!
//! The one decision: the text is a pure function of the plan, so it is the same when it is made, when
//! it is read from a plan file, and in a test. What is dangerous (destroys, replaces, what was not
//! previewed) is never folded away.

use mesh_model::change::{Drift, Waiting};
use mesh_model::{Action, Deferred, Plan, Value};

use super::diff::{Line, Sign, attributes, value};
use super::sight::Sight;
use super::style::{BOLD, RED, YELLOW, paint, visible};
use super::{block, summary};

const RULE: &str = "─────────────────────────────────────────────────────────────────────────────";

/// The whole text, ending in a line end. `digest` is what people approve; a plan with errors has none.
pub(crate) fn text(plan: &Plan, sight: Sight<'_>, digest: Option<&str>) -> String {
    let mut out = String::new();
    drift(&mut out, plan, sight);
    let blocks: Vec<String> = plan.changes.iter().filter_map(|c| block::of(c, sight)).map(|b| b.render()).collect();
    if !blocks.is_empty() {
        legend(&mut out, plan);
        out.push_str(match digest {
            Some(_) => "\nmesh will perform the following actions:\n",
            None => "\nmesh planned the following actions, but what is said below keeps them from being applied:\n",
        });
        for block in &blocks {
            out.push('\n');
            out.push_str(block);
        }
    }
    deferred(&mut out, &plan.deferred, sight);
    waiting(&mut out, &plan.waiting);
    protected(&mut out, plan);
    if plan.is_empty() && digest.is_none() {
        // Errors are all there is to say.
    } else if plan.is_empty() {
        out.push('\n');
        out.push_str(&nothing(plan));
    } else if !blocks.is_empty() || !plan.deferred.is_empty() {
        push!(out, "\n{}\n", summary::plan_line(plan));
    }
    outputs(&mut out, plan, sight, digest.is_some());
    if let Some(digest) = digest.filter(|_| !(plan.is_empty() && plan.is_complete())) {
        push!(out, "\nPlan digest: {digest}\n");
    }
    out
}

/// The text about drift alone, for `mesh drift`; empty when there is none.
pub(crate) fn drift_text(plan: &Plan, sight: Sight<'_>) -> String {
    let mut out = String::new();
    if plan.drift.is_empty() {
        return out;
    }
    out.push_str(&paint(BOLD, "Objects have changed outside of mesh"));
    out.push('\n');
    for d in &plan.drift {
        out.push('\n');
        out.push_str(&drifted(d, sight));
    }
    out
}

/// What is said instead of a summary when nothing is to be done now.
fn nothing(plan: &Plan) -> String {
    let (headline, detail) = match (plan.is_complete(), plan.destroy) {
        (true, _) if plan.refresh_only => ("No changes.", "State says what is really there."),
        (true, true) => ("No changes.", "No objects need to be destroyed."),
        (true, false) => ("No changes.", "Your infrastructure matches the configuration."),
        (false, _) => ("No changes in this stage.", "What is left is deferred, see above."),
    };
    let mut out = format!("{} {}\n", paint(super::style::GREEN.bold(), headline), paint(BOLD, detail));
    if plan.is_complete() && !plan.destroy && !plan.refresh_only {
        out.push_str(
            "\nmesh has compared your real infrastructure against your configuration\nand found no differences, so no changes are needed.\n",
        );
    }
    out
}

fn legend(out: &mut String, plan: &Plan) {
    let has = |action| plan.changes.iter().any(|c| c.action == action);
    out.push_str("\nmesh used the configured providers to generate the following execution plan.\n");
    let rows = [
        (Action::Create, Sign::Add, "create"),
        (Action::Update, Sign::Change, "update in-place"),
        (Action::Delete, Sign::Remove, "destroy"),
        (Action::Replace, Sign::Block("-/+"), "destroy and then create replacement"),
        (Action::ReplaceCreateFirst, Sign::Block("+/-"), "create replacement and then destroy"),
        (Action::ReplaceForget, Sign::Block("+/."), "create replacement and forget the old object, which stays"),
        (Action::Read, Sign::Block("<="), "read (data resources)"),
        (Action::Forget, Sign::Block("."), "forget, the object stays"),
    ];
    if rows.iter().any(|(action, ..)| has(*action)) {
        out.push_str("Resource actions are indicated with the following symbols:\n");
    }
    for (action, sign, what) in rows {
        if has(action) {
            out.push_str(&Line { depth: 0, sign, text: what.into() }.render());
            out.push('\n');
        }
    }
}

fn drift(out: &mut String, plan: &Plan, sight: Sight<'_>) {
    if plan.drift.is_empty() {
        return;
    }
    push!(out, "\n{} Objects have changed outside of mesh\n", paint(YELLOW.bold(), "Note:"));
    out.push_str("\nmesh detected the following changes made outside of mesh since the last\n\"mesh apply\":\n");
    for d in &plan.drift {
        out.push('\n');
        out.push_str(&drifted(d, sight));
    }
    out.push_str(if plan.refresh_only {
        "\nNothing is changed by this plan: applying it takes what is there into state.\n"
    } else {
        "\nUnless the configuration says the same, or tells to ignore it, the following\nplan undoes or responds to these changes.\n"
    });
    push!(out, "\n{RULE}\n");
}

fn drifted(drift: &Drift, sight: Sight<'_>) -> String {
    let gone = drift.after.is_null();
    let word = if gone { "has been deleted" } else { "has changed" };
    let mut out = format!("  # {}\n", paint(BOLD, format!("{} {word}", drift.address)));
    let sign = if gone { Sign::Remove } else { Sign::Change };
    let open = format!("resource {:?} {:?} {{", &*drift.address.ty, &*drift.address.name);
    let (before, after) = sight.both(&drift.before, &drift.after);
    let mut lines = vec![Line { depth: 0, sign, text: open }];
    lines.extend(attributes(&before, &after, &[]));
    lines.push(Line { depth: 0, sign: Sign::Blank, text: "}".into() });
    push(&mut out, &lines);
    out
}

fn push(out: &mut String, lines: &[Line]) {
    for line in lines {
        out.push_str(line.render().trim_end());
        out.push('\n');
    }
}

fn outputs(out: &mut String, plan: &Plan, sight: Sight<'_>, sound: bool) {
    let changed: Vec<_> = plan.outputs.iter().filter(|(_, o)| o.action != Action::NoOp).collect();
    if changed.is_empty() {
        return;
    }
    out.push_str("\nChanges to Outputs:\n");
    let width = changed.iter().map(|(n, _)| n.chars().count()).max().unwrap_or(0);
    for (name, o) in changed {
        let (before, after) = sight.both(&o.before, &o.after);
        let lines = value(name, width, &before, &after, 0);
        push(out, &lines);
    }
    if sound && plan.changes.iter().all(|c| !c.action.is_write()) && plan.is_complete() {
        out.push_str("\nYou can apply this plan to save these new output values to the mesh state,\nwithout changing any real infrastructure.\n");
    }
}

fn deferred(out: &mut String, deferred: &[Deferred], sight: Sight<'_>) {
    if deferred.is_empty() {
        return;
    }
    push!(out, "\n{}\n", paint(BOLD, "Deferred: will be decided in a later stage, inside these bounds:"));
    for d in deferred {
        let actions: Vec<&str> = d.actions.iter().map(|a| verb(*a)).collect();
        let danger = d.actions.iter().any(|a| *a == Action::Delete || a.is_replace());
        let actions = paint(if danger { RED } else { anstyle::Style::new() }, actions.join(" or "));
        push!(out, "\n  # {} may be {actions}\n", paint(BOLD, &d.pattern));
        push!(out, "  # ({})\n", visible(&d.reason));
        let open = format!("{} {:?} {:?} {{", block::keyword(d.resource.mode), &*d.resource.ty, &*d.resource.name);
        let mut lines = vec![Line { depth: 0, sign: Sign::Block("?"), text: open }];
        lines.extend(attributes(&Value::NULL, &sight.one(&d.known), &[]));
        lines.push(Line { depth: 0, sign: Sign::Blank, text: "}".into() });
        push(out, &lines);
    }
}

/// What an envelope allows, in words.
pub(crate) const fn verb(action: Action) -> &'static str {
    match action {
        Action::NoOp => "left as it is",
        Action::Read => "read",
        Action::Create => "created",
        Action::Update => "updated",
        Action::Replace | Action::ReplaceCreateFirst | Action::ReplaceForget => "replaced",
        Action::Delete => "destroyed",
        Action::Forget => "forgotten",
    }
}

/// Closed gates with what to do; also printed at the end of an apply.
pub(crate) fn waiting(out: &mut String, gates: &[Waiting]) {
    for gate in gates {
        let head = format!("Waiting: {} waits for {}", gate.address, visible(&gate.waiting_for));
        push!(out, "\n{}\n", paint(YELLOW.bold(), head));
        let instructions = visible(&gate.instructions);
        if !instructions.trim().is_empty() {
            out.push('\n');
            for line in instructions.trim_end().lines() {
                out.push_str(format!("    {line}").trim_end());
                out.push('\n');
            }
        }
        if !gate.problems.is_empty() {
            out.push_str("\n  What was given does not open it:\n");
            for problem in &gate.problems {
                push!(out, "  {} {}\n", paint(RED, "-"), visible(problem));
            }
        }
    }
}

fn protected(out: &mut String, plan: &Plan) {
    if plan.protected.is_empty() {
        return;
    }
    push!(
        out,
        "\n{}\n",
        paint(YELLOW.bold(), "Protected, or needed by what is: these objects are not destroyed and stay:")
    );
    for address in &plan.protected {
        push!(out, "  {address}\n");
    }
    out.push_str("\nTo destroy one of them, set prevent_destroy = false in its lifecycle block,\napply that, and destroy again.\n");
}
