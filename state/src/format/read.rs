//! Bytes to values.
//!
//! The one decision: a visitor builds the model directly while JSON is parsed, and one reader
//! shares repeated texts (attribute names, types, providers, dependency lists) among all values that
//! it makes. Strict: keys of a tag come in one order, a key twice is an error.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh_model::{Fields, Fingerprint, Kind, ModulePath, Number, Type, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

/// Makes values that share what they have in common.
#[derive(Default)]
pub(crate) struct Reader {
    texts: RefCell<HashSet<Arc<str>>>,
    lists: RefCell<HashSet<Arc<[Arc<str>]>>>,
    modules: RefCell<HashSet<ModulePath>>,
    /// The types that the header lists.
    types: Vec<Type>,
}

impl Reader {
    /// For values that name their types by number.
    pub(crate) fn with_types(types: Vec<Type>) -> Self {
        Self { types, ..Self::default() }
    }

    /// The shared copy of `text`.
    pub(crate) fn text(&self, text: &str) -> Arc<str> {
        let mut texts = self.texts.borrow_mut();
        if let Some(shared) = texts.get(text) {
            return shared.clone();
        }
        let shared: Arc<str> = text.into();
        texts.insert(shared.clone());
        shared
    }

    /// The shared copy of a list of texts.
    pub(crate) fn list(&self, texts: &[Text<'_>]) -> Arc<[Arc<str>]> {
        let list: Vec<Arc<str>> = texts.iter().map(|t| self.text(t)).collect();
        let mut lists = self.lists.borrow_mut();
        if let Some(shared) = lists.get(list.as_slice()) {
            return shared.clone();
        }
        let shared: Arc<[Arc<str>]> = list.into();
        lists.insert(shared.clone());
        shared
    }

    /// The shared copy of a module path.
    pub(crate) fn module(&self, path: ModulePath) -> ModulePath {
        let mut modules = self.modules.borrow_mut();
        if let Some(shared) = modules.get(&path) {
            return shared.clone();
        }
        modules.insert(path.clone());
        path
    }

    /// Reads one value.
    pub(crate) fn value(&self, json: &str) -> Result<Value, serde_json::Error> {
        let mut parser = serde_json::Deserializer::from_str(json);
        let value = ValueSeed(self).deserialize(&mut parser)?;
        parser.end()?;
        Ok(value)
    }
}

/// A text, borrowed from the input where it has no escapes.
#[derive(Debug, Clone)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(V)
    }
}

#[derive(Clone, Copy)]
struct ValueSeed<'r>(&'r Reader);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stored value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::NULL)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::number(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        // Stored texts are in normalisation form C already; checking again would cost time.
        Ok(Kind::String(text.into()).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Value, A::Error> {
        Ok(Value::tuple(items(self.0, seq)?))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        match map.next_key_seed(KeySeed(self.0))? {
            None => Ok(Value::from_fields(Fields::from_sorted(Vec::new()))),
            Some(key) if &*key == "$" => self.tagged(map),
            first => {
                let fields = fields(self.0, map, first)?;
                if fields.get("$").is_some() {
                    return Err(Error::custom("a tag must be the first key"));
                }
                Ok(Value::from_fields(fields))
            }
        }
    }
}

impl ValueSeed<'_> {
    fn tagged<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let tag: Text<'_> = map.next_value()?;
        let value = match &*tag {
            "null" => Value::null(self.ty(&mut map)?),
            "unknown" => Value::unknown(self.ty(&mut map)?),
            "withheld" => {
                let ty = self.ty(&mut map)?;
                expect(&mut map, "f")?;
                let text: Text<'_> = map.next_value()?;
                let bytes = STANDARD.decode(text.as_bytes()).ok().and_then(|b| <[u8; 32]>::try_from(b).ok());
                Value::withheld(ty, Fingerprint::from_bytes(bytes.ok_or_else(|| A::Error::custom("no fingerprint"))?))
            }
            "number" => {
                expect(&mut map, "v")?;
                let text: Text<'_> = map.next_value()?;
                Value::number(number(&text).ok_or_else(|| A::Error::custom("no number"))?)
            }
            "sensitive" => {
                expect(&mut map, "v")?;
                map.next_value_seed(self)?.sensitive()
            }
            tag @ ("list" | "set") => {
                let ty = self.ty(&mut map)?;
                expect(&mut map, "v")?;
                let items: Arc<[Value]> = map.next_value_seed(ItemsSeed(self.0))?.into();
                if tag == "list" { Kind::List(ty, items) } else { Kind::Set(ty, items) }.into()
            }
            "map" => {
                let ty = self.ty(&mut map)?;
                expect(&mut map, "v")?;
                Value::map(ty, map.next_value_seed(FieldsSeed(self.0))?)
            }
            "object" => {
                expect(&mut map, "v")?;
                Value::from_fields(map.next_value_seed(FieldsSeed(self.0))?)
            }
            _ => return Err(Error::custom("a kind of value that this version does not know")),
        };
        match map.next_key::<Text<'_>>()? {
            None => Ok(value),
            Some(_) => Err(Error::custom("a tagged value has more than it should")),
        }
    }

    fn ty<'de, A: MapAccess<'de>>(self, map: &mut A) -> Result<Type, A::Error> {
        expect(map, "t")?;
        let json: serde_json::Value = map.next_value()?;
        match json.as_u64() {
            Some(index) => usize::try_from(index).ok().and_then(|i| self.0.types.get(i)).cloned(),
            None => Type::from_json(&json),
        }
        .ok_or_else(|| A::Error::custom("a type that this version does not know"))
    }
}

fn expect<'de, A: MapAccess<'de>>(map: &mut A, key: &str) -> Result<(), A::Error> {
    match map.next_key::<Text<'_>>()? {
        Some(found) if &*found == key => Ok(()),
        _ => Err(A::Error::custom(format!("a tagged value lacks {key:?}"))),
    }
}

fn number(text: &str) -> Option<Number> {
    Number::from_saved(text)
}

fn items<'de, A: SeqAccess<'de>>(reader: &Reader, mut seq: A) -> Result<Vec<Value>, A::Error> {
    let mut items = Vec::new();
    while let Some(item) = seq.next_element_seed(ValueSeed(reader))? {
        items.push(item);
    }
    Ok(items)
}

fn fields<'de, A: MapAccess<'de>>(reader: &Reader, mut map: A, first: Option<Arc<str>>) -> Result<Fields, A::Error> {
    let mut entries: Vec<(Arc<str>, Value)> = Vec::new();
    let mut next = first;
    while let Some(key) = next {
        if entries.last().is_some_and(|(last, _)| *last >= key) {
            return Err(Error::custom("keys are not sorted and distinct"));
        }
        entries.push((key, map.next_value_seed(ValueSeed(reader))?));
        next = map.next_key_seed(KeySeed(reader))?;
    }
    Ok(Fields::from_sorted(entries))
}

struct KeySeed<'r>(&'r Reader);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        Text::deserialize(deserializer).map(|t| self.0.text(&t))
    }
}

struct ItemsSeed<'r>(&'r Reader);

impl<'de> DeserializeSeed<'de> for ItemsSeed<'_> {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Value>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ItemsSeed<'_> {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<Value>, A::Error> {
        items(self.0, seq)
    }
}

struct FieldsSeed<'r>(&'r Reader);

impl<'de> DeserializeSeed<'de> for FieldsSeed<'_> {
    type Value = Fields;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldsSeed<'_> {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let first = map.next_key_seed(KeySeed(self.0))?;
        fields(self.0, map, first)
    }
}
