//! The scanner alone: pieces and what is left open.

use super::*;
use crate::limits::MAX_BROKEN;

fn pieces(text: &str) -> Vec<&str> {
    let found = scan(text, 0..text.len());
    assert!(found.broken.is_empty(), "{text}");
    found.items.into_iter().map(|r| text[r].trim_end()).collect()
}

#[test]
fn cuts_at_newlines_outside_of_everything() {
    assert_eq!(pieces("a = [\n1,\n2]\nb = \"x ${f({\n})} y\"\n"), ["a = [\n1,\n2]", "b = \"x ${f({\n})} y\""]);
    assert_eq!(pieces("a = <<EOT\n}\"[\n  EOT2\nEOT\nb = 1"), ["a = <<EOT\n}\"[\n  EOT2\nEOT", "b = 1"]);
    assert_eq!(pieces("a = <<-EOT\n  ${ \"}\" }\n  EOT\nb = 1"), ["a = <<-EOT\n  ${ \"}\" }\n  EOT", "b = 1"]);
    assert_eq!(
        pieces("a = \"\\\"${\"}\"}\" # \"\nb = 1 // {\n/* ( \n */ c = 2\n"),
        ["a = \"\\\"${\"}\"}\" # \"", "b = 1 // {", "/* ( \n */ c = 2"]
    );
    assert_eq!(pieces("a = \"$${ %%{ $\"\n# only a comment\n\n"), ["a = \"$${ %%{ $\""]);
    assert_eq!(pieces("a {\r\n}\r\nb = 1\r\n"), ["a {\r\n}", "b = 1"]);
    assert_eq!(pieces("/*/ a = (\n*/ b = 1\n"), ["/*/ a = (\n*/ b = 1"]);
}

#[test]
fn goes_on_after_something_open() {
    let text = "resource \"a\" \"b\" {\n  x = (1\n}\nvariable \"v\" {}\nlocals {\n";
    let found = scan(text, 0..text.len());
    assert_eq!(found.items.len(), 1);
    let open: Vec<&str> = found.broken.iter().map(|b| &text[b.range.clone()]).collect();
    assert_eq!(open, ["(", "{"]);
    for text in ["a = <<-lob\u{c4d0}\n", "a = <<EOT\n", "a = <<-EOT\nx"] {
        let found = scan(text, 0..text.len());
        assert!(
            found.broken.iter().all(|b| text.get(b.range.clone()).is_some_and(|t| t.ends_with(['T', '\u{c4d0}']))),
            "{text}"
        );
    }
}

#[test]
fn a_line_of_a_block_does_not_start_with_a_dot() {
    for (text, good) in [
        ("b {\n  a = [1]\n  .c\n}\n", false),
        ("a = { b = [1]\n.c }\n", false),
        ("a = ([1]\n  .c)\n", true),
        ("a = \"${[1]\n  .c}\"\n", true),
        ("a = { for b in [1]\n.c : b => b }\n", true),
        ("b {\n  a = x.y /* . */\n}\n", true),
    ] {
        assert_eq!(scan(text, 0..text.len()).broken.is_empty(), good, "{text}");
    }
}

/// How much there is to parse is known before it is parsed.
#[test]
fn counts_what_takes_room() {
    let marks = |text: &str| scan(text, 0..text.len()).marks;
    assert_eq!(marks("a = [1, {b = 2}, \"x,y ${c} [\"] # ,,,\n"), 7);
    assert_eq!(marks("a = <<E\n[,] ${[1]} %{ if x }\nE\n"), 4);
    assert_eq!(template_marks("[,] ${[1]} \"%{ if x }"), 3);
    let long = format!("a = [{}]\nb = 1\nc = [\n", "1,".repeat(600_000));
    let mut diagnostics = Diagnostics::new();
    let mut items = 0;
    parse_items(&long, 0, &mut diagnostics, |_, _, _| items += 1);
    let summaries: Vec<&str> = diagnostics.iter().map(|d| d.summary).collect();
    assert_eq!((items, summaries.as_slice()), (1, &["Unclosed bracket", "Too much in one place"][..]));
}

#[test]
fn errors_have_an_end() {
    let count = |text: &str| {
        let mut diagnostics = Diagnostics::new();
        parse_items(text, 0, &mut diagnostics, |_, _, _| {});
        diagnostics.0.len()
    };
    assert_eq!(count(&"variable \"a\" {\n".repeat(10_000)), MAX_BROKEN);
    assert_eq!(count(&"a\n".repeat(10_000)), MAX_ERRORS + 2);
}

#[test]
fn never_fails_on_any_prefix_of_a_file() {
    let text = "resource \"a\" \"b\" {\n  x = \"${[for k, v in { a = (1) } : k]}%{if true}é%{endif}\"\n  y = <<-E\n  é ${1}\n  E\n}\n";
    for end in (0..text.len()).filter(|i| text.is_char_boundary(*i)) {
        let mut diagnostics = Diagnostics::new();
        parse_items(&text[..end], 0, &mut diagnostics, |_, _, _| {});
        for d in diagnostics.iter() {
            let span = d.span.expect("every syntax error has a place");
            assert!(span.start <= span.end && span.end as usize <= end, "{end}: {d:?}");
        }
    }
}
