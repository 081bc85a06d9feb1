//! One change as a block: headline, reasons, and the lines of its attributes.
//!
//! The one decision: headlines are Terraform's to the word, since people and scripts look for them.

use mesh_model::change::Previewed;
use mesh_model::{Action, Change, Mode, Reason};

use super::diff::{Line, Sign, attributes};
use super::sight::Sight;
use super::style::{BOLD, DIM, RED, paint, visible};

/// A change, ready to be laid out.
pub(crate) struct Block {
    /// `# ADDR will be created` and what explains it, without the `#`; the first is the headline.
    pub(crate) comments: Vec<String>,
    /// The block itself.
    pub(crate) lines: Vec<Line>,
}

impl Block {
    /// As text, each comment with its `#`.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        for (i, comment) in self.comments.iter().enumerate() {
            let comment = if i == 0 { comment.clone() } else { paint(DIM, format!("({comment})")) };
            push!(out, "  # {comment}\n");
        }
        for line in &self.lines {
            out.push_str(line.render().trim_end());
            out.push('\n');
        }
        out
    }
}

/// The word that a block begins with.
pub(crate) const fn keyword(mode: Mode) -> &'static str {
    match mode {
        Mode::Managed => "resource",
        Mode::Data => "data",
        Mode::Ephemeral => "ephemeral",
    }
}

/// The block of a change; `None` for one that does nothing worth showing.
pub(crate) fn of(change: &Change, sight: Sight<'_>) -> Option<Block> {
    let headline = headline(change)?;
    let mut comments = vec![headline];
    if change.action != Action::NoOp
        && let Some(from) = &change.previous_address
    {
        comments.push(format!("moved from {from}"));
    }
    if let Some(id) = &change.importing {
        comments.push(format!("its identity is {:?}", visible(id)));
    }
    comments.extend(reason(change));
    if let Previewed::Skipped(why) = change.previewed {
        comments.push(format!("not previewed: {why}"));
    }
    comments.extend(change.notes.iter().map(|n| visible(n)));
    let (before, after) = sight.both(&change.before, &change.after);
    let word = keyword(change.address.mode);
    let sign = match change.action {
        Action::NoOp => Sign::Blank,
        Action::Create => Sign::Add,
        Action::Update => Sign::Change,
        Action::Delete => Sign::Remove,
        other => Sign::Block(other.symbol()),
    };
    let mut lines =
        vec![Line { depth: 0, sign, text: format!("{word} {:?} {:?} {{", &*change.address.ty, &*change.address.name) }];
    if change.action != Action::Forget {
        lines.extend(attributes(&before, &after, &change.replace_paths));
    }
    lines.push(Line { depth: 0, sign: Sign::Blank, text: "}".into() });
    Some(Block { comments, lines })
}

/// `ADDR will be created`, styled.
fn headline(change: &Change) -> Option<String> {
    let address = &change.address;
    let what = match change.action {
        Action::NoOp => {
            return if change.importing.is_some() {
                let word = if change.reason == Reason::Adopted { "adopted" } else { "imported" };
                Some(paint(BOLD, format!("{address} will be {word}")))
            } else {
                change.previous_address.as_ref().map(|from| paint(BOLD, format!("{from} has moved to {address}")))
            };
        }
        Action::Read => " will be read during apply".to_owned(),
        Action::Create => " will be created".to_owned(),
        Action::Update if change.reason == Reason::Adopted => " will be adopted and updated in-place".to_owned(),
        Action::Update if change.importing.is_some() => " will be imported and updated in-place".to_owned(),
        Action::Update => " will be updated in-place".to_owned(),
        Action::Delete => {
            let object = change.deposed.as_ref().map(|d| format!(" (deposed object {d})")).unwrap_or_default();
            format!("{object} will be {}", paint(RED.bold(), "destroyed"))
        }
        Action::Forget => " will no longer be managed by mesh, but will not be destroyed".to_owned(),
        Action::Replace | Action::ReplaceCreateFirst | Action::ReplaceForget => match change.reason {
            Reason::Tainted => format!(" is tainted, so must be {}", paint(RED.bold(), "replaced")),
            Reason::Requested => format!(" will be {}, as requested", paint(RED.bold(), "replaced")),
            Reason::Triggered => {
                format!(" will be {} due to changes in replace_triggered_by", paint(RED.bold(), "replaced"))
            }
            _ => format!(" must be {}", paint(RED.bold(), "replaced")),
        },
    };
    // The styles of the inner words end the bold one, so the parts are painted apart.
    Some(format!("{}{}", paint(BOLD, address), if what.contains('\u{1b}') { what } else { paint(BOLD, what) }))
}

/// Why, where the headline does not say it.
fn reason(change: &Change) -> Option<String> {
    let address = &change.address;
    Some(match change.reason {
        Reason::NoConfig => format!("because {} is not in configuration", address.resource()),
        Reason::NoModule => format!("because {} is not in configuration", address.module),
        Reason::CountIndex => {
            format!(
                "because index {} is out of range for count",
                address.key.as_ref().map(ToString::to_string).unwrap_or_default()
            )
        }
        Reason::EachKey => {
            format!(
                "because key {} is not in for_each map",
                address.key.as_ref().map(ToString::to_string).unwrap_or_default()
            )
        }
        Reason::NoMoveTarget => "because nothing is configured where it moved to".to_owned(),
        Reason::WrongRepetition => "because its key does not fit the block's count or for_each".to_owned(),
        Reason::Vanished => "because it no longer exists outside, although state remembers it".to_owned(),
        Reason::ConfigUnknown => "config refers to values not yet known".to_owned(),
        Reason::DependencyPending => "depends on a resource or a module with changes pending".to_owned(),
        Reason::CheckNested => "its check looks again when everything is made".to_owned(),
        Reason::None
        | Reason::CannotUpdate
        | Reason::Tainted
        | Reason::Requested
        | Reason::Triggered
        | Reason::Destroy
        | Reason::Adopted => {
            return None;
        }
    })
}
