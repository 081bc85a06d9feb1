//! A plan for a pull request.
//!
//! The one decision: what could hurt comes first (destroys and replaces, then updates, then the rest),
//! and the text fits a budget of bytes by leaving whole changes out and saying how many, never by
//! cutting inside a fence.

use mesh_model::{Action, Change, Plan};

use super::diff::Line;
use super::sight::Sight;
use super::style::plain;
use super::{block, plan as text, summary};

/// How long a comment may be where nothing else is said, in bytes.
pub(crate) const BUDGET: usize = 60_000;

/// The Markdown text of at most `budget` bytes (its frame of some hundred bytes is always written). `digest` is
/// what people approve; a plan with errors has none.
pub(crate) fn render(plan: &Plan, sight: Sight<'_>, digest: Option<&str>, budget: usize) -> String {
    let mut out = match digest {
        Some(_) => head(plan),
        None => format!("### ❌ Planning failed\n\nPlanned besides: {}\n", summary::plan_counts(plan)),
    };
    let tail = digest.map(|digest| format!("\nPlan digest: `{digest}`\n")).unwrap_or_default();
    let mut shown: Vec<(&Change, block::Block)> =
        plan.changes.iter().filter_map(|c| block::of(c, sight).map(|b| (c, b))).collect();
    shown.sort_by_key(|(c, _)| risk(c.action));
    // Room for the line that says what was left out.
    let room = budget.saturating_sub(tail.len() + 200);
    let mut sections: Vec<String> = Vec::new();
    for d in &plan.waiting {
        let mut gate = String::new();
        text::waiting(&mut gate, std::slice::from_ref(d));
        sections.push(format!("\n{}\n", fenced("", plain(&gate).trim())));
    }
    sections.extend(shown.iter().map(|(c, b)| section(c, b)));
    for d in &plan.deferred {
        let actions: Vec<&str> = d.actions.iter().map(|a| text::verb(*a)).collect();
        sections.push(format!(
            "\n- ⏳ {} may be {} later: {}\n",
            code(&d.pattern),
            actions.join(" or "),
            escape(&d.reason)
        ));
    }
    if !plan.drift.is_empty() {
        let drift = plain(&text::drift_text(plan, sight));
        sections
            .push(details(&format!("Drift: {} changed outside of mesh", plan.drift.len()), &fenced("", drift.trim())));
    }
    let mut left_out = 0;
    for section in &sections {
        if left_out == 0 && out.len() + section.len() <= room {
            out.push_str(section);
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        let s = if left_out == 1 { "" } else { "s" };
        push!(
            out,
            "\n**{left_out} more section{s} left out**, because the text would be too long. `mesh show` shows all.\n"
        );
    }
    out.push_str(&tail);
    out
}

fn head(plan: &Plan) -> String {
    if plan.is_empty() && plan.is_complete() {
        return "### No changes\n\nThe infrastructure matches the configuration.\n".into();
    }
    let c = plan.counts();
    let danger = if c.destroy > 0 { "⚠️ " } else { "" };
    let mut out = format!("### {danger}Plan: {}\n", summary::plan_counts(plan));
    if !plan.protected.is_empty() {
        let list: Vec<String> = plan.protected.iter().map(|a| code(&a.to_string())).collect();
        push!(out, "\nProtected, and left in place: {}\n", list.join(", "));
    }
    out
}

/// Lower is riskier.
const fn risk(action: Action) -> u8 {
    match action {
        Action::Delete => 0,
        Action::Replace | Action::ReplaceCreateFirst | Action::ReplaceForget => 1,
        Action::Forget => 2,
        Action::Update => 3,
        Action::Create => 4,
        Action::Read | Action::NoOp => 5,
    }
}

fn section(change: &Change, block: &block::Block) -> String {
    let mark = match change.action {
        Action::Delete => "🔴",
        Action::Replace | Action::ReplaceCreateFirst | Action::ReplaceForget => "🟠",
        Action::Update | Action::Forget => "🟡",
        Action::Create => "🟢",
        Action::Read | Action::NoOp => "⚪",
    };
    let headline = plain(block.comments.first().map_or("", String::as_str));
    let mut body = String::new();
    for comment in block.comments.iter().skip(1) {
        push!(body, "# {}\n", plain(comment));
    }
    for line in &block.lines {
        body.push_str(&diff_line(line));
        body.push('\n');
    }
    details(&format!("{mark} {}", html(&headline)), &fenced("diff", body.trim_end()))
}

/// The sign in the first column, where the colours of `diff` want it.
fn diff_line(line: &Line) -> String {
    let sign = match line.sign.text() {
        "~" => "!",
        "-/+" | "+/-" => "-",
        "<=" | "?" | "." => " ",
        other => other,
    };
    format!("{sign} {}{}", "  ".repeat(line.depth), plain(&line.text)).trim_end().to_owned()
}

fn details(summary: &str, body: &str) -> String {
    format!("\n<details><summary>{summary}</summary>\n\n{body}\n\n</details>\n")
}

/// A fence that is longer than any run of backticks inside.
fn fenced(language: &str, body: &str) -> String {
    let longest = body.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{body}\n{fence}")
}

fn code(text: &str) -> String {
    if text.contains('`') { format!("<code>{}</code>", html(text)) } else { format!("`{text}`") }
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn escape(text: &str) -> String {
    html(&super::style::visible(text)).replace(['\n', '\r'], " ")
}
