use std::env;

/// What every example is started with.
#[derive(Debug)]
pub struct Arguments {
    /// Whether to play the script on a free port, and end.
    pub once: bool,
    /// Where to listen.
    pub address: String,
}

impl Arguments {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// How to use the example, if it was used in another way.
    pub fn of(example: &str) -> Result<Self, String> {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let (once, address) = match arguments.as_slice() {
            [] => (false, "127.0.0.1:3000"),
            [flag] if flag == "--once" => (true, "127.0.0.1:0"),
            [address] if !address.starts_with('-') => (false, address.as_str()),
            _ => return Err(format!("usage: {example} [--once | ADDRESS]")),
        };
        Ok(Self {
            once,
            address: address.to_owned(),
        })
    }
}
