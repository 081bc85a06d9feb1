//! Distinguished names as text.
//!
//! The one decision: the text is that of Go's `pkix.Name.String()`, because labels of certificate
//! objects that other tools of the mesh make are that text: attributes that Go knows in a fixed
//! order (`SERIALNUMBER,CN,POSTALCODE,STREET,ST,L,OU,O,C`), several values of one joined with `+`,
//! all others at the end as `OID=#hex`.

use der::Encode;
use der::asn1::{Any, ObjectIdentifier};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::DirectoryString;
use x509_cert::name::Name;

/// What Go knows, in the order of its text.
const KNOWN: [(&str, &str); 9] = [
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.3", "CN"),
    ("2.5.4.17", "POSTALCODE"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.8", "ST"),
    ("2.5.4.7", "L"),
    ("2.5.4.11", "OU"),
    ("2.5.4.10", "O"),
    ("2.5.4.6", "C"),
];

/// The text of a name; empty for an empty name.
pub fn text(name: &Name) -> String {
    let mut parts = Vec::new();
    for (oid, label) in KNOWN {
        let oid = ObjectIdentifier::new_unwrap(oid);
        let mut values: Vec<String> =
            name.iter().filter(|a| a.oid == oid).map(|a| format!("{label}={}", escape(&value(a)))).collect();
        // Of these two Go keeps the last value only.
        if matches!(label, "CN" | "SERIALNUMBER") {
            values = values.pop().into_iter().collect();
        }
        if !values.is_empty() {
            parts.push(values.join("+"));
        }
    }
    let known = |a: &AttributeTypeAndValue| KNOWN.iter().any(|(oid, _)| a.oid == ObjectIdentifier::new_unwrap(oid));
    let others: Vec<_> = name.iter().filter(|a| !known(a)).collect();
    parts.extend(others.into_iter().rev().map(|a| format!("{}=#{}", a.oid, crate::hex(&go_der(a)))));
    parts.join(",")
}

fn value(attribute: &AttributeTypeAndValue) -> String {
    directory_string(&attribute.value).unwrap_or_else(|| String::from_utf8_lossy(attribute.value.value()).into_owned())
}

fn directory_string(value: &Any) -> Option<String> {
    value.decode_as::<DirectoryString>().ok().map(|s| s.value().into_owned())
}

/// Go writes an unknown value anew: as PrintableString where it can be one, else as UTF8String.
fn go_der(attribute: &AttributeTypeAndValue) -> Vec<u8> {
    let text = value(attribute);
    let printable = text.bytes().all(|b| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b));
    let tag = if printable { der::Tag::PrintableString } else { der::Tag::Utf8String };
    Any::new(tag, text.into_bytes()).and_then(|any| any.to_der()).unwrap_or_default()
}

fn escape(text: &str) -> String {
    let last = text.char_indices().next_back().map_or(0, |(i, _)| i);
    let mut out = String::with_capacity(text.len());
    for (i, c) in text.char_indices() {
        let special = match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            ' ' => i == 0 || i == last,
            '#' => i == 0,
            _ => false,
        };
        if special {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn order_is_fixed_and_values_are_escaped() -> Result<(), der::Error> {
        let name = Name::from_str("O=Example\\, Inc.,CN=Root CA,C=DE,OU=b,OU=a")?;
        assert_eq!(text(&name), "CN=Root CA,OU=a+OU=b,O=Example\\, Inc.,C=DE");
        assert_eq!(text(&Name::default()), "");
        Ok(())
    }

    #[test]
    fn what_go_does_not_know_comes_last_as_hex() -> Result<(), der::Error> {
        let name = Name::from_str("DC=ab,CN=x")?;
        assert_eq!(text(&name), "CN=x,0.9.2342.19200300.100.1.25=#13026162");
        Ok(())
    }
}
