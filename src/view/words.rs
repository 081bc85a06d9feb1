//! Words that several views share: what an operation is called while it runs, and how long it took.

use std::time::Duration;

use mesh_core::EphemeralOperation;
use mesh_model::Action;

/// `Creating`, and `Creation`: while it runs, and when it is over.
pub(crate) const fn operation(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Create => ("Creating", "Creation"),
        Action::Update => ("Modifying", "Modifications"),
        Action::Delete => ("Destroying", "Destruction"),
        Action::Replace | Action::ReplaceCreateFirst | Action::ReplaceForget => ("Replacing", "Replacement"),
        Action::Read => ("Reading", "Read"),
        Action::Forget => ("Forgetting", "Forgetting"),
        Action::NoOp => ("Importing", "Import"),
    }
}

/// `Opening`, `Opening`, `open`: while it runs, when it is over, and in the UI stream.
pub(crate) const fn ephemeral(operation: EphemeralOperation) -> (&'static str, &'static str, &'static str) {
    match operation {
        EphemeralOperation::Open => ("Opening", "Opening", "open"),
        EphemeralOperation::Renew => ("Renewing", "Renewal", "renew"),
        EphemeralOperation::Close => ("Closing", "Closing", "close"),
    }
}

/// The word for an action in the UI stream.
pub(crate) const fn hook(action: Action) -> &'static str {
    match action {
        Action::NoOp => "noop",
        Action::Read => "read",
        Action::Create => "create",
        Action::Update => "update",
        Action::Replace | Action::ReplaceCreateFirst | Action::ReplaceForget => "replace",
        Action::Delete => "delete",
        Action::Forget => "remove",
    }
}

/// `0s`, `59s`, `1m5s`, `1h0m3s`.
pub(crate) fn elapsed(time: Duration) -> String {
    let s = time.as_secs();
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_does() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (65, "1m5s"), (3603, "1h0m3s")] {
            assert_eq!(elapsed(Duration::from_secs(seconds)), text);
        }
    }
}
