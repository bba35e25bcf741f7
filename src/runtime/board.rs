//! Which board this is, and the profile that suits it: one more properties file, read before all others.
//!
//! The model comes from the device tree, the memory from sysinfo. A machine that is no known board and has more than a
//! gigabyte gets no profile, only the defaults; `serve` and `check-config` say which.

/// A file of `boards/`, built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its file name without the ending.
    pub name: &'static str,
    /// Its content.
    pub text: &'static str,
    /// How the device tree names the boards it is for.
    model_prefixes: &'static [&'static str],
}

/// What was found out about the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// As the device tree says; empty on other machines.
    pub model: String,
    /// RAM that the kernel manages.
    pub memory_bytes: u64,
    /// What suits it.
    pub profile: Option<&'static Profile>,
}

/// A machine with less than this gets the profile for small boards whatever it is.
const SMALL_MEMORY_BYTES: u64 = 768 << 20;

/// All profiles; the first that matches counts.
pub const PROFILES: [Profile; 6] = [
    Profile {
        name: "pi-zero-2w",
        text: include_str!("../../boards/pi-zero-2w.properties"),
        // The 3 A+ has a Zero 2's memory and no Ethernet, unlike every other 3.
        model_prefixes: &["Raspberry Pi Zero 2", "Raspberry Pi Compute Module 0", "Raspberry Pi 3 Model A"],
    },
    Profile { name: "pi-2", text: include_str!("../../boards/pi-2.properties"), model_prefixes: &["Raspberry Pi 2"] },
    Profile {
        name: "pi-3",
        text: include_str!("../../boards/pi-3.properties"),
        model_prefixes: &["Raspberry Pi 3", "Raspberry Pi Compute Module 3"],
    },
    Profile {
        name: "pi-4",
        text: include_str!("../../boards/pi-4.properties"),
        model_prefixes: &["Raspberry Pi 4", "Raspberry Pi 400", "Raspberry Pi Compute Module 4"],
    },
    Profile {
        name: "pi-5",
        text: include_str!("../../boards/pi-5.properties"),
        model_prefixes: &["Raspberry Pi 5", "Raspberry Pi 500", "Raspberry Pi Compute Module 5"],
    },
    Profile { name: "generic-512mb", text: include_str!("../../boards/generic-512mb.properties"), model_prefixes: &[] },
];

impl Board {
    /// Asks the machine.
    pub fn detect() -> Board {
        let model = std::fs::read_to_string("/proc/device-tree/model").unwrap_or_default();
        let model = model.trim_end_matches(['\0', '\n']).to_owned();
        let mut system = sysinfo::System::new();
        system.refresh_memory_specifics(sysinfo::MemoryRefreshKind::nothing().with_ram());
        Board::new(model, system.total_memory())
    }

    fn new(model: String, memory_bytes: u64) -> Board {
        let by_model = |profile: &&Profile| profile.model_prefixes.iter().any(|prefix| model.starts_with(prefix));
        let is_small = (1..SMALL_MEMORY_BYTES).contains(&memory_bytes);
        let small = || PROFILES.iter().find(|profile| profile.name == "generic-512mb").filter(|_| is_small);
        let profile = PROFILES.iter().find(by_model).or_else(small);
        Board { model, memory_bytes, profile }
    }

    /// RAM that is free for a new program now; 0 when nobody knows.
    pub fn free_bytes() -> u64 {
        let mut system = sysinfo::System::new();
        system.refresh_memory_specifics(sysinfo::MemoryRefreshKind::nothing().with_ram());
        system.available_memory()
    }

    /// What is wrong with `budget_bytes` and the profiles named `named` on this board: an error when the budget can never
    /// be kept, warnings when something else should be looked at. `free_bytes` is 0 when nobody knows.
    pub fn judge(&self, budget_bytes: u64, free_bytes: u64, named: &[String]) -> Result<Vec<String>, String> {
        let size = |bytes: u64| crate::config::Size(bytes as i64);
        let what = if self.model.is_empty() { "this machine" } else { &self.model };
        let (budget, memory) = (size(budget_bytes), size(self.memory_bytes));
        if self.memory_bytes > 0 && budget_bytes > self.memory_bytes {
            let own = match self.profile {
                Some(profile) => format!("leave it to the profile {}", profile.name),
                None => "leave it out, which means 64 MiB".to_owned(),
            };
            return Err(format!("memory.budget={budget} does not fit {what}, which has {memory}: lower it, or {own}"));
        }
        let mut warnings = Vec::new();
        let others = named.iter().filter(|name| self.profile.is_none_or(|profile| profile.name != name.as_str()));
        for name in others.filter(|name| {
            PROFILES.iter().any(|profile| !profile.model_prefixes.is_empty() && profile.name == name.as_str())
        }) {
            let own = self
                .profile
                .map_or("no profile of its own".to_owned(), |profile| format!("the profile {}", profile.name));
            warnings.push(format!("{name}.properties is the profile of another board; {what} with {memory} has {own}"));
        }
        if free_bytes > 0 && budget_bytes > free_bytes {
            warnings.push(format!(
                "memory.budget={budget} is more than the {} that are free now: stop other programs or lower it, before the \
                 kernel has to kill somebody",
                size(free_bytes)
            ));
        }
        Ok(warnings)
    }

    /// One sentence for people.
    pub fn sentence(&self) -> String {
        let model = if self.model.is_empty() { "no board that is known" } else { &self.model };
        let memory = crate::config::Size(self.memory_bytes as i64);
        match self.profile {
            Some(profile) => format!("{model}, {memory}: profile {}", profile.name),
            None if self.model.is_empty() => format!("{model}, {memory}: no profile, defaults"),
            None => {
                format!("{model}, {memory}: no profile for this board, defaults; name a file of boards/ that suits it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Facts, Layers, resolve};
    use crate::memory::Table;

    /// Models find their profile by the device tree's own words, small machines the generic one, servers none.
    #[test]
    fn detection() {
        let name = |model: &str, mib: u64| Board::new(model.to_owned(), mib << 20).profile.map(|profile| profile.name);
        assert_eq!(name("Raspberry Pi Zero 2 W Rev 1.0", 415), Some("pi-zero-2w"));
        assert_eq!(name("Raspberry Pi 3 Model A Plus Rev 1.0", 415), Some("pi-zero-2w"));
        assert_eq!(name("Raspberry Pi 2 Model B Rev 1.1", 920), Some("pi-2"));
        assert_eq!(name("Raspberry Pi 3 Model B Plus Rev 1.3", 920), Some("pi-3"));
        assert_eq!(name("Raspberry Pi Compute Module 4 Rev 1.0", 3800), Some("pi-4"));
        assert_eq!(name("Raspberry Pi 5 Model B Rev 1.0", 8000), Some("pi-5"));
        assert_eq!(name("Orange Pi Zero", 490), Some("generic-512mb"));
        assert_eq!(name("", 24_000), None);
        assert_eq!(name("", 0), None);
        assert!(Board::detect().memory_bytes > 0);
    }

    /// A budget beyond the board is refused, one beyond what is free and a foreign profile are warned of.
    #[test]
    fn judged() {
        let board = Board::new("Raspberry Pi Zero 2 W Rev 1.0".to_owned(), 415 << 20);
        assert_eq!(board.judge(64 << 20, 200 << 20, &["pi-zero-2w".to_owned()]), Ok(Vec::new()));
        assert_eq!(
            board.judge(512 << 20, 200 << 20, &[]).unwrap_err(),
            "memory.budget=512 MiB does not fit Raspberry Pi Zero 2 W Rev 1.0, which has 415 MiB: lower it, or leave it to \
             the profile pi-zero-2w"
        );
        let warnings = board.judge(256 << 20, 200 << 20, &["pi-5".to_owned(), "server".to_owned()]).unwrap();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("pi-5.properties is the profile of another board; Raspberry Pi Zero 2 W"));
        assert!(warnings[1].starts_with("memory.budget=256 MiB is more than the 200 MiB that are free now"));
        assert_eq!(Board::new(String::new(), 0).judge(1 << 40, 0, &[]), Ok(Vec::new()));
    }

    /// Every profile is accepted without a word, fits its own budget, and asks for nothing that has to be lowered.
    #[test]
    fn profiles_fit() {
        for profile in &PROFILES {
            let mut layers = Layers::default();
            layers.add_file(profile.name, profile.text);
            let outcome = resolve(&layers, &Facts::default());
            assert_eq!((outcome.errors, outcome.warnings), (vec![], vec![]), "{}", profile.name);
            let (table, _) = Table::new(&outcome.config.unwrap()).unwrap();
            assert!(table.sum_bytes() <= table.budget_bytes, "{}", profile.name);
        }
    }
}
