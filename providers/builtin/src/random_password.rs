//! `ephemeral "random_password"`: a password of the operating system's random numbers.
//!
//! The one decision: the demanded characters are drawn first and the whole is shuffled, so that a rule such as
//! "two digits" costs no more chance than it must.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{EphemeralSource, Opened, ProviderError, Services, async_trait};

use crate::{Client, random};

pub(crate) struct RandomPassword;

/// Attribute, attribute of the least number, characters.
const CLASSES: [(&str, &str, &str); 4] = [
    ("lower", "min_lower", "abcdefghijklmnopqrstuvwxyz"),
    ("upper", "min_upper", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    ("numeric", "min_numeric", "0123456789"),
    ("special", "min_special", SPECIAL),
];
const SPECIAL: &str = "!@#$%&*()-_=+[]{}<>:?";

#[async_trait]
impl EphemeralSource<Client> for RandomPassword {
    fn schema(&self) -> ResourceSchema {
        let with = |name, doc| Attribute::optional(name, Type::Bool, doc).default(Value::bool(true));
        let least = |name, doc| Attribute::optional(name, Type::Number, doc).default(Value::number(0));
        ResourceSchema {
            name: "random_password",
            version: 0,
            doc: "A random password, another one in every run: give it to a write-only attribute, and its version attribute decides when it is written.",
            example: r#"ephemeral "random_password" "admin" {
  length  = 24
  special = false
}"#,
            schema: Schema::of([
                Attribute::required("length", Type::Number, "How many characters, from 1 to 65536."),
                with("lower", "Whether it may have lower-case letters. Default: true."),
                with("upper", "Whether it may have upper-case letters. Default: true."),
                with("numeric", "Whether it may have digits. Default: true."),
                with("special", "Whether it may have special characters. Default: true."),
                least("min_lower", "The least number of lower-case letters. Default: 0."),
                least("min_upper", "The least number of upper-case letters. Default: 0."),
                least("min_numeric", "The least number of digits. Default: 0."),
                least("min_special", "The least number of special characters. Default: 0."),
                Attribute::optional(
                    "override_special",
                    Type::String,
                    "The special characters. Default: `!@#$%&*()-_=+[]{}<>:?`.",
                ),
                Attribute::computed("result", Type::String, "The password.").sensitive(),
            ]),
            protected: false,
        }
    }

    async fn open(&self, _client: &Client, config: &Value, _services: &Services) -> Result<Opened, ProviderError> {
        let password = password(config)?;
        Ok(Opened::value(config.with("result", Value::string(password).sensitive())))
    }
}

fn password(config: &Value) -> Result<String, ProviderError> {
    let length = random::number(config, "length")?.filter(|n| *n > 0);
    let length = length.ok_or_else(|| random::invalid("length", "length is 1 or more."))?;
    let (mut all, mut out) = (Vec::new(), Vec::with_capacity(length));
    for (name, minimum, characters) in CLASSES {
        let own = config.get_str("override_special").filter(|s| name == "special" && !s.is_empty());
        let mut characters: Vec<char> = own.unwrap_or(characters).chars().collect();
        characters.sort_unstable();
        characters.dedup();
        let allowed = config.get(name).and_then(Value::as_bool).unwrap_or(true);
        let least = random::number(config, minimum)?.unwrap_or(0);
        if least > 0 && !allowed {
            return Err(random::invalid(
                minimum,
                format!("{minimum} asks for characters that {name} = false forbids."),
            ));
        }
        if least > length - out.len() {
            return Err(random::invalid(
                "length",
                format!("The least numbers together are more than length = {length}."),
            ));
        }
        for _ in 0..least {
            out.push(characters[random::below(characters.len())?]);
        }
        if allowed {
            all.extend(characters);
        }
    }
    if all.is_empty() {
        return Err(random::invalid(
            "lower",
            "No kind of character is allowed: set one of lower, upper, numeric and special.",
        ));
    }
    all.sort_unstable();
    all.dedup();
    while out.len() < length {
        out.push(all[random::below(all.len())?]);
    }
    for i in (1..out.len()).rev() {
        out.swap(i, random::below(i + 1)?);
    }
    Ok(out.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(config: &[(&'static str, Value)]) -> Result<String, ProviderError> {
        password(&Value::object(config.iter().cloned()))
    }

    #[test]
    fn passwords_keep_the_rules() {
        let rules = [
            ("length", Value::number(12)),
            ("upper", Value::bool(false)),
            ("min_numeric", Value::number(3)),
            ("min_special", Value::number(2)),
            ("override_special", Value::string("_é_")),
        ];
        let all: Vec<String> = (0..50).map(|_| made(&rules).expect("possible")).collect();
        for text in &all {
            assert_eq!(text.chars().count(), 12);
            assert!(!text.chars().any(char::is_uppercase), "{text}");
            assert!(text.chars().filter(char::is_ascii_digit).count() >= 3, "{text}");
            assert!(text.chars().filter(|c| ['_', 'é'].contains(c)).count() >= 2, "{text}");
        }
        assert!(all.iter().any(|t| !t.starts_with(|c: char| c.is_ascii_digit())), "the demanded ones are not in front");
        assert_ne!(all[0], all[1]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let none = CLASSES.map(|(name, _, _)| (name, Value::bool(false)));
        for (config, at) in [
            (vec![("length", Value::number(0))], "length"),
            (
                vec![("length", Value::number(3)), ("min_lower", Value::number(2)), ("min_upper", Value::number(2))],
                "length",
            ),
            (
                vec![("length", Value::number(3)), ("lower", Value::bool(false)), ("min_lower", Value::number(1))],
                "min_lower",
            ),
            (none.into_iter().chain([("length", Value::number(3))]).collect(), "lower"),
            (vec![("length", Value::number(100_000_000))], "length"),
        ] {
            let error = made(&config).expect_err(at);
            assert_eq!(error.path.as_ref().and_then(|p| p.root()), Some(at), "{error}");
        }
    }
}
