//! Picks values up by key: checks them against the table, complains in sentences, remembers what is in force.
//!
//! A value that cannot be used is complained about once and its default goes on, so that one run finds all mistakes.

use std::collections::BTreeMap;

use super::layers::Assigned;
use super::{Key, Kind, Layers, Setting, Size, Use, keys};

/// The layers while `build` reads them.
pub(super) struct Values<'a> {
    layers: &'a Layers,
    /// Sentences that end the start.
    pub errors: Vec<String>,
    /// Sentences that do not.
    pub warnings: Vec<String>,
    /// What is in force where it differs from what was said: key, value, source.
    shown: BTreeMap<String, (String, String)>,
}

/// What a number may not exceed, and because of which key.
#[derive(Clone, Copy)]
pub(super) struct Cap<'a> {
    pub max: i64,
    pub because: &'a str,
}

impl<'a> Values<'a> {
    pub fn new(layers: &'a Layers) -> Values<'a> {
        let mut values =
            Values { layers, errors: layers.errors.clone(), warnings: layers.warnings.clone(), shown: BTreeMap::new() };
        values.warn_of_useless_keys();
        values
    }

    fn warn_of_useless_keys(&mut self) {
        let mut all: Vec<_> = self.layers.assigned.iter().collect();
        all.sort_by_key(|(_, assigned)| assigned.order);
        for (name, assigned) in all {
            let source = &assigned.source;
            match keys::find(name).map(|key| key.usage) {
                Some(Use::Default(_)) => {}
                Some(Use::Unusable(reason)) => self.warnings.push(format!("{source}: {name} is not used: {reason}")),
                None => {
                    let guess = keys::nearest(name).map(|known| format!("; did you mean {known}?")).unwrap_or_default();
                    self.warnings.push(format!("{source}: nobody knows the key {name}{guess}"));
                }
            }
        }
    }

    /// What was said about `name`.
    pub fn given(&self, name: &str) -> Option<&'a Assigned> {
        self.layers.get(name)
    }

    /// All that was said about keys that begin so and end in a number, in order of the number.
    pub fn numbered(&mut self, prefix: &str) -> Vec<(u32, &'a Assigned)> {
        let mut all = Vec::new();
        for (name, assigned) in &self.layers.assigned {
            let number = name.strip_prefix(prefix).filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
            match number.map(str::parse::<u32>) {
                Some(Ok(number)) if number < i32::MAX as u32 => all.push((number, assigned)),
                Some(_) => {
                    self.error(&assigned.source, name, &assigned.value, "its number is too large", "0 to 2147483646")
                }
                None => {}
            }
        }
        all.sort_by_key(|(number, _)| *number);
        all
    }

    /// A whole number or a size, given or by default; 0 when neither.
    pub fn int(&mut self, name: &str) -> i64 {
        self.optional_int(name).unwrap_or_else(|| default_of(name).parse().unwrap_or(0))
    }

    /// A whole number or a size that was said and is good.
    pub fn optional_int(&mut self, name: &str) -> Option<i64> {
        let assigned = self.given(name)?;
        let (parsed, (min, max)) = match kind_of(name) {
            Kind::Int { min, max } => (assigned.value.trim().parse().ok(), (min, max)),
            Kind::Size { min, max } => (Size::parse(&assigned.value).map(|size| size.0), (min, max)),
            _ => (None, (0, 0)),
        };
        let problem = match parsed {
            Some(value) if (min..=max).contains(&value) => return Some(value),
            Some(_) => "out of range",
            None if matches!(kind_of(name), Kind::Size { .. }) => "not a size",
            None => "not a whole number",
        };
        self.bad(name, problem);
        None
    }

    /// A number that the memory budget or another key may lower. `default` counts when nothing was said.
    pub fn capped_int(&mut self, name: &str, default: i64, cap: Cap<'_>) -> i64 {
        let given = self.optional_int(name);
        let value = given.unwrap_or(default).min(cap.max);
        if let (Some(asked), Some(assigned)) = (given, self.given(name))
            && asked > cap.max
        {
            let source = &assigned.source;
            let text = &assigned.value;
            self.warnings
                .push(format!("{source}: {name}={text} is more than {} allows; lowered to {value}", cap.because));
            let source = format!("{source}, lowered by {}", cap.because.split('=').next().unwrap_or_default());
            self.show(name, value, &source);
        }
        if given.is_none() {
            self.show(name, value, "default");
        }
        value
    }

    /// `true` or `false`.
    pub fn bool(&mut self, name: &str) -> bool {
        let default = default_of(name) == "true";
        let Some(assigned) = self.given(name) else { return default };
        match assigned.value.trim().to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => {
                self.bad(name, "neither true nor false");
                default
            }
        }
    }

    /// One of the table's words, in the table's spelling.
    pub fn word(&mut self, name: &str) -> &'static str {
        let Kind::OneOf(words) = kind_of(name) else { return "" };
        let default = default_of(name);
        let Some(assigned) = self.given(name) else { return default };
        match words.iter().find(|word| word.eq_ignore_ascii_case(assigned.value.trim())) {
            Some(word) => word,
            None => {
                self.bad(name, "not one of the words");
                default
            }
        }
    }

    /// Text that is not empty, with its source.
    pub fn text(&self, name: &str) -> Option<&'a Assigned> {
        self.given(name).filter(|assigned| !assigned.value.trim().is_empty())
    }

    /// Complains about the value of `name`, naming what its kind allows.
    fn bad(&mut self, name: &str, problem: &str) {
        if let Some(assigned) = self.given(name) {
            let allowed = kind_of(name).allowed();
            self.error(&assigned.source, name, &assigned.value, &format!("it is {problem}"), &allowed);
        }
    }

    /// Complains about `name=value` said at `source`.
    pub fn error(&mut self, source: &str, name: &str, value: &str, problem: &str, allowed: &str) {
        self.errors.push(format!("{source}: {name}={value}: {problem}; allowed: {allowed}"));
    }

    /// Remembers what is in force for `name`.
    pub fn show(&mut self, name: &str, value: impl std::fmt::Display, source: &str) {
        self.shown.insert(name.to_owned(), (value.to_string(), source.to_owned()));
    }

    /// Every key in use with its value in force and its source, in the order of the table.
    pub fn settings(&self) -> Vec<Setting> {
        let mut out = Vec::new();
        for key in keys::used() {
            if key.name.ends_with('#') {
                out.extend(self.numbered_settings(key));
            } else {
                out.extend(self.setting(key, key.name));
            }
        }
        out
    }

    fn numbered_settings(&self, key: &'static Key) -> Vec<Setting> {
        let names = self.layers.assigned.keys().chain(self.shown.keys().filter(|name| self.given(name).is_none()));
        let mut names: Vec<&String> =
            names.filter(|name| keys::find(name).is_some_and(|found| found.name == key.name)).collect();
        names.sort_by_key(|name| (name.len(), name.as_str()));
        names.into_iter().filter_map(|name| self.setting(key, name)).collect()
    }

    fn setting(&self, key: &'static Key, name: &str) -> Option<Setting> {
        let (value, source) = match (self.shown.get(name), self.given(name)) {
            (Some((value, source)), _) => (value.clone(), source.clone()),
            (None, Some(assigned)) => (assigned.value.clone(), assigned.source.clone()),
            (None, None) => (default_of(name).to_owned(), "default".to_owned()),
        };
        let is_default = source.starts_with("default");
        (!value.is_empty() || !is_default).then_some(Setting { name: name.to_owned(), value, source, is_default, key })
    }
}

fn kind_of(name: &str) -> Kind {
    keys::find(name).map_or(Kind::Text, |key| key.kind)
}

fn default_of(name: &str) -> &'static str {
    match keys::find(name).map(|key| key.usage) {
        Some(Use::Default(text)) => text,
        _ => "",
    }
}
