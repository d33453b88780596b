//! The command line.

use std::time::Duration;

pub(crate) struct Arguments {
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    /// The round that comes first: of a seed that was found to show something in it.
    pub(crate) round: u64,
    /// How many threads spin beside the soak.
    pub(crate) load: u64,
}

impl Arguments {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut seconds, mut seed, mut round, mut load) = (60, fastrand::u64(..1_000_000), 0, 0);
        while let Some(name) = arguments.next() {
            let target = match name.as_str() {
                "--seconds" => &mut seconds,
                "--seed" => &mut seed,
                "--round" => &mut round,
                "--load" => &mut load,
                _ => return Err(format!("unknown argument `{name}`")),
            };
            let value = arguments.next().unwrap_or_default();
            let number = value.parse();
            *target = number.map_err(|_| format!("{name}: `{value}` is not a number"))?;
        }
        let time = Duration::from_secs(seconds);
        Ok(Self {
            time,
            seed,
            round,
            load,
        })
    }
}
